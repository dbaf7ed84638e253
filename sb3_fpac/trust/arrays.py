"""
NumPy's part of pickles. Its own functions trust their arguments: some call what they are given, and a type of elements with
made-up flags turns bytes into pointers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np


def _reduced(value: Any, protocol: int = 4) -> Any:
    return value.__reduce_ex__(protocol)


_RECONSTRUCT, _EMPTY, _ = _reduced(np.zeros(1))
_FROM_BUFFER = _reduced(np.zeros(1), protocol=5)[0]
_SCALAR = _reduced(np.float64(0))[0]
_SEED_SEQUENCE = _reduced(np.random.SeedSequence(0))[0]


def _array(*arguments: Any) -> Any:
    """An empty array, which gets its content afterwards"""
    if arguments != _EMPTY:
        raise ValueError("an array is made in a way that NumPy does not write")
    return _RECONSTRUCT(*_EMPTY)


def _array_of_bytes(content: Any, *arguments: Any) -> Any:
    if not isinstance(content, (bytes, bytearray)):
        raise ValueError(f"an array is made of {type(content).__name__} instead of bytes")
    return _FROM_BUFFER(content, *arguments)


def _scalar(dtype: Any, content: Any) -> Any:
    if not isinstance(dtype, np.dtype) or dtype.hasobject or not isinstance(content, bytes):
        raise ValueError("a number is made of something other than bytes")
    return _SCALAR(dtype, content)


def _dtype(name: Any, *_: Any) -> Any:
    """A copy, whose state can be set without changing that of all others"""
    if not isinstance(name, str):
        raise ValueError(f"a dtype is made of {type(name).__name__} instead of its name")
    return np.dtype(name, align=False, copy=True)


def _bit_generator(kind: Any) -> Any:
    if kind is not np.random.PCG64 and kind != "PCG64":
        raise ValueError(f"a random generator is made of {kind}: PCG64 is known")
    return np.random.PCG64()


def _generator(kind: Any, make: Any = _bit_generator) -> Any:
    if make is not _bit_generator:
        raise ValueError("a random generator is made in a way that NumPy does not write")
    return np.random.Generator(kind if isinstance(kind, np.random.PCG64) else _bit_generator(kind))


def _seed_sequence(kind: Any, *arguments: Any) -> Any:
    if kind is not np.random.SeedSequence:
        raise ValueError("a random seed is made in a way that NumPy does not write")
    return _SEED_SEQUENCE(kind, *arguments)


FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): _dtype,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy._core.numeric", "_frombuffer"): _array_of_bytes,
    ("numpy.random._pickle", "__bit_generator_ctor"): _bit_generator,
    ("numpy.random._pickle", "__generator_ctor"): _generator,
    ("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"): _seed_sequence,
}
"""What takes the place of NumPy's functions, by module and name"""

CLASSES: tuple[type, ...] = (np.random.Generator, np.random.PCG64, np.random.SeedSequence)
"""What gets a state after one of these functions has made it, beside arrays and dtypes"""


def check_state(made: np.ndarray | np.dtype, state: Any) -> None:
    """
    Check the state of an array or dtype before it is set.

    :param made: What has just been made
    :param state: What the pickle says of it
    :raises ValueError: if NumPy would not write this
    """
    if isinstance(made, np.ndarray):
        if made.size:  # others may share its memory, which a new state would free
            raise ValueError("an array is filled twice")
        return
    _, order, subarray, names, fields, size, *_ = state
    if subarray is not None:
        as_written = np.dtype(subarray)
    elif names is not None:
        formats, offsets = zip(*(fields[name][:2] for name in names), strict=True)
        as_written = np.dtype(dict(names=list(names), formats=list(formats), offsets=list(offsets), itemsize=size))
    else:
        as_written = made.newbyteorder(order)
    is_like = type(as_written) is type(made) and as_written.itemsize == made.itemsize
    holds_objects = as_written.hasobject and (names is not None or subarray is not None)
    if not is_like or holds_objects or as_written.__reduce__()[2] != state:
        raise ValueError(f"the dtype {made} has a state that NumPy does not write")
