"""The environments of an experiment: tasks of DeepMind Control, ids of Gymnasium, and those of a user's own module."""

from typing import NamedTuple

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
