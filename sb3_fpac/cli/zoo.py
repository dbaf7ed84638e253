"""Arguments of ``zoo``: a script of RL Zoo that does not run, or does not know this package, when it is called itself."""

import argparse

from sb3_fpac.arguments import either

SCRIPTS = ("push_to_hub", "load_from_hub", "record_training")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Add the arguments of ``python -m sb3_fpac zoo``.

    :param parser: Gets the arguments
    """
    add = parser.add_argument
    add("script", type=_script, metavar="SCRIPT", help=either(SCRIPTS))
    meaning = "arguments of the script, such as --help, which shows them"
    add("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help=meaning)


def _script(name: str) -> str:
    if name not in SCRIPTS:
        raise argparse.ArgumentTypeError(
            f"must be {either(SCRIPTS)}, got {name!r}: the other scripts of RL Zoo run as python -m rl_zoo3.SCRIPT."
        )
    return name
