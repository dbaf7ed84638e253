"""What the replay buffer stores of observations whose vectors VecNormalize normalizes."""

from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecNormalize


class UnnormalizedVectors:
    """
    Stands in for VecNormalize while SB3 stores a transition. Its observations have the images that the policy saw, which
    other wrappers may have transposed or stacked since, and the vectors from before VecNormalize.

    :param normalization: VecNormalize with ``norm_obs_keys``
    :param new_obs: The observations that the policy sees
    """

    def __init__(self, normalization: VecNormalize, new_obs: Any) -> None:
        self._normalization = normalization
        self._new_obs = new_obs

    def of(self, obs: Any, original_obs: Any) -> dict[str, np.ndarray]:
        """
        Replace what VecNormalize has normalized.

        :param obs: Observations that the policy saw
        :param original_obs: The same before VecNormalize
        :return: ``obs`` with the original vectors
        """
        return {**obs, **{key: original_obs[key] for key in self._normalization.norm_obs_keys or ()}}

    def get_original_obs(self) -> dict[str, np.ndarray]:
        """As VecNormalize's"""
        return self.of(self._new_obs, self._normalization.get_original_obs())

    def get_original_reward(self) -> np.ndarray:
        """As VecNormalize's"""
        return self._normalization.get_original_reward()

    def unnormalize_obs(self, obs: Any) -> Any:
        """As VecNormalize's"""
        return self._normalization.unnormalize_obs(obs)
