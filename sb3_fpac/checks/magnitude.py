"""Notices vectors and rewards whose numbers are too large to learn from."""

import warnings
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_fpac.buffers import BaseFrameReplayBuffer

_LARGE = 1000.0


class MagnitudeCheck:
    """
    Warns once for every vector with large numbers, such as ticks of an encoder, which drown the features of the images, and
    once for large rewards.
    """

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def update(self, buffer: BaseFrameReplayBuffer, obs: Any, reward: np.ndarray) -> None:
        """
        Call this at every step.

        :param buffer: The replay buffer
        :param obs: ``(n_envs, …)`` by key, as the agent sees them
        :param reward: ``(n_envs,)``, as the agent gets them
        """
        self._check("A reward", reward, "TransformReward, or with VecNormalize(venv, norm_obs=False)")
        space = buffer.observation_space
        for key, part in space.spaces.items() if isinstance(space, spaces.Dict) else ():
            if key not in buffer.stores and isinstance(part, spaces.Box):
                self._check(repr(key), obs[key], f"TransformObservation, or with VecNormalize(venv, norm_obs_keys=[{key!r}])")

    def _check(self, name: str, numbers: np.ndarray, wrappers: str) -> None:
        if name not in self._warned and np.abs(numbers).max() > _LARGE:
            self._warned.add(name)
            warnings.warn(
                f"{name} has numbers up to {np.abs(numbers).max():.3g}, and an agent hardly learns from numbers far from 1: "
                f"scale them with Gymnasium's {wrappers}.",
                stacklevel=4,
            )
