"""
Trains an agent in examples/agents: Gymnasium's Pendulum from pixels, with FPAC's preset for small machines.

Usage: python examples/pendulum.py [--steps 6000] [--seed 0] [--out pendulum.safetensors]
"""

import argparse
from functools import partial
from pathlib import Path

import gymnasium as gym
import torch as th
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import SubprocVecEnv

from sb3_fpac import FPAC, PixelFrames, fpac_fast, save_weights


def make_env(seed: int = 0) -> gym.Env:
    env = Monitor(PixelFrames(gym.make("Pendulum-v1", render_mode="rgb_array"), size=64, action_repeat=2))
    env.reset(seed=seed)
    return env


def make_train_env(seed: int) -> gym.Env:
    # Rewards go down to -16 an env step, and the preset learned them unsteadily; a tenth of them is nearer to 1.
    return gym.wrappers.TransformReward(make_env(seed), lambda reward: reward / 10)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", default=6000, type=int, help="agent steps")
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--out", default=Path("pendulum.safetensors"), type=Path)
    args = parser.parse_args()

    # As in the demo: the environment in a process of its own, and one thread for the updates
    env = SubprocVecEnv([partial(make_train_env, args.seed)])
    th.set_num_threads(1)
    model = FPAC("CnnPolicy", env, buffer_size=args.steps, seed=args.seed, **fpac_fast)
    model.learn(args.steps, progress_bar=True)
    env.close()
    mean, std = evaluate_policy(model, make_env(args.seed + 1000), n_eval_episodes=10)
    print(f"Return after {args.steps} steps: {mean:.0f} ± {std:.0f} (ten episodes)")
    save_weights(model, args.out)


if __name__ == "__main__":
    main()
