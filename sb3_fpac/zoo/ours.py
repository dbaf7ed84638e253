"""Which runs of RL Zoo are this package's, and where their hyperparameters are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rl_zoo3.utils

from sb3_fpac.envs import TASKS
from sb3_fpac.zoo.trials import as_mapping

NAMES = ("fpac", "fpac_fast")
"""What RL Zoo calls FPAC with the hyperparameters of the paper, and with those of the preset"""


def config_file(algo: str) -> Path:
    """
    Find the YAML file with the hyperparameters of this package's environments.

    :param algo: RL Zoo's name of the algorithm, such as ``"sac"``
    :return: The path of the file
    :raises ValueError: if there is none for this algorithm
    """
    package = Path(__file__).parents[1]
    folder = package / "zoo_configs"  # where the wheel puts it
    if not folder.is_dir():
        folder = package.parent / "zoo_configs"  # a checkout
    algorithms = sorted(path.stem for path in folder.glob("*.yml"))
    if algo not in algorithms:
        raise ValueError(
            f"sb3-fpac has hyperparameters for {', '.join(algorithms[:-1])} and {algorithms[-1]}, not for {algo}: "
            f"choose one of them with --algo, or give your own YAML with -conf."
        )
    return folder / f"{algo}.yml"


def uses_our_config(manager: Any) -> bool:
    """
    Say whether a run reads :func:`config_file`: it has our environment or algorithm, and no file of ``-conf``.

    :param manager: RL Zoo's ExperimentManager
    """
    package = Path(rl_zoo3.utils.__file__).parent
    of_rl_zoo = Path(manager.config).parent in (package / "hyperparams", package.parent / "hyperparams")
    return of_rl_zoo and (manager.env_name.gym_id in TASKS or manager.algo in NAMES)


def is_ours(manager: Any, hyperparams: Mapping[str, Any]) -> bool:
    """
    Say whether a run has this package's algorithm, environment, policy or extractor.

    :param manager: RL Zoo's ExperimentManager
    :param hyperparams: Of the run
    """
    policy_kwargs = as_mapping(hyperparams.get("policy_kwargs")) or {}
    classes = (hyperparams.get("policy"), policy_kwargs.get("features_extractor_class"))
    modules = (each if isinstance(each, str) else getattr(each, "__module__", "") for each in classes)
    is_used = any(module.split(".")[0] == "sb3_fpac" for module in modules)
    return is_used or manager.algo in NAMES or manager.env_name.gym_id in TASKS
