"""What a transition must be, beside its observations."""

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_action_dim

_ROUNDING = 1e-3  # of actions that are scaled and scaled back


def check_transition(
    action: np.ndarray, reward: np.ndarray, done: np.ndarray, infos: Any, n_envs: int, action_space: spaces.Space
) -> None:
    """
    Check a transition before it is stored.

    :param action: ``(n_envs, action_dim)``, scaled to [-1, 1]
    :param reward: ``(n_envs,)``
    :param done: ``(n_envs,)``
    :param infos: An info of every environment
    :param n_envs: Number of environments
    :param action_space: Space of the actions
    :raises ValueError: if something has another size, a reward is not finite, or an action is not scaled
    """
    n_numbers = n_envs * get_action_dim(action_space), n_envs, n_envs
    for name, values, n in zip(("action", "reward", "done"), (action, reward, done), n_numbers, strict=True):
        size = np.asarray(values).size  # np.size does not know tensors
        if size != n:
            raise ValueError(f"{name} must have {n} values for {n_envs} environments, got {size}.")
    if not np.isfinite(reward).all():
        raise ValueError(f"A transition has a reward that is not finite, {reward}: correct it, or leave the transition out.")
    if not isinstance(infos, (list, tuple)) or len(infos) != n_envs:
        raise ValueError(f"infos must be a list of {n_envs} dicts, one for each environment, got {infos!r}.")
    largest = np.abs(action).max() if isinstance(action_space, spaces.Box) else 0
    if not largest <= 1 + _ROUNDING:
        raise ValueError(
            f"Replay buffers contain actions scaled to [-1, 1], got {largest:.3g}: pass model.policy.scale_action(action)."
        )
