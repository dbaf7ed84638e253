"""
Train one agent with the paper's hyperparameters, evaluate it every 10k env steps, and write its curve. Started again with the
same --checkpoint after an interruption, it goes on.

Usage: python benchmarks/learning.py dmc-cartpole-swingup [--agent fpac|pixels|state|polyak|…] [--seed 0]
                                     [--env-steps 100000] [--episodes 10] [--size 84] [--out results] [--checkpoint FOLDER]
"""

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import nn

from sb3_fpac import FPAC, PixelExtractor, ResumableCheckpoint, fpac_hyperparams, latest_checkpoint, resume
from sb3_fpac.envs import TASKS

EVERY = 10_000  # env steps
AGENTS: dict[str, dict[str, Any]] = {  # what differs from FPAC's defaults
    "fpac": {},
    "pixels": dict(policy_kwargs=dict(features_extractor_class=PixelExtractor)),
    "polyak": dict(policy_kwargs=dict(target_encoder="polyak")),
    "relative": dict(policy_kwargs=dict(features_extractor_kwargs=dict(relative=True))),
    "float32": dict(policy_kwargs=dict(features_extractor_kwargs=dict(precision="float32"))),
    "lr1e-3": dict(learning_rate=1e-3),
}
PAPERS_SIZE = 84  # pixels
WITHOUT_IMAGES: dict[str, dict[str, Any]] = {  # SAC with FPAC's heads and hyperparameters; how the environment is made
    "state": dict(observation="state"),
    "keypoints": dict(observation="keypoints"),
    "keypoints-absolute": dict(observation="keypoints", relative_keypoints=False),
}
COLUMNS = ("env_steps", "agent_steps", "mean", "std", "returns", "hours")


class WriteCurve(BaseCallback):
    """Evaluates with the mean action, and appends a row to a CSV; an existing file goes on at the model's step"""

    def __init__(self, path: Path, env: gym.Env, episodes: int, action_repeat: int) -> None:
        super().__init__()
        self.path, self.env, self.episodes, self.action_repeat = path, env, episodes, action_repeat
        self.start = time.monotonic()
        self.hours_before = 0.0
        self.evaluated_at = -1  # agent steps

    def _on_training_start(self) -> None:
        rows = []
        if self.num_timesteps > 0:
            with self.path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["agent_steps"]) <= self.num_timesteps]
            self.hours_before, self.evaluated_at = float(rows[-1]["hours"]), int(rows[-1]["agent_steps"])
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def _on_rollout_start(self) -> None:  # here everything so far has been learned from
        every = EVERY // self.action_repeat
        if self.num_timesteps // every > self.evaluated_at // every:
            self._evaluate()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._on_rollout_start()

    def _evaluate(self) -> None:
        self.evaluated_at = self.num_timesteps
        returns, _ = evaluate_policy(self.model, self.env, self.episodes, return_episode_rewards=True)
        hours = self.hours_before + (time.monotonic() - self.start) / 3600
        row = [
            self.num_timesteps * self.action_repeat,
            self.num_timesteps,
            f"{np.mean(returns):.2f}",
            f"{np.std(returns):.2f}",
        ]
        row += [" ".join(f"{value:.1f}" for value in returns), f"{hours:.3f}"]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow(row)
        print(*row, flush=True)


def make_model(agent: str, env: gym.Env, seed: int) -> OffPolicyAlgorithm:
    if agent in WITHOUT_IMAGES:
        heads = dict(net_arch=[1024, 1024], activation_fn=nn.SiLU)
        return SAC("MlpPolicy", env, policy_kwargs=heads, seed=seed, **fpac_hyperparams)
    return FPAC("CnnPolicy", env, seed=seed, **AGENTS[agent])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("--agent", choices=[*AGENTS, *WITHOUT_IMAGES], default="fpac")
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--env-steps", default=100_000, type=int)
    parser.add_argument("--episodes", default=10, type=int)
    parser.add_argument("--size", default=PAPERS_SIZE, type=int, help="of images, in pixels")
    parser.add_argument("--out", default="results", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    args = parser.parse_args()

    if args.agent == "pixels":  # layers of 80 million weights: multiplied in bfloat16, as the convolutions are
        th.set_float32_matmul_precision("medium")
    action_repeat = TASKS[args.task].action_repeat
    env_kwargs = WITHOUT_IMAGES.get(args.agent, dict(size=args.size))
    env, evaluation_env = (Monitor(gym.make(args.task, **env_kwargs)) for _ in range(2))
    evaluation_env.reset(seed=1000 + args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    agent = args.agent if args.size == PAPERS_SIZE else f"{args.agent}-{args.size}px"
    path = args.out / f"{args.task.removeprefix('dmc-')}_{agent}_seed{args.seed}.csv"
    callbacks: list[BaseCallback] = [WriteCurve(path, evaluation_env, args.episodes, action_repeat)]
    if args.checkpoint is not None:
        callbacks.append(ResumableCheckpoint(EVERY // action_repeat, args.checkpoint))
    if args.checkpoint is not None and latest_checkpoint(args.checkpoint) is not None:
        algorithm = SAC if args.agent in WITHOUT_IMAGES else FPAC
        model: OffPolicyAlgorithm = resume(args.checkpoint, env, algorithm)
    else:
        model = make_model(args.agent, env, args.seed)
    steps = args.env_steps // action_repeat - model.num_timesteps
    model.learn(steps, callback=callbacks, reset_num_timesteps=False)


if __name__ == "__main__":
    main()
