"""The agents that the benchmarks compare: SAC as anybody would set it up, SAC with our policy, FPAC."""

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.sac.policies import CnnPolicy
from torch import nn

from sb3_fpac import FPAC, FPACPolicy, fpac_fast, fpac_hyperparams


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
        frames = observations[:, -6:].unflatten(1, (2, 3))  # camera shift is not looked at
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
    """Stacks of two RGB frames of noise, six-dimensional actions, episodes of 125 steps"""

    def __init__(self, size: int = 84) -> None:
        self.observation_space = spaces.Box(0, 255, (6, size, size), np.uint8)
        self.action_space = spaces.Box(-1, 1, (6,), np.float32)
        self._frame = spaces.Box(0, 255, (3, size, size), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._frame.seed(seed)
        self._steps, self._past = 0, self._frame.sample()
        return np.concatenate([self._past, self._past]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._steps, past, self._past = self._steps + 1, self._past, self._frame.sample()
        return np.concatenate([past, self._past]), float(action.sum()), False, self._steps == 125, {}


class TwoCameras(Noise):
    """Two stacks of two RGB frames of noise, and a vector of 32 numbers"""

    def __init__(self, size: int = 84) -> None:
        super().__init__(size)
        stack, vector = self.observation_space, spaces.Box(-1, 1, (32,), np.float32)
        self.observation_space = spaces.Dict(front=stack, wrist=stack, state=vector)

    def _obs(self, stack: np.ndarray) -> dict[str, np.ndarray]:
        return dict(front=stack, wrist=255 - stack, state=stack[0, 0, :32] / np.float32(255))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        stack, info = super().reset(seed=seed, options=options)
        return self._obs(stack), info

    def step(self, action: np.ndarray) -> Any:
        stack, *rest = super().step(action)
        return self._obs(stack), *rest


def make_sac(policy: type, env: GymEnv | str, policy_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> SAC:
    return SAC(policy, env, policy_kwargs=policy_kwargs, **{**fpac_hyperparams, **kwargs})


def make_fpac(env: GymEnv | str, policy_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> FPAC:
    return FPAC("CnnPolicy", env, policy_kwargs=policy_kwargs, **kwargs)


_PLAIN = dict(features_extractor_class=PlainExtractor, net_arch=[1024, 1024], activation_fn=nn.SiLU)
_TRAINED = {
    **fpac_fast,
    "policy_kwargs": {
        **fpac_fast["policy_kwargs"],
        "features_extractor_kwargs": {**fpac_fast["policy_kwargs"]["features_extractor_kwargs"], "frozen": False},
    },
}
_FLOAT32 = dict(features_extractor_kwargs=dict(precision="float32"))

PLAIN_SWAP = "SAC, plain swap"
AGENTS: dict[str, Any] = {
    "SAC, NatureCNN": partial(make_sac, CnnPolicy),
    PLAIN_SWAP: partial(make_sac, CnnPolicy, policy_kwargs=_PLAIN),
    "SAC, plain swap, frames one by one": partial(
        make_sac, CnnPolicy, policy_kwargs={**_PLAIN, "features_extractor_kwargs": dict(one_by_one=True)}
    ),
    "SAC, FPACPolicy, float32": partial(make_sac, FPACPolicy, policy_kwargs=_FLOAT32),
    "SAC, FPACPolicy, auto": partial(make_sac, FPACPolicy),
    "FPAC, float32, not compiled": partial(make_fpac, policy_kwargs=_FLOAT32, compile=False),
    "FPAC, float32, compiled": partial(make_fpac, policy_kwargs=_FLOAT32, compile=True),
    "FPAC, auto, not compiled": partial(make_fpac, compile=False),
    "FPAC, auto, compiled": partial(make_fpac, compile=True),
    "FPAC, fast, 84×84": partial(FPAC, "CnnPolicy", **fpac_fast, compile=False),
    "FPAC, fast, 64×64": partial(FPAC, "CnnPolicy", **fpac_fast, compile=False),
    "FPAC, fast, 64×64, compiled": partial(FPAC, "CnnPolicy", **fpac_fast, compile=True),
    "FPAC, fast, trained encoder, 64×64": partial(FPAC, "CnnPolicy", **_TRAINED, compile=False),
    "FPAC, two cameras": partial(FPAC, "MultiInputPolicy", compile=False),
    "FPAC, fast, two cameras, 64×64": partial(FPAC, "MultiInputPolicy", **fpac_fast, compile=False),
}
"""Makers by name: called with the environment, they give an :class:`OffPolicyAlgorithm` with Table I's hyperparameters, or
with those of the preset."""
_ENVS = {
    "FPAC, fast, 64×64": partial(Noise, 64),
    "FPAC, fast, 64×64, compiled": partial(Noise, 64),
    "FPAC, fast, trained encoder, 64×64": partial(Noise, 64),
    "FPAC, two cameras": TwoCameras,
    "FPAC, fast, two cameras, 64×64": partial(TwoCameras, 64),
}
"""Their environments; one camera with frames of 84×84 pixels for all others"""


def with_full_buffer(name: str, device: th.device) -> OffPolicyAlgorithm:
    """One of :data:`AGENTS` that has collected 400 transitions of noise, and forgets older ones"""
    model = AGENTS[name](_ENVS.get(name, Noise)(), buffer_size=400, learning_starts=400, device=device, seed=0)
    model.learn(400)
    return model
