"""What a user of an exported file must know about its inputs and outputs, as plain data."""

from typing import Any

import gymnasium as gym
import numpy as np
import stable_baselines3
import torch as th
from gymnasium import spaces

from sb3_fpac.export.agent import ExportedAgent
from sb3_fpac.version import __version__


def describe_agent(agent: ExportedAgent) -> dict[str, Any]:
    """
    Describe inputs, outputs and versions.

    :param agent: The agent
    :return: JSON's types: ``inputs`` and ``actions`` with shape, type and bounds; for images ``n_frames``, ``frame_channels``,
        ``camera_shift`` (whether a header plane with the camera's motion is in front) and ``channels_last``; ``versions``
    """
    inputs: dict[str, Any] = {}
    for name, batch in zip(agent.input_names, _parts(agent), strict=True):
        key = None if name == "observation" and not isinstance(agent.space, spaces.Dict) else name
        space = agent.space[name] if isinstance(agent.space, spaces.Dict) else agent.space
        inputs[name] = {**describe_space(space), "shape": list(batch.shape[1:])}
        if key in agent.layouts:
            layout = agent.layouts[key]._asdict()
            names = ("n_frames", "frame_channels", "camera_shift")
            inputs[name] |= {**{name: layout[name] for name in names}, "channels_last": key in agent.channels_last}
    versions = dict(
        sb3_fpac=__version__, stable_baselines3=stable_baselines3.__version__, torch=th.__version__, gymnasium=gym.__version__
    )
    outputs = dict(actions=describe_space(agent.action_space), points="x and y in pixels, presence")
    return dict(algorithm=agent.algorithm, inputs=inputs, outputs=outputs, versions=versions)


def describe_space(space: spaces.Space) -> dict[str, Any]:
    """
    Describe a space that is no Dict.

    :param space: Box, Discrete, MultiDiscrete or MultiBinary
    :return: Its class, shape and type, and the bounds of a Box: one number each where all are equal; None: unbounded
    """
    description: dict[str, Any] = dict(space=type(space).__name__, shape=list(space.shape or ()), dtype=str(space.dtype))
    if isinstance(space, spaces.Box):
        description |= {"low": _bounds(space.low), "high": _bounds(space.high)}
    for name in ("n", "nvec"):
        if hasattr(space, name):
            description[name] = np.asarray(getattr(space, name)).tolist()
    return description


def _bounds(bounds: np.ndarray) -> Any:
    finite: Any = np.where(np.isfinite(bounds), bounds, np.nan)
    flat = [None if np.isnan(bound) else float(bound) for bound in finite.ravel()]
    return flat[0] if len(set(flat)) == 1 else flat


def _parts(agent: ExportedAgent) -> list[th.Tensor]:
    example = agent.example(1)
    return list(example.values()) if isinstance(example, dict) else [example]
