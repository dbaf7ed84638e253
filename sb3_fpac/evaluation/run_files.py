"""The files in the folder of a run, as RL Zoo and SB3 write them: settings, evaluations, training episodes, models."""

import csv
import json
import math
import re
import zipfile
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

EVALUATIONS = "evaluations.npz"
EPISODES = "0.monitor.csv"
CONFIG_FILE = "run.yml"
"""The configuration of an experiment's run, in its folder"""


class Evaluations(NamedTuple):
    """N evaluations of M episodes, as SB3's EvalCallback stores them."""

    steps: list[int]
    """``(N,)``: agent steps before every evaluation"""
    returns: list[list[float]]
    """``(N, M)``"""
    lengths: list[list[int]]
    """``(N, M)``: agent steps"""


class EpisodeEnd(NamedTuple):
    """The end of a training episode."""

    step: int
    """Agent steps of the run at its end, summed over all environments"""
    seconds: float
    """Wall time of the run at its end, including evaluations, without interruptions and lost episodes"""
    values: dict[str, str]
    """What SB3's Monitor wrote: return ``r``, length ``l``, time ``t``, and additional columns such as ``torso_height``"""


def read_evaluations(folder: Path) -> Evaluations:
    """
    Read ``evaluations.npz``.

    :param folder: Folder of a run
    :return: Its evaluations so far; empty if there is no file
    :raises ValueError: if the file is damaged or half written
    """
    path = folder / EVALUATIONS
    if not path.is_file():
        return Evaluations([], [], [])
    try:
        with np.load(path) as file:
            steps, returns, lengths = file["timesteps"], file["results"], file["ep_lengths"]
        if not (steps.ndim == 1 and returns.ndim == 2 and returns.shape == lengths.shape and len(steps) == len(returns)):
            raise ValueError("its arrays do not fit together")
    except (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is damaged or half written: wait until it is complete, copy it again, or remove it to use the training "
            "episodes instead."
        ) from error
    return Evaluations(steps.tolist(), returns.tolist(), lengths.tolist())


def monitor_files(folder: Path) -> dict[float, list[Path]]:
    """
    Find the files of SB3's Monitor. It starts its file again when a run continues; what it wrote before is kept as
    ``<environment>.until_<agent steps>.monitor.csv``.

    :param folder: Folder of a run
    :return: The files of all environments for each part of the run, by the agent steps at the end of the part, ascending;
        infinity for the last part
    """
    parts: dict[float, list[Path]] = {}
    for path in sorted(folder.glob("*.monitor.csv")):
        until = re.fullmatch(r"\d+\.until_(\d+)\.monitor\.csv", path.name)
        parts.setdefault(int(until[1]) if until else math.inf, []).append(path)
    return dict(sorted(parts.items()))


def read_episodes(folder: Path, skip_unfinished: bool = False, start: int = 0) -> list[EpisodeEnd]:
    """
    Read the training episodes of a run, over all interruptions and environments.

    :param folder: Folder of a run
    :param skip_unfinished: Skip the last line of a file if it is incomplete, because the run is still writing it or was killed
    :param start: Agent steps of the checkpoint from which the folder continues the run of another folder
    :return: Its episodes so far, in the order in which they ended
    :raises ValueError: if a file is damaged, or half written and ``skip_unfinished`` is False
    """
    episodes: list[EpisodeEnd] = []
    step, started = start, 0.0
    for until, paths in monitor_files(folder).items():
        monitors = [monitor for path in paths if (monitor := _read_monitor(path, skip_unfinished))]
        first_start = min((start for start, _ in monitors), default=0.0)
        ends = [(start - first_start + float(row["t"]), row) for start, rows in monitors for row in rows]
        ends.sort(key=lambda end: end[0])
        steps = accumulate((int(row["l"]) for _, row in ends), initial=step)
        next(steps)  # the initial one
        episodes += [EpisodeEnd(step, started + seconds, row) for step, (seconds, row) in zip(steps, ends, strict=True)]
        if until < math.inf:
            step = int(until)  # steps of unfinished episodes included
            started = episodes[-1].seconds if episodes else 0.0
    return episodes


def _read_monitor(path: Path, skip_unfinished: bool) -> tuple[float, list[dict[str, str]]] | None:
    """Start time and checked rows; None if the header is not complete"""
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        if skip_unfinished:
            lines = [line for line in lines if line.endswith("\n")]
            if len(lines) < 2:
                return None
        if not lines[-1].endswith("\n"):
            raise ValueError("its last line is not complete")
        start = float(json.loads(lines[0].removeprefix("#"))["t_start"])
        rows = list(csv.DictReader(lines[1:]))
        for row in rows:
            float(row["r"]), float(row["t"]), int(row["l"])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged or half written: wait until its last line is complete, or copy it again."
        ) from error
    return start, rows


def trained_steps(model: Path) -> int | None:
    """
    Read for how long a model was trained.

    :param model: Zip file of a model
    :return: Its agent steps; None if there is no complete file
    """
    data = _read_member(model, "data")
    return None if data is None else json.loads(data)["num_timesteps"]


def read_system_info(model: Path) -> dict[str, str]:
    """
    Read the versions and the machine with which a model was trained, which SB3 saves as lines such as ``- Python: 3.11.7``.

    :param model: Zip file of a model
    :return: Values by name; empty if the file is incomplete or does not contain them: loading it raises the error
    """
    lines = (_read_member(model, "system_info.txt") or b"").decode(errors="replace").splitlines()
    return {key.removeprefix("- "): value for key, _, value in (line.partition(": ") for line in lines) if value}


def _read_member(model: Path, name: str) -> bytes | None:
    try:
        with zipfile.ZipFile(model) as file:
            return file.read(name)
    except (KeyError, OSError, zipfile.BadZipFile):
        return None


class _PlainLoader(yaml.SafeLoader):
    """Reads the OrderedDicts that RL Zoo writes; other Python objects become their names, and nothing is executed"""

    def name_of(self, suffix: str, node: yaml.Node) -> Any:
        if suffix == "object/apply:collections.OrderedDict" and isinstance(node, yaml.SequenceNode):
            return dict(self.construct_sequence(node, deep=True)[0])
        if suffix == "tuple" and isinstance(node, yaml.SequenceNode):
            return tuple(self.construct_sequence(node, deep=True))
        return suffix.rpartition(":")[2]


_PlainLoader.add_multi_constructor("tag:yaml.org,2002:python/", _PlainLoader.name_of)


def read_yaml(path: Path) -> dict[str, Any]:
    """
    Read ``args.yml`` or ``config.yml``, without executing anything in it.

    :param path: The file
    :return: Its content; Python objects other than tuples and dicts are their names
    :raises ValueError: if the file is missing or damaged
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)
    except FileNotFoundError as error:
        raise ValueError(f"{path} is missing: was the run copied without it?") from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{path} is damaged: copy the run again.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: copy the run again.")
    return content
