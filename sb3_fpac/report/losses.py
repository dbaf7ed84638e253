"""Small charts of the losses, one line for each run, in percent of their width and height."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sb3_fpac.evaluation.curves import Curve
from sb3_fpac.evaluation.progress import read_losses
from sb3_fpac.evaluation.runs import Run
from sb3_fpac.evaluation.tables import step_label
from sb3_fpac.report.chart import Tick, nice_ticks

MAX_POINTS = 400  # of a line; of more, every n-th is drawn


@dataclass(frozen=True)
class LossChart:
    """The values of one column of ``progress.csv``."""

    name: str
    """``"critic_loss"``"""
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[tuple[int, str]]
    """Number of the learning curve to which a run belongs, and points as SVG has them"""


def draw_losses(curves: Sequence[Curve]) -> list[LossChart]:
    """
    Lay out the losses of runs with a ``progress.csv``. Losses of different seeds are not averaged.

    :param curves: Learning curves
    :return: A chart for each column, in alphabetical order; empty if there is no such file
    """
    columns: dict[str, list[tuple[int, np.ndarray]]] = {}
    for index, curve in enumerate(curves):
        for run in curve.runs:
            for name, points in _losses(run).items():
                columns.setdefault(name, []).append((index, points))
    return [_draw(name.removeprefix("train/"), columns[name]) for name in sorted(columns)]


def _losses(run: Run) -> dict[str, np.ndarray]:
    """Env steps and values of all parts of a run; a later part replaces what an earlier one did after its start"""
    losses: dict[str, np.ndarray] = {}
    for folder in run.folders:
        for name, points in read_losses(folder).items():
            points = points * [run.action_repeat, 1]
            before = losses.get(name, points[:0])
            losses[name] = np.concatenate([before[before[:, 0] < points[0, 0]], points])
    return losses


def _draw(name: str, lines: Sequence[tuple[int, np.ndarray]]) -> LossChart:
    everything = np.concatenate([points for _, points in lines])
    last = max(everything[:, 0].max(), 1.0)
    y_ticks = nice_ticks(everything[:, 1].min(), everything[:, 1].max())
    bottom, top = y_ticks[0], y_ticks[-1]

    def y(value: float) -> float:
        return round(float(100 * (top - value) / (top - bottom)), 2)

    def path(points: np.ndarray) -> str:
        return " ".join(f"{100 * step / last:.2f},{y(value)}" for step, value in points[:: -(-len(points) // MAX_POINTS)])

    return LossChart(
        name,
        [Tick(100 * tick / last, step_label(tick)) for tick in nice_ticks(0, last)[::2] if tick <= last],
        [Tick(y(tick), f"{tick:,g}") for tick in y_ticks],
        [(index, path(points)) for index, points in lines],
    )
