"""All evaluations of all runs as one CSV, from which curves can be drawn without the run folders."""

import csv
import io
from collections.abc import Sequence

import numpy as np

from sb3_fpac.evaluation.run_files import read_episodes, read_evaluations
from sb3_fpac.experiment.plan import RunConfig

COLUMNS = ("task", "variant", "seed", "env_steps", "mean", "std", "returns", "hours")


def all_evaluations(runs: Sequence[RunConfig]) -> str:
    """
    Collect the evaluations of the runs, finished or not.

    :param runs: Runs of an experiment
    :return: CSV with the columns :data:`COLUMNS`: mean, standard deviation and returns are those of the episodes of one
        evaluation; ``hours`` is the wall time of the run at the last training episode before the evaluation, empty if no
        episode had ended
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for run in runs:
        episodes = read_episodes(run.folder, skip_unfinished=True)
        steps, returns, _ = read_evaluations(run.folder)
        for step, scores in zip(steps, returns, strict=True):
            seconds = max((episode.seconds for episode in episodes if episode.step <= step), default=None)
            writer.writerow(
                [
                    run.task.removeprefix("dmc-"),
                    run.variant,
                    run.seed,
                    step * run.action_repeat,
                    f"{np.mean(scores):.2f}",
                    f"{np.std(scores):.2f}",
                    " ".join(f"{score:.1f}" for score in scores),
                    "" if seconds is None else f"{seconds / 3600:.3f}",
                ]
            )
    return text.getvalue()
