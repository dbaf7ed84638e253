"""What a command writes: its files, and one sentence or one JSON object about them."""

import argparse
import json
from pathlib import Path
from typing import Any


def check_output(args: argparse.Namespace, *more: Path) -> Path:
    """
    Check that the files of a command can be written, before it works for them.

    :param args: The parsed options of :func:`add_output`
    :param more: Files that are written beside ``--output``
    :return: The output file
    :raises ValueError: if a file exists and ``--force`` was not given
    """
    output: Path = args.output
    for path in (output, *more):
        if path.exists() and not args.force:
            raise ValueError(f"{path} exists already: pass --force to overwrite it, or choose another file with -o.")
    return output


def say(args: argparse.Namespace, sentence: str, **results: Any) -> None:
    """
    Print the results of a command: one sentence, or with ``--json`` one object.

    :param args: The parsed options of :func:`add_output`
    :param sentence: For people
    :param results: For programs
    """
    print(json.dumps(results) if args.json else sentence, file=getattr(args, "results_to", None))
