"""Stacks the last frames of every image."""

from collections import deque
from collections.abc import Mapping
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from sb3_fpac.arguments import whole_number
from sb3_fpac.observations import (
    check_channels_are_fewest,
    check_is_bytes,
    has_channels_first,
    is_nearly_image,
    naming,
    why_no_stack,
)


class FrameStack(gym.Wrapper, RecordConstructorArgs):
    """
    Stacks the last n frames, oldest first, and puts the channels first: (H, W, C) frames become (n·C, H, W).

    The first frame of an episode fills the whole stack. If the environment already returns stacks with an axis of their own,
    (S, H, W, C) as from Gymnasium's FrameStackObservation, the last n frames of each are taken. Of Dict observations
    the images are stacked, and everything else stays as it is.

    >>> import gymnasium as gym, numpy as np
    >>> space = gym.spaces.Box(0, 255, (48, 64, 3), np.uint8)
    >>> env = gym.wrappers.TransformObservation(gym.make("CartPole-v1"), lambda _: np.zeros((48, 64, 3), np.uint8), space)
    >>> FrameStack(env, n=2).reset()[0].shape
    (6, 48, 64)

    :param env: Environment whose observations are uint8 frames of shape (H, W, C), (C, H, W) or, if grey, (H, W), or stacks of
        frames with an axis of their own in front; or a Dict of such images, with anything beside them
    :param n: Number of frames. For Dict observations one number for all images, or a dict by key, such as
        ``dict(front=2, wrist=3)``: images that it lacks are not stacked.
    :raises ValueError: if the observations are not such frames, n is less than 1, a stack has fewer frames, or the result has
        more channels than a frame has pixels on a side
    """

    def __init__(self, env: gym.Env, n: int | dict[str, int] = 2) -> None:
        space = env.observation_space
        if isinstance(space, spaces.Dict):
            self._stacks: dict[Any, _Stack] = _stacks_of(space, n)
            parts = [(key, self._stacks[key].space if key in self._stacks else part) for key, part in space.items()]
            observation_space: spaces.Space = spaces.Dict(parts)
            n = dict(n) if isinstance(n, Mapping) else whole_number("n", n, at_least=1)
        else:
            n = whole_number("n", n, at_least=1)
            self._stacks = {None: _Stack(space, n)}
            observation_space = self._stacks[None].space
        RecordConstructorArgs.__init__(self, n=n)
        gym.Wrapper.__init__(self, env)
        self.observation_space = observation_space
        self.n = n

    @property
    def frame_stack(self) -> int:
        """Number of frames, of several images the largest"""
        return max(stack.n for stack in self._stacks.values())

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        for key, stack in self._stacks.items():
            stack.fill(observation if key is None else observation[key])
        return self._stacked(observation), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        for key, stack in self._stacks.items():
            stack.append(observation if key is None else observation[key])
        return self._stacked(observation), reward, terminated, truncated, info

    def _stacked(self, observation: Any) -> Any:
        if None in self._stacks:
            return self._stacks[None].stacked()
        return {**observation, **{key: stack.stacked() for key, stack in self._stacks.items()}}


class _Stack:
    """The last n frames of one image"""

    def __init__(self, space: spaces.Space, n: int) -> None:
        frames = _space_of_frames(space, n)
        self.n = n
        self._is_stack = frames is not space
        self._channels_are_first = len(frames.shape) == 3 and has_channels_first(frames.shape)
        self._frames: deque[np.ndarray] = deque(maxlen=n)
        low, high = (np.concatenate([self._channels_first(end)] * n) for end in (frames.low, frames.high))
        check_channels_are_fewest(*low.shape)
        self.space = spaces.Box(low, high, dtype=np.uint8)

    def fill(self, observation: Any) -> None:
        """Start an episode with its first observation."""
        self._frames.extend(map(self._channels_first, observation if self._is_stack else [observation] * self.n))

    def append(self, observation: Any) -> None:
        self._frames.extend(map(self._channels_first, observation if self._is_stack else [observation]))

    def stacked(self) -> np.ndarray:
        """(n·C, H, W)"""
        return np.concatenate(self._frames)

    def _channels_first(self, frame: np.ndarray) -> np.ndarray:
        """Returns a copy, since an environment may draw the next frame into the same memory"""
        check_is_bytes(frame)
        if frame.ndim == 2:
            frame = frame[None]
        elif not self._channels_are_first:
            frame = frame.transpose(2, 0, 1)
        return np.array(frame)


def _stacks_of(space: spaces.Dict, n: int | Mapping[str, int]) -> dict[Any, _Stack]:
    if isinstance(n, Mapping):
        unknown = ", ".join(repr(key) for key in n if key not in space.spaces)
        if unknown:
            raise ValueError(
                f"n of FrameStack names {unknown}, but the observations have {', '.join(map(repr, sorted(space)))}."
            )
        by_key = dict(n)
    else:
        boxes = {key: part for key, part in space.items() if isinstance(part, spaces.Box)}
        by_key = {key: n for key, part in boxes.items() if part.dtype == np.uint8 and is_nearly_image(part)}
    if not by_key:
        raise ValueError(
            f"FrameStack stacks uint8 images, and {space} has none: convert images to uint8 from 0 to 255 with Gymnasium's "
            "TransformObservation."
        )
    stacks = {}
    for key, n_frames in by_key.items():
        with naming(key):
            stacks[key] = _Stack(space[key], whole_number("n", n_frames, at_least=1))
    return stacks


def _space_of_frames(space: spaces.Space, n: int) -> spaces.Box:
    """The space of one frame, where an observation is a frame or a stack of frames"""
    if isinstance(space, spaces.Box) and len(space.shape) == 4:
        if n > space.shape[0]:
            raise ValueError(f"FrameStack cannot take n={n} frames from stacks of {space.shape[0]}: lower n.")
        space = spaces.Box(space.low[-1], space.high[-1], dtype=space.low.dtype.type)
    is_frame = isinstance(space, spaces.Box) and len(space.shape) in (2, 3) and space.dtype == np.uint8
    if not is_frame:
        if isinstance(space, spaces.Box) and len(space.shape) == 2:
            space = spaces.Box(space.low[None], space.high[None], dtype=space.low.dtype.type)
        raise ValueError(why_no_stack(space))
    assert isinstance(space, spaces.Box)
    return space
