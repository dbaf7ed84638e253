"""The tables of a report: scores and hyperparameters."""

from collections.abc import Sequence
from typing import NamedTuple

from sb3_fpac.evaluation.curves import Curve
from sb3_fpac.evaluation.published import PublishedScore
from sb3_fpac.evaluation.runs import Run

CHECKPOINTS = (100_000, 500_000)  # env steps at which scores are usually published
MISSING = "–"


class ScoreRow(NamedTuple):
    """Scores of a method; texts for people."""

    method: str
    seeds: str
    steps: str
    final: str
    iqm: str
    checkpoints: tuple[str, ...]
    """At :data:`CHECKPOINTS`"""
    published: bool


class HyperparameterRow(NamedTuple):
    """A hyperparameter; texts for people."""

    name: str
    values: list[str]
    """One for each run"""
    differs: bool


def score_rows(curves: Sequence[Curve], published: Sequence[PublishedScore]) -> list[ScoreRow]:
    """
    Own scores, then published ones.

    :param curves: Own learning curves
    :param published: Scores of the same task, at any step
    :return: One row for each curve and each method
    """
    rows = []
    for curve in curves:
        iqm, (low, high) = curve.iqm[-1], curve.final_iqm_interval
        at = [curve.at(step) for step in CHECKPOINTS]
        episodes = curve.runs[0].returns.shape[1]
        rows.append(
            ScoreRow(
                method=curve.label,
                seeds=str(curve.seeds) if curve.seeds > 1 else f"1 ({episodes} episode{'s' * (episodes > 1)})",
                steps=f"{curve.steps[-1]:,}",
                final=_mean_std(curve.mean[-1], curve.std[-1]),
                iqm=f"{number(iqm)} [{number(low, like=iqm)}, {number(high, like=iqm)}]",
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


def hyperparameter_rows(runs: Sequence[Run]) -> list[HyperparameterRow]:
    """
    Hyperparameters of the runs side by side.

    :param runs: At least one
    :return: First those that differ, then the others, each in alphabetical order
    """
    names = {name for run in runs for name in run.hyperparameters}
    rows = []
    for name in names:
        values = [_text(run.hyperparameters[name]) if name in run.hyperparameters else "not set" for run in runs]
        rows.append(HyperparameterRow(name, values, len(set(values)) > 1))
    return sorted(rows, key=lambda row: (not row.differs, row.name))


def mixed_settings(curves: Sequence[Curve]) -> list[str]:
    """
    Curves whose runs are not the same experiment with other seeds.

    :param curves: The curves
    :return: One sentence for each
    """
    sentences = []
    for curve in curves:
        differing = [row.name for row in hyperparameter_rows(curve.runs) if row.differs]
        if differing:
            sentences.append(f"The runs of {curve.label} differ in more than their seeds: {', '.join(differing)}.")
    return sentences


def number(value: float, like: float | None = None) -> str:
    """
    A return for people.

    :param value: The return
    :param like: Another one, to whose decimals it is written; None: its own
    :return: Three figures or more: ``"1,204"``, ``"173"``, ``"17.3"``, ``"0.17"``
    """
    size = abs(value if like is None else like)
    digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2
    return f"{value:,.{digits}f}".replace("-", "−")


def _mean_std(mean: float, std: float) -> str:
    return f"{number(mean)} ± {number(std, like=mean)}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else repr(value)
