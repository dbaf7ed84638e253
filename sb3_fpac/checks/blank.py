"""Notices that the camera shows nothing."""

import warnings

from sb3_fpac.buffers import FrameStorage
from sb3_fpac.observations import why_blank

_N_STEPS = 100  # before the check


class BlankCheck:
    """Warns once if the frames in the replay buffer are black, or all the same: an agent learns nothing from them."""

    def __init__(self) -> None:
        self._is_done = False

    def update(self, buffer: FrameStorage) -> None:
        """
        Call this before updates. It looks at the frames at the first one after 100 agent steps.

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
