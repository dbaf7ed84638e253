"""What SB3 stores of an environment is what the environment returned."""

from copy import deepcopy
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from sb3_fpac.observations import check_image, check_vector, entry_of, naming, reward_of


class AsReturned(gym.Wrapper):
    """
    Keeps observations from changes that SB3's ``DummyVecEnv`` makes without a word: it casts them to the type of their space,
    repeats numbers to fill its shape, and keeps the last observation of an episode while it resets the environment, which
    may write into the same array.

    :param env: Any environment
    :raises ValueError: from ``reset`` and ``step``, if an observation lacks a key, an image is not uint8 though its space is,
        an image or vector has another shape than its space, or a reward is not one number
    """

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        space = env.observation_space
        parts: dict[Any, spaces.Space] = space.spaces if isinstance(space, spaces.Dict) else {None: space}
        shapes = {key: part.shape for key, part in parts.items() if part.shape}  # a Discrete has none
        self._images = {key: shape for key, shape in shapes.items() if parts[key].dtype == np.uint8 and len(shape) > 1}
        self._vectors = {key: shape for key, shape in shapes.items() if key not in self._images}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._check(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._check(observation)
        reward_of(reward)
        if terminated or truncated:
            observation = deepcopy(observation)
        return observation, reward, terminated, truncated, info

    def _check(self, observation: Any) -> None:
        for key, shape in self._images.items():
            image = entry_of(observation, key)
            with naming(key):
                check_image(image, shape)
        for key, shape in self._vectors.items():
            check_vector(key, entry_of(observation, key), shape)
