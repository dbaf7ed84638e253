"""Transitions are stored only if the agent's observation is the one that the environment went on from."""

import warnings
from typing import Any

import numpy as np

from sb3_fpac.buffers import FrameStorage, end_episodes
from sb3_fpac.observations import naming

_OTHER_STEPS = (
    "The next observation does not continue the agent's last one: something else has reset or stepped the environment, such "
    "as an evaluation, or learn was interrupted in the middle of a step, or the environment has filled the stack anew. "
    "Evaluate in an environment of its own."
)
_WRONG_END = (
    "The last observation of an episode does not continue the one before. An environment must return a new array from every "
    'step, and a VecEnv must put the last observation of an episode into infos[i]["terminal_observation"].'
)


_MOST_IN_A_ROW = 3  # a frame that shows something else, such as a camera that was off, breaks two


class ContinuityCheck:
    """
    Drops transitions whose observations do not follow each other. When ``learn`` is interrupted in the middle of a step
    and called again, or when an evaluation plays in the environment of the training, the next stack of frames does not
    continue the last one: the transition is not stored, and the episodes in the buffer end before it. If this happens
    three times in a row, the observations are no stacks of frames. If it happens at the ends of two episodes in a row, the
    environment loses their last observations.
    """

    def __init__(self) -> None:
        self._in_a_row: np.ndarray | None = None  # by environment, how many of its latest transitions were broken
        self._ended_broken: np.ndarray | None = None  # by environment, whether its latest episode did

    def before(self, buffer: FrameStorage, when: str) -> Any:
        """
        Put the check in front of a replay buffer.

        :param buffer: The replay buffer
        :param when: The current step, for the warning
        :return: An object whose ``add`` stores in the buffer what is to be stored
        """
        return _Checked(self, buffer, when)

    def is_continued(self, buffer: FrameStorage, obs: Any, next_obs: Any, done: np.ndarray, when: str) -> bool:
        """
        Check one transition of every environment.

        :param buffer: The replay buffer
        :param obs: ``(n_envs, C, H, W)``, or a dict of arrays
        :param next_obs: As ``obs``
        :param done: ``(n_envs,)``: whether an episode ends
        :param when: The current step, for the warning
        :return: Whether every next stack of frames continues the one before
        :raises ValueError: if this is the third broken transition in a row, the buffer is empty, or the end of the episode
            before was broken, too
        """
        done = np.asarray(done, dtype=bool)
        if self._ended_broken is None or self._in_a_row is None:
            self._ended_broken, self._in_a_row = np.zeros_like(done), np.zeros(done.shape, dtype=int)
        broken = np.zeros_like(done)
        for key, store in buffer.stores.items():
            of_key = ~store.are_continued(*((obs, next_obs) if key is None else (obs[key], next_obs[key])))
            with naming(key):
                within = of_key & ~done
                if within.any() and (buffer.size() == 0 or self._in_a_row[within].max() + 1 == _MOST_IN_A_ROW):
                    raise store.not_continued()
                if (of_key & done & self._ended_broken).any():
                    raise ValueError(_WRONG_END)
            broken |= of_key
        self._ended_broken[done] = broken[done]
        within = broken & ~done
        self._in_a_row = np.where(within, self._in_a_row + 1, 0)
        if not broken.any():
            return True
        end_episodes(buffer)
        cause = _OTHER_STEPS if within.any() else _WRONG_END
        warnings.warn(f"The transition before {when} is not stored. {cause}", stacklevel=2)
        return False


class _Checked:
    def __init__(self, check: ContinuityCheck, buffer: FrameStorage, when: str) -> None:
        self._check, self._buffer, self._when = check, buffer, when

    def add(self, obs: Any, next_obs: Any, action: np.ndarray, reward: np.ndarray, done: np.ndarray, infos: Any) -> None:
        if self._check.is_continued(self._buffer, obs, next_obs, done, self._when):
            self._buffer.add(obs, next_obs, action, reward, done, infos)
