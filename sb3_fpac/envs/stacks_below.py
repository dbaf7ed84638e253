"""Which wrapper has stacked frames already."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import gymnasium as gym
from gymnasium import spaces

from sb3_fpac.envs.gathering import Entry, Gathered, NamesItselfOnly


class StackBelow(NamedTuple):
    """A wrapper that stacks the frames of an image"""

    maker: str
    """What to call it: the wrapper that the user has written, or the id"""
    n: int
    """Number of frames"""

    @property
    def argument(self) -> str:
        """The argument of the maker that sets the number"""
        return "n" if self.maker == "FrameStack" else "frame_stack"


@runtime_checkable
class StacksFrames(Protocol):
    """A wrapper that stacks frames"""

    def n_frames_of(self, key: str | None) -> int | None:
        """
        Number of frames that this wrapper stacks.

        :param key: Key of the image; None: the observations are no Dict
        :return: None if it leaves the entry as it is
        """


def find_stack(env: gym.Env, key: str | None) -> StackBelow | None:
    """
    Find the wrapper that stacks the frames of an image. Wrappers above it must have left its shape as it is, but for the
    header plane of CameraShift.

    :param env: Environment, with this wrapper
    :param key: Key of the image; None: the observations are no Dict
    :return: The first that stacks more than one frame, or else the first that stacks a single one; None: there is none
    """
    maker, single = "", None
    while isinstance(env, gym.Wrapper):
        if not maker and isinstance(env, NamesItselfOnly):
            maker = type(env).__name__
        elif not maker and isinstance(env, gym.wrappers.OrderEnforcing) and env.spec is not None:
            maker = env.spec.id  # gym.make puts this wrapper around what the id stands for
        n = env.n_frames_of(key) if isinstance(env, StacksFrames) else None
        if n is not None:
            found = StackBelow(maker or type(env).__name__, n)
            if n > 1:
                return found
            single = single or found
        below: tuple[gym.Env, Any] = (env.env, env.key if isinstance(env, Entry) else key)
        if isinstance(env, Gathered):
            below = env.ways[key], None  # type: ignore[index]
        if not _is_same_image(_space_of(*below), _space_of(env, key)):
            return single
        env, key = below
    return single


def _space_of(env: gym.Env, key: str | None) -> spaces.Space | None:
    space = env.observation_space
    if key is None:
        return space
    return space.spaces.get(key) if isinstance(space, spaces.Dict) else None


def _is_same_image(below: spaces.Space | None, above: spaces.Space | None) -> bool:
    is_image = all(isinstance(space, spaces.Box) and len(space.shape) == 3 for space in (below, above))
    if not is_image:
        return False
    (n_below, *size_below), (n_above, *size_above) = below.shape, above.shape  # type: ignore[union-attr, misc]
    return n_above - n_below in (0, 1) and size_above == size_below
