"""Scores that other methods have published on the same tasks."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sb3_fpac.envs import TASKS

FILE = Path(__file__).with_name("published.csv")
METHODS = ("DrQ", "CURL", "DrQ-v2")  # in the order of the file


class PublishedScore(NamedTuple):
    """Mean and standard deviation over seeds at a number of env steps."""

    method: str
    env_steps: int
    mean: float
    std: float


class PublishedMark(NamedTuple):
    """A published score in a plot of learning curves."""

    score: PublishedScore
    shape: int
    """Index of its method in :data:`METHODS`: a method has the same shape in all plots"""
    place: int
    """Number of places to the left of its step: marks at the same step are side by side and do not hide each other"""


def published_scores(task: str) -> list[PublishedScore]:
    """
    Read the published scores of a task. DrQ and CURL: over 10 seeds, from the tables of arXiv 2004.13649 and 2004.04136.
    DrQ-v2: over the seeds of the learning curves in its authors' repository.

    :param task: Name of the task, with or without ``dmc-``
    :return: Scores in the order of the file; empty if there are none
    """
    with FILE.open(newline="", encoding="utf-8") as file:
        return [
            PublishedScore(row["method"], int(row["env_steps"]), float(row["mean"]), float(row["std"]))
            for row in csv.DictReader(file)
            if row["task"] == task.removeprefix("dmc-")
        ]


def published_marks(scores: Iterable[PublishedScore], last_step: int) -> list[PublishedMark]:
    """
    Lay out the scores that are shown beside learning curves.

    :param scores: Scores of one task
    :param last_step: Env steps at the end of the longest curve; later scores are left out
    :return: Marks in the order of the scores
    """
    shown = [score for score in scores if score.env_steps <= last_step]
    steps = [score.env_steps for score in shown]
    return [
        PublishedMark(score, METHODS.index(score.method), steps[:index].count(score.env_steps))
        for index, score in enumerate(shown)
    ]


def published_remarks(task: str, agents: Iterable[tuple[str, Mapping[str, Any]]], methods: Iterable[str]) -> list[str]:
    """
    Say where agents and published scores are of different tasks: the published ones are from pixels, over whole episodes and
    with the action repeat of the task.

    :param task: Id of a task of DeepMind Control, ``dmc-…``
    :param agents: Name of each agent, and the keyword arguments of its environment
    :param methods: Methods whose scores are shown
    :return: Sentences; empty if the scores can be compared
    """
    methods = list(methods)
    if not methods:
        return []
    repeat = TASKS[task].action_repeat
    remarks = (
        [f"The published scores of DrQ-v2 are of an action repeat of 2 instead of {repeat}."]
        if "DrQ-v2" in methods and repeat != 2
        else []
    )
    others: dict[str, list[str]] = {}
    for name, env_kwargs in agents:
        kwargs = {**env_kwargs, "action_repeat": env_kwargs.get("action_repeat") or repeat}
        expected = {"observation": "pixels", "time_limit": None, "action_repeat": repeat}
        differing = [f"{key}={kwargs[key]}" for key, value in expected.items() if kwargs.get(key, value) != value]
        if differing:
            names = others.setdefault(", ".join(differing), [])
            names += [name] if name not in names else []
    for what, names in others.items():
        remarks.append(
            f"The published scores are of another task than those of {'; '.join(names)} ({what}): they are from pixels, "
            f"over whole episodes of 1,000 env steps, with an action repeat of {repeat}."
        )
    return remarks
