"""Arguments of ``doctor``: checks of the machine and of an environment, before training."""

import argparse

from sb3_fpac.cli.arguments import add_env, positive_int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Add the options of ``python -m sb3_fpac doctor``.

    :param parser: Gets the options
    """
    add_env(parser, required=False)
    add = parser.add_argument
    add("--algo", default="fpac", choices=["fpac", "fpac_fast"], help="algorithm of the agent (default: %(default)s)")
    meaning = "3 for RGB, 1 for grey frames; with several images by key, such as wrist:1 (default: 3)"
    add("--frame-channels", nargs="+", type=_channels, default=[(None, 3)], metavar="N", help=meaning)
    add("--json", action="store_true", help="print the checks as JSON")


def _channels(text: str) -> tuple[str | None, int]:
    """The key of an image, None for all of them, and the channels of its frames"""
    key, _, number = text.rpartition(":")
    return key or None, positive_int(number)
