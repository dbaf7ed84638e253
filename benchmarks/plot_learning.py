"""
Draw the learning curves that benchmarks/learning.py has written, with published scores of the same task beside them.

Usage: python benchmarks/plot_learning.py cartpole-swingup [--size 84] [--results results] [--out docs/images]
"""

import argparse
import csv
from pathlib import Path

import matplotlib

from sb3_fpac.evaluation.published import published_scores

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PAPERS_SIZE = 84  # pixels
AGENTS = {  # name and colour
    "fpac": ("FPAC", "tab:blue"),
    "pixels": ("SAC from pixels", "tab:red"),
    "state": ("SAC from state", "tab:gray"),
    "keypoints": ("SAC from relative keypoints", "tab:olive"),
    "keypoints-absolute": ("SAC from keypoints", "tab:brown"),
    "polyak": ("FPAC, Polyak target encoder", "tab:green"),
    "relative": ("FPAC, relative points", "tab:purple"),
    "float32": ("FPAC, float32", "tab:cyan"),
    "lr1e-3": ("FPAC, learning rate 1e-3", "tab:orange"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task")
    parser.add_argument("--size", default=PAPERS_SIZE, type=int, help="of images, in pixels")
    parser.add_argument("--results", default="results", type=Path)
    parser.add_argument("--out", default="docs/images", type=Path)
    args = parser.parse_args()
    size = "" if args.size == PAPERS_SIZE else f"-{args.size}px"

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    last_step = 0
    for agent, (name, colour) in AGENTS.items():
        for path in sorted(args.results.glob(f"{args.task}_{agent}{size}_seed*.csv")):
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
            steps = [int(row["env_steps"]) for row in rows]
            last_step = max(last_step, *steps)
            seed = path.stem.rpartition("seed")[2]
            axes.plot(steps, [float(row["mean"]) for row in rows], color=colour, marker=".", label=f"{name}, seed {seed}")
    published = [score for score in published_scores(args.task) if score.env_steps <= last_step and not size]
    for offset, score in enumerate(published):  # side by side, lest they hide each other
        axes.errorbar(
            score.env_steps * (1 + 0.015 * offset),
            score.mean,
            score.std,
            linestyle="",
            capsize=3,
            color="black",
            marker="os^"[offset % 3],
            label=f"{score.method} (published, ± std)",
        )
    axes.set(xlabel="env steps", ylabel="return (mean of 10 episodes)", title=args.task + size, ylim=(0, 1000), xlim=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    args.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out / f"learning_{args.task}{size}.png", dpi=150)


if __name__ == "__main__":
    main()
