"""
One gradient step of SAC from pixels: batch 128, stacks of two 84×84×3 frames, K = 32, six-dimensional actions.

Usage: python benchmarks/update.py [--device cuda] [--rounds 5]
"""

import argparse
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.sac.policies import CnnPolicy
from timing import describe_machine, interleaved_medians, print_table
from torch import nn

from sb3_fpac import FPACPolicy, fpac_hyperparams


class PlainExtractor(BaseFeaturesExtractor):
    """What one would write: the same layers and the same points, in float32 and PyTorch's default memory format"""

    def __init__(self, observation_space: spaces.Box, n_points: int = 32, one_by_one: bool = False) -> None:
        super().__init__(observation_space, 6 * n_points)
        self.one_by_one = one_by_one  # whether the two frames of a stack are two batches, or one of twice the size
        layers: list[nn.Module] = [nn.Conv2d(3, 32, 3, stride=2), nn.SiLU()]
        for _ in range(3):
            layers += [nn.Conv2d(32, 32, 3), nn.SiLU()]
        self.cnn = nn.Sequential(*layers, nn.Conv2d(32, n_points, 1))

    def forward(self, observations: th.Tensor) -> th.Tensor:
        frames = observations.unflatten(1, (2, 3))
        if self.one_by_one:
            past, now = self.points(frames[:, 0]), self.points(frames[:, 1])
        else:
            past, now = self.points(frames.flatten(0, 1)).unflatten(0, (-1, 2)).unbind(1)
        return th.cat([now, now - past], dim=1)

    def points(self, frames: th.Tensor, temperature: float = 0.5) -> th.Tensor:
        maps = self.cnn(frames)
        grid = th.linspace(-1, 1, maps.shape[-1], device=maps.device)
        x = (th.softmax(maps.mean(2) / temperature, -1) * grid).sum(-1)
        y = (th.softmax(maps.mean(3) / temperature, -1) * grid).sum(-1)
        return th.stack([x, y, th.tanh(maps.mean((2, 3)))], -1).flatten(1)


class Noise(gym.Env):
    observation_space = spaces.Box(0, 255, (6, 84, 84), np.uint8)
    action_space = spaces.Box(-1, 1, (6,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), float(action.sum()), False, False, {}


def model(policy: type, device: th.device, **policy_kwargs: Any) -> SAC:
    """A SAC with a full, small buffer"""
    hyperparams = {**fpac_hyperparams, "buffer_size": 400, "learning_starts": 400}
    sac = SAC(policy, Noise(), policy_kwargs=policy_kwargs, device=device, seed=0, **hyperparams)
    sac.learn(400)
    return sac


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", type=th.device)
    parser.add_argument("--rounds", default=5, type=int)
    args = parser.parse_args()

    precise = dict(features_extractor_kwargs=dict(precision="float32"))
    plain = dict(features_extractor_class=PlainExtractor, net_arch=[1024, 1024], activation_fn=nn.SiLU)
    models = {
        "SAC, NatureCNN": model(CnnPolicy, args.device),
        "SAC, plain swap": model(CnnPolicy, args.device, **plain),
        "SAC, plain swap, frames one by one": model(
            CnnPolicy, args.device, **plain, features_extractor_kwargs=dict(one_by_one=True)
        ),
        "SAC, FPACPolicy, float32": model(FPACPolicy, args.device, **precise),
        "SAC, FPACPolicy, auto": model(FPACPolicy, args.device),
    }
    steps = 2  # Table I's round, so that target and actor are updated as often as they are in training
    things = {name: partial(sac.train, gradient_steps=steps, batch_size=128) for name, sac in models.items()}
    seconds = interleaved_medians(things, args.rounds, args.device)
    print(describe_machine(args.device))
    print_table("one gradient step", {name: value / steps for name, value in seconds.items()}, baseline="SAC, plain swap")


if __name__ == "__main__":
    main()
