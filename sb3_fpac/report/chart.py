"""Where everything lies in the chart of learning curves, in per cent of its width and height."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from sb3_fpac.evaluation.curves import Curve
from sb3_fpac.evaluation.published import PublishedScore
from sb3_fpac.evaluation.tables import number

MOST_DOTS = 40  # evaluations of a curve that are marked one by one


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
    """What is said of every evaluation"""


@dataclass(frozen=True)
class Mark:
    """A published score."""

    method: str
    x: float
    y: float
    low: float
    high: float
    beside: int
    """Marks at the same step lie side by side: how many places to the right"""


@dataclass(frozen=True)
class Chart:
    """Everything that the template draws."""

    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Line]
    marks: list[Mark]


def draw_chart(curves: Sequence[Curve], published: Sequence[PublishedScore]) -> Chart:
    """
    Lay out curves, and the published scores at steps that they reach.

    :param curves: At least one
    :param published: Scores of the same task
    :return: The layout
    """
    last = max(int(run.steps[-1]) for curve in curves for run in curve.runs)
    published = [score for score in published if score.env_steps <= last]
    y_values = [0.0, *(1000.0 for _ in published[:1])]
    for curve in curves:
        y_values += [*curve.low, *curve.high, *(value for run in curve.runs for value in run.returns.mean(axis=1))]
    for score in published:
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
            if len(curve.steps) <= MOST_DOTS
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
    places: dict[int, count] = {}
    marks = [
        Mark(
            method=score.method,
            x=x(score.env_steps),
            y=y(score.mean),
            low=y(score.mean - score.std),
            high=y(score.mean + score.std),
            beside=next(places.setdefault(score.env_steps, count())),
        )
        for score in published
    ]
    return Chart(
        x_ticks=[Tick(x(tick), _short(tick)) for tick in x_ticks],
        y_ticks=[Tick(y(tick), f"{tick:,g}") for tick in y_ticks],
        lines=lines,
        marks=marks,
    )


def nice_ticks(low: float, high: float, at_most: int = 6) -> list[float]:
    """
    Round numbers, evenly spaced, from below the lowest to above the highest value.

    :param low: Lowest value
    :param high: Highest value
    :param at_most: How many steps to take at most, at least 2
    :return: The numbers, ascending; at least two
    """
    span = max(high - low, 1e-9 * max(abs(high), abs(low)), 1e-9)
    power = 10.0 ** np.floor(np.log10(span / at_most))
    for step in (power, 2 * power, 5 * power, 10 * power, 20 * power):
        first, last = int(np.floor(low / step + 1e-9)), int(np.ceil(high / step - 1e-9))
        if last - first <= at_most:
            break
    return [float(np.round(index * step, 12)) for index in range(first, max(last, first + 1) + 1)]


def _short(steps: float) -> str:
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if steps >= unit:
            return f"{steps / unit:g}{letter}"
    return f"{steps:g}"
