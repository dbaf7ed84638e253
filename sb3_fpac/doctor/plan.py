"""What is going to be trained."""

import inspect
from typing import Any, NamedTuple

from sb3_fpac.fpac import FPAC


class Plan(NamedTuple):
    """An environment, and the agent that is to learn it."""

    env_id: str
    """Registered id of the environment"""
    env_kwargs: dict[str, Any]
    """Its keyword arguments"""
    algo: str
    """Name of the algorithm, for texts: ``"fpac"`` or ``"fpac_fast"``"""
    hyperparams: dict[str, Any]
    """Keyword arguments of FPAC"""
    n_timesteps: int | None
    """Agent steps of the training; None: not known"""
    frame_channels: int | dict[str, int]
    """Channels of one frame: 3 for RGB, 1 for grey; for several images one value, or a dict by key"""

    @property
    def buffer_size(self) -> int:
        """Transitions of the replay buffer"""
        return self.hyperparams.get("buffer_size", inspect.signature(FPAC).parameters["buffer_size"].default)
