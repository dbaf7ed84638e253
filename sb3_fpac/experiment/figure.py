"""The figure of an experiment: a panel for each task and quantity, a curve for each variant."""

import textwrap
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from sb3_fpac.envs import TASKS
from sb3_fpac.evaluation.published import published_marks, published_remarks, published_scores
from sb3_fpac.evaluation.steps import step_unit
from sb3_fpac.evaluation.tables import step_label
from sb3_fpac.experiment.config import Experiment
from sb3_fpac.experiment.scores import Curves
from sb3_fpac.optional import needs

with needs("viz"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
OVER_MINUTES = "return_over_minutes"
LABELS = {"return": "return", OVER_MINUTES: "return", "torso_height": "torso height [m]"}
COLOURS = ("#0b62b8", "#c2480a", "#0a7d57", "#9a3b96", "#7a6200", "#b3243f")
STYLES = ("-", "--", "-.", ":")
MARKERS = "osD"  # one for each of the published methods


def draw_figure(experiment: Experiment, rows: dict[str, Curves], note: str, paths: Sequence[Path]) -> None:
    """
    Draw the curves: means over the seeds with their 95 % bootstrap intervals (for a single seed, from the lowest to the
    highest episode), and the published scores at env steps that the curves reach. Over minutes, evaluations whose wall time is
    not known are left out, and so are published scores.

    :param experiment: The experiment
    :param rows: Curves of each quantity, for at least one task
    :param note: Second line of the title, such as the number of runs that are done
    :param paths: Files to write; their suffixes determine the formats
    """
    n_tasks = max(len(curves) for curves in rows.values())
    n_columns = ceil(n_tasks / ceil(n_tasks / COLUMNS)) if n_tasks > 1 else min(COLUMNS, len(rows))  # rows of like length
    step = n_columns if n_tasks > 1 else 1  # every quantity begins a new row, but those of a single task are side by side
    n_rows = ceil(sum(ceil(len(curves) / step) * step for curves in rows.values()) / n_columns)
    title = textwrap.fill(experiment.title, 50 * n_columns)
    remarks = "\n".join(textwrap.fill(remark, 70 * n_columns) for remark in _remarks(experiment, rows))
    n_labels = len({curve.group for curves in rows.values() for each in curves.values() for curve in each}) + len(MARKERS)

    body_height = 3 * n_rows + 0.3 * (title.count("\n") + 2)
    footer_height = 0.22 * ceil(n_labels / n_columns) + 0.2 + 0.15 * len(remarks.splitlines())
    figure = Figure(layout="constrained", figsize=(3.6 * n_columns + 0.6, body_height + footer_height))
    parts: Any = figure.subfigures(2, 1, height_ratios=[body_height, footer_height])
    body, footer = parts
    body.suptitle(f"{title}\n{note}", fontsize="medium")
    grid = body.subplots(n_rows, n_columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    place = 0
    for what, curves in rows.items():
        for task in curves:
            axes = grid.flat[place]
            axes.set_axis_on()
            _draw_panel(axes, experiment, rows, what, task)
            place += 1
        place = ceil(place / step) * step
    handles = {label: handle for axes in grid.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    footer.legend(handles.values(), handles.keys(), loc="upper center", ncols=n_columns, fontsize="small")
    footer.text(0.02, 0.02, remarks, fontsize="x-small", verticalalignment="bottom")
    for path in paths:
        figure.savefig(path, dpi=150)


def _draw_panel(axes: Axes, experiment: Experiment, rows: dict[str, Curves], what: str, task: str) -> None:
    labels = [variant.label for variant in experiment.variants]
    last = 0.0
    for curve in rows[what][task]:
        x = 60 * curve.hours if what == OVER_MINUTES else curve.steps
        known = np.isfinite(x)
        if not known.any():
            continue
        index = labels.index(curve.group)
        style = dict(color=COLOURS[index % len(COLOURS)], linestyle=STYLES[index % len(STYLES)])
        marker = "." if known.sum() < 3 else None
        axes.plot(x[known], curve.mean[known], label=labels[index], marker=marker, **style)  # type: ignore[arg-type]
        axes.fill_between(x[known], curve.low[known], curve.high[known], color=style["color"], alpha=0.15, linewidth=0)
        last = max(last, x[known][-1])
    if what == "return" and task in TASKS:
        _mark_published(axes, task, int(last))
    unit = "minutes" if what == OVER_MINUTES else step_unit(task)
    axes.set(title=task.removeprefix("dmc-"), xlabel=unit, ylabel=LABELS[what])
    axes.set_xlim(0, 1.03 * last if last else 1)
    axes.set_ylim(bottom=0)
    if what != OVER_MINUTES:
        axes.xaxis.set_major_formatter(lambda step, _: step_label(step))
    axes.locator_params(axis="x", nbins=5)
    axes.grid(alpha=0.3)


def _remarks(experiment: Experiment, rows: dict[str, Curves]) -> list[str]:
    """What must be said of the published scores in the figure, with the tasks where that is not so for all of them"""
    labels = {variant.label: variant.env_kwargs for variant in experiment.variants}
    tasks: dict[str, list[str]] = {}
    shown = [task for task in rows.get("return", {}) if task in TASKS and published_scores(task)]
    for task in shown:
        curves = rows["return"][task]
        marks = published_marks(published_scores(task), max(int(curve.steps[-1]) for curve in curves))
        agents = [(curve.group, labels[curve.group]) for curve in curves]
        for remark in published_remarks(task, agents, [mark.score.method for mark in marks]):
            tasks.setdefault(remark, []).append(task.removeprefix("dmc-"))
    return [remark if len(tasks[remark]) == len(shown) else f"{', '.join(tasks[remark])}: {remark}" for remark in tasks]


def _mark_published(axes: Axes, task: str, last_step: int) -> None:
    for score, shape, place in published_marks(published_scores(task), last_step):
        axes.errorbar(
            score.env_steps - 0.015 * last_step * place,
            score.mean,
            score.std,
            linestyle="",
            capsize=3,
            color="#5a636e",
            markersize=5,
            marker=MARKERS[shape],
            label=f"{score.method} (published, ± std)",
        )
