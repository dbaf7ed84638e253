"""Learning curves of several seeds: means, intervals, interquartile means."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from sb3_fpac.evaluation.runs import Run
from sb3_fpac.optional import needs_viz

with needs_viz():
    from rliable import library, metrics

CONFIDENCE = 0.95
REPLICATIONS = 2000


@dataclass(frozen=True)
class Curve:
    """
    The runs of one algorithm, at the T evaluation steps that all of them have.

    A run counts with its mean over the episodes of an evaluation. Of a single run, there is nothing to say about other seeds:
    mean, std and IQM are then those of its episodes, and the band goes from the lowest to the highest of them.
    """

    label: str
    """The algorithm; with the seed, where runs of one algorithm have no step in common"""
    runs: tuple[Run, ...]
    steps: np.ndarray
    """``(T,)``"""
    mean: np.ndarray
    """``(T,)``"""
    std: np.ndarray
    """``(T,)``: over the seeds (the episodes of a single run), divided by their number"""
    low: np.ndarray
    """``(T,)``: lower end of the 95 % stratified bootstrap interval of the mean; of a single run, its lowest episode"""
    high: np.ndarray
    """``(T,)``: upper end, or highest episode"""
    iqm: np.ndarray
    """``(T,)``: interquartile mean; of two or three seeds nothing is cut off, and it is the mean"""
    final_iqm_interval: tuple[float, float]
    """95 % stratified bootstrap interval of the last IQM"""

    @property
    def seeds(self) -> int:
        """Number of runs"""
        return len(self.runs)

    def at(self, step: int, tolerance: float = 0.02) -> int | None:
        """
        The evaluation that tells the score at a number of steps.

        :param step: The number, positive
        :param tolerance: How far away it may be, as a fraction of ``step``
        :return: Index of the nearest evaluation; None if it is too far away
        """
        nearest = int(np.abs(self.steps - step).argmin())
        return nearest if abs(self.steps[nearest] - step) <= tolerance * step else None


def learning_curves(runs: Sequence[Run], seed: int = 0) -> list[Curve]:
    """
    One curve for each algorithm. Nothing is interpolated: a curve has the evaluation steps that all of its runs have. Runs
    of an algorithm without such a step are curves of their own.

    :param runs: Runs of one task
    :param seed: Seed of the bootstrap: the same seed gives the same intervals
    :return: Curves, in the order in which the algorithms come
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.algorithm, []).append(run)
    curves = []
    for algorithm, group in groups.items():
        if common_steps(group).size:
            curves.append(_curve(algorithm, group, seed))
        else:
            curves += [_curve(run.name, [run], seed) for run in group]
    return curves


def common_steps(runs: Sequence[Run]) -> np.ndarray:
    """
    Evaluation steps that all runs have.

    :param runs: At least one
    :return: ``(T,)``, ascending
    """
    steps = runs[0].steps
    for run in runs[1:]:
        steps = np.intersect1d(steps, run.steps)
    return np.unique(steps)


def _curve(label: str, runs: Sequence[Run], seed: int) -> Curve:
    steps = common_steps(runs)
    returns = []
    for run in runs:
        row = {step: index for index, step in enumerate(run.steps.tolist())}
        returns.append(run.returns[[row[step] for step in steps.tolist()]])
    scores = returns[0].T if len(runs) == 1 else np.stack([each.mean(axis=1) for each in returns])  # (seeds or episodes, T)
    if len(runs) == 1:
        low, high = scores.min(axis=0), scores.max(axis=0)
    else:
        low, high = _bootstrap(scores, metrics.aggregate_mean, seed)
    ((iqm_low,), (iqm_high,)) = _bootstrap(scores[:, -1:], lambda last: np.array([metrics.aggregate_iqm(last)]), seed)
    return Curve(
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


def _bootstrap(scores: np.ndarray, function: Callable[[np.ndarray], np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Interval of what the function makes of ``(runs, 1 task, T)``"""
    with _numpy_seed(seed):
        _, intervals = library.get_interval_estimates(
            {"": scores[:, None]}, function, reps=REPLICATIONS, confidence_interval_size=CONFIDENCE
        )
    return intervals[""]


@contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """NumPy's global generator, from which rliable draws, whatever ``random_state`` it is given"""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
