"""Several observations of one environment, gathered under the keys of a Dict."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, SupportsFloat

import gymnasium as gym
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, WrapperSpec
from gymnasium.utils import RecordConstructorArgs

from sb3_fpac.arguments import either
from sb3_fpac.observations import entry_of

PIXELS = "pixels"
"""Key of the images of the only camera"""

STATE = "state"
"""Key of a vector beside images"""


class Gathered(gym.Wrapper):
    """
    Observes one environment in several ways. Each way is a stack of wrappers with a key of its own. They share the
    environment's steps: it is reset and stepped once, and every way then observes the same state.

    :param env: Any environment
    :param ways: By key, a function that wraps what stands for the environment, such as ``lambda env: FrameStack(env, n=2)``
    """

    def __init__(self, env: gym.Env, ways: Mapping[str, Callable[[gym.Env], gym.Env]]) -> None:
        gym.Wrapper.__init__(self, env)
        self._moment = _Moment(env)
        self.ways = {key: way(self._moment) for key, way in ways.items()}
        self.observation_space = spaces.Dict({key: way.observation_space for key, way in self.ways.items()})

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._moment.observation = observation
        self._prepare()
        return {key: way.reset()[0] for key, way in self.ways.items()}, info

    def step(self, action: Any) -> tuple[dict[str, Any], SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._moment.observation = observation
        self._prepare()
        return {key: way.step(action)[0] for key, way in self.ways.items()}, reward, terminated, truncated, info

    def _prepare(self) -> None:
        """Is called before the observations of every reset and step"""


class _Moment(gym.Wrapper):
    """Stands for an environment at one moment: reset and step return the observation that is there and change nothing"""

    observation: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return self.observation, {}

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        return self.observation, 0.0, False, False, {}


class Entry(gym.ObservationWrapper):
    """
    Observes one entry of a Dict.

    :param env: Environment
    :param key: Key of the entry; None: its observations are no Dict
    """

    def __init__(self, env: gym.Env, key: str | None) -> None:
        super().__init__(env)
        self.key = key
        self.observation_space = env.observation_space if key is None else env.observation_space[key]  # type: ignore[index]

    def observation(self, observation: Any) -> Any:
        return entry_of(observation, self.key)


class NamesItselfOnly(gym.Wrapper, RecordConstructorArgs):
    """
    A wrapper that consists of others. Its spec names it and not the others, so that ``gym.make(env.spec)`` wraps once. It
    calls ``RecordConstructorArgs.__init__`` itself.

    :param env: The environment within the others
    :param consists_of: The others, around the environment
    """

    def __init__(self, env: gym.Env, consists_of: gym.Env) -> None:
        gym.Wrapper.__init__(self, consists_of)
        self._wrapped = env

    @property
    def spec(self) -> EnvSpec | None:  # type: ignore[override]
        """Of the environment, with this wrapper and its arguments"""
        spec = self._wrapped.spec
        if spec is None:
            return None
        wrapper = WrapperSpec(type(self).__name__, f"{type(self).__module__}:{type(self).__name__}", self._saved_kwargs)
        return replace(spec, additional_wrappers=(*spec.additional_wrappers, wrapper))


def by_key(name: str, value: Any, keys: Iterable[str]) -> dict[str, Any]:
    """
    Distribute an argument that is one value for all keys, or a dict by key.

    :param name: Name of the argument
    :param value: One value, or a dict with a value for every key
    :param keys: All keys
    :return: The value of every key
    :raises ValueError: if the dict lacks a key or has another
    """
    keys = list(keys)
    if not isinstance(value, Mapping):
        return dict.fromkeys(keys, value)
    if set(value) != set(keys):
        raise ValueError(
            f"{name} must be one value or a dict with the keys {', '.join(map(repr, keys))}, got the keys "
            f"{', '.join(map(repr, value))}."
        )
    return {key: value[key] for key in keys}


def check_distinct(name: str, keys: Sequence[str], others: Iterable[str]) -> None:
    """
    Check that keys of images differ from the other keys.

    :param name: Name of the argument that gave the keys
    :param keys: Keys of the images
    :param others: The other keys
    :raises ValueError: if one is both
    """
    both = [repr(key) for key in keys if key in set(others)]
    if both:
        raise ValueError(
            f"{name} has the key {either(both)}, which is a key of the other observations too: rename the camera's key, or "
            "choose which of the others to keep."
        )
