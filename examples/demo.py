"""
Trains FPAC on a DeepMind Control task from pixels, in minutes, and shows what came out.

Writes to --out: video.mp4 (an episode with the feature points drawn on it), points.png (four moments of it),
learning_curve.png, model.zip.

Usage: python examples/demo.py [--steps 5000] [--seed 0] [--out demo]
"""

import argparse
from pathlib import Path

import gymnasium as gym
import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.utils import LinearSchedule

from sb3_fpac import FPAC
from sb3_fpac.visualization.episode import record_episode
from sb3_fpac.visualization.video import render_episode, render_moments, write_image, write_video

matplotlib.use("Agg")

TASK = "dmc-cartpole-swingup"
SIZE = 40  # pixels; the paper's 84 takes longer than a demonstration may
TEST_EPISODES = 5  # before and after


def make_env(seed: int) -> gym.Env:
    env = Monitor(gym.make(TASK, size=SIZE))
    env.reset(seed=seed)
    return env


def plot_learning_curve(evaluations: Path, before: float, path: Path) -> None:
    data = np.load(evaluations)
    steps, returns = np.append(0, data["timesteps"]), np.append(before, data["results"].mean(axis=1))
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(steps, returns, marker="o")
    axes.set(xlabel="agent steps", ylabel="return of an episode", title=f"{TASK} from {SIZE}×{SIZE} pixels", ylim=(0, None))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", default=5000, type=int, help="agent steps")
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--out", default=Path("demo"), type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    model = FPAC(
        "CnnPolicy",
        make_env(args.seed),
        # Table I, but for what gets a short run somewhere: a higher, falling learning rate, small batches and networks,
        # fewer random steps
        learning_rate=LinearSchedule(start=1e-3, end=1e-4, end_fraction=1.0),
        batch_size=64,
        learning_starts=500,
        buffer_size=args.steps,
        policy_kwargs=dict(net_arch=[256, 256], features_extractor_kwargs=dict(n_points=16)),
        seed=args.seed,
    )
    test_env = make_env(args.seed + 1000)

    before, _ = evaluate_policy(model, test_env, n_eval_episodes=TEST_EPISODES)
    print(f"Return before training: {before:.0f} (mean of {TEST_EPISODES} episodes)", flush=True)
    evaluation = EvalCallback(
        test_env, n_eval_episodes=2, eval_freq=max(args.steps // 10, 1), log_path=str(args.out), verbose=0
    )
    model.learn(args.steps, callback=evaluation, progress_bar=True)
    after, _ = evaluate_policy(model, test_env, n_eval_episodes=TEST_EPISODES)
    print(f"Return before: {before:.0f}, after {args.steps} agent steps: {after:.0f} (means of {TEST_EPISODES} episodes)")

    model.save(args.out / "model")
    plot_learning_curve(args.out / "evaluations.npz", before, args.out / "learning_curve.png")
    episode = record_episode(model, make_env(args.seed + 2000))
    write_video(args.out / "video.mp4", render_episode(episode, scale=8), fps=12.5)  # an agent step is 80 ms
    write_image(args.out / "points.png", render_moments(episode, scale=8))
    print(
        f"In {args.out}/: video.mp4 and points.png (an episode with a return of {episode.rewards.sum():.0f}), "
        "learning_curve.png, model.zip"
    )


if __name__ == "__main__":
    main()
