"""The layout of the chart of learning curves, in percent of its width and height."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sb3_fpac.evaluation.curves import Curve
from sb3_fpac.evaluation.published import PublishedScore, published_marks
from sb3_fpac.evaluation.tables import number, step_label

MAX_DOTS = 40  # curves with more evaluations are drawn without dots
MAX_INTERVALS = 6  # between the ticks of an axis


@dataclass(frozen=True)
class Tick:
    """A line of the grid."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """A curve, as attributes of SVG."""

    label: str
    points: str
    band: str
    runs: list[str]
    dots: list[tuple[float, float]]
    hover: list[dict[str, str | float]]
    """The numbers of every evaluation, shown when it is pointed at"""


@dataclass(frozen=True)
class Mark:
    """A published score."""

    method: str
    x: float
    y: float
    low: float
    high: float
    shape: int
    place: int
    """As in :class:`~sb3_fpac.evaluation.published.PublishedMark`"""


@dataclass(frozen=True)
class Chart:
    """The chart as the template draws it."""

    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    marks: list[Mark]


def draw_chart(curves: Sequence[Curve], published: Sequence[PublishedScore]) -> Chart:
    """
    Lay out learning curves, with the published scores at the steps that they reach.

    :param curves: At least one
    :param published: Published scores of the same task
    :return: The layout
    """
    last = max(int(run.steps[-1]) for curve in curves for run in curve.runs)
    published_at = published_marks(published, last)
    y_values = [0.0, 1000.0] if published_at else [0.0]
    for curve in curves:
        y_values += [*curve.low, *curve.high, *(value for run in curve.runs for value in run.returns.mean(axis=1))]
    for score, _, _ in published_at:
        y_values += [score.mean - score.std, score.mean + score.std]
    y_ticks = nice_ticks(min(y_values), max(y_values))
    x_ticks = [tick for tick in nice_ticks(0, last) if tick <= last]
    bottom, top = y_ticks[0], y_ticks[-1]

    def x(step: float) -> float:
        return round(100 * step / max(last, 1), 3)

    def y(value: float) -> float:
        return round(100 * (top - value) / (top - bottom), 3)

    def path(steps: np.ndarray, values: np.ndarray) -> str:
        return " ".join(f"{x(step)},{y(value)}" for step, value in zip(steps, values, strict=True))

    lines = [
        Line(
            label=curve.label,
            points=path(curve.steps, curve.mean),
            band=path(curve.steps, curve.high) + " " + path(curve.steps[::-1], curve.low[::-1]),
            runs=[path(run.steps, run.returns.mean(axis=1)) for run in curve.runs] if curve.seeds > 1 else [],
            dots=[(x(step), y(mean)) for step, mean in zip(curve.steps, curve.mean, strict=True)]
            if len(curve.steps) <= MAX_DOTS
            else [],
            hover=[
                {
                    "step": f"{int(step):,}",
                    "x": x(step),
                    "y": y(mean),
                    "mean": number(mean),
                    "low": number(low, like=mean),
                    "high": number(high, like=mean),
                    "iqm": number(iqm, like=mean),
                }
                for step, mean, low, high, iqm in zip(curve.steps, curve.mean, curve.low, curve.high, curve.iqm, strict=True)
            ],
        )
        for curve in curves
    ]
    marks = [
        Mark(
            method=score.method,
            x=x(score.env_steps),
            y=y(score.mean),
            low=y(score.mean - score.std),
            high=y(score.mean + score.std),
            shape=shape,
            place=place,
        )
        for score, shape, place in published_at
    ]
    return Chart(
        x_ticks=[Tick(x(tick), step_label(tick)) for tick in x_ticks],
        y_ticks=[Tick(y(tick), f"{tick:,g}") for tick in y_ticks],
        lines=lines,
        marks=marks,
    )


def nice_ticks(low: float, high: float) -> list[float]:
    """
    Choose evenly spaced round numbers that enclose all values.

    :param low: Lowest value
    :param high: Highest value
    :return: The numbers, ascending; at least two, at most :data:`MAX_INTERVALS` + 1
    """
    span = max(high - low, 1e-9 * max(abs(high), abs(low)), 1e-9)
    power = 10.0 ** np.floor(np.log10(span / MAX_INTERVALS))
    for step in (power, 2 * power, 5 * power, 10 * power, 20 * power):
        first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9))
        if last - first <= MAX_INTERVALS:
            break
    return [float(np.round(index * step, 12)) for index in range(first, max(last, first + 1) + 1)]
