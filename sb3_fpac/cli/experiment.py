"""Arguments of ``experiment``: train the runs of a YAML file, draw their figure, write their tables."""

import argparse
from pathlib import Path

from sb3_fpac.cli.arguments import add_device, add_trust, at_least, positive_float, positive_int
from sb3_fpac.experiment.options import RunOptions, experiment_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Add the options of ``python -m sb3_fpac experiment``.

    :param parser: Gets the options
    """
    default = RunOptions()
    add = parser.add_argument
    add("experiment", help=f"{', '.join(experiment_names())}, or the path of a YAML file")
    folder = Path("logs/experiments")
    add("-f", "--folder", type=Path, default=folder, help="folder of runs, figures and tables (default: %(default)s)")
    add(
        "--tasks",
        nargs="+",
        metavar="TASK",
        help="some of the tasks, such as cheetah-run, or other environments: id, module:id, module:function (default: all)",
    )
    add("--variants", nargs="+", metavar="VARIANT", help="some of the variants (default: all)")
    add("--seeds", type=positive_int, help="number of seeds, which count from 1 (default: as many as the experiment has)")
    add("--env-steps", type=positive_int, help="env steps of every run (default: as many as the experiment has)")
    for name, number, meaning in (
        ("--eval-freq", default.eval_freq, "env steps between evaluations"),
        ("--eval-episodes", default.eval_episodes, "episodes of an evaluation"),
        ("--save-freq", default.save_freq, "env steps between checkpoints"),
    ):
        add(name, type=positive_int, default=number, help=f"{meaning} (default: %(default)s)")
    add("--drop-checkpoints", action="store_true", help="delete the checkpoint of a finished run: it cannot be continued then")
    add_device(parser)
    add_trust(parser, "the checkpoints from which runs continue")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--dry-run", action="store_true", help="print the runs and what they will take, and train none")
    action.add_argument("--only-draw", action="store_true", help="draw the results so far, and train none")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=positive_int, help="parallel runs on this machine (default: one per four processors)")
    where.add_argument("--ray", metavar="ADDRESS", help="address of a Ray cluster that trains the runs")
    add("--cpus-per-run", type=positive_float, help="with --ray: processors of each run (default: 4)")
    add("--gpus-per-run", type=at_least(0, float), help="with --ray: GPUs of each run (default: 0)")
    add("--retries", type=at_least(0), help="with --ray: how often a run is restarted when its node is lost (default: 3)")
