"""The command ``experiment``: train the runs of a YAML file, draw their figure, write their tables."""

import argparse
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sb3_fpac.commands.devices import check_device
from sb3_fpac.experiment.options import RunOptions
from sb3_fpac.files import make_folder
from sb3_fpac.limits import OtherPrograms
from sb3_fpac.optional import needs

with needs("viz"):
    from rich.console import Console

    from sb3_fpac.evaluation.steps import step_unit
    from sb3_fpac.experiment import estimate
    from sb3_fpac.experiment.config import Experiment, load_experiment
    from sb3_fpac.experiment.evaluations import all_evaluations
    from sb3_fpac.experiment.figure import draw_figure
    from sb3_fpac.experiment.launch_local import default_jobs, run_locally, threads_of_a_job
    from sb3_fpac.experiment.measurement import check_set_up, measure
    from sb3_fpac.experiment.plan import CONFIG_FILE, RunConfig, check_evaluated, plan_runs, read_progress
    from sb3_fpac.experiment.process import RunResult, last_lines, threads_for
    from sb3_fpac.experiment.progress import ProgressTable
    from sb3_fpac.experiment.scores import comma_separated, markdown, read_curves

_ON_A_CLUSTER: dict[str, Any] = dict(cpus=4, gpus=0, retries=3)
Launcher = Callable[[Sequence[Path]], Generator[RunResult | None, None, None]]


def run(args: argparse.Namespace) -> None:
    """
    Train the runs that are not done yet, then draw the figure and write the tables.

    :param args: The parsed options of :func:`sb3_fpac.cli.experiment.add_arguments`
    :raises ValueError: if the experiment or an option is wrong
    :raises SystemExit: with status 1 if a run has failed, 130 after Ctrl-C
    """
    if args.ray is None:  # the nodes of a cluster have their own
        check_device(args.device)
    experiment = load_experiment(args.experiment)
    options = RunOptions(args.eval_freq, args.eval_episodes, args.save_freq, not args.drop_checkpoints, args.device)
    runs = plan_runs(experiment, args.folder, options, args.tasks, args.variants, args.seeds, args.env_steps)
    if not args.only_draw:
        check_evaluated(runs)
    launcher = _make_launcher(args)
    if args.dry_run:
        _estimate(experiment, runs, args)
        return
    make_folder(args.folder)
    if args.ray is None and not args.only_draw:  # the nodes of a cluster have packages of their own
        _check(runs)
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
        return lambda folders: run_locally(folders, args.jobs or default_jobs(), args.trust)
    try:
        from sb3_fpac.experiment.launch_ray import run_on_cluster
    except ImportError as error:
        raise ValueError(str(error)) from error
    return lambda folders: run_on_cluster(folders, args.ray, trust=args.trust, **{**_ON_A_CLUSTER, **given})


def _estimate(experiment: Experiment, runs: Sequence[RunConfig], args: argparse.Namespace) -> None:
    """Print the runs, and what those that are not done will take"""
    for each in runs:
        print(f"{each.folder}: {each.env_steps:,} {step_unit(each.task)}")
    to_do = [each for each in runs if not read_progress(each).done]
    print(f"{experiment.title}: {len(runs)} run{'s' * (len(runs) > 1)}, {len(runs) - len(to_do)} of them done")
    firsts = {each.variant: each for each in reversed(to_do)}  # the first run of each variant
    jobs = args.jobs or default_jobs() if args.ray is None else None
    cpus = args.cpus_per_run or _ON_A_CLUSTER["cpus"]
    threads = threads_for(cpus) if jobs is None else threads_of_a_job(min(jobs, len(to_do)))
    costs = {}
    others = OtherPrograms()
    for variant in (each.name for each in experiment.variants if each.name in firsts):
        print(f"Measuring {variant} on {firsts[variant].task} …", file=sys.stderr)
        costs[variant] = measure(firsts[variant], threads)
    if costs:
        print(f"\n{estimate.table(to_do, costs, jobs, others.processors())}")


def _check(runs: Sequence[RunConfig]) -> None:
    """Find what would stop a variant after others have been trained for days"""
    started = {(each.task, each.variant) for each in runs if (each.folder / CONFIG_FILE).is_file()}
    firsts = {(each.task, each.variant): each for each in reversed(runs)}
    for key, first in reversed(firsts.items()):
        if key not in started:
            check_set_up(first)


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
