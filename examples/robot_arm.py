"""
Trains FPAC on the Fetch arm: two cameras and the state of the gripper. The target is only in the images.

The gripper has to reach a red ball, which is somewhere else in every episode. The agent sees it through a camera in front of
the arm and one beside it; where its own gripper is, it reads from the joints. Success: less than 5 cm away at the last step.

Writes to --out: success.png (success rate during training), points.png (both cameras at four moments, with the feature
points), arm.mp4 (the same episode), model.zip.

Needs: pip install "sb3-fpac[viz,robots]"

Usage: python examples/robot_arm.py [--steps 10000] [--episodes 50] [--seed 0] [--out arm]
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.monitor import Monitor

from sb3_fpac import FPAC, AddPixels, fpac_fast
from sb3_fpac.envs import register_robots
from sb3_fpac.visualization import record_episode
from sb3_fpac.visualization.video import render_episode, render_moments, write_image, write_video

matplotlib.use("Agg")

SIZE = 48  # pixels
WORKSPACE = [1.34, 0.75, 0.53]  # the middle of all targets, in metres
CAMERAS = dict(
    front=dict(lookat=WORKSPACE, distance=0.8, azimuth=180, elevation=-35),
    side=dict(lookat=WORKSPACE, distance=0.8, azimuth=90, elevation=-10),
)

HYPERPARAMS = {
    **fpac_fast,
    "gamma": 0.9,  # the target is a few agent steps away
    "ent_coef": "auto_0.02",  # the reward of a step is the distance in metres: small numbers
    "learning_starts": 500,
}


def make_env(seed: int) -> gym.Env:
    env = gym.make("FetchReachDense-v4")
    env = AddPixels(env, cameras=CAMERAS, size=SIZE, action_repeat=2, keep=["observation"])  # without the goals
    env = Monitor(env, info_keywords=("is_success",))
    env.reset(seed=seed)
    env.action_space.seed(seed)
    return env


def success_rate(env: gym.Env, act: Callable[[Any], np.ndarray], episodes: int) -> float:
    """The share of episodes after whose last step the gripper is at the target"""
    successes = []
    for _ in range(episodes):
        observation, _ = env.reset()
        done = False
        while not done:
            observation, _, terminated, truncated, info = env.step(act(observation))
            done = terminated or truncated
        successes.append(info["is_success"])
    return float(np.mean(successes))


def plot_success(evaluations: Path, random: float, path: Path) -> None:
    data = np.load(evaluations)
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.plot(data["timesteps"], data["successes"].mean(axis=1), marker="o", label="FPAC")
    axes.axhline(random, color="grey", linestyle="--", label="random actions")
    axes.set(xlabel="agent steps", ylabel="success rate", title=f"FetchReach from two cameras, {SIZE}×{SIZE} pixels")
    axes.set_ylim(-0.02, 1.02)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", default=10_000, type=int, help="agent steps")
    parser.add_argument("--episodes", default=50, type=int, help="episodes of each test")
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--out", default=Path("arm"), type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    register_robots()
    model = FPAC("MultiInputPolicy", make_env(args.seed), seed=args.seed, buffer_size=args.steps, **HYPERPARAMS)
    print(model.policy.critic.features_extractor.summary)

    def play(observation: Any) -> np.ndarray:
        return model.predict(observation, deterministic=True)[0]

    def test(act: Callable[[Any], np.ndarray]) -> float:
        return success_rate(make_env(args.seed + 1000), act, args.episodes)  # always the same targets

    sampling = make_env(args.seed)
    random, before = test(lambda _: sampling.action_space.sample()), test(play)
    print(f"Success rate of random actions {random:.2f}, before training {before:.2f} ({args.episodes} episodes)", flush=True)

    evaluation = EvalCallback(
        make_env(args.seed + 2000),
        n_eval_episodes=min(args.episodes, 20),
        eval_freq=max(args.steps // 10, 1),
        log_path=str(args.out),
        verbose=0,
    )
    model.learn(args.steps, callback=evaluation, progress_bar=True)
    model.save(args.out / "model")
    after = test(play)

    plot_success(args.out / "evaluations.npz", random, args.out / "success.png")
    env = make_env(args.seed + 3000)
    episode = record_episode(model, env)
    write_image(args.out / "points.png", render_moments(episode, scale=6))
    write_video(args.out / "arm.mp4", render_episode(episode, scale=6), fps=env.metadata["render_fps"])
    print(
        f"Success rate: random actions {random:.2f}, before {before:.2f}, after {args.steps} steps {after:.2f}",
        f"Success during training: {args.out / 'success.png'}",
        f"Feature points of both cameras: {args.out / 'points.png'}",
        f"Video: {args.out / 'arm.mp4'}",
        f"Agent: {args.out / 'model.zip'}",
        sep="\n",
    )


if __name__ == "__main__":
    main()
