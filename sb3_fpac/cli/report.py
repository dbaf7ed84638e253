"""Arguments of ``report``: one HTML file about the runs of a task."""

import argparse
from pathlib import Path

from sb3_fpac.cli.arguments import add_env, add_output, add_seed, add_trust, path_ending_in


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Add the options of ``python -m sb3_fpac report``.

    :param parser: Gets the options
    """
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="run", help="folder of a run, such as logs/fpac/dmc-cheetah-run_1"
    )
    parser.add_argument(
        "--model",
        type=path_ending_in(".safetensors"),
        help="file of save_weights, instead of runs: show this agent in --env, and read nothing else",
    )
    add_env(parser, required=False)
    add_output(parser, "report.html", ".html")
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        type=label,
        metavar="NAME=GLOB",
        dest="labels",
        help='name of the runs whose folders match a quoted pattern, such as "hot=logs/hot/*"; repeat it for other runs '
        "(default: the variant of an experiment or the algorithm, with the hyperparameters that differ)",
    )
    parser.add_argument(
        "--csv",
        type=path_ending_in(".csv"),
        metavar="FILE",
        help="also write the numbers of the learning curves to a CSV file",
    )
    add_seed(parser, "the bootstrap and of the episode shown")
    parser.add_argument("--no-agent", action="store_true", help="load no agent: show curves, scores and hyperparameters only")
    add_trust(parser)


def label(text: str) -> tuple[str, str]:
    """
    Parse ``NAME=GLOB``, as a type of argparse.

    :param text: What was given
    :return: Name and pattern
    :raises argparse.ArgumentTypeError: if one of them is missing
    """
    name, _, pattern = (part.strip() for part in text.partition("="))
    if not name or not pattern:
        raise argparse.ArgumentTypeError(f'must be NAME=GLOB, such as "hot=logs/hot/*", got {text!r}.')
    return name, pattern
