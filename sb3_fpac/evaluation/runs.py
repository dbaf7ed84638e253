"""The training runs of RL Zoo, read from their folders."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sb3_fpac.evaluation.run_files import (
    CONFIG_FILE,
    EVALUATIONS,
    EpisodeEnd,
    read_episodes,
    read_evaluations,
    read_system_info,
    read_yaml,
)
from sb3_fpac.evaluation.steps import action_repeat, step_unit

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
    action_repeat: int
    """Env steps of an agent step; 1 for ids of other projects"""
    episodes: tuple[EpisodeEnd, ...]
    """The training episodes; empty if their files cannot be read and there are evaluations"""
    label: str | None
    """Name of the settings: that of the variant of an experiment; None for other runs"""
    start: int
    """Env steps of the checkpoint at which the folder continues the run of another folder; 0 for a whole run"""
    trained_agent: str | None
    """The model from which training started, as RL Zoo saved it: empty if there was none, None if it was not saved"""
    folders: tuple[Path, ...]
    """The folders of all parts of the run, the first part first"""

    @property
    def name(self) -> str:
        """Short name for headings: ``"fpac, seed 1"``"""
        return f"{self.label or self.algorithm}, seed {self.seed}"

    @property
    def hours(self) -> np.ndarray:
        """``(N,)``: wall time at the last training episode before every evaluation, without interruptions; NaN if unknown"""
        ends = [episode.step * self.action_repeat for episode in self.episodes]
        seconds = [np.nan, *np.maximum.accumulate([episode.seconds for episode in self.episodes])]
        return np.array(seconds)[np.searchsorted(ends, self.steps, side="right")] / 3600

    @property
    def step_unit(self) -> str:
        """The unit of :attr:`steps` for labels"""
        return step_unit(self.env_id)


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
    settings = _settings(folder)
    args, config = _read_arguments(settings / "args.yml"), read_yaml(settings / "config.yml")
    env_kwargs = {**(config.pop("env_kwargs", None) or {}), **(args.get("env_kwargs") or {})}
    planned = read_yaml(folder / CONFIG_FILE) if (folder / CONFIG_FILE).is_file() else {}
    trained_agent = "" if planned else args.get("trained_agent")  # an experiment continues a run in its own folder
    checkpoint = checkpoint_step(trained_agent or "")
    if args.get("n_timesteps", -1) > 0:
        config["n_timesteps"] = args["n_timesteps"]  # -n overrides the YAML
    if trained_agent and checkpoint is None:
        config["trained_agent"] = trained_agent  # another agent's weights, not a continued run
    config |= {name: planned[name] for name in ("pretrain", "matmul_precision") if planned.get(name) is not None}
    repeat = action_repeat(args["env"], env_kwargs)
    evaluated = (folder / EVALUATIONS).is_file()
    start = checkpoint or 0
    if evaluated:
        steps, returns = _evaluation_returns(folder)
        start = start if steps[0] > start else 0  # RL Zoo has restarted its count: the checkpoint was not complete
        episodes = _episodes_if_readable(folder, start)
    else:
        steps, returns, episodes = _training_returns(folder, start)
    models = (folder / "best_model.zip", folder / f"{settings.name}.zip")
    model = next((path for path in models if path.is_file()), None)
    return Run(
        folder=folder,
        algorithm=args["algo"],
        env_id=args["env"],
        seed=args["seed"],
        steps=steps * repeat,
        returns=returns,
        evaluated=evaluated,
        hyperparameters=config | {f"env_kwargs.{name}": value for name, value in env_kwargs.items()},
        model=model,
        system=read_system_info(model) if model else {},
        action_repeat=repeat,
        episodes=episodes,
        label=planned.get("label") or planned.get("variant"),
        start=start * repeat,
        trained_agent=trained_agent,
        folders=(folder,),
    )


def checkpoint_step(model: str) -> int | None:
    """
    Tell from the path of a model at how many steps it was saved.

    :param model: Such as ``logs/fpac/dmc-cheetah-run_1/checkpoint/step_10000/model.zip``
    :return: Agent steps, ``10000``; None if the model is not that of a ResumableCheckpoint
    """
    step = re.search(r"(?:^|[/\\])step_(\d+)[/\\][^/\\]+$", model)
    return int(step[1]) if step else None


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


def _settings(folder: Path) -> Path:
    """The folder in which RL Zoo saves the settings of a run"""
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: name that of a run, such as logs/fpac/dmc-cheetah-run_1.")
    arguments = sorted(folder.glob("*/args.yml"))
    if len(arguments) != 1:
        raise ValueError(
            f"{folder} is not the folder of a run of RL Zoo, which contains one <env>/args.yml: name one such as "
            "logs/fpac/dmc-cheetah-run_1."
        )
    return arguments[0].parent


def _read_arguments(path: Path) -> dict[str, Any]:
    args = read_yaml(path)
    for name in ("algo", "env", "seed"):
        if name not in args:
            raise ValueError(f"{path} lacks {name!r}: was it written by RL Zoo?")
    if not isinstance(args.get("n_timesteps", -1), int):
        raise ValueError(f"n_timesteps of {path} must be a whole number, got {args['n_timesteps']!r}.")
    return args


def _evaluation_returns(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    evaluations = read_evaluations(folder)
    returns = np.array(evaluations.returns, dtype=np.float64)
    if not returns.size:
        raise ValueError(f"{folder / EVALUATIONS} holds no evaluation yet: wait for the first one.")
    if not np.isfinite(returns).all():
        raise ValueError(f"{folder / EVALUATIONS} holds returns that are not finite: leave this run out.")
    return np.array(evaluations.steps, dtype=np.int64), returns


def _training_returns(folder: Path, start: int) -> tuple[np.ndarray, np.ndarray, tuple[EpisodeEnd, ...]]:
    episodes = tuple(read_episodes(folder, start=start))
    if not episodes:
        raise ValueError(f"{folder} has neither an evaluation nor a finished training episode yet: wait for the first one.")
    steps, returns = episode_windows(episodes, "r")
    if not np.isfinite(returns).all():
        raise ValueError(f"The training episodes of {folder} have returns that are not finite: leave this run out.")
    return steps, returns, episodes


def _episodes_if_readable(folder: Path, start: int) -> tuple[EpisodeEnd, ...]:
    """They only date the evaluations: a damaged file is no reason to refuse the run"""
    try:
        return tuple(read_episodes(folder, skip_unfinished=True, start=start))
    except ValueError:
        return ()
