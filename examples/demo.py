"""
Trains SAC with feature points on a DeepMind Control task from pixels, in minutes, and shows what came out.

Writes to --out: video.mp4 (an episode with the feature points drawn on it), points.png (four moments of it),
learning_curve.png, model.zip.

Usage: python examples/demo.py [--steps 5000] [--seed 0] [--out demo]
"""

import argparse
from pathlib import Path

import gymnasium as gym
import imageio
import matplotlib
import numpy as np
import torch as th
from matplotlib import colormaps
from matplotlib import pyplot as plt
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.utils import LinearSchedule

from sb3_fpac import FPACPolicy, fpac_hyperparams

matplotlib.use("Agg")

TASK = "dmc-cartpole-swingup"
SIZE = 40  # pixels; the paper's 84 takes longer than a demonstration may
N_POINTS = 16
TEST_EPISODES = 5  # before and after


def make_env(seed: int, render_mode: str | None = None) -> gym.Env:
    env = Monitor(gym.make(TASK, size=SIZE, render_mode=render_mode, render_size=320))
    env.reset(seed=seed)
    return env


def draw_points(picture: np.ndarray, model: SAC, observation: np.ndarray) -> np.ndarray:
    """The current feature points on a picture of any size, one colour each, the more opaque the more present"""
    extractor = model.policy.features_extractor
    obs, _ = model.policy.obs_to_tensor(observation)
    with th.no_grad():
        points = extractor.points(obs.float() / 255)[0, -1]
    positions = (extractor.to_pixels(points) + 0.5) * (picture.shape[0] / SIZE)
    presences = (points[:, 2] - points[:, 2].min()) / (points[:, 2].max() - points[:, 2].min())
    colours = colormaps["hsv"](np.linspace(0, 1, len(points), endpoint=False))
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    picture = picture.astype(float)
    for (x, y), presence, colour in zip(positions.tolist(), presences.tolist(), colours, strict=True):
        distance = np.hypot(columns - x, rows - y)
        disc = np.clip(6 - distance, 0, 1)[..., None]
        picture += disc * (0.25 + 0.75 * presence) * (255 * colour[:3] - picture)
    return picture.astype(np.uint8)


def record_episode(model: SAC, folder: Path, seed: int) -> float:
    """Writes video.mp4 and, with four moments of it, points.png; returns the return"""
    env = make_env(seed, render_mode="rgb_array")
    observation, _ = env.reset()
    frames, total, done = [], 0.0, False
    while not done:
        frames.append(draw_points(env.render(), model, observation))
        action, _ = model.predict(observation, deterministic=True)
        observation, reward, terminated, truncated, _ = env.step(action)
        total, done = total + float(reward), terminated or truncated
    imageio.mimwrite(folder / "video.mp4", frames, fps=round(env.metadata["render_fps"]))
    imageio.imwrite(folder / "points.png", np.concatenate(frames[:: len(frames) // 4][:4], axis=1))
    env.close()
    return total


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

    policy_kwargs = dict(net_arch=[256, 256], features_extractor_kwargs=dict(n_points=N_POINTS))
    # Table I, but for what gets a short run somewhere: a higher, falling learning rate, small batches, fewer random steps
    learning_rate = LinearSchedule(start=1e-3, end=1e-4, end_fraction=1.0)
    faster = dict(learning_rate=learning_rate, batch_size=64, learning_starts=500, buffer_size=args.steps)
    hyperparams = {**fpac_hyperparams, **faster}
    model = SAC(FPACPolicy, make_env(args.seed), policy_kwargs=policy_kwargs, seed=args.seed, **hyperparams)
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
    total = record_episode(model, args.out, args.seed + 2000)
    print(f"In {args.out}/: video.mp4 and points.png (an episode with a return of {total:.0f}), learning_curve.png, model.zip")


if __name__ == "__main__":
    main()
