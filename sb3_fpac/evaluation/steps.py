"""What a step of an environment is."""

from collections.abc import Mapping
from typing import Any

from sb3_fpac.envs import TASKS


def action_repeat(env_id: str, env_kwargs: Mapping[str, Any]) -> int:
    """
    Tell how many env steps an agent step has.

    :param env_id: Id of an environment
    :param env_kwargs: Keyword arguments of the environment
    :return: The action repeat of the task; 1 for other environments, whose steps are counted as SB3 counts them
    """
    if env_id not in TASKS:
        return 1
    return env_kwargs.get("action_repeat") or TASKS[env_id].action_repeat


def step_unit(env_id: str) -> str:
    """
    Name what is counted.

    :param env_id: Id of an environment
    :return: ``"env steps"``, or ``"steps"`` as SB3 counts them
    """
    return "env steps" if env_id in TASKS else "steps"
