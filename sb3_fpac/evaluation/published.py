"""Scores that other methods have published on the same tasks."""

import csv
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("published.csv")


class PublishedScore(NamedTuple):
    """Mean and standard deviation over seeds at a number of env steps."""

    method: str
    env_steps: int
    mean: float
    std: float


def published_scores(task: str) -> list[PublishedScore]:
    """
    DrQ and CURL: over 10 seeds, as tabulated in arXiv 2004.13649 and 2004.04136. DrQ-v2: over the seeds of the learning curves
    in its authors' repository.

    :param task: Name of the task, with or without ``dmc-``
    :return: In the order of the file; empty if nothing has been published
    """
    with FILE.open(newline="") as file:
        return [
            PublishedScore(row["method"], int(row["env_steps"]), float(row["mean"]), float(row["std"]))
            for row in csv.DictReader(file)
            if row["task"] == task.removeprefix("dmc-")
        ]
