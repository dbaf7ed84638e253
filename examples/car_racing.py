"""
Trains an agent in examples/agents: Gymnasium's CarRacing from pixels, with FPAC's preset for small machines. The best agent is
kept.

Writes to --out: best_model.zip (the best agent), car_racing.safetensors (the same without code), evaluations.npz (returns
during training).

Needs: pip install "sb3-fpac[viz,box2d]"

Usage: python examples/car_racing.py [--steps 40000] [--episodes 20] [--seed 0] [--out race]
"""

import argparse
from functools import partial
from pathlib import Path

import gymnasium as gym
import torch as th
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import SubprocVecEnv

from sb3_fpac import FPAC, PixelFrames, fpac_fast, save_weights


def make_env(seed: int = 0) -> gym.Env:
    env = Monitor(PixelFrames(gym.make("CarRacing-v3"), size=64, action_repeat=4))
    env.reset(seed=seed)  # the first track; every episode has another
    return env


def make_train_env(seed: int) -> gym.Env:
    # A tile of the track gives about 3, and a step may pass several; a tenth of that is nearer to 1.
    return gym.wrappers.TransformReward(make_env(seed), lambda reward: reward / 10)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", default=40_000, type=int, help="agent steps")
    parser.add_argument("--episodes", default=20, type=int, help="episodes of the test after training")
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--out", default=Path("race"), type=Path)
    args = parser.parse_args()

    # As in the demo: the environment in a process of its own, and one thread for the updates
    env = SubprocVecEnv([partial(make_train_env, args.seed)])
    th.set_num_threads(1)
    model = FPAC("CnnPolicy", env, buffer_size=args.steps, seed=args.seed, **fpac_fast)
    evaluation = EvalCallback(
        SubprocVecEnv([partial(make_env, args.seed + 1000)]),
        n_eval_episodes=min(args.episodes, 5),
        eval_freq=max(args.steps // 16, 1),
        log_path=str(args.out),
        best_model_save_path=str(args.out),
    )
    model.learn(args.steps, callback=evaluation, progress_bar=True)
    env.close()
    evaluation.eval_env.close()

    best = FPAC.load(args.out / "best_model", buffer_size=1)
    mean, std = evaluate_policy(best, make_env(args.seed + 2000), n_eval_episodes=args.episodes)
    print(f"Return of the best agent: {mean:.0f} ± {std:.0f} ({args.episodes} episodes on other tracks)")
    save_weights(best, args.out / "car_racing.safetensors")


if __name__ == "__main__":
    main()
