"""What the chart of learning curves draws, as a CSV."""

import csv
import io
from collections.abc import Sequence

import numpy as np

from sb3_fpac.evaluation.curves import Curve
from sb3_fpac.evaluation.published import PublishedScore, published_marks

COLUMNS = ("name", "kind", "seed", "steps", "hours", "return", "std", "low", "high", "iqm")


def drawn_csv(curves: Sequence[Curve], published: Sequence[PublishedScore]) -> str:
    """
    List every point of the chart.

    :param curves: At least one
    :param published: Published scores of the same task; as in the chart, those beyond the last step are left out
    :return: CSV with the columns :data:`COLUMNS`. ``kind`` is ``mean`` for a curve, ``seed`` for the means of one run over the
        episodes of an evaluation, and ``published``; ``hours`` is the wall time, empty if unknown.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for curve in curves:
        numbers = (curve.mean, curve.std, curve.low, curve.high, curve.iqm)
        for step, hours, *values in zip(curve.steps, curve.hours, *numbers, strict=True):
            writer.writerow([curve.label, "mean", "", step, _hours(hours), *(f"{value:.6g}" for value in values)])
        for run in curve.runs:
            for step, hours, returns in zip(run.steps, run.hours, run.returns, strict=True):
                mean, std = f"{returns.mean():.6g}", f"{returns.std():.6g}"
                writer.writerow([curve.label, "seed", run.seed, step, _hours(hours), mean, std, "", "", ""])
    last = max(int(run.steps[-1]) for curve in curves for run in curve.runs)
    for score, _, _ in published_marks(published, last):
        low, high = score.mean - score.std, score.mean + score.std
        writer.writerow([score.method, "published", "", score.env_steps, "", score.mean, score.std, low, high, ""])
    return text.getvalue()


def _hours(hours: float) -> str:
    return f"{hours:.4g}" if np.isfinite(hours) else ""
