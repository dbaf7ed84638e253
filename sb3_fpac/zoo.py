"""What RL Zoo needs to know: this project's ids and their hyperparameters. Import it after, or through, rl_zoo3."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import rl_zoo3.utils

from sb3_fpac.envs import TASKS


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


def _bring_our_hyperparameters() -> None:
    """RL Zoo has no hook for hyperparameters: let it read ours for our ids, unless the user gave a file with -conf"""
    from rl_zoo3.exp_manager import ExperimentManager

    read = ExperimentManager.read_hyperparameters

    @wraps(read)
    def read_hyperparameters(self: ExperimentManager) -> Any:
        if self.env_name.gym_id in TASKS and _is_rl_zoos_own(self.config):
            self.config = str(config_file(self.algo))
        return read(self)

    ExperimentManager.read_hyperparameters = read_hyperparameters  # type: ignore[method-assign]


def _is_rl_zoos_own(config: str) -> bool:
    package = Path(rl_zoo3.utils.__file__).parent
    return Path(config).parent in (package / "hyperparams", package.parent / "hyperparams")


def _when_first_called(function: Callable[..., Any], do: Callable[[], None]) -> Callable[..., Any]:
    pending = [do]

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        while pending:
            pending.pop()()
        return function(*args, **kwargs)

    return wrapper


_exp_manager = sys.modules.get("rl_zoo3.exp_manager")
if _exp_manager is None or hasattr(_exp_manager, "ExperimentManager"):
    _bring_our_hyperparameters()
else:
    # That very module is being imported, and imports us: wait for the first ExperimentManager, which asks for its run's number
    # with this function (and imports it only after us)
    rl_zoo3.utils.get_latest_run_id = _when_first_called(rl_zoo3.utils.get_latest_run_id, _bring_our_hyperparameters)
