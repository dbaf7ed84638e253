"""Tables of scores, as text."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from sb3_fpac.evaluation.curves import Curve
from sb3_fpac.evaluation.published import PublishedScore

CHECKPOINTS = (100_000, 500_000)  # env steps at which scores are usually published
MISSING = "–"


class ScoreRow(NamedTuple):
    """The scores of a method as text."""

    method: str
    seeds: str
    steps: str
    final: str
    iqm: str
    checkpoints: tuple[str, ...]
    """At :data:`CHECKPOINTS`"""
    published: bool


def score_rows(curves: Sequence[Curve], published: Sequence[PublishedScore]) -> list[ScoreRow]:
    """
    Make the rows of a table of scores: first the curves, then the published scores.

    :param curves: Learning curves of one task
    :param published: Published scores of the same task, at any step
    :return: One row for each curve, and for each method with a score at one of the :data:`CHECKPOINTS`
    """
    rows = []
    for curve in curves:
        at = [curve.at(step) for step in CHECKPOINTS]
        rows.append(
            ScoreRow(
                *final_scores(curve),
                checkpoints=tuple(
                    MISSING if index is None else _mean_std(curve.mean[index], curve.std[index]) for index in at
                ),
                published=False,
            )
        )
    for method in dict.fromkeys(score.method for score in published):
        scores = {score.env_steps: _mean_std(score.mean, score.std) for score in published if score.method == method}
        at_checkpoints = tuple(scores.get(step, MISSING) for step in CHECKPOINTS)
        if any(text != MISSING for text in at_checkpoints):
            rows.append(ScoreRow(method, MISSING, MISSING, MISSING, MISSING, at_checkpoints, published=True))
    return rows


def final_scores(curve: Curve) -> tuple[str, str, str, str, str]:
    """
    Describe the last evaluation of a curve.

    :param curve: The curve
    :return: Label, seeds, steps, mean ± std, and IQM with its interval: ``("fpac", "1 (10 episodes)", "100,000", "173 ± 9",
        "174 [168, 180]")``
    """
    episodes = curve.runs[0].returns.shape[1]
    seeds = str(curve.seeds) if curve.seeds > 1 else f"1 ({episodes} episode{'s' * (episodes > 1)})"
    iqm, (low, high) = curve.iqm[-1], curve.final_iqm_interval
    interval = f"{format_return(iqm)} [{format_return(low, like=iqm)}, {format_return(high, like=iqm)}]"
    return curve.label, seeds, f"{curve.steps[-1]:,}", _mean_std(curve.mean[-1], curve.std[-1]), interval


def format_return(value: float, like: float | None = None) -> str:
    """
    Format a return.

    :param value: The return
    :param like: Return whose number of decimals is used; None to use that of ``value``
    :return: Three digits or more, with at most two decimals: ``"1,204"``, ``"17.3"``, ``"0.17"``; of numbers below 0.1, two
        significant digits: ``"0.0042"``
    """
    size = abs(value if like is None else like)
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2 if size >= 0.0995 or not size else min(1 - _exponent(size), 9)
    return f"{value:,.{digits}f}".replace("-", "−")


def significant(value: float) -> str:
    """
    Format a number of any size.

    :param value: The number
    :return: Three significant digits: ``"0.407"``, ``"0.000312"``, ``"1.20e−7"``, ``"1,204"``; ``"0"`` for zero
    """
    if not value:
        return "0"
    rounded = float(f"{value:.2e}")
    exponent = _exponent(abs(rounded))
    text = f"{rounded:,.{max(2 - exponent, 0)}f}" if -5 < exponent < 6 else re.sub(r"e([+-])0*", r"e\1", f"{rounded:.2e}")
    return text.replace("-", "−").replace("e+", "e")


def step_label(steps: float) -> str:
    """
    Format a number of steps for the axis of a plot.

    :param steps: The number, not negative
    :return: ``"500"``, ``"100k"``, ``"1.5M"``
    """
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if steps >= unit:
            return f"{steps / unit:g}{letter}"
    return f"{steps:g}"


def _mean_std(mean: float, std: float) -> str:
    return f"{format_return(mean)} ± {format_return(std, like=mean)}"


def _exponent(size: float) -> int:
    return math.floor(math.log10(size))
