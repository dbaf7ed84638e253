"""What the keys of Dict observations are taken for, and options that belong to one of them."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from keyword import iskeyword
from typing import Any

import numpy as np
from gymnasium import spaces

from sb3_fpac.observations.layout import why_no_stack

VECTORS = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
"""Spaces that Stable-Baselines3 takes in a Dict"""

_SMALLEST_IMAGE_SIDE = 12
_SMALLEST_SIDE_OF_FLOATS = 32  # of two axes, which may be a table of numbers


def split_keys(space: spaces.Space, normalized: bool = False) -> tuple[dict[str, spaces.Box], dict[str, spaces.Space]]:
    """
    Split a Dict space into images and vectors, each in alphabetical order of the keys.

    :param space: Dict
    :param normalized: Whether floats, and values from 0 to 1, are accepted as images
    :return: The stacks of images, and everything else: Box, Discrete, MultiDiscrete or MultiBinary
    :raises ValueError: if the space is no Dict, has no image, or a key cannot be used; the message names the key
    """
    from stable_baselines3.common.preprocessing import is_image_space  # here, so that environments do not load PyTorch

    if not isinstance(space, spaces.Dict):
        raise ValueError(
            f"FeaturePointCombinedExtractor needs a Dict observation space, got {space}: use FeaturePointExtractor for a "
            "single image."
        )
    images: dict[str, spaces.Box] = {}
    vectors: dict[str, spaces.Space] = {}
    problems: list[str] = []
    for key in sorted(space, key=str):
        part = space[key]
        _check_name(key)
        if isinstance(part, spaces.Box) and is_image_space(part, normalized_image=normalized):
            images[key] = part
            continue
        if not isinstance(part, VECTORS):
            raise ValueError(
                f"Observations contain images and vectors, but {key!r} is {part}: flatten it or leave it out, with "
                "Gymnasium's TransformObservation or FilterObservation."
            )
        problems.append(_why_no_image(key, part, normalized))
        vectors[key] = part
    if not images:
        meant = any(isinstance(part, spaces.Box) and is_nearly_image(part) for part in vectors.values())
        cure = "Add what the environment draws, with AddPixels, or learn from vectors alone, with SAC('MultiInputPolicy', …)."
        raise ValueError(f"No key of the observation space holds an image. {' '.join([*problems, *[cure] * (not meant)])}")
    for key, part in vectors.items():
        if np.any(getattr(part, "start", 0)):
            raise ValueError(f"{key!r} is {part}, but SB3 counts from 0: subtract it, with Gymnasium's TransformObservation.")
        if isinstance(part, spaces.MultiDiscrete) and part.nvec.ndim != 1:
            raise ValueError(f"{key!r} is {part}, but SB3 takes one axis: flatten it, with Gymnasium's TransformObservation.")
        if part.shape == () and not isinstance(part, spaces.Discrete):
            raise ValueError(
                f"{key!r} is {part}, a single number: make it a vector of shape (1,), with Gymnasium's TransformObservation."
            )
        if part.shape is not None and 0 in part.shape:
            raise ValueError(f"{key!r} is {part}, which is empty: leave it out, with Gymnasium's FilterObservation.")
        if isinstance(part, spaces.Box) and is_nearly_image(part):
            raise ValueError(_why_no_image(key, part, normalized))
    return images, vectors


def _why_no_image(key: str, part: spaces.Space, normalized: bool) -> str:
    if isinstance(part, spaces.Box) and len(part.shape) < 2:
        return f"{key!r} is a vector of shape {part.shape}."
    if not isinstance(part, spaces.Box) or not is_nearly_image(part):
        return f"{key!r}: {why_no_stack(part, normalized)}"
    if part.dtype == np.uint8 and len(part.shape) != 3:
        return f"{key!r}: {why_no_stack(part)} If it is no image, flatten it with Gymnasium's TransformObservation."
    return (
        f"{key!r} looks like an image, but images are expected as uint8 from 0 to 255 with the axes channels, height and "
        f"width, got {part.dtype} from {part.low.min():g} to {part.high.max():g} of shape {part.shape}: convert it, or "
        "flatten it if it is no image, with Gymnasium's TransformObservation."
    )


def options_of(key: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """
    Select the options of one image.

    :param key: Key of the image
    :param options: Values for all images, or dicts by key
    :return: The values for this image, without those whose dict lacks the key
    """
    return {
        name: value[key] if isinstance(value, Mapping) else value
        for name, value in options.items()
        if not isinstance(value, Mapping) or key in value
    }


def check_options(options: Mapping[str, Any], images: Iterable[str]) -> None:
    """
    Check that options by key name images.

    :param options: Values for all images, or dicts by key
    :param images: Keys of the images
    :raises ValueError: if a dict has another key
    """
    images = list(images)
    for name, value in options.items():
        for key in value if isinstance(value, Mapping) else ():
            if not images:
                raise ValueError(f"{name} is a dict by key, but the observation is a single image: pass one value.")
            if key not in images:
                raise ValueError(f"{name} has the key {key!r}, but the images are {', '.join(map(repr, images))}.")


def write_option(key: str | None, name: str, value: Any) -> str:
    """
    Write an option of one image as a keyword argument, for texts.

    >>> write_option(None, "frame_channels", 1), write_option("depth", "frame_channels", 1)
    ('frame_channels=1', 'frame_channels=dict(depth=1)')

    :param key: Key of the image; None: the image has none
    :param name: Name of the option
    :param value: Its value
    :return: Python code; for an image with a key, the option is a dict by key
    """
    if key is None:
        return f"{name}={value!r}"
    is_name = key.isidentifier() and not iskeyword(key)
    by_key = f"dict({key}={value!r})" if is_name else repr({key: value})
    return f"{name}={by_key}"


@contextmanager
def naming(key: str | None, hint: str = "") -> Iterator[None]:
    """
    Let errors about an image name its key.

    :param key: Key of the image; None: the image has none
    :param hint: A sentence for the end of the errors
    :raises ValueError: in place of one without the key
    """
    try:
        yield
    except ValueError as error:
        if key is None:
            raise
        raise ValueError(" ".join(filter(None, [f"Image {key!r}: {error}", hint]))) from error


@contextmanager
def naming_warnings(key: str | None) -> Iterator[None]:
    """
    Let warnings about an image name its key. Python then forgets which warnings it has shown, so this is not for every step.

    :param key: Key of the image; None: the image has none
    """
    if key is None:
        yield
        return
    with warnings.catch_warnings(record=True) as caught:
        yield
    for each in caught:
        warnings.warn(f"Image {key!r}: {each.message}", each.category, stacklevel=4)


def check_keys(observation: Mapping[str, Any], space: spaces.Dict) -> None:
    """
    Check that an observation has the keys of its space.

    :param observation: Observation
    :param space: Its space
    :raises ValueError: if a key is missing or left over
    """
    missing, extra = sorted(set(space) - set(observation)), sorted(set(observation) - set(space))
    if missing or extra:
        problems = [f"lacks {', '.join(map(repr, missing))}"] * bool(missing)
        problems += [f"has {', '.join(map(repr, extra))}, which the space lacks"] * bool(extra)
        raise ValueError(f"An observation {' and '.join(problems)}: it must have the keys {', '.join(map(repr, space))}.")


def is_nearly_image(space: spaces.Box) -> bool:
    """
    Guess whether a Box that is no stack of images was meant to be one, rather than a vector of some shape.

    :param space: Box that is no image of uint8 from 0 to 255
    :return: True if two axes are as long as the sides of an image
    """
    sides = sorted(space.shape)[-2:]
    is_table = len(space.shape) == 2 and space.dtype != np.uint8
    smallest = _SMALLEST_SIDE_OF_FLOATS if is_table else _SMALLEST_IMAGE_SIDE
    return len(space.shape) in (2, 3, 4) and sides[0] >= smallest


def _check_name(key: Any) -> None:
    from torch import nn

    if not isinstance(key, str) or not key:
        problem = "it must be text"
    elif "." in key:
        problem = "it has a dot"
    elif hasattr(nn.ModuleDict(), key):
        problem = "PyTorch uses this name itself"
    else:
        return
    raise ValueError(
        f"PyTorch cannot name a network after the key {key!r}, because {problem}: rename the key, for example with "
        "Gymnasium's TransformObservation."
    )
