"""
Drawing a frame of the tasks of PlaNet: with MuJoCo's buffer of 640×480 pixels, with a buffer of the frame's size, with
fast_rendering, and with supersampling beside it. Also how far the pixels of fast_rendering are from those of the first two.
Then a step of Gymnasium's MuJoCo environments with AddPixels, which draws their camera "track".

Usage: python benchmarks/rendering.py [--size 84] [--frames 50] [--tasks cheetah-run …] [--gymnasium Hopper-v5 …]
"""

import argparse
import statistics
import time
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from timing import describe_machine

from sb3_fpac import AddPixels
from sb3_fpac.envs.cameras import mujoco_model_and_data
from sb3_fpac.envs.rendering import mean_of_blocks

TASKS = ["cartpole-swingup", "reacher-easy", "cheetah-run", "finger-spin", "ball-in-cup-catch", "walker-walk"]
GYMNASIUM = ["Hopper-v5", "HalfCheetah-v5", "Ant-v5"]
SETTINGS: dict[str, dict[str, Any]] = {
    "640×480": {},
    "size of the frame": {},
    "fast_rendering": dict(fast_rendering=True),
    "and supersampling=2": dict(fast_rendering=True, supersampling=2),
}


def draw_episodes(task: str, size: int, n_frames: int) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Median seconds of a frame, and the frames of the same states, by setting; the settings take turns"""
    envs = {name: gym.make(f"dmc-{task}", size=size, render_size=size, **kwargs) for name, kwargs in SETTINGS.items()}
    model, _ = mujoco_model_and_data(envs["640×480"])
    model.vis.global_.offwidth, model.vis.global_.offheight = 640, 480
    seconds: dict[str, list[float]] = {name: [] for name in envs}
    frames: dict[str, list[np.ndarray]] = {name: [] for name in envs}
    actions = np.random.default_rng(0).uniform(-1, 1, (n_frames, *envs["640×480"].action_space.shape)).astype(np.float32)
    for env in envs.values():
        env.reset(seed=0)
    for action in actions:
        for name, env in envs.items():
            env.step(action)
            start = time.perf_counter()
            n = SETTINGS[name].get("supersampling", 1)
            image = env.unwrapped.physics.render(n * size, n * size, camera_id=0)
            frames[name].append(mean_of_blocks(image, n))
            seconds[name].append(time.perf_counter() - start)
    for env in envs.values():
        env.close()
    return {name: statistics.median(values) for name, values in seconds.items()}, {
        name: np.stack(values).astype(int) for name, values in frames.items()
    }


def time_steps(env_id: str, size: int, n_frames: int) -> list[float]:
    """Median seconds of a step of AddPixels, without and with fast_rendering; the two take turns"""
    envs = [AddPixels(gym.make(env_id), cameras=["track"], size=size, fast_rendering=fast) for fast in (False, True)]
    seconds: list[list[float]] = [[], []]
    for env in envs:
        env.reset(seed=0)
        env.step(env.action_space.sample())
    for _ in range(n_frames):
        action = envs[0].action_space.sample()
        for env, times in zip(envs, seconds, strict=True):
            start = time.perf_counter()
            _, _, terminated, truncated, _ = env.step(action)
            times.append(time.perf_counter() - start)
            if terminated or truncated:
                env.reset()
    for env in envs:
        env.close()
    return [statistics.median(times) for times in seconds]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default=84, type=int)
    parser.add_argument("--frames", default=50, type=int)
    parser.add_argument("--tasks", default=TASKS, nargs="*")
    parser.add_argument("--gymnasium", default=GYMNASIUM, nargs="*")
    args = parser.parse_args()

    print(describe_machine(th.device("cpu")))
    columns = [*(f"{name}, ms" for name in SETTINGS), "× faster", "pixels changed", "mean change, of 255"]
    print(f"\n| task | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
    for task in args.tasks:
        seconds, frames = draw_episodes(task, args.size, args.frames)
        first, small, fast, _ = seconds
        if (frames[small] != frames[first]).any():
            raise SystemExit(f"{task}: the smaller buffer changed pixels.")
        change = np.abs(frames[fast] - frames[first])
        times = " | ".join(f"{1000 * value:.1f}" for value in seconds.values())
        changed = f"{(change.max(axis=-1) > 0).mean():.1%} | {change.mean():.2f}"
        print(f"| {task} | {times} | {seconds[first] / seconds[fast]:.1f} | {changed} |", flush=True)

    print("\n| a step with AddPixels | ms | fast_rendering, ms | × faster |\n| --- | ---: | ---: | ---: |")
    for env_id in args.gymnasium:
        usual, faster = time_steps(env_id, args.size, args.frames)
        print(f"| {env_id} | {1000 * usual:.1f} | {1000 * faster:.1f} | {usual / faster:.1f} |", flush=True)


if __name__ == "__main__":
    main()
