"""Notices vectors whose numbers are too large to learn from."""

import warnings
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_fpac.buffers import FrameStorage

_LARGE = 1000.0


class MagnitudeCheck:
    """Warns once for every vector with large numbers, such as ticks of an encoder: they drown the features of the images."""

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def update(self, buffer: FrameStorage, obs: Any) -> None:
        """
        Call this at every step.

        :param buffer: The replay buffer
        :param obs: ``(n_envs, …)`` by key, as the agent sees them
        """
        space = buffer.observation_space
        for key, part in space.spaces.items() if isinstance(space, spaces.Dict) else ():
            if key in self._warned or key in buffer.stores or not isinstance(part, spaces.Box):
                continue
            largest = np.abs(obs[key]).max()
            if largest > _LARGE:
                self._warned.add(key)
                warnings.warn(
                    f"{key!r} has numbers up to {largest:.3g}, and an agent hardly learns from numbers far from 1: scale them "
                    f"in the environment, or with VecNormalize(venv, norm_obs_keys=[{key!r}]).",
                    stacklevel=3,
                )
