"""What a command writes: its files, and one sentence or one JSON object about them."""

import argparse
import json
from pathlib import Path
from typing import Any

from sb3_fpac.files import make_folder


def check_output(args: argparse.Namespace, *more: Path) -> Path:
    """
    Check that the files of a command can be written, before it works for them. Their folders are made.

    :param args: The parsed options of :func:`add_output`
    :param more: Files that are written beside ``--output``
    :return: The output file
    :raises ValueError: if a file exists and ``--force`` was not given, or nothing can be written in its folder
    """
    output: Path = args.output
    for path in (output, *more):
        if path.is_dir():
            raise ValueError(f"{path} is a folder: choose a file with -o.")
        if path.exists() and not args.force:
            raise ValueError(f"{path} exists already: pass --force to overwrite it, or choose another file with -o.")
        make_folder(path.parent)
    return output


def say(args: argparse.Namespace, sentence: str, **results: Any) -> None:
    """
    Print the results of a command: one sentence, or with ``--json`` one object.

    :param args: The parsed options of :func:`add_output`
    :param sentence: For people
    :param results: For programs
    """
    print(json.dumps(results) if args.json else sentence, file=getattr(args, "results_to", None))
