"""
Checks of single arguments: each returns the value as Python's own type, or raises a ValueError that names the argument.
``keywords`` lists the arguments of a class.
"""

import inspect
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

_Choice = TypeVar("_Choice")


def whole_number(name: str, value: Any, at_least: int, at_most: int | None = None) -> int:
    """
    Check a count, a size or an interval. NumPy's integers are whole numbers; floats and booleans are not.

    :param name: Name of the argument
    :param value: Its value
    :param at_least: The smallest allowed
    :param at_most: The largest allowed; None: no limit
    :return: The value as an int
    :raises ValueError: if it is no whole number or out of range
    """
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        is_whole = isinstance(value, (float, np.floating)) and value.is_integer()
        cure = f": write {int(value)}" if is_whole else ""
        raise ValueError(f"{name} must be a whole number, got {value!r}{cure}.")
    if value < at_least or (at_most is not None and value > at_most):
        limits = f"at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        raise ValueError(f"{name} must be {limits}, got {value}.")
    return int(value)


def number(
    name: str, value: Any, above: float | None = None, at_least: float | None = None, at_most: float | None = None
) -> float:
    """
    Check a quantity.

    :param name: Name of the argument
    :param value: Its value
    :param above: It must be greater than this; None: no limit
    :param at_least: The smallest allowed; None: no limit
    :param at_most: The largest allowed; None: no limit
    :return: The value as a float
    :raises ValueError: if it is no finite number or out of range
    """
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}.")
    limits = [f"greater than {above}"] if above is not None else []
    limits += [f"at least {at_least}"] if at_least is not None else []
    limits += [f"at most {at_most}"] if at_most is not None else []
    is_too_low = (above is not None and value <= above) or (at_least is not None and value < at_least)
    if is_too_low or (at_most is not None and value > at_most):
        raise ValueError(f"{name} must be {' and '.join(limits)}, got {value}.")
    return float(value)


def flag(name: str, value: Any) -> bool:
    """
    Check a switch.

    :param name: Name of the argument
    :param value: Its value
    :return: The value as a bool
    :raises ValueError: if it is neither True nor False
    """
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def one_of(name: str, value: _Choice, choices: Sequence[_Choice]) -> _Choice:
    """
    Check a choice.

    :param name: Name of the argument
    :param value: Its value
    :param choices: All allowed values
    :return: The value
    :raises ValueError: if it is none of them
    """
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{name} must be {either([repr(choice) for choice in choices])}, got {value!r}.")
    return value


def keywords(cls: type) -> set[str]:
    """
    List the arguments of a class and of its base classes, to which it may pass on what it does not know.

    :param cls: The class
    :return: Their names
    """
    return {name for each in cls.__mro__[:-1] for name in inspect.signature(each.__init__).parameters}  # type: ignore[misc]


def either(words: Sequence[str]) -> str:
    """
    List alternatives.

    :param words: At least one
    :return: ``"a, b or c"``
    """
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
