"""Types of arguments, and options that several commands share."""

import argparse
import ast
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sb3_fpac.arguments import either


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

    def parse(text: str) -> Path:
        path = Path(text)
        if path.suffix not in suffixes:
            raise argparse.ArgumentTypeError(f"must end in {either(suffixes)}, got {path}.")
        return path

    return parse


def add_output(parser: argparse.ArgumentParser, default: str, *suffixes: str) -> None:
    """
    Add ``--output``, ``--force``, ``--quiet`` and ``--json``.

    :param parser: Gets the options
    :param default: The file that is written by default
    :param suffixes: The suffixes that are allowed
    """
    meaning = f"{either(suffixes)} file to write (default: %(default)s)"
    parser.add_argument("-o", "--output", type=path_ending_in(*suffixes), default=Path(default), help=meaning)
    parser.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    parser.add_argument("--quiet", action="store_true", help="print nothing but the results")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


def add_device(parser: argparse.ArgumentParser) -> None:
    """
    Add ``--device``.

    :param parser: Gets the option
    """
    parser.add_argument("--device", default="auto", help="PyTorch device (default: %(default)s)")


def add_trust(parser: argparse.ArgumentParser, files: str = "the files of the agent") -> None:
    """
    Add ``--trust``.

    :param parser: Gets the option
    :param files: What it is about, for the help
    """
    meaning = f"run the code in {files}: you trust their author (default: refuse files that are more than data)"
    parser.add_argument("--trust", action="store_true", help=meaning)


def add_seed(parser: argparse.ArgumentParser, what: str) -> None:
    """
    Add ``--seed``.

    :param parser: Gets the option
    :param what: What the seed determines, for the help
    """
    parser.add_argument("--seed", type=at_least(0), default=0, help=f"seed of {what} (default: %(default)s)")


def add_env(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """
    Add ``--env``, and ``--gym-packages`` and ``--env-kwargs`` in RL Zoo's syntax.

    :param parser: Gets the options
    :param required: Whether ``--env`` must be given
    """
    parser.add_argument("--env", required=required, help="environment: an id, module:id, or module:function, which makes it")
    parser.add_argument("--gym-packages", nargs="+", default=[], metavar="MODULE", help="modules that register environments")
    meaning = "keyword arguments of the environment"
    parser.add_argument("--env-kwargs", nargs="+", action=_StoreKwargs, default={}, metavar="KEY:VALUE", help=meaning)


class _StoreKwargs(argparse.Action):
    """Reads ``key:value`` as RL Zoo does, where a value is a Python literal or, without quotes, a text"""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        kwargs = {}
        for text in values:
            key, colon, value = text.partition(":")
            if not (colon and key.isidentifier()):
                parser.error(f"argument --env-kwargs: write each as key:value, such as size:64, got {text!r}")
            try:
                kwargs[key] = ast.literal_eval(value)
            except (SyntaxError, ValueError):
                kwargs[key] = value
        setattr(namespace, self.dest, kwargs)
