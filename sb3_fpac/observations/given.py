"""Whether an agent that acts is given what it was trained with."""

import math
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_fpac.observations.keys import check_keys, naming
from sb3_fpac.observations.returned import problem_of_values, range_of


def check_given(observation: Any, space: spaces.Space) -> None:
    """
    Check an observation before an agent acts on it. A network would take most wrong ones without a word.

    :param observation: Of one or of several environments, with the channels of images first or last
    :param space: Space of the agent, with the channels of images first
    :raises ValueError: if it is a tuple, such as what ``reset`` of Gymnasium returns, a dict and the agent needs none, or the
        other way round, a key is missing or left over, an image is not uint8 or has another shape, such as that of a single
        frame in place of a stack, a vector has another shape or values that networks cannot take, or keys have different
        numbers of observations
    """
    if isinstance(observation, tuple):
        raise ValueError(
            f"The agent acts on an observation, got a tuple of {len(observation)}: reset and step of a Gymnasium environment "
            "return more than the observation. Unpack it, as in observation, info = env.reset()."
        )
    if observation is None or isinstance(observation, dict) != isinstance(space, spaces.Dict):
        expected = (
            f"a dict of {', '.join(map(repr, space))}"
            if isinstance(space, spaces.Dict)
            else f"an array of shape {space.shape}"
        )
        got = type(observation).__name__
        raise ValueError(f"The agent was trained with {expected}, got {got}: pass what the environment returned.")
    if not isinstance(space, spaces.Dict):
        _check_part(None, observation, space)
        return
    check_keys(observation, space)
    arrays = {key: _check_part(key, observation[key], part) for key, part in space.items()}
    sizes = {key: math.prod(part.shape or ()) for key, part in space.items()}
    numbers = {key: arrays[key].size // size for key, size in sizes.items() if size}
    if len(set(numbers.values())) > 1:
        raise ValueError(f"Observations must have the same number for every key, got {numbers}.")


def _check_part(key: str | None, given: Any, space: spaces.Space) -> np.ndarray:
    array, shape = np.asarray(given), space.shape or ()
    if len(shape) == 3 and space.dtype == np.uint8:
        with naming(key):
            _check_image(array, shape)
        return array
    name = "an observation" if key is None else repr(key)
    if isinstance(space, spaces.Box) and array.shape[max(array.ndim - len(shape), 0) :] != shape:
        raise ValueError(f"The agent was trained with {name} of shape {shape}, got {array.shape}.")
    problem = problem_of_values(array, space)
    if problem is not None:
        raise ValueError(f"The agent cannot act on {name} with {problem}.")
    return array


def _check_image(image: np.ndarray, shape: tuple[int, ...]) -> None:
    channels, height, width = shape
    if image.shape[-3:] not in (shape, (height, width, channels)):
        raise ValueError(
            f"The agent was trained with images of shape {shape}, got {image.shape}: wrap this environment as that of the "
            "training, with the same FrameStack and image size."
        )
    if image.dtype != np.uint8:
        raise ValueError(
            f"The agent was trained with images of uint8 from 0 to 255, got {image.dtype}{range_of(image)}: pass them as the "
            "environment returned them."
        )
