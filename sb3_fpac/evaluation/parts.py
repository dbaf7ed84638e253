"""The runs of one task. A run that was interrupted and continued in another folder is one run."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath

import numpy as np

from sb3_fpac.evaluation.run_files import EpisodeEnd
from sb3_fpac.evaluation.runs import Run, episode_windows, read_run


def read_runs(folders: Iterable[str | Path]) -> list[Run]:
    """
    Read the runs of one task.

    :param folders: Folders of the runs, such as ``logs/fpac/dmc-cheetah-run_1``
    :return: The runs, in the order of their first folders; the parts of a continued run are joined as in :func:`join_parts`
    :raises ValueError: if there is no folder, one cannot be read, one is given twice, their tasks differ, or two folders
        continue the same run at the same step
    """
    paths = [Path(folder) for folder in folders]
    if not paths:
        raise ValueError("A report needs the folder of at least one run.")
    for path in paths:
        if [other.resolve() for other in paths].count(path.resolve()) > 1:
            raise ValueError(f"{path} is given twice: name every run once.")
    runs = [read_run(path) for path in paths]
    for run in runs:
        if run.env_id != runs[0].env_id:
            raise ValueError(
                f"A report is about one task, but {runs[0].folder} is a run of {runs[0].env_id} and {run.folder} one of "
                f"{run.env_id}: write a report for each."
            )
    return join_parts(runs)


def join_parts(runs: Sequence[Run]) -> list[Run]:
    """
    Join the parts of continued runs. RL Zoo's ``-i`` writes the second part of a run to a new folder.

    A part continues a run with the same algorithm, settings and seed: the run from whose checkpoint it was started or, if
    RL Zoo has not saved the name of the checkpoint, a run whose last evaluation is before the first of the part. Without
    ``--seed``, RL Zoo draws another seed for the part: then only the run from whose checkpoint it was started is continued.
    What the interrupted part did after the checkpoint is left out.

    :param runs: Runs of one task, one for each folder
    :return: One run for each that was started, in their order
    :raises ValueError: if two folders continue the same run at the same step
    """
    chains: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: (run.start, int(run.steps[0]))):  # sorted() keeps the order of equal ones
        candidates = [chain for chain in chains if _may_continue(chain[-1], run)]
        candidates = candidates or [chain for chain in chains if _continues_with_another_seed(chain[-1], run)]
        named = [chain for chain in candidates if _is_named(chain[-1], run)]
        candidates = named or candidates
        if len(candidates) == 1:
            candidates[0].append(run if run.start else _starting_at(int(candidates[0][-1].steps[-1]), run))
        else:
            _refuse_second_continuation(chains, run)
            chains.append([run])
    chains.sort(key=lambda chain: next(index for index, run in enumerate(runs) if run is chain[0]))
    return [_join(chain) for chain in chains]


def _may_continue(before: Run, run: Run) -> bool:
    if not _same_settings(before, run):
        return False
    if run.start:
        return before.start < run.start
    return run.trained_agent is None and before.evaluated and run.evaluated and bool(before.steps[-1] < run.steps[0])


def _continues_with_another_seed(before: Run, run: Run) -> bool:
    return before.start < run.start and _is_named(before, run) and _same_settings(replace(before, seed=run.seed), run)


def _is_named(before: Run, run: Run) -> bool:
    """Whether the checkpoint from which a part was started is in the folder of a run"""
    return before.folder.name in PureWindowsPath(run.trained_agent or "").parts


def _starting_at(start: int, run: Run) -> Run:
    """A part of which only the evaluations tell where it started: after the last one of the part before"""
    shift = start // run.action_repeat
    episodes = tuple(episode._replace(step=episode.step + shift) for episode in run.episodes)
    return replace(run, start=start, episodes=episodes)


def _same_settings(before: Run, run: Run) -> bool:
    def settings(run: Run) -> object:
        agent = {name: value for name, value in run.hyperparameters.items() if name != "n_timesteps"}
        return run.algorithm, run.env_id, run.seed, run.label, agent

    return settings(before) == settings(run)


def _refuse_second_continuation(chains: Sequence[Sequence[Run]], run: Run) -> None:
    for chain in chains:
        for part in chain[1:]:
            is_second = run.start and part.start == run.start and part.trained_agent == run.trained_agent
            if is_second and _same_settings(replace(part, seed=run.seed), run):
                raise ValueError(
                    f"{part.folder} and {run.folder} both continue {run.trained_agent}: leave out the one that was given up."
                )


def _join(parts: Sequence[Run]) -> Run:
    if len(parts) == 1:
        return parts[0]
    ends = [part.start or np.inf for part in parts[1:]] + [np.inf]  # env steps at which the next part takes over
    episodes = _join_episodes(parts, ends)
    if any(part.evaluated for part in parts):
        evaluated = [(part, part.steps <= end) for part, end in zip(parts, ends, strict=True) if part.evaluated]
        steps = np.concatenate([part.steps[kept] for part, kept in evaluated])
        n_episodes = min(part.returns.shape[1] for part, _ in evaluated)  # --eval-episodes may have changed
        returns = np.concatenate([part.returns[kept, :n_episodes] for part, kept in evaluated])
    else:
        steps, returns = episode_windows(episodes, "r")
        steps = steps * parts[0].action_repeat
    last = next((part for part in reversed(parts) if part.model), parts[-1])
    return replace(
        parts[-1],
        folder=parts[0].folder,
        seed=parts[0].seed,
        steps=steps,
        returns=returns,
        evaluated=any(part.evaluated for part in parts),
        model=last.model,
        system=last.system,
        episodes=tuple(episodes),
        start=parts[0].start,
        trained_agent=parts[0].trained_agent,
        folders=tuple(part.folder for part in parts),
    )


def _join_episodes(parts: Sequence[Run], ends: Sequence[float]) -> list[EpisodeEnd]:
    episodes: list[EpisodeEnd] = []
    for part, end in zip(parts, ends, strict=True):
        started = episodes[-1].seconds if episodes else 0.0
        episodes += [
            episode._replace(seconds=started + episode.seconds)
            for episode in part.episodes
            if episode.step * part.action_repeat <= end
        ]
    return episodes
