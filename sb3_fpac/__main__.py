"""
``python -m sb3_fpac``: check a machine, pre-train points, watch, export or share an agent, report on runs, run an
experiment.
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from importlib import import_module
from importlib.metadata import version

from sb3_fpac.version import __version__

COMMANDS = {  # modules of sb3_fpac.cli, and of sb3_fpac.commands
    "doctor": "Check the machine and an environment before training.",
    "watch": "Play episodes of a trained agent and write a video with its feature points.",
    "export": "Write a trained agent as a file that runs without Stable-Baselines3.",
    "pretrain": "Pre-train feature points on the frames of a random policy.",
    "report": "Write one HTML file about the runs of a task.",
    "experiment": "Train all agents of an experiment, and draw its figure.",
    "zoo": "Run a script of RL Zoo that shares agents, or records their training, with this package.",
}


def main() -> None:
    """Run the command that was typed; exit with one sentence if it is wrong."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal has the sign ×, which is in the help, too
    parser = argparse.ArgumentParser(prog="python -m sb3_fpac", description=__doc__.partition(": ")[2])
    parser.add_argument("--version", action=_Version, nargs=0, help="print versions and exit")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, description in COMMANDS.items():
        command = commands.add_parser(name, help=description, description=description)
        import_module(f"sb3_fpac.cli.{name}").add_arguments(command)
    args = parser.parse_args()
    args.results_to = sys.stdout
    try:
        module = import_module(f"sb3_fpac.commands.{args.command}")  # and with it PyTorch, which takes seconds
        with _prints_of_others(args):
            module.run(args)
    except BrokenPipeError:  # of "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it at the end
        sys.exit("error: the program that reads the output has ended.")
    except (ImportError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)  # as shells do


@contextmanager
def _prints_of_others(args: argparse.Namespace) -> Iterator[None]:
    """Send what RL Zoo and SB3 print to nowhere (``--quiet``) or to stderr (``--json``)"""
    if getattr(args, "quiet", False):
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            yield
    else:
        with redirect_stdout(sys.stderr) if getattr(args, "json", False) else nullcontext():
            yield


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        others = ", ".join(f"{name} {version(name)}" for name in ("stable-baselines3", "torch", "gymnasium", "mujoco"))
        parser.exit(message=f"sb3-fpac {__version__} ({others})\n")


if __name__ == "__main__":
    main()
