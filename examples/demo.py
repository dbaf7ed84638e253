"""
Trains FPAC's preset for small machines on a task of DeepMind Control from pixels, in minutes, and shows what came out.
The task is point_mass_easy: push a ball to the middle of the arena, and keep it there.

Writes to --out: video.mp4 (an episode before and one after training, side by side), points.png (four moments after training,
with the feature points drawn on them), learning_curve.png, model.zip.

Usage: python examples/demo.py [--steps 12500] [--episodes 10] [--seed 0] [--out demo]
"""

import argparse
from functools import partial
from pathlib import Path

import gymnasium as gym
import matplotlib
import numpy as np
import torch as th
from matplotlib import pyplot as plt
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import SubprocVecEnv

from sb3_fpac import FPAC, fpac_fast
from sb3_fpac.visualization.episode import record_episode
from sb3_fpac.visualization.video import render_episode, render_moments, side_by_side, write_image, write_video

matplotlib.use("Agg")

TASK = "dmc-point-mass-easy"
SIZE = 64  # pixels
ACTION_REPEAT = 4


def make_env(seed: int = 0) -> gym.Env:
    env = Monitor(gym.make(TASK, size=SIZE, action_repeat=ACTION_REPEAT, fast_rendering=True))
    env.reset(seed=seed)
    return env


def plot_learning_curve(evaluations: Path, before: float, path: Path) -> None:
    data = np.load(evaluations)
    steps, returns = np.append(0, data["timesteps"]), np.append(before, data["results"].mean(axis=1))
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(steps, returns, marker="o")
    axes.set(xlabel="agent steps", ylabel="return of an episode", title=f"{TASK} from {SIZE}×{SIZE} pixels", ylim=(0, 1000))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", default=12_500, type=int, help="agent steps")
    parser.add_argument("--episodes", default=10, type=int, help="episodes of the tests before and after training")
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--out", default=Path("demo"), type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    # The environment has a process of its own: it draws the next frame while this one updates the agent, with one thread.
    train_env = SubprocVecEnv([partial(make_env, args.seed)])
    th.set_num_threads(1)
    model = FPAC("CnnPolicy", train_env, buffer_size=args.steps, seed=args.seed, **fpac_fast)
    test_env = SubprocVecEnv([partial(make_env, args.seed + offset) for offset in (1000, 1001)])

    before, _ = evaluate_policy(model, test_env, n_eval_episodes=args.episodes)
    episode_before = record_episode(model, make_env(args.seed + 2000))
    print(f"Return before training: {before:.0f} of 1000 (mean of {args.episodes} episodes)", flush=True)
    evaluation = EvalCallback(
        test_env, n_eval_episodes=min(args.episodes, 2), eval_freq=max(args.steps // 10, 1), log_path=str(args.out), verbose=0
    )
    model.learn(args.steps, callback=evaluation, progress_bar=True)
    after, _ = evaluate_policy(model, test_env, n_eval_episodes=args.episodes)
    train_env.close()
    test_env.close()

    model.save(args.out / "model")
    plot_learning_curve(args.out / "evaluations.npz", before, args.out / "learning_curve.png")
    env = make_env(args.seed + 2000)
    episode_after = record_episode(model, env)
    # No points in the video: those of random filters stay near the middle, where they would cover the goal.
    both = zip(render_episode(episode_before, indices=[]), render_episode(episode_after, indices=[]), strict=True)
    write_video(args.out / "video.mp4", (side_by_side(*pictures) for pictures in both), fps=env.metadata["render_fps"])
    write_image(args.out / "points.png", render_moments(episode_after, scale=8))
    print(
        f"Return before: {before:.0f} of 1000, after {args.steps} steps: {after:.0f} (means of {args.episodes} episodes)",
        f"Video, before and after side by side: {args.out / 'video.mp4'}",
        f"Feature points at four moments: {args.out / 'points.png'}",
        f"Learning curve: {args.out / 'learning_curve.png'}",
        f"Agent: {args.out / 'model.zip'}",
        sep="\n",
    )


if __name__ == "__main__":
    main()
