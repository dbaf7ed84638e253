"""What a run of RL Zoo has left in its folder."""

import csv
import json
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sb3_fpac.envs import TASKS

WINDOW = 10  # training episodes that stand for one evaluation where there are none


@dataclass(frozen=True)
class Run:
    """One training run."""

    folder: Path
    algorithm: str
    """As RL Zoo calls it: ``"fpac"``, ``"sac"``, …"""
    env_id: str
    seed: int
    steps: np.ndarray
    """``(N,)`` int: env steps before every evaluation; of ids that are not this project's, steps as SB3 counts them"""
    returns: np.ndarray
    """``(N, M)``: returns of the M episodes of every evaluation"""
    evaluated: bool
    """Whether these are evaluations; if not, they are windows of training episodes"""
    hyperparameters: dict[str, Any]
    """As RL Zoo saved them, with the keyword arguments of the environment as ``env_kwargs.…``"""
    model: Path | None
    """The best model that there is: that of the evaluations, else the last one"""
    system: dict[str, str]
    """Versions and machine that it was trained with, as SB3 saved them with the model; empty without a model"""

    @property
    def name(self) -> str:
        """Short, for headings: ``"fpac, seed 1"``"""
        return f"{self.algorithm}, seed {self.seed}"

    @property
    def step_unit(self) -> str:
        """What :attr:`steps` counts, for labels"""
        return "env steps" if self.env_id in TASKS else "steps"


def read_runs(folders: Iterable[str | Path]) -> list[Run]:
    """
    Read runs of one task.

    :param folders: The folders of the runs, such as ``logs/fpac/dmc-cheetah-run_1``
    :return: One for each folder, in their order
    :raises ValueError: if there is none, one cannot be read, one is given twice, or their tasks differ
    """
    paths = [Path(folder) for folder in folders]
    if not paths:
        raise ValueError("A report needs the folder of at least one run.")
    for path in paths:
        if [other.resolve() for other in paths].count(path.resolve()) > 1:
            raise ValueError(f"{path} is given twice: every run counts once.")
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

    Returns are those of ``evaluations.npz``. A run without evaluations has its training episodes in their place: every 10 of
    them are one point, at the step at which the last of them ended (fewer than 10: all of them are).

    :param folder: Such as ``logs/fpac/dmc-cheetah-run_1``
    :return: The run
    :raises ValueError: if the folder is no run, a file of it is damaged, or no episode has ended yet
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}: name that of a run, such as logs/fpac/dmc-cheetah-run_1.")
    arguments = sorted(folder.glob("*/args.yml"))
    if len(arguments) != 1:
        raise ValueError(
            f"{folder} is not the folder of a run of RL Zoo, in which lies one <env>/args.yml: name one such as "
            "logs/fpac/dmc-cheetah-run_1."
        )
    settings = arguments[0].parent
    args, config = _read_yaml(settings / "args.yml"), _read_yaml(settings / "config.yml")
    for name in ("algo", "env", "seed"):
        if name not in args:
            raise ValueError(f"{arguments[0]} lacks {name!r}: is it RL Zoo's?")
    env_kwargs = {**(config.pop("env_kwargs", None) or {}), **(args.get("env_kwargs") or {})}
    if args.get("n_timesteps", -1) > 0:
        config["n_timesteps"] = args["n_timesteps"]  # -n goes before the YAML
    env_id = args["env"]
    repeat = env_kwargs.get("action_repeat") or TASKS[env_id].action_repeat if env_id in TASKS else 1
    evaluations = folder / "evaluations.npz"
    evaluated = evaluations.is_file()
    steps, returns = _read_evaluations(evaluations) if evaluated else _read_monitors(folder)
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
        system=_read_system_info(model) if model else {},
    )


class _PlainLoader(yaml.SafeLoader):
    """RL Zoo writes OrderedDicts, and whatever Python object a hyperparameter is: these become their names, nothing is run"""

    def name_of(self, suffix: str, node: yaml.Node) -> Any:
        if suffix == "object/apply:collections.OrderedDict" and isinstance(node, yaml.SequenceNode):
            return dict(self.construct_sequence(node, deep=True)[0])
        if suffix == "tuple" and isinstance(node, yaml.SequenceNode):
            return tuple(self.construct_sequence(node, deep=True))
        return suffix.rpartition(":")[2]


_PlainLoader.add_multi_constructor("tag:yaml.org,2002:python/", _PlainLoader.name_of)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(), _PlainLoader)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: was the run copied without it?") from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{path} is damaged: copy the run anew.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: copy the run anew.")
    return content


def _read_evaluations(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(path) as file:
            steps, returns = file["timesteps"], file["results"]
        assert steps.ndim == 1 and returns.ndim == 2 and len(steps) == len(returns)
    except (AssertionError, EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is damaged or half written: wait until it is complete or copy it anew; without it, the report shows the "
            "training episodes instead."
        ) from error
    if not returns.size:
        raise ValueError(f"{path} holds no evaluation yet: wait for the first one.")
    if not np.isfinite(returns).all():
        raise ValueError(f"{path} holds returns that are not finite: leave this run out.")
    return steps.astype(np.int64), returns.astype(np.float64)


def _read_monitors(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Training episodes of all environments in the order in which they ended, in windows"""
    episodes = sorted(episode for path in folder.glob("*.monitor.csv") for episode in _read_monitor(path))
    if not episodes:
        raise ValueError(f"{folder} has neither an evaluation nor a finished training episode yet: wait for the first one.")
    _, lengths, returns = (np.array(column) for column in zip(*episodes, strict=True))
    size = min(WINDOW, len(returns))
    n_windows = len(returns) // size
    steps = lengths.astype(np.int64).cumsum()[size - 1 :: size]
    return steps[:n_windows], returns[: n_windows * size].reshape(n_windows, size)


def _read_monitor(path: Path) -> list[tuple[float, int, float]]:
    text = path.read_text()
    header, _, rows = text.partition("\n")
    try:
        start = json.loads(header.removeprefix("#"))["t_start"]
        assert text.endswith("\n")
        return [(start + float(row["t"]), int(row["l"]), float(row["r"])) for row in csv.DictReader(rows.splitlines())]
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged or half written: wait until its last line is whole, or copy it anew.") from error


def _read_system_info(model: Path) -> dict[str, str]:
    """Lines such as ``- Python: 3.11.7``"""
    try:
        with zipfile.ZipFile(model) as file:
            lines: Sequence[str] = file.read("system_info.txt").decode().splitlines()
    except (KeyError, OSError, UnicodeDecodeError, zipfile.BadZipFile):
        return {}  # an old or damaged model: whoever loads it will say so
    return {key.removeprefix("- "): value for key, _, value in (line.partition(": ") for line in lines) if value}
