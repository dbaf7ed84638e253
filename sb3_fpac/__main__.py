"""``python -m sb3_fpac``: pre-train feature points, watch an agent, report on runs, run an experiment."""

import argparse
import sys


def main() -> None:
    """Run what the command line asks for; what it asks wrongly is said in one sentence."""
    parser = argparse.ArgumentParser(prog="python -m sb3_fpac", description=__doc__.partition(": ")[2])
    commands = parser.add_subparsers(dest="command", required=True)
    try:
        from sb3_fpac.cli import experiment, pretrain, report, watch
    except ImportError as error:
        sys.exit(f"error: {error}")
    for name, module, description in (
        ("watch", watch, "Play episodes of a trained agent and write a video with its feature points."),
        ("pretrain", pretrain, "Pre-train feature points on the frames of a random policy."),
        ("report", report, "Write one HTML file about the runs of a task."),
        ("experiment", experiment, "Train all agents of an experiment, and draw its figure."),
    ):
        command = commands.add_parser(name, help=description, description=description)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    args = parser.parse_args()
    try:
        args.run(args)
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
