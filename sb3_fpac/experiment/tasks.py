"""The environments of an experiment: tasks of DeepMind Control, ids of Gymnasium, and those of a user's own module."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sb3_fpac.envs import TASKS
from sb3_fpac.zoo.environments import find_env


class FoundTask(NamedTuple):
    """An environment that exists."""

    env_id: str
    """The id under which it is registered"""
    gym_packages: list[str]
    """Modules that must be imported first, because they register it"""


def find_task(name: str) -> FoundTask:
    """
    Find the environment of a task.

    :param name: Such as ``"dmc-cheetah-run"``, ``"cheetah-run"``, ``"CarRacing-v3"``, ``"module:id"`` or ``"module:function"``
    :return: Its id, and what registers it
    :raises ValueError: if there is no such environment
    """
    if f"dmc-{name.removeprefix('dmc-')}" in TASKS:
        return FoundTask(f"dmc-{name.removeprefix('dmc-')}", [])
    module, _, _ = name.rpartition(":")
    try:
        env_id = find_env(name)
    except ValueError as error:
        if module:
            raise
        raise ValueError(
            f"there is no environment {name!r}: write a task of DeepMind Control like dmc-cheetah-run, and another "
            "environment as its id, module:id or module:function."
        ) from error
    registers_itself = not module or env_id.startswith(f"{module}.")
    return FoundTask(env_id, [] if registers_itself else [module])


def action_repeat(env_id: str, env_kwargs: Mapping[str, Any]) -> int:
    """
    Tell how many env steps an agent step has.

    :param env_id: As in :class:`FoundTask`
    :param env_kwargs: Keyword arguments of the environment
    :return: The action repeat of the task; 1 for other environments, whose steps are counted as SB3 counts them
    """
    return env_kwargs.get("action_repeat") or TASKS[env_id].action_repeat if env_id in TASKS else 1


def step_unit(env_id: str) -> str:
    """
    Name what is counted.

    :param env_id: As in :class:`FoundTask`
    :return: ``"env steps"``, or ``"steps"`` as SB3 counts them
    """
    return "env steps" if env_id in TASKS else "steps"
