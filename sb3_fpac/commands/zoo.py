"""The command ``zoo``: a script of RL Zoo that does not run, or does not know this package, when it is called itself."""

import argparse

from sb3_fpac.optional import needs

with needs("zoo"):
    from sb3_fpac.zoo.hub import run_script


def run(args: argparse.Namespace) -> None:
    """
    Run the script as ``python -m rl_zoo3.SCRIPT`` would.

    :param args: The parsed arguments of :func:`sb3_fpac.cli.zoo.add_arguments`
    :raises ValueError: as the script does
    """
    run_script(args.script, args.arguments)
