"""The command ``report``: one HTML file about the runs of a task."""

import argparse
from collections.abc import Iterable
from glob import glob
from pathlib import Path

from sb3_fpac.commands.output import check_output, say
from sb3_fpac.report.groups import Label
from sb3_fpac.report.page import write_agent_report, write_report


def run(args: argparse.Namespace) -> None:
    """
    Write the report, and print its path.

    :param args: The parsed options of :func:`sb3_fpac.cli.report.add_arguments`
    :raises ValueError: as :func:`~sb3_fpac.report.page.write_report`, or if a file exists
    """
    output = check_output(args, *([args.csv] if args.csv else []))
    if args.model is not None:
        _report_on_weights(args, output)
        return
    if args.env is not None or args.env_kwargs or args.gym_packages:
        raise ValueError("--env, --env-kwargs and --gym-packages are for --model: a run has its own environment.")
    labels = [Label(*pair) for pair in args.labels]
    n_runs = write_report(
        _matching(args.folders), output, args.seed, not args.no_agent, labels, args.csv, args.quiet, args.trust
    )
    sentence = f"{output}: {n_runs} run{'s' * (n_runs > 1)}, {_kilobytes(output):,} kB"
    say(args, sentence, file=str(output), csv=str(args.csv) if args.csv else None, runs=n_runs)


def _matching(folders: Iterable[Path]) -> list[Path]:
    """The folders, with those that fit a pattern in its place, as the shells of Windows leave patterns as they are"""
    found = ([] if folder.exists() else sorted(map(Path, glob(str(folder)))) for folder in folders)
    return [path for folder, fitting in zip(folders, found, strict=True) for path in fitting or [folder]]


def _report_on_weights(args: argparse.Namespace, output: Path) -> None:
    if args.folders or args.labels or args.csv or args.no_agent:
        raise ValueError("--model is one agent without runs: leave out their folders, --label, --csv and --no-agent.")
    if args.env is None:
        raise ValueError("Name the agent's environment with --env.")
    env = dict(env_kwargs=args.env_kwargs, gym_packages=args.gym_packages)
    write_agent_report(args.model, output, args.env, args.seed, quiet=args.quiet, **env)
    say(args, f"{output}: {args.model}, {_kilobytes(output):,} kB", file=str(output), model=str(args.model))


def _kilobytes(path: Path) -> int:
    return path.stat().st_size // 1000
