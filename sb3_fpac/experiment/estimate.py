"""Estimates time and disk of an experiment from what was measured of its variants."""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sb3_fpac.evaluation.steps import step_unit
from sb3_fpac.experiment.measurement import Cost
from sb3_fpac.experiment.plan import RunConfig, read_progress

_BUSY = 0.5  # processors


class Estimate(NamedTuple):
    """What a run will take."""

    env_steps: int
    """Still to be trained"""
    hours: float
    final_bytes: float
    """Of its models and its last checkpoint, if it keeps it"""
    checkpoint_bytes: float
    """Of one checkpoint"""


def estimate(run: RunConfig, cost: Cost) -> Estimate:
    """
    Extrapolate to a whole run.

    :param run: The run, which may have been trained in part
    :param cost: Of its variant, on the same or another task
    :return: Time still to go, and disk in all
    """
    env_steps = max(run.env_steps - read_progress(run).env_steps, 0)
    episode = run.agent_steps(cost.episode_steps)
    evaluated = env_steps // run.eval_freq * run.eval_episodes * episode
    seconds = run.agent_steps(env_steps) * cost.training_seconds + evaluated * cost.acting_seconds
    n_stored = min(cost.buffer_size, run.agent_steps(run.env_steps)) if cost.grows else cost.buffer_size
    checkpoint = cost.model_bytes + n_stored * cost.transition_bytes
    models = 2 * cost.model_bytes  # the best one and the last one
    return Estimate(env_steps, seconds / 3600, models + checkpoint * run.keep_checkpoint, checkpoint)


def parallel_hours(hours: Sequence[float], jobs: int) -> float:
    """
    Compute how long runs take in parallel, where each begins as soon as a place is free.

    :param hours: Of each run, in their order
    :param jobs: Places
    :return: Hours until the last one ends
    """
    ends = [0.0] * jobs
    for each in hours:
        heapq.heappush(ends, heapq.heappop(ends) + each)
    return max(ends)


def table(runs: Sequence[RunConfig], costs: Mapping[str, Cost], jobs: int | None, busy: float = 0.0) -> str:
    """
    Show what the runs of an experiment will take.

    :param runs: Those that are not done
    :param costs: Of their variants, by name
    :param jobs: Parallel runs; None: as many as a cluster has room for, which is unknown
    :param busy: Processors that other programs used while the costs were measured
    :return: Lines of text: one for each variant, one for all of them, and what is measured and what is not
    """
    estimates = [estimate(run, costs[run.variant]) for run in runs]
    unit = step_unit(runs[0].task)
    header = ("variant", "runs", f"{unit} a run", "hours a run", "hours", "disk")
    rows = [header]
    for variant in costs:
        own = [each for run, each in zip(runs, estimates, strict=True) if run.variant == variant]
        steps = _span(f"{count:,}" for count in sorted(each.env_steps for each in own))
        hours = _span(_hours(number) for number in sorted(each.hours for each in own))
        disk = _size(sum(each.final_bytes for each in own))
        rows.append((variant, str(len(own)), steps, hours, _hours(sum(each.hours for each in own)), disk))
    hours_in_all = _hours(parallel_hours([each.hours for each in estimates], jobs or 1))
    disk = _size(sum(each.final_bytes for each in estimates))
    name = "all, one by one" if jobs is None else f"all, with --jobs {jobs}"
    rows.append((name, str(len(runs)), "", "", hours_in_all, disk))
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = [
        f"{row[0]:<{widths[0]}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]
    return "\n".join([*(line.rstrip() for line in lines), "", *_remarks(runs, estimates, costs, jobs, busy)])


def _remarks(
    runs: Sequence[RunConfig], estimates: Sequence[Estimate], costs: Mapping[str, Cost], jobs: int | None, busy: float
) -> list[str]:
    newest_beside_older = sorted((each.checkpoint_bytes for each in estimates), reverse=True)[:jobs]
    more = sum(newest_beside_older) * (1 if runs[0].keep_checkpoint else 2)
    numbers = sorted({each.n_updates for each in costs.values()})
    updates = f"{_span(map(str, numbers))} updates"
    places = ", ".join(dict.fromkeys(each.task.removeprefix("dmc-") for each in costs.values()))
    remarks = [
        f"Measured on this machine: {updates}, one episode, and the files of a model and of a short replay buffer, of "
        f"each variant on {places}.",
        "Extrapolated: everything else, that is the other tasks and seeds, full training, the evaluations and full replay "
        "buffers. Parallel runs slow each other down, which is not measured.",
        f"While checkpoints are written, {_size(more)} more are needed.",
    ]
    if jobs is None:
        remarks.append("The cluster needs the hours of all runs divided by the number that it trains at once.")
    if busy >= _BUSY:
        remarks.append(f"Other programs used {busy:.1f} processors meanwhile: without them, the runs take less time.")
    if any(run.pretrain for run in runs):
        remarks.append("Not included: pre-training of points.")
    for variant, cost in costs.items():
        if not cost.episode_ended:
            remarks.append(
                f"An episode of {variant} had not ended after {cost.episode_steps:,} env steps: if it is longer, evaluations "
                "take longer."
            )
    return remarks


def _span(ascending: Iterable[str]) -> str:
    """From the least to the greatest, which may be written alike"""
    first, *_, last = [*ascending] * 2
    return first if first == last else f"{first} to {last}"


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


def _size(n_bytes: float) -> str:
    number, unit = (n_bytes / 1e9, "GB") if n_bytes >= 1e8 else (n_bytes / 1e6, "MB")
    return f"{number:,.0f} {unit}" if number >= 10 else f"{number:.2g} {unit}"
