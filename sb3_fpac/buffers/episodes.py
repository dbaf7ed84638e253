"""Episodes in a replay buffer."""

import warnings

import numpy as np
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.her import HerReplayBuffer


def is_mid_episode(buffer: ReplayBuffer) -> np.ndarray:
    """
    :param buffer: Replay buffer
    :return: Whether the episode of every environment's latest transition is still running, ``(n_envs,)`` bool
    """
    is_empty = buffer.pos == 0 and not buffer.full
    return (buffer.dones[buffer.pos - 1] == 0) & (not is_empty)


def end_episodes(buffer: ReplayBuffer) -> None:
    """
    Mark the latest transition of every environment as the last one of its episode, as a time-out does. What is stored next
    does not continue it: n-step returns and hindsight end there.

    :param buffer: Replay buffer
    """
    if isinstance(buffer, HerReplayBuffer):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The last trajectory in the replay buffer will be truncated")
            buffer.truncate_last_trajectory()
        return
    unfinished = is_mid_episode(buffer)
    buffer.dones[buffer.pos - 1, unfinished] = 1
    if not buffer.optimize_memory_usage:  # with it, the next observation is about to be overwritten
        buffer.timeouts[buffer.pos - 1, unfinished] = 1
