"""What a run has written into its folder, and what of it a checkpoint knows: evaluations, training episodes, the agent."""

import csv
import json
import os
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

EVALUATIONS = "evaluations.npz"
EPISODES = "0.monitor.csv"


class Evaluations(NamedTuple):
    """N evaluations of M episodes, as SB3's EvalCallback has them."""

    steps: list[int]
    """``(N,)``: agent steps before every evaluation"""
    returns: list[list[float]]
    """``(N, M)``"""
    lengths: list[list[int]]
    """``(N, M)``: agent steps"""


class EpisodeEnd(NamedTuple):
    """A training episode."""

    step: int
    """Agent steps of the run at its end"""
    seconds: float
    """Wall time of the run at its end, evaluations included, interruptions and lost episodes left out"""
    values: dict[str, str]
    """What SB3's Monitor has written: ``r``, ``l``, ``t`` and more"""


def read_evaluations(folder: Path) -> Evaluations:
    """
    :param folder: Of a run
    :return: Its evaluations so far
    """
    path = folder / EVALUATIONS
    if not path.is_file():
        return Evaluations([], [], [])
    with np.load(path) as file:
        return Evaluations(file["timesteps"].tolist(), file["results"].tolist(), file["ep_lengths"].tolist())


def truncate_evaluations(folder: Path, steps: int) -> Evaluations:
    """
    Drop the evaluations that a checkpoint does not know of.

    :param folder: Of a run
    :param steps: Agent steps of the checkpoint; 0: there is none
    :return: Those that are left, also in the file
    """
    evaluations = read_evaluations(folder)
    n_kept = sum(step <= steps for step in evaluations.steps)
    kept = Evaluations(evaluations.steps[:n_kept], evaluations.returns[:n_kept], evaluations.lengths[:n_kept])
    if n_kept:
        with (folder / "evaluations.part").open("wb") as file:
            np.savez(file, timesteps=kept.steps, results=kept.returns, ep_lengths=kept.lengths)
        os.replace(folder / "evaluations.part", folder / EVALUATIONS)
    else:
        (folder / EVALUATIONS).unlink(missing_ok=True)
    return kept


def read_episodes(folder: Path) -> list[EpisodeEnd]:
    """
    :param folder: Of a run
    :return: Its training episodes so far, over all interruptions, in their order
    """
    episodes = []
    step, seconds = 0, 0.0
    for path in (*_earlier_parts(folder), folder / EPISODES):
        started = seconds
        for values in _rows(path):
            step += int(values["l"])
            seconds = started + float(values["t"])
            episodes.append(EpisodeEnd(step, seconds, values))
        if path.name != EPISODES:
            step = _until(path)
    return episodes


def truncate_episodes(folder: Path, steps: int) -> None:
    """
    Put the training episodes that a checkpoint knows of where SB3's Monitor, which starts its file anew, does not overwrite
    them: ``0.until_<steps>.monitor.csv``, which all that reads ``*.monitor.csv`` finds. The others are dropped.

    :param folder: Of a run
    :param steps: Agent steps of the checkpoint; 0: there is none
    """
    parts = _earlier_parts(folder)
    for part in parts:
        if _until(part) > steps:
            part.unlink()
    begun_at = max((_until(part) for part in parts), default=0)
    path = folder / EPISODES
    if path.is_file() and begun_at < steps:
        lines = path.read_text().splitlines(keepends=True)
        ends = begun_at + np.cumsum([int(values["l"]) for values in _rows(path)], dtype=int)
        unfinished = folder / "episodes.part"
        unfinished.write_text("".join(lines[: 2 + int((ends <= steps).sum())]))  # the first two are its header
        os.replace(unfinished, folder / f"0.until_{steps}.monitor.csv")
    path.unlink(missing_ok=True)


def trained_steps(model: Path) -> int | None:
    """
    :param model: A model's zip file
    :return: Agent steps that it was trained for; None: there is no whole file
    """
    try:
        with zipfile.ZipFile(model) as file:
            return json.loads(file.read("data"))["num_timesteps"]
    except (FileNotFoundError, KeyError, ValueError, zipfile.BadZipFile):
        return None


def _earlier_parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("0.until_*.monitor.csv"), key=_until)


def _until(part: Path) -> int:
    return int(part.name.split(".")[1].removeprefix("until_"))


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]  # whole ones
    return list(csv.DictReader(lines[1:]))
