"""Truncates the files of an interrupted run to what its checkpoint contains, from which it continues."""

import math
from pathlib import Path

import numpy as np

from sb3_fpac.evaluation.run_files import EPISODES, EVALUATIONS, Evaluations, monitor_files, read_episodes, read_evaluations
from sb3_fpac.files import writing


def truncate_evaluations(folder: Path, steps: int) -> Evaluations:
    """
    Delete the evaluations after a checkpoint.

    :param folder: Folder of a run
    :param steps: Agent steps of the checkpoint; 0 if there is none
    :return: The remaining evaluations, which are also in the file
    """
    evaluations = read_evaluations(folder)
    n_kept = sum(step <= steps for step in evaluations.steps)
    kept = Evaluations(evaluations.steps[:n_kept], evaluations.returns[:n_kept], evaluations.lengths[:n_kept])
    if n_kept:
        with writing(folder / EVALUATIONS) as unfinished:
            np.savez(unfinished, timesteps=kept.steps, results=kept.returns, ep_lengths=kept.lengths)
    else:
        (folder / EVALUATIONS).unlink(missing_ok=True)
    return kept


def truncate_episodes(folder: Path, steps: int) -> None:
    """
    Delete the training episodes after a checkpoint, and move the others to ``0.until_<steps>.monitor.csv``: SB3's Monitor
    overwrites its file when the run continues.

    :param folder: Folder of a run with one environment
    :param steps: Agent steps of the checkpoint; 0 if there is none
    """
    ends = [int(until) for until in monitor_files(folder) if until < math.inf]
    for end in ends:
        if end > steps:
            (folder / _part(end)).unlink()
    begun_at = max(ends, default=0)
    path = folder / EPISODES
    if path.is_file() and begun_at < steps:
        n_kept = sum(begun_at < episode.step <= steps for episode in read_episodes(folder, skip_unfinished=True))
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        with writing(folder / _part(steps)) as unfinished:
            unfinished.write_text("".join(lines[: 2 + n_kept]), encoding="utf-8")  # the first two lines are the header
    path.unlink(missing_ok=True)


def _part(steps: int) -> str:
    return f"0.until_{steps}.monitor.csv"
