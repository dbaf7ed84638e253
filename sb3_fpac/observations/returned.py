"""Whether an environment returns what its space says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces


def entry_of(observation: Any, key: str | None) -> Any:
    """
    Select one entry of an observation.

    :param observation: What an environment returned
    :param key: Key of a Dict observation; None: the observation is no Dict
    :return: The entry; without a key, the observation
    :raises ValueError: if the environment returned no dict, or one without the key
    """
    if key is None:
        return observation
    if not isinstance(observation, Mapping):
        raise ValueError(
            f"The space of the observations is a Dict, but the environment returned {_kind_of(observation)}: return a dict "
            "from every reset and step, also from the last step of an episode."
        )
    if key not in observation:
        raise ValueError(
            f"The environment returned an observation without {key!r}, which its space has: return all keys from every reset "
            "and step, also from the last step of an episode."
        )
    return observation[key]


def check_image(image: Any, shape: tuple[int, ...]) -> np.ndarray:
    """
    Check that an image is what its space says.

    :param image: What an environment returned for a uint8 space
    :param shape: Shape of the space
    :return: The image, as an array
    :raises ValueError: if it is of another type or shape
    """
    array = check_is_bytes(image)
    if array.shape != shape:
        raise ValueError(
            f"The space of the images has the shape {shape}, but the environment returned {array.shape}: give the space the "
            "shape of the frames, or resize them, for example with Gymnasium's ResizeObservation."
        )
    return array


def check_is_bytes(image: Any) -> np.ndarray:
    """
    Check that an image is of the type that its space says.

    :param image: What an environment returned for a uint8 space
    :return: The image, as an array
    :raises ValueError: if it is of another type
    """
    if image is None or _is_tensor(image):
        raise ValueError(
            f"The space of the images is uint8, but the environment returned {_kind_of(image)}: return NumPy arrays of uint8 "
            "from 0 to 255."
        )
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise ValueError(
            f"The space of the images is uint8, but the environment returned {array.dtype}{range_of(array)}: return uint8 "
            "from 0 to 255."
        )
    return array


def check_vector(key: str | None, vector: Any, shape: tuple[int, ...]) -> None:
    """
    Check that a vector has the shape of its space. NumPy would stretch a shorter one without a word.

    :param key: Its key; None: the observation is no Dict
    :param vector: What an environment returned
    :param shape: Shape of the space
    :raises ValueError: if it has another shape
    """
    if np.shape(vector) != shape:
        got = "None" if vector is None else np.shape(vector)
        raise ValueError(
            f"The space of {'the observations' if key is None else repr(key)} has the shape {shape}, but the environment "
            f"returned {got}: return the shape of the space, or correct the space."
        )


def problem_of_values(vector: Any, space: spaces.Space) -> str | None:
    """
    Say which values of a vector networks cannot take. They would make a loss of NaN, or an error of PyTorch, at some update.

    :param vector: What environments returned, of one or of several
    :param space: Its space
    :return: ``"2 of 4 values that are not finite"``; None if there are none
    """
    array = np.asarray(vector)
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)):
        n_values = space.n if isinstance(space, spaces.Discrete) else space.nvec
        return None if ((array >= 0) & (array < n_values)).all() else f"{array.tolist()}, which {space} does not contain"
    if not np.issubdtype(array.dtype, np.floating):
        return None
    with np.errstate(over="ignore"):
        n_finite, n_finite_in_networks = (np.isfinite(each).sum() for each in (array, array.astype(np.float32)))
    if n_finite < array.size:
        return f"{array.size - n_finite} of {array.size} values that are not finite"
    return None if n_finite_in_networks == array.size else f"values up to {np.abs(array).max():g}, which float32 cannot hold"


def reward_of(reward: Any) -> float:
    """
    Check that a reward is one number.

    :param reward: What an environment returned
    :return: The reward as a float
    :raises ValueError: if it is a vector, as multi-objective environments have it, or no number
    """
    try:
        return float(reward)
    except (TypeError, ValueError) as error:  # NumPy's and Python's own
        got = f"an array of shape {np.shape(reward)}" if np.ndim(reward) else _kind_of(reward)
        raise ValueError(
            f"A reward is one number, but the environment returned {got}: return a number, or weigh the numbers of an array, "
            "with Gymnasium's TransformReward."
        ) from error


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach")  # of PyTorch, without loading it


def _kind_of(value: Any) -> str:
    if value is None:
        return "None"
    return f"a tensor of {value.dtype}" if _is_tensor(value) else type(value).__name__


def range_of(image: np.ndarray) -> str:
    """
    Write the range of an image, for errors about its type.

    :param image: Any array
    :return: ``" from 0 to 1"``; empty if there are no numbers
    """
    is_numbers = np.issubdtype(image.dtype, np.number) and image.size
    return f" from {image.min():g} to {image.max():g}" if is_numbers else f" ({image})" if image.ndim == 0 else ""
