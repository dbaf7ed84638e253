"""
From maps to points: separable softmax, full softmax, and the paper's Listing 1 taken literally.

Usage: python benchmarks/feature_points.py [--device cuda] [--rounds 30]
"""

import argparse
from functools import partial

import torch as th
from timing import describe_machine, interleaved_medians, print_table

from sb3_fpac import feature_points


def listing_1(feature_maps: th.Tensor, temperature: float = 0.5) -> th.Tensor:
    """The paper's Listing 1, line by line; its presence is mean(tanh h)"""
    height, width = feature_maps.shape[2:]
    g_x, g_y = feature_maps.mean(dim=2), feature_maps.mean(dim=3)
    p_x, p_y = th.softmax(g_x / temperature, dim=-1), th.softmax(g_y / temperature, dim=-1)
    x = (p_x * th.linspace(-1, 1, width, device=feature_maps.device)).sum(dim=-1)
    y = (p_y * th.linspace(-1, 1, height, device=feature_maps.device)).sum(dim=-1)
    m = th.tanh(feature_maps).mean(dim=(2, 3))
    return th.stack([x, y, m], dim=-1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", type=th.device)
    parser.add_argument("--rounds", default=30, type=int)
    args = parser.parse_args()

    shape = (128, 32, 35, 35)
    maps = th.randn(shape, device=args.device)
    leaf = maps.clone().requires_grad_()
    gradient = th.randn(*shape[:2], 3, device=args.device)
    ways = {
        "full softmax": partial(feature_points, softmax="full"),
        "Listing 1": listing_1,
        "separable softmax": feature_points,
    }

    def forward(way) -> None:
        with th.no_grad():
            way(maps)

    def forward_and_backward(way) -> None:
        leaf.grad = None
        way(leaf).backward(gradient)

    print(describe_machine(args.device))
    for title, run in {"forward": forward, "forward and backward": forward_and_backward}.items():
        things = {name: partial(run, way) for name, way in ways.items()}
        seconds = interleaved_medians(things, args.rounds, args.device)
        print_table(f"{title}, maps of {'×'.join(map(str, shape))}", seconds, baseline="full softmax")


if __name__ == "__main__":
    main()
