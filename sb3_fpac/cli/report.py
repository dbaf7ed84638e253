"""The command line of reports."""

import argparse
from pathlib import Path

from sb3_fpac.report.page import write_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    The options of ``python -m sb3_fpac report``.

    :param parser: Gets them
    """
    parser.add_argument("folders", nargs="+", type=Path, metavar="run", help="folder of a run: logs/fpac/dmc-cheetah-run_1")
    parser.add_argument("-o", "--output", type=Path, default=Path("report.html"), help="HTML file (default: report.html)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap and of the episode shown (default: 0)")
    parser.add_argument("--no-agent", action="store_true", help="load no agent: curves, scores and hyperparameters only")


def run(args: argparse.Namespace) -> None:
    """
    Write the report, and say where it is.

    :param args: What :func:`add_arguments` has parsed
    :raises ValueError: as :func:`~sb3_fpac.report.page.write_report`
    """
    write_report(args.folders, args.output, args.seed, not args.no_agent)
    n_runs = len(args.folders)
    print(f"{args.output}: {n_runs} run{'s' * (n_runs > 1)}, {args.output.stat().st_size // 1000:,} kB")
