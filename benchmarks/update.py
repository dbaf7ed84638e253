"""
One gradient step of agents from pixels: batch 128, stacks of two 84×84×3 frames (64×64×3 where an agent
says so), K = 32, six-dimensional actions.

Usage: python benchmarks/update.py [--device cuda] [--rounds 5] [--agents "FPAC, auto, compiled" …] [--baseline …]
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch as th
from agents import AGENTS, PLAIN_SWAP, with_full_buffer
from timing import OwnProcess, describe_machine, interleaved_medians, print_table

STEPS = 2  # Table I's round, so that target and actor are updated as often as they are in training


def make(name: str, device: th.device) -> Callable[[], None]:
    train = partial(with_full_buffer(name, device).train, gradient_steps=STEPS, batch_size=128)
    if device.type == "cuda":
        for _ in range(8):  # until compilers and graphs are done
            train()
    return train


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", type=th.device)
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("--agents", default=list(AGENTS), nargs="+", choices=AGENTS)
    parser.add_argument("--baseline", default=PLAIN_SWAP, choices=AGENTS, help="what all are compared with")
    args = parser.parse_args()

    names = [name for name in AGENTS if name in (*args.agents, args.baseline)]
    things: dict[str, Callable[[], object]] = {name: OwnProcess(partial(make, name, args.device)) for name in names}
    seconds = interleaved_medians(things, args.rounds, args.device)
    print(describe_machine(args.device))
    print_table("one gradient step", {name: value / STEPS for name, value in seconds.items()}, baseline=args.baseline)


if __name__ == "__main__":
    main()
