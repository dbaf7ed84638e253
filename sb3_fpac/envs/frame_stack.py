"""Stacks the last frames of every image."""

from collections import deque
from collections.abc import Mapping
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from sb3_fpac.arguments import whole_number
from sb3_fpac.envs.stacks_below import find_stack
from sb3_fpac.observations import (
    check_channels_are_fewest,
    check_image,
    check_vector,
    entry_of,
    has_channels_first,
    is_image,
    is_nearly_image,
    naming,
    why_no_stack,
)


class FrameStack(gym.Wrapper, RecordConstructorArgs):
    """
    Stacks the last n frames, oldest first, and puts the channels first: (H, W, C) frames become (n·C, H, W).

    The first frame of an episode fills the whole stack. If the environment already returns stacks with an axis of their own,
    (S, H, W, C) as from Gymnasium's FrameStackObservation, the last n frames of each are taken; with S = 1, these are single
    frames. Of Dict observations the images are stacked, and everything else stays as it is.

    >>> import gymnasium as gym, numpy as np
    >>> space = gym.spaces.Box(0, 255, (48, 64, 3), np.uint8)
    >>> env = gym.wrappers.TransformObservation(gym.make("CartPole-v1"), lambda _: np.zeros((48, 64, 3), np.uint8), space)
    >>> FrameStack(env, n=2).reset()[0].shape
    (6, 48, 64)

    :param env: Environment whose observations are uint8 frames of shape (H, W, C), (C, H, W) or, if grey, (H, W), or stacks of
        frames with an axis of their own in front; or a Dict of such images, with anything beside them
    :param n: Number of frames. For Dict observations one number for all images, or a dict by key, such as
        ``dict(front=2, wrist=3)``: of images that it lacks only the channels are put first.
    :raises ValueError: if the observations are not such frames, n is less than 1, a stack has fewer frames, a wrapper below
        stacks frames already, or the result has more channels than a frame has pixels on a side
    """

    def __init__(self, env: gym.Env, n: int | dict[str, int] = 2) -> None:
        space = env.observation_space
        if isinstance(space, spaces.Dict):
            n_of = _numbers_of_frames(space, n)
            n = dict(n) if isinstance(n, Mapping) else whole_number("n", n, at_least=1)
        else:
            n = whole_number("n", n, at_least=1)
            n_of = {None: n}
        _check_not_stacked(env, n_of)
        self._stacks = _stacks_of(space, n_of)
        RecordConstructorArgs.__init__(self, n=n)
        gym.Wrapper.__init__(self, env)
        self.observation_space = _space_with(space, self._stacks)
        self.n = n
        parts = space.spaces.items() if isinstance(space, spaces.Dict) else ()
        self._vectors = {key: part.shape for key, part in parts if isinstance(part, spaces.Box) and key not in self._stacks}

    @property
    def frame_stack(self) -> int:
        """Number of frames, of several images the largest"""
        return max(stack.n for stack in self._stacks.values())

    def n_frames_of(self, key: str | None) -> int | None:
        return self._stacks[key].n if key in self._stacks else None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        for key, stack in self._stacks.items():
            image = entry_of(observation, key)
            with naming(key):
                stack.fill(image)
        return self._stacked(observation), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        for key, stack in self._stacks.items():
            image = entry_of(observation, key)
            with naming(key):
                stack.append(image)
        return self._stacked(observation), reward, terminated, truncated, info

    def _stacked(self, observation: Any) -> Any:
        if None in self._stacks:
            return self._stacks[None].stacked()
        for key, shape in self._vectors.items():
            check_vector(key, entry_of(observation, key), shape)
        return {**observation, **{key: stack.stacked() for key, stack in self._stacks.items()}}


def with_channels_first(env: gym.Env) -> gym.Env:
    """
    Put the channels of images first, as Stable-Baselines3 needs them beside others that have them first.

    :param env: Environment whose observations are anything but a Dict
    :return: The environment, wrapped if the observations are images: of stacks with an axis of their own, all frames stay
    """
    n = _n_of_its_own(env.observation_space)
    return env if n is None else FrameStack(env, n)


class _Stack:
    """The last n frames of one image"""

    def __init__(self, space: spaces.Space, n: int) -> None:
        frames = _space_of_frames(space, n)
        self.n = n
        self._shape = space.shape or ()
        self._has_own_axis = frames is not space
        self._channels_are_first = len(frames.shape) == 3 and has_channels_first(frames.shape)
        self._frames: deque[np.ndarray] = deque(maxlen=n)
        low, high = (np.concatenate([self._channels_first(end)] * n) for end in (frames.low, frames.high))
        check_channels_are_fewest(*low.shape)
        self.space = spaces.Box(low, high, dtype=np.uint8)

    def fill(self, image: Any) -> None:
        """Start an episode with its first observation."""
        self._frames.clear()
        self.append(image)
        self._frames.extendleft([self._frames[0]] * (self.n - len(self._frames)))

    def append(self, image: Any) -> None:
        image = check_image(image, self._shape)
        self._frames.extend(map(self._channels_first, image if self._has_own_axis else [image]))

    def stacked(self) -> np.ndarray:
        """(n·C, H, W)"""
        return np.concatenate(self._frames)

    def _channels_first(self, frame: np.ndarray) -> np.ndarray:
        """Returns a copy, since an environment may draw the next frame into the same memory"""
        if frame.ndim == 2:
            frame = frame[None]
        elif not self._channels_are_first:
            frame = frame.transpose(2, 0, 1)
        return np.array(frame)


def _space_with(space: spaces.Space, stacks: Mapping[Any, _Stack]) -> spaces.Space:
    if not isinstance(space, spaces.Dict):
        return stacks[None].space
    return spaces.Dict([(key, stacks[key].space if key in stacks else part) for key, part in space.items()])


def _numbers_of_frames(space: spaces.Dict, n: int | Mapping[str, int]) -> dict[Any, int]:
    """By key of every image, how many frames to stack"""
    of_their_own = {key: number for key, part in space.items() if (number := _n_of_its_own(part)) is not None}
    if isinstance(n, Mapping):
        unknown = ", ".join(repr(key) for key in n if key not in space.spaces)
        if unknown:
            raise ValueError(
                f"n of FrameStack names {unknown}, but the observations have {', '.join(map(repr, sorted(space)))}."
            )
        numbers = {**of_their_own, **n}
    else:
        numbers = dict.fromkeys(of_their_own, n)
    if not numbers:
        raise ValueError(f"FrameStack stacks uint8 images, and {space} has none: {_how_to_get_images(space)}.")
    return numbers


def _how_to_get_images(space: spaces.Dict) -> str:
    nested = [repr(key) for key, part in space.items() if isinstance(part, (spaces.Dict, spaces.Tuple))]
    if nested:
        return f"what is nested in {', '.join(nested)} needs keys of its own, with Gymnasium's TransformObservation"
    return "convert images to uint8 from 0 to 255 with Gymnasium's TransformObservation"


def _n_of_its_own(space: spaces.Space) -> int | None:
    """Number of frames in one observation of an image; None: it is no image of bytes"""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8:
        return None
    frames = _one_of_own_axis(space)
    is_image_or_meant_so = is_image(frames) or is_nearly_image(space)
    n_frames = space.shape[0] if frames is not space else 1
    return n_frames if is_image_or_meant_so else None


def _check_not_stacked(env: gym.Env, n_of: Mapping[Any, int]) -> None:
    below = {key: find_stack(env, key) for key, n in n_of.items() if n != 1}
    stacked = {key: stack for key, stack in below.items() if stack is not None and stack.n > 1}
    for key, stack in stacked.items():
        others = {key: n for key, n in n_of.items() if key not in stacked}
        cure = f"pass n={others!r}" if others else f"leave this FrameStack out, or pass {stack.argument}=1 there"
        with naming(key):
            raise ValueError(f"FrameStack would stack the stacks of {stack.n} frames of {stack.maker} below: {cure}.")


def _stacks_of(space: spaces.Space, n_of: Mapping[Any, int]) -> dict[Any, _Stack]:
    stacks = {}
    for key, n in n_of.items():
        with naming(key):
            stacks[key] = _Stack(space[key] if isinstance(space, spaces.Dict) else space, whole_number("n", n, at_least=1))
    return stacks


def _one_of_own_axis(space: spaces.Box) -> spaces.Box:
    """The space of one frame of stacks with an axis of their own; of others, the space itself"""
    return spaces.Box(space.low[-1], space.high[-1], dtype=space.low.dtype.type) if len(space.shape) == 4 else space


def _space_of_frames(space: spaces.Space, n: int) -> spaces.Box:
    """The space of one frame, where an observation is a frame or a stack of frames"""
    if isinstance(space, spaces.Box) and len(space.shape) == 4:
        if 1 < space.shape[0] < n:
            raise ValueError(
                f"FrameStack cannot take n={n} frames from stacks of {space.shape[0]}: lower n, or, if the first axis is that "
                "of several cameras, give each a key of its own."
            )
        space = _one_of_own_axis(space)
    is_frame = isinstance(space, spaces.Box) and len(space.shape) in (2, 3) and space.dtype == np.uint8
    if not is_frame:
        if isinstance(space, spaces.Box) and len(space.shape) == 2:
            space = spaces.Box(space.low[None], space.high[None], dtype=space.low.dtype.type)
        raise ValueError(why_no_stack(space))
    assert isinstance(space, spaces.Box)
    return space
