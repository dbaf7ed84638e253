"""Finds environments as Gymnasium and RL Zoo do, and those of a user's own module."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import ModuleType

import gymnasium as gym


def find_env(name: str, gym_packages: Sequence[str] = ()) -> str:
    """
    Find an environment. Modules are looked for in the current folder, too.

    :param name: An id; ``"module:id"``, where importing the module registers the id; or ``"module:function"``, a function that
        takes keyword arguments and returns an environment. Its id is ``"module.function"``, which finds it, too
    :param gym_packages: Modules that are imported first because they register environments
    :return: The id under which ``gym.make`` makes it
    :raises ValueError: if there is no such environment, or a module cannot be imported
    """
    for package in gym_packages:
        _import(package)
    module_name, _, name = name.rpartition(":")
    module = _import(module_name) if module_name else None
    try:
        return gym.spec(name).id
    except gym.error.Error as error:
        if module is not None:
            env_id = _register(module, name)
            if env_id is not None:
                return env_id
            raise ValueError(
                f"The module {module_name} neither registers an environment {name!r} nor has a function of this name."
            ) from error
        module_name, _, function = name.rpartition(".")  # registered by another process
        with suppress(ValueError):
            env_id = _register(_import(module_name), function) if module_name else None
            if env_id is not None:
                return env_id
        raise ValueError(
            f"There is no environment {name!r}: {error} If a module registers it, pass --gym-packages or write module:id; "
            "a function that makes it is module:function."
        ) from error


def _register(module: ModuleType, name: str) -> str | None:
    """The id of a function that makes an environment; None if the module has no such function"""
    factory = getattr(module, name, None)
    if not callable(factory):
        return None
    env_id = f"{module.__name__}.{name}"
    if env_id not in gym.registry:
        gym.register(env_id, entry_point=factory)
    return env_id


def _import(name: str) -> ModuleType:
    sys.path.insert(0, "")  # as python -m does
    try:
        return import_module(name)
    except (ImportError, TypeError) as error:  # TypeError: a name that starts with a dot
        raise ValueError(
            f"The module {name} cannot be imported: {error}. Install it, or start in the folder that contains it."
        ) from error
    finally:
        with suppress(ValueError):  # the module may have changed the path, too
            sys.path.remove("")
