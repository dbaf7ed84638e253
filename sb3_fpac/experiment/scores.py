"""The results of an experiment: a learning curve for every variant on every task, and tables of the final scores."""

from collections.abc import Sequence
from dataclasses import replace

from sb3_fpac.envs.torso_height import TORSO_HEIGHT
from sb3_fpac.evaluation.curves import Curve, group_curves
from sb3_fpac.evaluation.run_files import EVALUATIONS, read_episodes
from sb3_fpac.evaluation.runs import Run, episode_windows, read_run
from sb3_fpac.evaluation.tables import final_scores
from sb3_fpac.experiment.config import Experiment
from sb3_fpac.experiment.plan import RunConfig, read_progress
from sb3_fpac.optional import needs

with needs("zoo"):
    import pandas as pd

Curves = dict[str, list[Curve]]
"""Curves by task"""
COLUMNS = ("task", "variant", "seeds", "env steps", "mean", "std", "IQM", "IQM low", "IQM high")


def read_curves(experiment: Experiment, runs: Sequence[RunConfig], what: str = "return") -> Curves:
    """
    Compute the curves of one quantity. Of the runs of a variant on a task, those that are done are used; if none is done, all
    runs with an evaluation are used, up to the last evaluation that they share.

    :param experiment: The experiment
    :param runs: Its runs
    :param what: A quantity of :attr:`Experiment.draw`: returns are those of evaluations; ``"torso_height"`` is in metres, of
        windows of ten training episodes
    :return: Curves of the tasks that have any
    """
    curves: Curves = {}
    for task in dict.fromkeys(run.task for run in runs):
        groups = {
            variant.label: [
                _read(run, what)
                for run in _that_count([run for run in runs if (run.task, run.variant) == (task, variant.name)], what)
            ]
            for variant in experiment.variants
        }
        found = group_curves({label: group for label, group in groups.items() if group})
        if found:
            curves[task] = found
    return curves


def markdown(curves: Curves) -> str:
    """
    Make a table of the final scores for people.

    :param curves: Curves of returns
    :return: Markdown
    """
    header = "| task | variant | seeds | env steps | return, mean ± std | IQM [95 % interval] |"
    lines = [header, "| --- | --- | --- | ---: | ---: | ---: |"]
    for task, curve in _each(curves):
        lines.append(f"| {task} | {' | '.join(final_scores(curve))} |")
    return "\n".join(lines) + "\n"


def comma_separated(curves: Curves) -> str:
    """
    Make a table of the final scores for programs.

    :param curves: Curves of returns
    :return: CSV with the columns :data:`COLUMNS`
    """
    rows = []
    for task, curve in _each(curves):
        final = (values[-1] for values in (curve.steps, curve.mean, curve.std, curve.iqm))
        rows.append((task, curve.label, curve.seeds, *final, *curve.final_iqm_interval))
    return pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, float_format="%.3f", lineterminator="\n")


def _each(curves: Curves) -> list[tuple[str, Curve]]:
    return [(task.removeprefix("dmc-"), curve) for task, of_task in curves.items() for curve in of_task]


def _that_count(runs: Sequence[RunConfig], what: str) -> Sequence[RunConfig]:
    begun = [run for run in runs if (run.folder / EVALUATIONS).is_file()]
    if what == TORSO_HEIGHT:
        begun = [run for run in begun if read_episodes(run.folder, skip_unfinished=True)]
    return [run for run in begun if read_progress(run).done] or begun


def _read(planned: RunConfig, what: str) -> Run:
    run = read_run(planned.folder)
    if what != TORSO_HEIGHT:
        return run
    steps, heights = episode_windows(read_episodes(run.folder, skip_unfinished=True), TORSO_HEIGHT)
    return replace(run, steps=steps * planned.action_repeat, returns=heights)
