"""Transitions are stored only if the agent's observation is the one that the environment went on from."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from sb3_fpac.buffers import BaseFrameReplayBuffer, FrameStore, end_episodes
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


class _Step(NamedTuple):
    """One step of every environment, as SB3 stores it"""

    obs: Any  # (n_envs, C, H, W), or a dict of arrays
    next_obs: Any  # as obs; the last observation of an episode that ends
    new_obs: Any  # as obs; the first observation of the next episode then
    done: np.ndarray  # (n_envs,)
    infos: Sequence[dict[str, Any]]

    @property
    def terminated(self) -> np.ndarray:
        return self.done & ~np.array([bool(info.get("TimeLimit.truncated", False)) for info in self.infos])


class ContinuityCheck:
    """
    Drops transitions whose observations do not follow each other. When ``learn`` is interrupted in the middle of a step
    and called again, or when an evaluation plays in the environment of the training, the next stack of frames does not
    continue the last one: the transition is not stored, and the episodes in the buffer end before it. If half of the latest
    transitions are like this, the observations are no stacks of frames. If the last observations of two episodes in a row are
    those of the next episode, the environment loses them.

    A transition that terminates its episode is stored in any case, as nobody learns from what the camera shows after it.

    :param n_envs: Number of environments
    """

    def __init__(self, n_envs: int) -> None:
        self._recent = np.zeros((n_envs, _RECENT), dtype=bool)  # which of the latest transitions were broken
        self._ended_wrongly = np.zeros(n_envs, dtype=bool)  # whether the latest episode lost its last observation
        self._first: dict[tuple[int, str], np.ndarray] = {}  # by environment and key: the first vector of the latest episode
        self._n_dropped = 0

    def before(self, buffer: BaseFrameReplayBuffer, new_obs: Any, when: str) -> Any:
        """
        Put the check in front of a replay buffer.

        :param buffer: The replay buffer
        :param new_obs: ``(n_envs, C, H, W)``, or a dict of arrays: after the end of an episode, the first of the next
        :param when: The current step, for errors and warnings
        :return: An object whose ``add`` stores in the buffer what is to be stored. It raises ValueError if half of the latest
            transitions are broken, one is and the buffer is empty, or two episodes in a row lost their last observation.
        """
        return _Checked(self, buffer, new_obs, when)

    def next_obs_to_store(self, buffer: BaseFrameReplayBuffer, step: _Step, when: str) -> Any:
        """``next_obs`` of the step; None if the transition is not to be stored"""
        lost = self._lost_ends(buffer, step)
        if (lost & self._ended_wrongly & ~step.terminated).any():
            raise ValueError(_WRONG_END)
        self._ended_wrongly[step.done] = lost[step.done]
        cause = _WRONG_END if (lost & ~step.terminated).any() else _OTHER_STEPS
        broken = np.zeros_like(step.done)
        continued: dict[str | None, np.ndarray] = {}
        for key, store in buffer.stores.items():
            before, after = _part(step.obs, key), _part(step.next_obs, key)
            of_key = ~store.are_continued(before, after)
            continued[key] = store.continuations(before, after, of_key & step.terminated)
            of_key &= ~step.terminated
            are_repeated = any(np.array_equal(before[i], after[i]) for i in np.flatnonzero(of_key))
            cause = _REPEATED if are_repeated else cause
            with naming(key):
                if (of_key & ~step.done).any() and (buffer.size() == 0 or self._are_too_many(of_key & ~step.done)):
                    raise ValueError(_REPEATED) if are_repeated else store.not_continued()
            broken |= of_key
        self._recent = np.concatenate([self._recent[:, 1:], (broken & ~step.done)[:, None]], axis=1)
        broken |= lost & ~step.terminated
        if broken.any():
            end_episodes(buffer)
            self._warn(when, cause)
            return None
        return continued[None] if isinstance(step.obs, np.ndarray) else {**step.next_obs, **continued}

    def _lost_ends(self, buffer: BaseFrameReplayBuffer, step: _Step) -> np.ndarray:
        """``(n_envs,)``: where the last observation of an episode is the first one of the next, unlike the one before it"""
        lost = np.zeros_like(step.done)
        vectors = list(_float_vectors(buffer))
        for i, info in enumerate(step.infos):
            last = info.get("terminal_observation")
            for key in (*buffer.stores, *vectors) if step.done[i] else ():
                before, after, first = (_part(obs, key)[i] for obs in (step.obs, step.next_obs, step.new_obs))
                is_first = last is None or np.array_equal(first, _part(last, key))  # without one, SB3 takes the first
                if not is_first or np.array_equal(before, after):
                    continue
                if key in buffer.stores:
                    lost[i] |= not _continues(buffer.stores[key], before, after)
                else:
                    lost[i] |= last is None or self._is_new(i, str(key), first)
            if step.done[i]:
                self._first |= {(i, key): np.array(step.new_obs[key][i]) for key in vectors}
        return lost

    def _is_new(self, env: int, key: str, first: np.ndarray) -> bool:
        """Not where episodes always start, such as forces of 0, with which one may end by chance"""
        known = self._first.get((env, key))
        return known is not None and not np.array_equal(known, first)

    def _are_too_many(self, broken: np.ndarray) -> bool:
        return bool(self._recent[broken].sum(axis=1).max() + 1 >= _TOO_MANY)

    def _warn(self, when: str, cause: str) -> None:
        self._n_dropped += 1
        if self._n_dropped & (self._n_dropped - 1) == 0:  # 1, 2, 4, 8, …
            so_far = f" ({self._n_dropped} so far)" if self._n_dropped > 1 else ""
            warnings.warn(f"The transition before {when} is not stored{so_far}. {cause}", stacklevel=3)


def _part(obs: Any, key: str | None) -> Any:
    return obs if key is None else obs[key]


def _float_vectors(buffer: BaseFrameReplayBuffer) -> Iterator[str]:
    """Keys of vectors of several floats: a switch may have the same position by chance"""
    space = buffer.observation_space
    for key, part in space.spaces.items() if isinstance(space, spaces.Dict) else ():
        if key not in buffer.stores and np.issubdtype(part.dtype, np.floating) and spaces.flatdim(part) > 1:
            yield key


def _continues(store: FrameStore, before: np.ndarray, after: np.ndarray) -> bool:
    return bool(store.are_continued(before[None], after[None])[0])


class _Checked:
    def __init__(self, check: ContinuityCheck, buffer: BaseFrameReplayBuffer, new_obs: Any, when: str) -> None:
        self._check, self._buffer, self._new_obs, self._when = check, buffer, new_obs, when

    def add(self, obs: Any, next_obs: Any, action: np.ndarray, reward: np.ndarray, done: np.ndarray, infos: Any) -> None:
        step = _Step(obs, next_obs, self._new_obs, np.asarray(done, dtype=bool), infos)
        next_obs = self._check.next_obs_to_store(self._buffer, step, self._when)
        if next_obs is not None:
            self._buffer.add(obs, next_obs, action, reward, done, infos)
