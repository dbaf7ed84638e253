"""The last observations of episodes, as a replay buffer is given them."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

_WRONG_END = (
    "The next observation of a transition that ran out of time does not continue its observation, as if it were the first one "
    "of the next episode: pass the last one of its own, which a VecEnv puts into infos[i]['terminal_observation']. An "
    "environment must return a new array from every step."
)


class EpisodeEnds:
    """
    Lets the last frames of an episode continue it. After a failure a camera may show anything, which nobody learns from. If it
    is so at a time-out, whose next observation has a value, there is a warning, and an error if the next time-out of the
    environment is like this, too.

    :param n_envs: Number of environments
    """

    def __init__(self, n_envs: int) -> None:
        self._ended_wrongly = np.zeros(n_envs, dtype=bool)  # whether the latest time-out did

    def complete(
        self, stacks: Iterable[tuple[np.ndarray, np.ndarray]], done: np.ndarray, infos: Sequence[dict[str, Any]]
    ) -> None:
        """
        Replace all but the newest frame of next observations that end an episode and do not continue it.

        :param stacks: Frames of the observations and of the next ones for every image, ``(n_envs, S, c, H, W)``; the next ones
            are changed in place
        :param done: ``(n_envs,)``
        :param infos: One for each environment
        :raises ValueError: if two time-outs in a row do not continue their episode
        """
        done = np.asarray(done, dtype=bool).reshape(-1)
        if not done.any():
            return
        broken = np.zeros_like(done)
        for frames, next_frames in stacks:
            of_image = done & (frames[:, 1:] != next_frames[:, :-1]).reshape(len(done), -1).any(axis=1)
            next_frames[of_image, :-1] = frames[of_image, 1:]
            broken |= of_image
        timed_out = done & np.array([bool(info.get("TimeLimit.truncated", False)) for info in infos])
        if (broken & timed_out & self._ended_wrongly).any():
            raise ValueError(_WRONG_END)
        if (broken & timed_out).any():
            warnings.warn(_WRONG_END, stacklevel=5)
        self._ended_wrongly[timed_out] = broken[timed_out]
