"""Transitions are stored only if the agent's observation is the one that the environment went on from."""

import warnings
from typing import Any

from sb3_fpac.buffers import FrameStorage, end_episodes
from sb3_fpac.observations import naming


class ContinuityCheck:
    """
    Drops what no step of the environment has led to. When ``learn`` is interrupted in the middle of a step and called again,
    or when an evaluation plays in the environment of the training, the next stack of frames does not continue the last one:
    the transition is not stored, and the episodes in the buffer end before it. If this happens twice in a row, the
    observations are no stacks of frames.
    """

    def __init__(self) -> None:
        self._was_broken = False

    def before(self, buffer: FrameStorage, when: str) -> Any:
        """
        Put the check in front of a replay buffer.

        :param buffer: The replay buffer
        :param when: The current step, for the warning
        :return: An object whose ``add`` stores in the buffer what is to be stored
        """
        return _Checked(self, buffer, when)

    def is_continued(self, buffer: FrameStorage, obs: Any, next_obs: Any, when: str) -> bool:
        """
        Check one transition of every environment.

        :param buffer: The replay buffer
        :param obs: ``(n_envs, C, H, W)``, or a dict of arrays
        :param next_obs: As ``obs``
        :param when: The current step, for the warning
        :return: Whether every next stack of frames continues the one before
        :raises ValueError: if the transition before was not stored either, or none is
        """
        for key, store in buffer.stores.items():
            if store.is_continued(*((obs, next_obs) if key is None else (obs[key], next_obs[key]))):
                continue
            if self._was_broken or buffer.size() == 0:
                with naming(key):
                    raise store.not_continued()
            self._was_broken = True
            end_episodes(buffer)
            warnings.warn(
                f"The transition before {when} is not stored, because the environment did not go on from the agent's "
                "observation: something else has reset or stepped it, such as an evaluation, or learn was interrupted in the "
                "middle of a step. Evaluate in an environment of its own.",
                stacklevel=2,
            )
            return False
        self._was_broken = False
        return True


class _Checked:
    def __init__(self, check: ContinuityCheck, buffer: FrameStorage, when: str) -> None:
        self._check, self._buffer, self._when = check, buffer, when

    def add(self, obs: Any, next_obs: Any, *args: Any) -> None:
        if self._check.is_continued(self._buffer, obs, next_obs, self._when):
            self._buffer.add(obs, next_obs, *args)
