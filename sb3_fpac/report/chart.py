"""The layout of the chart of learning curves, in percent of its width and height."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sb3_fpac.evaluation.curves import Curve
from sb3_fpac.evaluation.published import PublishedScore, published_marks
from sb3_fpac.evaluation.tables import format_return, significant, step_label

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
class Axis:
    """The curves over one horizontal axis."""

    name: str
    """Key for the script: ``"steps"`` or ``"time"``"""
    title: str
    """What the switch between the axes calls it"""
    unit: str
    ticks: list[Tick]
    lines: list[Line]


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

    y_ticks: list[Tick]
    axes: list[Axis]
    """Steps and, if the wall time of a run is known, wall time"""
    marks: list[Mark]
    """Over steps"""

    @property
    def lines(self) -> list[Line]:
        """The curves over steps"""
        return self.axes[0].lines


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
    bottom, top = y_ticks[0], y_ticks[-1]

    def x(step: float) -> float:
        return _percent(step, last)

    def y(value: float) -> float:
        return round(100 * (top - value) / (top - bottom), 3)

    unit = curves[0].runs[0].step_unit
    steps = Axis(
        "steps",
        unit.capitalize(),
        unit,
        [Tick(x(tick), step_label(tick)) for tick in nice_ticks(0, last) if tick <= last],
        [_line(curve, curve.steps, [run.steps for run in curve.runs], last, y) for curve in curves],
    )
    time = _time_axis(curves, y)
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
    return Chart([Tick(y(tick), f"{tick:,g}") for tick in y_ticks], [steps, time] if time else [steps], marks)


def _time_axis(curves: Sequence[Curve], y: Callable[[float], float]) -> Axis | None:
    """None if the wall time of no evaluation is known"""
    known = [hours for curve in curves for hours in curve.hours if np.isfinite(hours)]
    if not known:
        return None
    latest = max(hours for curve in curves for run in curve.runs for hours in run.hours if np.isfinite(hours))
    unit, scale = ("hours", 1.0) if latest >= 2 else ("minutes", 60.0)
    last = latest * scale
    return Axis(
        "time",
        "Wall time",
        unit,
        [Tick(_percent(tick, last), f"{tick:g}") for tick in nice_ticks(0, last) if tick <= last],
        [_line(curve, curve.hours * scale, [run.hours * scale for run in curve.runs], last, y, unit) for curve in curves],
    )


def _line(
    curve: Curve,
    places: np.ndarray,
    run_places: Sequence[np.ndarray],
    last: float,
    y: Callable[[float], float],
    time_unit: str | None = None,
) -> Line:
    """A curve whose evaluations are at ``places`` of an axis that ends at ``last``; those at NaN are left out"""

    def path(places: np.ndarray, values: np.ndarray) -> str:
        known = np.isfinite(places)
        return " ".join(
            f"{_percent(place, last)},{y(value)}" for place, value in zip(places[known], values[known], strict=True)
        )

    dots = [(_percent(place, last), y(mean)) for place, mean in zip(places, curve.mean, strict=True) if np.isfinite(place)]
    hover: list[dict[str, str | float]] = []
    for index in np.flatnonzero(np.isfinite(places)).tolist():
        mean = float(curve.mean[index])
        steps = f"{int(curve.steps[index]):,} {curve.runs[0].step_unit}"
        hover.append(
            {
                "at": f"{significant(places[index])} {time_unit}" if time_unit else steps,
                "note": f", after {steps}" if time_unit else "",
                "x": _percent(places[index], last),
                "y": y(mean),
                "mean": format_return(mean),
                "low": format_return(curve.low[index], like=mean),
                "high": format_return(curve.high[index], like=mean),
                "iqm": format_return(curve.iqm[index], like=mean),
            }
        )
    several = zip(curve.runs, run_places, strict=True) if curve.seeds > 1 else ()
    return Line(
        label=curve.label,
        points=path(places, curve.mean),
        band=f"{path(places, curve.high)} {path(places[::-1], curve.low[::-1])}".strip(),
        runs=[path(at, run.returns.mean(axis=1)) for run, at in several],
        dots=dots if len(dots) <= MAX_DOTS else [],
        hover=hover,
    )


def _percent(place: float, last: float) -> float:
    return round(100 * float(place) / max(last, 1e-9), 3)


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
