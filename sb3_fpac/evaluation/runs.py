"""The training runs of RL Zoo, read from their folders."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sb3_fpac.envs import TASKS
from sb3_fpac.evaluation.run_files import (
    EVALUATIONS,
    EpisodeEnd,
    read_episodes,
    read_evaluations,
    read_system_info,
    read_yaml,
)

WINDOW = 10  # training episodes in place of one evaluation, if there are no evaluations


@dataclass(frozen=True)
class Run:
    """A training run."""

    folder: Path
    algorithm: str
    """Its name in RL Zoo: ``"fpac"``, ``"sac"``, …"""
    env_id: str
    seed: int
    steps: np.ndarray
    """``(N,)`` int: env steps before every evaluation; for ids of other projects, steps as SB3 counts them"""
    returns: np.ndarray
    """``(N, M)``: returns of the M episodes of every evaluation"""
    evaluated: bool
    """Whether ``returns`` are those of evaluations; otherwise, they are those of windows of training episodes"""
    hyperparameters: dict[str, Any]
    """As saved by RL Zoo, with the keyword arguments of the environment as ``env_kwargs.…``"""
    model: Path | None
    """The best model of the evaluations, else the last model; None if no model was saved"""
    system: dict[str, str]
    """Versions and machine of the training, as saved by SB3 with the model; empty without a model"""

    @property
    def name(self) -> str:
        """Short name for headings: ``"fpac, seed 1"``"""
        return f"{self.algorithm}, seed {self.seed}"

    @property
    def step_unit(self) -> str:
        """The unit of :attr:`steps` for labels"""
        return "env steps" if self.env_id in TASKS else "steps"


def read_runs(folders: Iterable[str | Path]) -> list[Run]:
    """
    Read the runs of one task.

    :param folders: Folders of the runs, such as ``logs/fpac/dmc-cheetah-run_1``
    :return: One run for each folder, in their order
    :raises ValueError: if there is no folder, one cannot be read, one is given twice, or their tasks differ
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
    return runs


def read_run(folder: str | Path) -> Run:
    """
    Read the folder of one run.

    The returns are those of ``evaluations.npz``. Without this file, they are those of the training episodes: every 10 episodes
    (all, if there are fewer than 10) are one point, at the step at which the last of them ended.

    :param folder: Such as ``logs/fpac/dmc-cheetah-run_1``
    :return: The run
    :raises ValueError: if the folder is not that of a run, one of its files is damaged, or no episode has ended yet
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: name that of a run, such as logs/fpac/dmc-cheetah-run_1.")
    arguments = sorted(folder.glob("*/args.yml"))
    if len(arguments) != 1:
        raise ValueError(
            f"{folder} is not the folder of a run of RL Zoo, which contains one <env>/args.yml: name one such as "
            "logs/fpac/dmc-cheetah-run_1."
        )
    settings = arguments[0].parent
    args, config = read_yaml(settings / "args.yml"), read_yaml(settings / "config.yml")
    for name in ("algo", "env", "seed"):
        if name not in args:
            raise ValueError(f"{arguments[0]} lacks {name!r}: was it written by RL Zoo?")
    env_kwargs = {**(config.pop("env_kwargs", None) or {}), **(args.get("env_kwargs") or {})}
    if args.get("n_timesteps", -1) > 0:
        config["n_timesteps"] = args["n_timesteps"]  # -n overrides the YAML
    env_id = args["env"]
    repeat = env_kwargs.get("action_repeat") or TASKS[env_id].action_repeat if env_id in TASKS else 1
    evaluated = (folder / EVALUATIONS).is_file()
    steps, returns = _evaluation_returns(folder) if evaluated else _training_returns(folder)
    models = (folder / "best_model.zip", folder / f"{settings.name}.zip")
    model = next((path for path in models if path.is_file()), None)
    return Run(
        folder=folder,
        algorithm=args["algo"],
        env_id=env_id,
        seed=args["seed"],
        steps=steps * repeat,
        returns=returns,
        evaluated=evaluated,
        hyperparameters=config | {f"env_kwargs.{name}": value for name, value in env_kwargs.items()},
        model=model,
        system=read_system_info(model) if model else {},
    )


def episode_windows(episodes: Sequence[EpisodeEnd], column: str) -> tuple[np.ndarray, np.ndarray]:
    """
    Group training episodes into windows of 10, which replace evaluations. The last episodes that do not fill a window are left
    out; fewer than 10 episodes are one window.

    :param episodes: At least one
    :param column: Column of SB3's Monitor, such as ``"r"`` for returns
    :return: Agent steps at the end of each window, ``(N,)``; values of its episodes, ``(N, M)``
    """
    size = min(WINDOW, len(episodes))
    n_windows = len(episodes) // size
    steps = np.array([episode.step for episode in episodes[size - 1 :: size]])
    values = np.array([float(episode.values[column]) for episode in episodes[: n_windows * size]])
    return steps, values.reshape(n_windows, size)


def _evaluation_returns(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    evaluations = read_evaluations(folder)
    returns = np.array(evaluations.returns, dtype=np.float64)
    if not returns.size:
        raise ValueError(f"{folder / EVALUATIONS} holds no evaluation yet: wait for the first one.")
    if not np.isfinite(returns).all():
        raise ValueError(f"{folder / EVALUATIONS} holds returns that are not finite: leave this run out.")
    return np.array(evaluations.steps, dtype=np.int64), returns


def _training_returns(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    episodes = read_episodes(folder)
    if not episodes:
        raise ValueError(f"{folder} has neither an evaluation nor a finished training episode yet: wait for the first one.")
    return episode_windows(episodes, "r")
