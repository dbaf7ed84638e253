"""What SB3 stores of an environment is what the environment returned."""

from copy import deepcopy
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from sb3_fpac.observations import check_is_bytes, naming


class AsReturned(gym.Wrapper):
    """
    Keeps observations from changes that SB3's ``DummyVecEnv`` makes without a word: it casts them to the type of their space,
    and keeps the last observation of an episode while it resets the environment, which may write into the same array.

    :param env: Any environment
    :raises ValueError: from ``reset`` and ``step``, if an image is not uint8 though its space is
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        space = env.observation_space
        parts: dict[Any, spaces.Space] = space.spaces if isinstance(space, spaces.Dict) else {None: space}
        self._images = [key for key, part in parts.items() if part.dtype == np.uint8 and len(part.shape or ()) > 1]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._check(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._check(observation)
        if terminated or truncated:
            observation = deepcopy(observation)
        return observation, reward, terminated, truncated, info

    def _check(self, observation: Any) -> None:
        for key in self._images:
            image = observation if key is None else observation[key]
            if image is None or isinstance(image, np.ndarray):
                with naming(key):
                    check_is_bytes(np.asarray(image))
