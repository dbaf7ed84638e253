"""Learning curves of several seeds: means, intervals, interquartile means."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from sb3_fpac.evaluation.runs import Run
from sb3_fpac.optional import needs

with needs("viz"):
    from rliable import library, metrics

CONFIDENCE = 0.95
REPLICATIONS = 2000
TOLERANCE = 0.02  # distance of the evaluation that stands for a number of steps, as a fraction of it


@dataclass(frozen=True)
class Curve:
    """
    The learning curve of a group of runs, at the T evaluation steps that all of them have.

    The score of a run is its mean over the episodes of an evaluation. A single run says nothing about other seeds: mean, std
    and IQM are then those of its episodes, and the band extends from the lowest to the highest of them.
    """

    group: str
    """Name of the group of runs, which differ in their seeds only"""
    label: str
    """Name of the group; with the seed, if the runs of the group have no step in common"""
    runs: tuple[Run, ...]
    steps: np.ndarray
    """``(T,)``"""
    mean: np.ndarray
    """``(T,)``"""
    std: np.ndarray
    """``(T,)``: over the seeds (episodes of a single run), without Bessel's correction"""
    low: np.ndarray
    """``(T,)``: lower end of the 95 % stratified bootstrap interval of the mean; lowest episode of a single run"""
    high: np.ndarray
    """``(T,)``: upper end of the interval; highest episode of a single run"""
    iqm: np.ndarray
    """``(T,)``: interquartile mean; with two or three seeds, it equals the mean"""
    final_iqm_interval: tuple[float, float]
    """95 % stratified bootstrap interval of the last IQM"""

    @property
    def seeds(self) -> int:
        """Number of runs"""
        return len(self.runs)

    @property
    def hours(self) -> np.ndarray:
        """``(T,)``: wall time, averaged over the runs; NaN where it is not known of all"""
        return np.mean([run.hours[_rows(run, self.steps)] for run in self.runs], axis=0)

    def at(self, step: int) -> int | None:
        """
        Find the evaluation nearest to a number of steps.

        :param step: Number of steps, positive
        :return: Index of the evaluation; None if it is more than 2 % away
        """
        nearest = int(np.abs(self.steps - step).argmin())
        return nearest if abs(self.steps[nearest] - step) <= TOLERANCE * step else None


def group_curves(groups: Mapping[str, Sequence[Run]], seed: int = 0) -> list[Curve]:
    """
    Compute one curve for each group of runs. Nothing is interpolated: a curve has the evaluation steps that all runs of the
    group have. If there is no such step, every run of the group has its own curve.

    :param groups: At least one run for each group, all of one task
    :param seed: Seed of the bootstrap: the same seed gives the same intervals
    :return: Curves, in the order of the groups
    """
    curves = []
    for group, runs in groups.items():
        if common_steps(runs).size:
            curves.append(_curve(group, group, runs, seed))
        else:
            curves += [_curve(group, f"{group}, seed {run.seed}", [run], seed) for run in runs]
    return curves


def common_steps(runs: Sequence[Run]) -> np.ndarray:
    """
    Find the evaluation steps that all runs have.

    :param runs: At least one
    :return: ``(T,)``, ascending
    """
    steps = runs[0].steps
    for run in runs[1:]:
        steps = np.intersect1d(steps, run.steps)
    return np.unique(steps)


def _curve(group: str, label: str, runs: Sequence[Run], seed: int) -> Curve:
    steps = common_steps(runs)
    returns = []
    for run in runs:
        returns.append(run.returns[_rows(run, steps)])
    scores = returns[0].T if len(runs) == 1 else np.stack([each.mean(axis=1) for each in returns])  # (seeds or episodes, T)
    if len(runs) == 1:
        low, high = scores.min(axis=0), scores.max(axis=0)
    else:
        low, high = _bootstrap(scores, metrics.aggregate_mean, seed)
    ((iqm_low,), (iqm_high,)) = _bootstrap(scores[:, -1:], lambda last: np.array([metrics.aggregate_iqm(last)]), seed)
    return Curve(
        group=group,
        label=label,
        runs=tuple(runs),
        steps=steps,
        mean=scores.mean(axis=0),
        std=scores.std(axis=0),
        low=low,
        high=high,
        iqm=np.array([metrics.aggregate_iqm(scores[:, [step]]) for step in range(len(steps))]),
        final_iqm_interval=(float(iqm_low), float(iqm_high)),
    )


def _rows(run: Run, steps: np.ndarray) -> list[int]:
    row = {step: index for index, step in enumerate(run.steps.tolist())}
    return [row[step] for step in steps.tolist()]


def _bootstrap(scores: np.ndarray, function: Callable[[np.ndarray], np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Interval of a function of ``(runs, 1 task, T)`` scores"""
    with _numpy_seed(seed):
        _, intervals = library.get_interval_estimates(
            {"": scores[:, None]}, function, reps=REPLICATIONS, confidence_interval_size=CONFIDENCE
        )
    return intervals[""]


@contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, from which rliable draws even if it is given a ``random_state``"""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
