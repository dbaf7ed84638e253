"""The command line of experiments."""

import argparse
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sb3_fpac.optional import needs_viz

with needs_viz():
    from rich.console import Console

    from sb3_fpac.experiment.config import Experiment, experiment_names, load_experiment
    from sb3_fpac.experiment.figure import draw_figure
    from sb3_fpac.experiment.launch_local import default_jobs, run_locally
    from sb3_fpac.experiment.plan import RunConfig, Schedule, plan_runs, read_progress
    from sb3_fpac.experiment.process import RunResult, last_lines
    from sb3_fpac.experiment.progress import ProgressTable
    from sb3_fpac.experiment.scores import comma_separated, markdown, read_curves

Backend = Callable[[Sequence[Path]], Generator[RunResult | None, None, None]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    The options of ``python -m sb3_fpac experiment``.

    :param parser: Gets them
    """
    schedule = Schedule()
    add = parser.add_argument
    add("experiment", help=f"{', '.join(experiment_names())}, or the path of a YAML file")
    add(
        "-f",
        "--folder",
        type=Path,
        default=Path("logs/experiments"),
        help="where runs, figure and table are put (default: %(default)s)",
    )
    add("--tasks", nargs="+", metavar="TASK", help="some of the tasks, such as cheetah-run (default: all)")
    add("--variants", nargs="+", metavar="VARIANT", help="some of the variants (default: all)")
    add("--seeds", type=int, help="how many seeds, from 1 on (default: as many as the experiment has)")
    add("--env-steps", type=int, help="env steps of every run (default: as many as the experiment has)")
    add("--eval-freq", type=int, default=schedule.eval_freq, help="env steps between evaluations (default: %(default)s)")
    add("--eval-episodes", type=int, default=schedule.eval_episodes, help="episodes of an evaluation (default: %(default)s)")
    add("--save-freq", type=int, default=schedule.save_freq, help="env steps between checkpoints (default: %(default)s)")
    add("--drop-checkpoints", action="store_true", help="delete the checkpoint of a run that is done: it cannot go on then")
    add("--device", default=schedule.device, help="PyTorch device (default: %(default)s)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="print the runs, and train none")
    what.add_argument("--only-draw", action="store_true", help="draw what there is, and train none")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=int, help="runs side by side on this machine (default: one for every four processors)")
    where.add_argument("--ray", metavar="ADDRESS", help="address of a Ray cluster that trains the runs")
    add("--cpus-per-run", type=float, help="with --ray: processors for each run (default: 4)")
    add("--gpus-per-run", type=float, help="with --ray: GPUs for each run (default: 0)")
    add("--retries", type=int, help="with --ray: how often a run is started again when its node is lost (default: 3)")


def run(args: argparse.Namespace) -> None:
    """
    Train what is not done yet, then draw the figure and write the table.

    :param args: What :func:`add_arguments` has parsed
    :raises ValueError: if the experiment or an option is wrong
    :raises SystemExit: with a status of 1 if a run has failed, of 130 after Ctrl-C
    """
    experiment = load_experiment(args.experiment)
    schedule = Schedule(args.eval_freq, args.eval_episodes, args.save_freq, not args.drop_checkpoints, args.device)
    runs = plan_runs(experiment, args.folder, schedule, args.tasks, args.variants, args.seeds, args.env_steps)
    backend = _backend(args)
    if args.dry_run:
        for each in runs:
            print(f"{each.folder}: {each.env_steps:,} env steps")
        print(f"{experiment.title}: {len(runs)} run{'s' * (len(runs) > 1)}")
        return
    failed = 0 if args.only_draw else _train(runs, backend)
    _draw(experiment, runs, args.folder / experiment.name)
    if failed:
        sys.exit(1)


def _backend(args: argparse.Namespace) -> Backend:
    """A function that trains folders"""
    on_cluster: dict[str, Any] = dict(cpus=args.cpus_per_run, gpus=args.gpus_per_run, retries=args.retries)
    given = {name: number for name, number in on_cluster.items() if number is not None}
    for name, number in dict(given, jobs=args.jobs).items():
        if number is not None and number < (1 if name == "jobs" else 0):
            raise ValueError(f"{name} must be at least {1 if name == 'jobs' else 0}, got {number}.")
    if args.ray is None:
        if given:
            raise ValueError("--cpus-per-run, --gpus-per-run and --retries are for --ray: on this machine, give --jobs.")
        return lambda folders: run_locally(folders, args.jobs or default_jobs())
    try:
        from sb3_fpac.experiment.launch_ray import run_on_cluster
    except ImportError as error:
        raise ValueError(str(error)) from error
    return lambda folders: run_on_cluster(folders, args.ray, **{**dict(cpus=4, gpus=0, retries=3), **given})


def _train(runs: Sequence[RunConfig], backend: Backend) -> int:
    """How many have failed"""
    console = Console()
    table = ProgressTable(runs, console)
    for each in runs:
        each.write()
    to_do = [each.folder for each in table.to_do]
    try:
        with closing(backend(to_do)) as results, table:
            for ended in results if to_do else ():
                table.update(ended)
    except KeyboardInterrupt:
        console.print(f"Stopped: {table.summary()}. The same command goes on.", highlight=False, soft_wrap=True)
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
    for name, text in ((f"{experiment.name}.md", markdown(returns)), (f"{experiment.name}.csv", comma_separated(returns))):
        (folder / name).write_text(text, encoding="utf-8")
    print(f"{folder}: {experiment.name}.png, .svg, .md and .csv, of {n_done} of {len(runs)} runs that are done")
