"""What RL Zoo needs to know: this project's ids and their hyperparameters. Import it after, or through, rl_zoo3."""

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import rl_zoo3.exp_manager
from rl_zoo3.exp_manager import ExperimentManager

from sb3_fpac.envs import TASKS

_Read = Callable[[ExperimentManager], tuple[dict[str, Any], OrderedDict[str, Any]]]


def config_file(algo: str) -> Path:
    """
    The YAML with the hyperparameters of this project's ids.

    :param algo: RL Zoo's name of the algorithm, ``"sac"``
    :return: Its path
    :raises ValueError: if there is none for this algorithm
    """
    package = Path(__file__).parent
    folder = package / "zoo_configs"  # where the wheel puts it
    if not folder.is_dir():
        folder = package.parent / "zoo_configs"  # a checkout
    algorithms = sorted(path.stem for path in folder.glob("*.yml"))
    if algo not in algorithms:
        raise ValueError(
            f"sb3-fpac has hyperparameters for {' and '.join(algorithms)}, not for {algo}: "
            f"choose one of them with --algo, or give your own YAML with -conf."
        )
    return folder / f"{algo}.yml"


def _with_our_hyperparameters(read: _Read) -> _Read:
    @wraps(read)
    def read_hyperparameters(self: ExperimentManager) -> tuple[dict[str, Any], OrderedDict[str, Any]]:
        if self.env_name.gym_id in TASKS and _is_rl_zoos_own(self.config):
            self.config = str(config_file(self.algo))
        return read(self)

    return read_hyperparameters


def _is_rl_zoos_own(config: str) -> bool:
    package = Path(rl_zoo3.exp_manager.__file__).parent
    return Path(config).parent in (package / "hyperparams", package.parent / "hyperparams")


# RL Zoo looks for hyperparameters in its own files and has no hook for others. For any id but ours, or with -conf, nothing changes.
ExperimentManager.read_hyperparameters = _with_our_hyperparameters(ExperimentManager.read_hyperparameters)
