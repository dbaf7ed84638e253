"""Notices that the camera shows nothing, or nothing new any more."""

import warnings
from typing import Any

import numpy as np

from sb3_fpac.buffers import BaseFrameReplayBuffer
from sb3_fpac.observations import why_blank

_N_STEPS = 100  # before the check
_N_STILL = 1000  # steps, over the ends of episodes


class BlankCheck:
    """Warns once if the frames in the replay buffer are black, or all the same: an agent learns nothing from them."""

    def __init__(self) -> None:
        self._is_done = False

    def update(self, buffer: BaseFrameReplayBuffer) -> None:
        """
        Call this before every update. It checks the frames once, as soon as 100 agent steps are stored.

        :param buffer: The replay buffer
        """
        n_steps = buffer.size() * buffer.n_envs
        if self._is_done or n_steps < _N_STEPS:
            return
        self._is_done = True
        for key, store in buffer.stores.items():
            blank = why_blank(store.some_frames(_N_STEPS))
            if blank is not None:
                problem, cure = blank
                of_key = "" if key is None else f"{key!r}: "
                warnings.warn(f"{of_key}in the {n_steps} agent steps in the replay buffer, {problem}: {cure}.", stacklevel=2)


class StillCheck:
    """Warns once for every camera that stops moving during training, as one does whose driver repeats the last frame."""

    def __init__(self) -> None:
        self._last: dict[str | None, np.ndarray] = {}
        self._n_still: dict[str | None, np.ndarray] = {}  # steps of every environment
        self._warned: set[str | None] = set()

    def update(self, buffer: BaseFrameReplayBuffer, obs: Any, when: str) -> None:
        """
        Call this at every step.

        :param buffer: The replay buffer
        :param obs: ``(n_envs, C, H, W)``, or a dict of arrays
        :param when: The current step, for the warning
        """
        for key, store in buffer.stores.items():
            if key in self._warned:
                continue
            newest = np.array((obs if key is None else obs[key])[:, -store.layout.frame_channels :])
            last = self._last.get(key, newest)  # of a single frame, the stack does not hold the one before
            self._n_still[key] = (self._n_still.get(key, 0) + (key in self._last)) * (newest == last).all(axis=(1, 2, 3))
            self._last[key] = newest
            if self._n_still[key].max() >= _N_STILL:
                self._warned.add(key)
                of_key = "" if key is None else f"{key!r}: "
                warnings.warn(
                    f"{of_key}the camera has shown the same frame for {_N_STILL} steps at {when}: check that it still "
                    "sends new frames. What was stored in the meantime shows the agent nothing.",
                    stacklevel=3,
                )
