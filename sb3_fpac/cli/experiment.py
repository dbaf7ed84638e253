"""The command ``experiment``: train the runs of a YAML file, draw their figure, write their tables."""

import argparse
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sb3_fpac.cli.arguments import add_device, at_least, positive_float, positive_int
from sb3_fpac.optional import needs_viz

with needs_viz():
    from rich.console import Console

    from sb3_fpac.experiment.config import Experiment, experiment_names, load_experiment
    from sb3_fpac.experiment.evaluations import all_evaluations
    from sb3_fpac.experiment.figure import draw_figure
    from sb3_fpac.experiment.launch_local import default_jobs, run_locally
    from sb3_fpac.experiment.plan import RunConfig, RunOptions, plan_runs, read_progress
    from sb3_fpac.experiment.process import RunResult, last_lines
    from sb3_fpac.experiment.progress import ProgressTable
    from sb3_fpac.experiment.scores import comma_separated, markdown, read_curves

Launcher = Callable[[Sequence[Path]], Generator[RunResult | None, None, None]]


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
    add("--tasks", nargs="+", metavar="TASK", help="some of the tasks, such as cheetah-run (default: all)")
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
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--dry-run", action="store_true", help="print the runs, and train none")
    action.add_argument("--only-draw", action="store_true", help="draw the results so far, and train none")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=positive_int, help="parallel runs on this machine (default: one per four processors)")
    where.add_argument("--ray", metavar="ADDRESS", help="address of a Ray cluster that trains the runs")
    add("--cpus-per-run", type=positive_float, help="with --ray: processors of each run (default: 4)")
    add("--gpus-per-run", type=at_least(0, float), help="with --ray: GPUs of each run (default: 0)")
    add("--retries", type=at_least(0), help="with --ray: how often a run is restarted when its node is lost (default: 3)")


def run(args: argparse.Namespace) -> None:
    """
    Train the runs that are not done yet, then draw the figure and write the tables.

    :param args: The parsed options of :func:`add_arguments`
    :raises ValueError: if the experiment or an option is wrong
    :raises SystemExit: with status 1 if a run has failed, 130 after Ctrl-C
    """
    experiment = load_experiment(args.experiment)
    options = RunOptions(args.eval_freq, args.eval_episodes, args.save_freq, not args.drop_checkpoints, args.device)
    runs = plan_runs(experiment, args.folder, options, args.tasks, args.variants, args.seeds, args.env_steps)
    launcher = _make_launcher(args)
    if args.dry_run:
        for each in runs:
            print(f"{each.folder}: {each.env_steps:,} env steps")
        print(f"{experiment.title}: {len(runs)} run{'s' * (len(runs) > 1)}")
        return
    n_failed = 0 if args.only_draw else _train(runs, launcher)
    _draw(experiment, runs, args.folder / experiment.name)
    if n_failed:
        sys.exit(1)


def _make_launcher(args: argparse.Namespace) -> Launcher:
    """A function that trains the runs in given folders"""
    options: dict[str, Any] = dict(cpus=args.cpus_per_run, gpus=args.gpus_per_run, retries=args.retries)
    given = {name: number for name, number in options.items() if number is not None}
    if args.ray is None:
        if given:
            raise ValueError("--cpus-per-run, --gpus-per-run and --retries are for --ray: on this machine, give --jobs.")
        return lambda folders: run_locally(folders, args.jobs or default_jobs())
    try:
        from sb3_fpac.experiment.launch_ray import run_on_cluster
    except ImportError as error:
        raise ValueError(str(error)) from error
    return lambda folders: run_on_cluster(folders, args.ray, **{**dict(cpus=4, gpus=0, retries=3), **given})


def _train(runs: Sequence[RunConfig], launcher: Launcher) -> int:
    """Train the runs that are not done; returns how many have failed"""
    console = Console()
    table = ProgressTable(runs, console)
    for each in runs:
        each.write()
    to_do = [each.folder for each in table.to_do]
    try:
        with closing(launcher(to_do)) as results, table:
            for ended in results if to_do else ():
                table.update(ended)
    except KeyboardInterrupt:
        console.print(f"Stopped: {table.summary()}. Give the same command to continue.", highlight=False, soft_wrap=True)
        sys.exit(130)
    console.print(f"{table.summary()}.", highlight=False, soft_wrap=True)
    for each in runs:
        problem = table.problems.get(each.folder)
        if problem is not None:
            print(f"\n{each.name} has failed. {problem} The end of {each.log}:\n{last_lines(each.log)}", file=sys.stderr)
    return len(table.problems)


def _draw(experiment: Experiment, runs: Sequence[RunConfig], folder: Path) -> None:
    rows = {what: read_curves(experiment, runs, what) for what in experiment.draw}
    if not any(rows.values()):
        print("There is nothing to draw yet: no run has been evaluated.")
        return
    n_done = sum(read_progress(each).done for each in runs)
    pictures = [folder / f"{experiment.name}.{suffix}" for suffix in ("png", "svg")]
    draw_figure(
        experiment, {what: curves for what, curves in rows.items() if curves}, f"{n_done} of {len(runs)} runs done", pictures
    )
    returns = rows.get("return") or read_curves(experiment, runs)
    tables = {
        f"{experiment.name}.md": markdown(returns),
        f"{experiment.name}.csv": comma_separated(returns),
        "curves.csv": all_evaluations(runs),
    }
    for name, text in tables.items():
        (folder / name).write_text(text, encoding="utf-8")
    print(
        f"{folder}: {experiment.name}.png, .svg, .md and .csv, and curves.csv, of {n_done} of {len(runs)} runs that are done"
    )
