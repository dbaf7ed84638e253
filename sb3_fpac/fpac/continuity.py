"""Transitions are stored only if the agent's observation is the one that the environment went on from."""

import warnings
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_fpac.buffers import FrameStorage, FrameStore, end_episodes
from sb3_fpac.observations import naming

_OTHER_STEPS = (
    "The next observation does not continue the agent's last one: something else has reset or stepped the environment, such "
    "as an evaluation, or learn was interrupted in the middle of a step, or the environment has filled the stack anew, as "
    "after a camera was off. Evaluate in an environment of its own."
)
_REPEATED = (
    "The observation is the stack of the step before once more. Append the camera's latest frame at every step, also if it is "
    "not new, and return a new array."
)
_WRONG_END = (
    "The last observation of an episode is the first one of the next. An environment must return a new array from every "
    'step, and a VecEnv must put the last observation of an episode into infos[i]["terminal_observation"].'
)
_RECENT, _TOO_MANY = 20, 10  # of the latest transitions of an environment, so many may not be broken


class ContinuityCheck:
    """
    Drops transitions whose observations do not follow each other. When ``learn`` is interrupted in the middle of a step
    and called again, or when an evaluation plays in the environment of the training, the next stack of frames does not
    continue the last one: the transition is not stored, and the episodes in the buffer end before it. If half of the latest
    transitions are like this, the observations are no stacks of frames. If the last observations of two episodes in a row are
    those of the next episode, the environment loses them.

    A transition that terminates its episode is stored in any case, as nobody learns from what the camera shows after it.
    """

    def __init__(self) -> None:
        self._recent: np.ndarray | None = None  # (n_envs, _RECENT): which of the latest transitions were broken
        self._ended_wrongly: np.ndarray | None = None  # (n_envs,): whether the latest episode lost its last observation
        self._n_dropped = 0

    def before(self, buffer: FrameStorage, new_obs: Any, when: str) -> Any:
        """
        Put the check in front of a replay buffer.

        :param buffer: The replay buffer
        :param new_obs: ``(n_envs, C, H, W)``, or a dict of arrays: after the end of an episode, the first of the next
        :param when: The current step, for the warning
        :return: An object whose ``add`` stores in the buffer what is to be stored
        """
        return _Checked(self, buffer, new_obs, when)

    def checked(
        self, buffer: FrameStorage, new_obs: Any, obs: Any, next_obs: Any, done: np.ndarray, infos: Any, when: str
    ) -> Any:
        """
        Check one transition of every environment.

        :param buffer: The replay buffer
        :param new_obs: As in :meth:`before`
        :param obs: ``(n_envs, C, H, W)``, or a dict of arrays
        :param next_obs: As ``obs``
        :param done: ``(n_envs,)``: whether an episode ends
        :param infos: An info of every environment
        :param when: The current step, for the warning
        :return: The next observations to store; None if the transition is not to be stored
        :raises ValueError: if half of the latest transitions are broken, this one is and the buffer is empty, or two episodes
            in a row lost their last observation
        """
        done = np.asarray(done, dtype=bool)
        if self._recent is None or self._ended_wrongly is None:
            self._recent, self._ended_wrongly = np.zeros((len(done), _RECENT), dtype=bool), np.zeros_like(done)
        terminated = done & ~np.array([bool(info.get("TimeLimit.truncated", False)) for info in infos])
        lost = _are_of_next_episode(buffer, new_obs, obs, next_obs, done, infos)
        if (lost & self._ended_wrongly & ~terminated).any():
            raise ValueError(_WRONG_END)
        self._ended_wrongly[done] = lost[done]
        broken, cause = np.zeros_like(done), _WRONG_END if (lost & ~terminated).any() else _OTHER_STEPS
        continued: dict[str | None, np.ndarray] = {}
        for key, store in buffer.stores.items():
            before, after = (obs, next_obs) if key is None else (obs[key], next_obs[key])
            of_key = ~store.are_continued(before, after)
            continued[key] = store.continuations(before, after, of_key & terminated)
            of_key &= ~terminated
            repeated = [bool(of_key[i]) and np.array_equal(before[i], after[i]) for i in range(len(done))]
            cause = _REPEATED if any(repeated) else cause
            with naming(key):
                within = of_key & ~done
                if within.any() and (buffer.size() == 0 or self._recent[within].sum(axis=1).max() + 1 >= _TOO_MANY):
                    raise ValueError(_REPEATED) if any(repeated) else store.not_continued()
            broken |= of_key
        self._recent = np.concatenate([self._recent[:, 1:], (broken & ~done)[:, None]], axis=1)
        broken |= lost & ~terminated
        if not broken.any():
            return continued[None] if isinstance(obs, np.ndarray) else {**next_obs, **continued}
        end_episodes(buffer)
        self._n_dropped += 1
        if self._n_dropped & (self._n_dropped - 1) == 0:  # 1, 2, 4, 8, …
            so_far = f" ({self._n_dropped} so far)" if self._n_dropped > 1 else ""
            warnings.warn(f"The transition before {when} is not stored{so_far}. {cause}", stacklevel=2)
        return None


def _are_of_next_episode(
    buffer: FrameStorage, new_obs: Any, obs: Any, next_obs: Any, done: np.ndarray, infos: Any
) -> np.ndarray:
    """
    ``(n_envs,)``: where the last observation of an episode is the first one of the next, unlike the one before it. Vectors
    count if they contain several floats: a switch may have the same position by chance.
    """
    keys = [*buffer.stores, *_float_vectors(buffer)]
    found = np.zeros(len(infos), dtype=bool)
    for i, info in enumerate(infos):
        last = info.get("terminal_observation")
        for key in keys if done[i] else ():
            first_of_next, of_end = (new_obs[i], last) if key is None else (new_obs[key][i], last and last[key])
            before, after = (obs[i], next_obs[i]) if key is None else (obs[key][i], next_obs[key][i])
            is_first = last is None or np.array_equal(first_of_next, of_end)  # without one, SB3 takes the first
            if is_first and not np.array_equal(before, after):
                found[i] |= key not in buffer.stores or not _continues(buffer.stores[key], before, after)
    return found


def _float_vectors(buffer: FrameStorage) -> list[str]:
    space = buffer.observation_space
    parts = space.spaces.items() if isinstance(space, spaces.Dict) else ()
    return [
        key
        for key, part in parts
        if key not in buffer.stores and np.issubdtype(part.dtype, np.floating) and spaces.flatdim(part) > 1
    ]


def _continues(store: FrameStore, before: np.ndarray, after: np.ndarray) -> bool:
    return bool(store.are_continued(before[None], after[None])[0])


class _Checked:
    def __init__(self, check: ContinuityCheck, buffer: FrameStorage, new_obs: Any, when: str) -> None:
        self._check, self._buffer, self._new_obs, self._when = check, buffer, new_obs, when

    def add(self, obs: Any, next_obs: Any, action: np.ndarray, reward: np.ndarray, done: np.ndarray, infos: Any) -> None:
        next_obs = self._check.checked(self._buffer, self._new_obs, obs, next_obs, done, infos, self._when)
        if next_obs is not None:
            self._buffer.add(obs, next_obs, action, reward, done, infos)
