"""Options that name a trained agent, for the commands that load one."""

import argparse
from pathlib import Path

from sb3_fpac.cli.arguments import add_env, add_trust


def add_agent(parser: argparse.ArgumentParser) -> None:
    """
    Add the options that name an agent. Those that RL Zoo's ``enjoy`` has, too, have the same names.

    :param parser: Gets the options
    """
    add = parser.add_argument
    add("--agent", type=Path, metavar="RUN", help="folder of a run, instead of --algo, --env, --folder and --exp-id")
    add("--algo", help="algorithm of the agent, as RL Zoo calls it (default: fpac)")
    add_env(parser, required=False)
    add("-f", "--folder", type=Path, help="RL Zoo's log folder (default: logs)")
    add("--exp-id", type=int, help="number of the run (default: the latest)")
    add("--load-best", action="store_true", help="load the best model of the run instead of the last one")
    add("--model", type=Path, help="zip file of a model, or file of save_weights, instead of a run in the folder")
    add_trust(parser)
