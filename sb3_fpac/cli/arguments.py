"""Types of arguments, and options that several commands share."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sb3_fpac.optional import needs_viz


def at_least(lowest: float, kind: type[int] | type[float] = int) -> Callable[[str], Any]:
    """
    Make an argparse type for numbers with a lower bound.

    :param lowest: The smallest number that is allowed
    :param kind: ``int`` for whole numbers, ``float`` for any
    :return: A function that parses the number
    """

    def parse(text: str) -> float:
        number = _number(text, kind)
        if not lowest <= number < math.inf:
            raise argparse.ArgumentTypeError(f"must be at least {lowest}, got {number}.")
        return number

    return parse


positive_int = at_least(1)


def positive_float(text: str) -> float:
    """
    Parse a positive number; an argparse type.

    :param text: What was typed
    :return: The number, in (0, ∞)
    :raises argparse.ArgumentTypeError: if it is not such a number
    """
    number = _number(text, float)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be positive, got {number}.")
    return number


def _number(text: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a {'whole ' * (kind is int)}number, got {text!r}.") from error


def path_ending_in(*suffixes: str) -> Callable[[str], Path]:
    """
    Make an argparse type for files that are written.

    :param suffixes: The suffixes that are allowed, such as ``".mp4"``
    :return: A function that parses the path
    """
    *others, last = suffixes
    allowed = f"{', '.join(others)} or {last}" if others else last

    def parse(text: str) -> Path:
        path = Path(text)
        if path.suffix not in suffixes:
            raise argparse.ArgumentTypeError(f"must end in {allowed}, got {path}.")
        return path

    return parse


def add_device(parser: argparse.ArgumentParser) -> None:
    """
    Add ``--device``.

    :param parser: Gets the option
    """
    parser.add_argument("--device", default="auto", help="PyTorch device (default: %(default)s)")


def add_seed(parser: argparse.ArgumentParser, what: str) -> None:
    """
    Add ``--seed``.

    :param parser: Gets the option
    :param what: What the seed determines, for the help
    """
    parser.add_argument("--seed", type=at_least(0), default=0, help=f"seed of {what} (default: %(default)s)")


def add_env_kwargs(parser: argparse.ArgumentParser) -> None:
    """
    Add ``--env-kwargs``, in RL Zoo's syntax.

    :param parser: Gets the option
    """
    with needs_viz():
        from rl_zoo3.utils import StoreDict

    parser.add_argument("--env-kwargs", nargs="+", action=StoreDict, help="keyword arguments of the environment: key:value")
