"""
What FeaturePointCallback costs at its defaults: the time of one of its episodes, with video, maps and TensorBoard, beside
that of the training between two of them, FPAC on dmc-cheetah-run.

Usage: python benchmarks/watching.py [--device cuda] [--steps 50]
"""

import argparse
import tempfile
import time

import gymnasium as gym
import torch as th
from agents import AGENTS
from stable_baselines3.common.logger import configure
from timing import describe_machine

from sb3_fpac.callbacks import FeaturePointCallback

TASK = "dmc-cheetah-run"
WARM_UP = 8


class Timed(FeaturePointCallback):
    seconds = 0.0

    def _draw(self) -> None:
        start = time.perf_counter()
        super()._draw()
        self.seconds = time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", type=th.device)
    parser.add_argument("--steps", default=50, type=int, help="agent steps of training to be timed")
    args = parser.parse_args()
    print(describe_machine(args.device))

    model = AGENTS["FPAC, auto, not compiled"](gym.make(TASK), learning_starts=128, device=args.device, seed=0)
    model.learn(128 + WARM_UP)
    start = time.perf_counter()
    model.learn(args.steps, reset_num_timesteps=False)
    step = (time.perf_counter() - start) / args.steps

    with tempfile.TemporaryDirectory() as folder:
        model.set_logger(configure(folder, ["tensorboard"]))
        callback = Timed(1, folder)
        model.learn(1, callback=callback, reset_num_timesteps=False)
    freq = FeaturePointCallback().freq
    print(f"\none agent step of training: {1000 * step:.0f} ms; one episode of the callback: {callback.seconds:.1f} s")
    print(f"one every {freq} agent steps costs {100 * callback.seconds / (freq * step):.2f} % of the time of training")


if __name__ == "__main__":
    main()
