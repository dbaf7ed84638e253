"""All checks, in the order in which each makes sense only if those before it are ok."""

from collections.abc import Iterator

import gymnasium as gym

from sb3_fpac.doctor.check import Check, refusal
from sb3_fpac.doctor.drawing import examine_drawing, opengl_errors
from sb3_fpac.doctor.environment import examine_actions, examine_cameras, examine_observations
from sb3_fpac.doctor.episode import examine_played, play
from sb3_fpac.doctor.machine import examine_bfloat16, examine_compiler, examine_device, examine_threads
from sb3_fpac.doctor.packages import examine_packages
from sb3_fpac.doctor.plan import Plan
from sb3_fpac.doctor.training import examine_memory, examine_speed

_OF_WRAPPERS = (gym.error.Error, AssertionError, ImportError, RuntimeError, TypeError, ValueError)


def examine_machine() -> Iterator[Check]:
    """
    Check the installation and the machine.

    :return: The checks, each as soon as it is done
    """
    yield from examine_packages()
    yield examine_drawing()
    yield examine_threads()
    yield examine_device()
    yield examine_bfloat16()
    yield examine_compiler()


def examine_environment(plan: Plan) -> Iterator[Check]:
    """
    Check an environment, and whether an agent can be trained in it.

    :param plan: What is to be trained
    :return: The checks, each as soon as it is done; without those that need what is not ok
    """
    try:
        with opengl_errors():
            env = gym.make(plan.env_id, **plan.env_kwargs)
    except Exception as error:  # a package that is missing, nothing to draw with, a wrong argument, or a fault of its own
        how = f" with {plan.env_kwargs}" if plan.env_kwargs else ""
        yield Check("environment", False, f"{plan.env_id} cannot be made{how}, {_flat(error)}")
        return
    try:
        yield from _examine(env, plan)
    finally:
        env.close()


def _examine(env: gym.Env, plan: Plan) -> Iterator[Check]:
    checks, layouts = examine_observations(env.observation_space, plan.frame_channels)
    actions = examine_actions(env.action_space)
    yield from checks
    yield actions
    yield from examine_cameras(env, layouts)
    try:
        with opengl_errors():
            played = play(env, layouts)
    except Exception as error:  # Gymnasium's checker, nothing to draw with, wrappers, or a fault of its own
        yield refusal("steps", _flat(error)) if isinstance(error, _OF_WRAPPERS) else Check("steps", False, _flat(error))
        return
    found = list(examine_played(played, layouts))
    yield from found
    if layouts:
        yield examine_memory(plan, env.observation_space, layouts)
    if layouts and all(check.ok for check in (actions, *found) if not check.name.startswith(("stack", "idle"))):
        yield examine_speed(plan, env)


def _flat(error: Exception) -> str:
    """One line; an error that no wrapper raises is called by its name"""
    text = " ".join(str(error).split())
    return text if isinstance(error, _OF_WRAPPERS) else f"{type(error).__name__}: {text}"
