"""The command ``report``: one HTML file about the runs of a task."""

import argparse

from sb3_fpac.commands.output import check_output, say
from sb3_fpac.report.groups import Label
from sb3_fpac.report.page import write_report


def run(args: argparse.Namespace) -> None:
    """
    Write the report, and print its path.

    :param args: The parsed options of :func:`sb3_fpac.cli.report.add_arguments`
    :raises ValueError: as :func:`~sb3_fpac.report.page.write_report`, or if a file exists
    """
    output = check_output(args, *([args.csv] if args.csv else []))
    labels = [Label(*pair) for pair in args.labels]
    n_runs = write_report(args.folders, output, args.seed, not args.no_agent, labels, args.csv, args.quiet)
    kilobytes = output.stat().st_size // 1000
    sentence = f"{output}: {n_runs} run{'s' * (n_runs > 1)}, {kilobytes:,} kB"
    say(args, sentence, file=str(output), csv=str(args.csv) if args.csv else None, runs=n_runs)
