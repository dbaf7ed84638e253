"""
What the heads of `fpac_fast` learn from exact positions: SB3's SAC from the keypoints of a task (the projected centres of its
parts, and their velocities), with the hyperparameters of the preset, its heads of 256 and its LayerNorm. Its
returns beside those of the preset from pixels show whether the points or the heads limit the agent. `--observation state` is
the true state instead.

Usage: python benchmarks/keypoints.py [--tasks ball-in-cup-catch reacher-easy] [--observation state] [--env-steps 100000]
"""

import argparse

import gymnasium as gym
import torch as th
from stable_baselines3 import SAC
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.sac.policies import ContinuousCritic, MlpPolicy
from timing import describe_machine
from torch import nn

from sb3_fpac import fpac_fast, fpac_hyperparams
from sb3_fpac.envs.tasks import TASKS, Task
from sb3_fpac.policies.critic_trained_encoder import add_layer_norm

N_EVALUATIONS = 10
N_EPISODES = 5


class LayerNormPolicy(MlpPolicy):
    """SB3's policy, with the critic's LayerNorm of the preset"""

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> ContinuousCritic:
        critic = super().make_critic(features_extractor)
        for q_network in critic.q_networks:
            add_layer_norm(q_network)
        return critic


def make_env(task: Task, observation: str, seed: int) -> gym.Env:
    options = dict(relative_keypoints=False) if observation == "keypoints" else {}
    env = Monitor(gym.make(task.env_id, observation=observation, **options))
    env.reset(seed=seed)
    return env


def returns(task: Task, observation: str, env_steps: int, seed: int) -> list[float]:
    """Mean returns of evaluations that are evenly spaced over training"""
    hyperparams = {**fpac_hyperparams, **fpac_fast}
    hyperparams["policy_kwargs"] = dict(net_arch=fpac_fast["policy_kwargs"]["net_arch"], activation_fn=nn.SiLU)
    model = SAC(LayerNormPolicy, make_env(task, observation, seed), seed=seed, device="cpu", **hyperparams)
    test_env = make_env(task, observation, seed + 1000)
    means = []
    for _ in range(N_EVALUATIONS):
        model.learn(env_steps // task.action_repeat // N_EVALUATIONS, reset_num_timesteps=False)
        means.append(evaluate_policy(model, test_env, N_EPISODES)[0])
    return means


def main() -> None:
    parser = argparse.ArgumentParser()
    tasks = ["cartpole-swingup", "ball-in-cup-catch", "reacher-easy", "finger-spin", "walker-walk"]
    parser.add_argument("--tasks", default=tasks, nargs="+")
    parser.add_argument("--observation", default="keypoints", choices=["keypoints", "state"])
    parser.add_argument("--env-steps", default=100_000, type=int)
    parser.add_argument("--seed", default=1, type=int)
    args = parser.parse_args()

    th.set_num_threads(1)
    print(describe_machine(th.device("cpu")))
    steps = [args.env_steps * (i + 1) // N_EVALUATIONS for i in range(N_EVALUATIONS)]
    print(f"\n| mean return of {N_EPISODES} episodes at env steps | {' | '.join(f'{n:,}' for n in steps)} |")
    print(f"| --- |{' ---: |' * N_EVALUATIONS}")
    for name in args.tasks:
        means = returns(TASKS[f"dmc-{name}"], args.observation, args.env_steps, args.seed)
        print(f"| {name} | {' | '.join(f'{mean:.0f}' for mean in means)} |", flush=True)


if __name__ == "__main__":
    main()
