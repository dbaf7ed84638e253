"""
Trains FPAC's preset for small machines to swing up a pendulum from pixels, in minutes, and shows what came out.

Writes to --out: video.mp4 (an episode before and one after training, side by side, with the feature points drawn on them),
points.png (four moments after training), learning_curve.png, model.zip.

Usage: python examples/demo.py [--steps 6000] [--seed 0] [--out demo]
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

from sb3_fpac import FPAC, PixelFrames, fpac_fast
from sb3_fpac.visualization.episode import record_episode
from sb3_fpac.visualization.video import render_episode, render_moments, side_by_side, write_image, write_video

matplotlib.use("Agg")

TASK = "Pendulum-v1"
SIZE = 64  # pixels
TEST_EPISODES = 10  # before and after


def make_env(seed: int = 0) -> gym.Env:
    env = Monitor(PixelFrames(gym.make(TASK, render_mode="rgb_array"), size=SIZE, action_repeat=2))
    env.reset(seed=seed)
    return env


def make_train_env(seed: int) -> gym.Env:
    # Pendulum's rewards go down to -16 an env step, and the preset learned them unsteadily; a tenth of them is nearer to 1.
    # All that is printed has the task's own rewards.
    return gym.wrappers.TransformReward(make_env(seed), lambda reward: reward / 10)


def plot_learning_curve(evaluations: Path, before: float, path: Path) -> None:
    data = np.load(evaluations)
    steps, returns = np.append(0, data["timesteps"]), np.append(before, data["results"].mean(axis=1))
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(steps, returns, marker="o")
    axes.set(xlabel="agent steps", ylabel="return of an episode", title=f"{TASK} from {SIZE}×{SIZE} pixels", ylim=(None, 0))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", default=6000, type=int, help="agent steps")
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--out", default=Path("demo"), type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    # The environment has a process of its own: it draws the next frame while this one updates the agent, with one thread.
    train_env = SubprocVecEnv([partial(make_train_env, args.seed)])
    th.set_num_threads(1)
    model = FPAC("CnnPolicy", train_env, buffer_size=args.steps, seed=args.seed, **fpac_fast)
    test_env = SubprocVecEnv([partial(make_env, args.seed + 1000)])

    before, _ = evaluate_policy(model, test_env, n_eval_episodes=TEST_EPISODES)
    episode_before = record_episode(model, make_env(args.seed + 2000))
    print(f"Return before training: {before:.0f} (mean of {TEST_EPISODES} episodes)", flush=True)
    evaluation = EvalCallback(
        test_env, n_eval_episodes=2, eval_freq=max(args.steps // 10, 1), log_path=str(args.out), verbose=0
    )
    model.learn(args.steps, callback=evaluation, progress_bar=True)
    after, _ = evaluate_policy(model, test_env, n_eval_episodes=TEST_EPISODES)
    train_env.close()
    test_env.close()

    model.save(args.out / "model")
    plot_learning_curve(args.out / "evaluations.npz", before, args.out / "learning_curve.png")
    env = make_env(args.seed + 2000)
    episode_after = record_episode(model, env)
    both = zip(render_episode(episode_before), render_episode(episode_after), strict=True)
    write_video(args.out / "video.mp4", (side_by_side(*pictures) for pictures in both), fps=env.metadata["render_fps"])
    write_image(args.out / "points.png", render_moments(episode_after, scale=8))
    print(
        f"Return before: {before:.0f}, after {args.steps} steps: {after:.0f} (means of {TEST_EPISODES} episodes)",
        f"Video, before and after side by side: {args.out / 'video.mp4'}",
        f"Feature points at four moments: {args.out / 'points.png'}",
        f"Learning curve: {args.out / 'learning_curve.png'}",
        f"Agent: {args.out / 'model.zip'}",
        sep="\n",
    )


if __name__ == "__main__":
    main()
