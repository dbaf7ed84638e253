"""What the replay buffer stores of observations whose vectors VecNormalize normalizes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecNormalize


@contextmanager
def unnormalized_vectors(model: OffPolicyAlgorithm, new_obs: Any) -> Iterator[None]:
    """
    Let SB3 store a transition with the images that the policy saw, which other wrappers may have transposed or stacked since
    VecNormalize, and with the vectors and rewards from before it. A single observation that VecNormalize normalizes is stored
    as SB3 stores it.

    :param model: Its VecNormalize, if it has one, is replaced while the transition is stored
    :param new_obs: The observations that the policy sees next
    """
    normalization = model._vec_normalize_env
    if normalization is None or (normalization.norm_obs and not isinstance(new_obs, dict)):
        yield
        return
    unnormalized = _Unnormalized(normalization, new_obs)
    model._last_original_obs = unnormalized.of(model._last_obs, model._last_original_obs)
    model._vec_normalize_env = cast(VecNormalize, unnormalized)
    try:
        yield
    finally:
        model._vec_normalize_env = normalization


class _Unnormalized:
    """What SB3 asks VecNormalize for while it stores a transition"""

    def __init__(self, normalization: VecNormalize, new_obs: Any) -> None:
        self._normalization = normalization
        self._new_obs = new_obs
        self._keys = (normalization.norm_obs_keys or []) if normalization.norm_obs else []
        self.get_original_reward = normalization.get_original_reward
        self.unnormalize_obs = normalization.unnormalize_obs

    def of(self, obs: Any, original_obs: Any) -> Any:
        """Observations that the policy saw, with the vectors of the same observations before VecNormalize"""
        return {**obs, **{key: original_obs[key] for key in self._keys}} if self._keys else obs

    def get_original_obs(self) -> np.ndarray | dict[str, np.ndarray]:
        return self.of(self._new_obs, self._normalization.get_original_obs())
