"""
How precisely the points of an untrained encoder tell the state of cartpole: the share of the variance (R²) of the position of
the cart, of cos θ and sin θ of the pole, and of their changes during an agent step, that a network finds in the features. The
states are random; three quarters train the network, the others test it.

Usage: python benchmarks/precision.py [--sizes 64 84] [--states 4000] [--seed 0]
"""

import argparse
from itertools import product

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.torch_layers import create_mlp
from timing import describe_machine
from torch import nn

from sb3_fpac import FeaturePointExtractor
from sb3_fpac.envs.rendering import mean_of_blocks

ENV_STEPS = 8  # of an agent step
STRIDES = [(2, 1, 1, 1), (2, 2, 1, 1), (2,)]
NAMES = ["x", "cos θ", "sin θ", "change of x", "of cos θ", "of sin θ"]


def draw_states(size: int, supersampling: int, n_states: int, seed: int) -> tuple[th.Tensor, th.Tensor]:
    """Stacks of two frames (N, 6, size, size) and what is to be told from them (N, 6)"""
    env = gym.make("dmc-cartpole-swingup", size=size, supersampling=supersampling, fast_rendering=True)
    env.reset(seed=seed)
    physics = env.unwrapped.physics
    random = np.random.default_rng(seed)
    stacks, targets = [], []
    for _ in range(n_states):
        with physics.reset_context():
            physics.data.qpos[:] = random.uniform(-1.5, 1.5), random.uniform(-np.pi, np.pi)
            physics.data.qvel[:] = random.normal(size=2) * (1.5, 4)
        frames, states = [], []
        for steps in (0, ENV_STEPS):
            physics.step(steps)
            image = physics.render(supersampling * size, supersampling * size, camera_id=0)
            frames.append(mean_of_blocks(image, supersampling).transpose(2, 0, 1))
            x, angle = physics.data.qpos
            states.append(np.array([x, np.cos(angle), np.sin(angle)]))
        stacks.append(np.concatenate(frames))
        targets.append(np.concatenate([states[1], states[1] - states[0]]))
    env.close()
    return th.as_tensor(np.stack(stacks)), th.as_tensor(np.stack(targets)).float()


def explained_variance(features: th.Tensor, targets: th.Tensor, seed: int) -> np.ndarray:
    """R² of every target, of a network with two hidden layers of 256, on the last quarter"""
    n_train = 3 * len(features) // 4
    features, targets = ((each - each[:n_train].mean(0)) / each[:n_train].std(0) for each in (features, targets))
    th.manual_seed(seed)
    sizes = features.shape[1], targets.shape[1]
    network = nn.Sequential(
        *create_mlp(*sizes, net_arch=[256, 256], activation_fn=nn.SiLU, post_linear_modules=[nn.LayerNorm])
    )
    optimizer = th.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(2000):
        batch = th.randint(n_train, (256,))
        loss = (network(features[batch]) - targets[batch]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with th.no_grad():
        errors = network(features[n_train:]) - targets[n_train:]
    return (1 - errors.square().mean(0) / targets[n_train:].var(0)).numpy()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default=[64, 84], type=int, nargs="+")
    parser.add_argument("--states", default=4000, type=int)
    parser.add_argument("--seed", default=0, type=int)
    args = parser.parse_args()

    print(describe_machine(th.device("cpu")))
    print(f"\n| frame | supersampling | strides | anti-aliasing | {' | '.join(NAMES)} |")
    print(f"| --- | ---: | --- | --- |{' ---: |' * len(NAMES)}")
    for size, supersampling in product(args.sizes, (1, 2)):
        stacks, targets = draw_states(size, supersampling, args.states, args.seed)
        space = spaces.Box(0, 255, stacks.shape[1:], np.uint8)
        for strides, anti_aliasing in product(STRIDES, (False, True)):
            th.manual_seed(args.seed)
            extractor = FeaturePointExtractor(space, strides=strides, anti_aliasing=anti_aliasing)
            with th.no_grad():
                features = th.cat([extractor(part / 255) for part in stacks.split(200)])
            explained = explained_variance(features, targets, args.seed)
            numbers = " | ".join(f"{r2:.2f}" for r2 in explained)
            print(
                f"| {size}×{size} | {supersampling} | {strides} | {'yes' if anti_aliasing else 'no'} | {numbers} |", flush=True
            )


if __name__ == "__main__":
    main()
