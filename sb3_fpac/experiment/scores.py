"""What came out: a curve for every variant on every task, and the table of their last scores."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sb3_fpac.envs.torso_height import TORSO_HEIGHT
from sb3_fpac.evaluation.curves import Curve, learning_curves
from sb3_fpac.evaluation.runs import WINDOW, Run, read_run
from sb3_fpac.evaluation.tables import number
from sb3_fpac.experiment.config import Experiment
from sb3_fpac.experiment.plan import RunConfig, read_progress
from sb3_fpac.experiment.resume import read_episodes

Curves = dict[str, list[Curve]]
"""By the task"""
COLUMNS = ("task", "variant", "seeds", "env steps", "mean", "std", "IQM", "IQM low", "IQM high")


def read_curves(experiment: Experiment, runs: Sequence[RunConfig], what: str = "return") -> Curves:
    """
    The curves of a row of the figure. Of a variant on a task, the runs that are done count; if none is, those that have begun,
    up to the last evaluation that all of them have.

    :param experiment: The experiment
    :param runs: Its runs
    :param what: ``"return"``, of evaluations, or ``"torso_height"``, in metres, of every ten training episodes
    :return: Curves of the tasks that have any
    """
    curves: Curves = {}
    for task in experiment.tasks:
        found = [
            replace(_row(read_run(run.folder), run, what), algorithm=variant.label)
            for variant in experiment.variants
            for run in _that_count([run for run in runs if (run.task, run.variant) == (task, variant.name)], what)
        ]
        if found:
            curves[task] = learning_curves(found)
    return curves


def markdown(curves: Curves) -> str:
    """
    The table for people.

    :param curves: Of returns
    :return: Markdown
    """
    header = "| task | variant | seeds | env steps | return, mean ± std | IQM [95 % interval] |"
    lines = [header, "| --- | --- | --- | ---: | ---: | ---: |"]
    for task, curve in _each(curves):
        episodes = curve.runs[0].returns.shape[1]
        seeds = str(curve.seeds) if curve.seeds > 1 else f"1 ({episodes} episode{'s' * (episodes > 1)})"
        mean, iqm, (low, high) = curve.mean[-1], curve.iqm[-1], curve.final_iqm_interval
        scores = f"{number(mean)} ± {number(curve.std[-1], like=mean)}"
        interval = f"{number(iqm)} [{number(low, like=iqm)}, {number(high, like=iqm)}]"
        lines.append(f"| {task} | {curve.label} | {seeds} | {curve.steps[-1]:,} | {scores} | {interval} |")
    return "\n".join(lines) + "\n"


def comma_separated(curves: Curves) -> str:
    """
    The table for programs.

    :param curves: Of returns
    :return: CSV with the columns :data:`COLUMNS`
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for task, curve in _each(curves):
        numbers = (curve.mean[-1], curve.std[-1], curve.iqm[-1], *curve.final_iqm_interval)
        writer.writerow([task, curve.label, curve.seeds, curve.steps[-1], *(f"{value:.3f}" for value in numbers)])
    return text.getvalue()


def _each(curves: Curves) -> list[tuple[str, Curve]]:
    return [(task.removeprefix("dmc-"), curve) for task, of_task in curves.items() for curve in of_task]


def _that_count(runs: Sequence[RunConfig], what: str) -> Sequence[RunConfig]:
    begun = [run for run in runs if (run.folder / "evaluations.npz").is_file()]
    if what == TORSO_HEIGHT:
        begun = [run for run in begun if read_episodes(run.folder)]
    return [run for run in begun if read_progress(run).done] or begun


def _row(run: Run, planned: RunConfig, what: str) -> Run:
    return run if what == "return" else _with_torso_heights(run, planned)


def _with_torso_heights(run: Run, planned: RunConfig) -> Run:
    """Windows of training episodes in place of evaluations"""
    episodes = read_episodes(run.folder)
    size = min(WINDOW, len(episodes))
    n_windows = len(episodes) // size
    heights = np.array([float(episode.values[TORSO_HEIGHT]) for episode in episodes[: n_windows * size]])
    ends = np.array([episode.step for episode in episodes[size - 1 :: size]])
    return replace(run, steps=ends * planned.action_repeat, returns=heights.reshape(n_windows, size))
