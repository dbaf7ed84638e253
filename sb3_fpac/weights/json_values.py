"""Arguments of agents as JSON, with the classes and spaces that they may contain."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from torch import nn

from sb3_fpac.features import FeaturePointCombinedExtractor, FeaturePointExtractor, PixelExtractor
from sb3_fpac.policies.policies import FPACPolicy, FPACTQCPolicy

CLASSES: dict[str, type] = {
    each.__name__: each
    for each in (
        *(FeaturePointExtractor, FeaturePointCombinedExtractor, PixelExtractor, FPACPolicy, FPACTQCPolicy),
        *(nn.SiLU, nn.ReLU, nn.Tanh, nn.ELU, nn.GELU, nn.LeakyReLU),
        *(th.optim.Adam, th.optim.AdamW, th.optim.Adamax, th.optim.NAdam, th.optim.RAdam, th.optim.SGD, th.optim.RMSprop),
        RMSpropTFLike,  # A2C's
    )
}
"""All classes that a file can name"""
_SPACES = {each.__name__: each for each in (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)}


def encode(value: Any, name: str) -> Any:
    """
    Write a value as JSON. A value that JSON lacks becomes a dict, whose only key names its type.

    :param value: Numbers, texts, lists, tuples, dicts, spaces, and the classes of :data:`CLASSES`
    :param name: What it is, for the error
    :return: The value for ``json.dumps``
    :raises ValueError: if it is anything else
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.integer, np.floating, np.bool_)):
        return value.item()
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [encode(part, name) for part in value]}
    if isinstance(value, Mapping) and not isinstance(value, spaces.Space):
        return {"dict": {str(key): encode(part, f"{name}[{key!r}]") for key, part in value.items()}}
    if isinstance(value, type) and CLASSES.get(value.__name__) is value:
        return {"class": value.__name__}
    if isinstance(value, spaces.Dict):
        return {"Dict": {key: encode(part, name) for key, part in value.items()}}
    if type(value).__name__ in _SPACES:
        return {type(value).__name__: _encoded_space(value)}
    hint = " It is code, which such a file does not contain: use model.save." if callable(value) else ""
    raise ValueError(f"{name} is {value!r}, which cannot be stored as data.{hint}")


def _encoded_space(space: Any) -> dict[str, Any]:
    if isinstance(space, spaces.Box):
        bounds = {name: [str(bound) for bound in np.asarray(getattr(space, name)).ravel()] for name in ("low", "high")}
        bounds = {name: values[:1] if len(set(values)) == 1 else values for name, values in bounds.items()}
        return dict(shape=list(space.shape), dtype=str(space.dtype), **bounds)
    if isinstance(space, spaces.Discrete):
        return dict(n=int(space.n), start=int(space.start))
    return dict(nvec=np.asarray(space.nvec).tolist()) if isinstance(space, spaces.MultiDiscrete) else dict(n=space.n)


def decode(value: Any, path: str | Path) -> Any:
    """
    Invert :func:`encode`.

    :param value: As ``json.loads`` returns it
    :param path: Where it is from, for the error
    :return: The value
    :raises ValueError: if it is nothing that :func:`encode` writes, or names another class
    """
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError(f"{path} is damaged: {value} is nothing that save_weights writes.")
    ((kind, content),) = value.items()
    if kind in ("list", "tuple"):
        return (list if kind == "list" else tuple)(decode(part, path) for part in content)
    if kind in ("dict", "Dict"):
        parts = {key: decode(part, path) for key, part in content.items()}
        return parts if kind == "dict" else spaces.Dict(list(parts.items()))
    if kind == "class" and content in CLASSES:
        return CLASSES[content]
    if kind == "Box":
        dtype = np.dtype(content["dtype"])
        parse: Any = {"b": "True".__eq__, "i": int, "u": int}.get(dtype.kind, float)
        low, high = (np.array([parse(bound) for bound in content[name]], dtype) for name in ("low", "high"))
        shape = tuple(content["shape"])
        low, high = (bound.reshape(shape) if bound.size > 1 else np.full(shape, bound[0]) for bound in (low, high))
        return spaces.Box(low, high, shape, dtype)
    if kind in _SPACES:
        return _SPACES[kind](**content)
    raise ValueError(f"{path} names {kind} {content!r}, which is not on the list of what it may contain.")
