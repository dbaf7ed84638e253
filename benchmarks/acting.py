"""
One call of ``predict`` on one observation, a stack of two 84×84×3 frames, as an agent makes it at every step.

Usage: python benchmarks/acting.py [--device cuda] [--rounds 5] [--calls 50]
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch as th
from agents import AGENTS, PLAIN_SWAP, Noise, with_full_buffer
from timing import OwnProcess, describe_machine, interleaved_medians, print_table

COMPARED = ("SAC, NatureCNN", PLAIN_SWAP, "SAC, FPACPolicy, float32", "SAC, FPACPolicy, auto", "FPAC, auto, not compiled")


def make(name: str, device: th.device, calls: int) -> Callable[[], None]:
    model = with_full_buffer(name, device)
    env = Noise()
    observations = [env.reset(seed=0)[0], *(env.step(env.action_space.sample())[0] for _ in range(calls - 1))]

    def act() -> None:
        for observation in observations:
            model.predict(observation)

    return act


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", type=th.device)
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("--calls", default=50, type=int)
    args = parser.parse_args()

    names = [name for name in AGENTS if name in COMPARED]
    things: dict[str, Callable[[], object]] = {
        name: OwnProcess(partial(make, name, args.device, args.calls)) for name in names
    }
    seconds = interleaved_medians(things, args.rounds, args.device)
    print(describe_machine(args.device))
    print_table("one call of predict", {name: value / args.calls for name, value in seconds.items()}, baseline=PLAIN_SWAP)


if __name__ == "__main__":
    main()
