"""Whether an agent can act in the environment in which it is evaluated. Without a check, this shows hours later."""

import warnings

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import create_empty_array
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper, sync_envs_normalization

from sb3_fpac.observations import check_given

_CURE = "Make eval_env like the environment of training, with the same id, arguments and wrappers."


def check_evaluation_env(model: BaseAlgorithm, eval_env: VecEnv) -> None:
    """
    Check an environment of SB3's EvalCallback before training.

    There is a warning if it is the environment of training.

    :param model: Any SB3 algorithm whose images have their channels first
    :param eval_env: The environment of the callback, whose images may have their channels last
    :raises ValueError: if it has other observations or actions, or, if training has a VecNormalize, not the same VecEnv
        wrappers
    """
    try:
        check_given(create_empty_array(eval_env.observation_space, fn=np.zeros), model.observation_space)
    except ValueError as error:
        raise ValueError(
            f"The environment of EvalCallback has other observations than that of training. {_CURE} ({error})"
        ) from error
    if eval_env.action_space != model.action_space:
        raise ValueError(
            f"The environment of EvalCallback has the actions {eval_env.action_space}, and that of training has "
            f"{model.action_space}. {_CURE}"
        )
    if model.env is not None and share_environments(model.env, eval_env):
        warnings.warn(
            "EvalCallback plays in the environment of training, so every evaluation breaks off an episode of training: pass "
            "it an environment of its own, such as by another gym.make.",
            stacklevel=2,
        )
    if model.env is not None and model.get_vec_normalize_env() is not None:
        _check_wrappers(model.env, eval_env)


def share_environments(one: gym.Env | VecEnv, other: gym.Env | VecEnv) -> bool:
    """
    Check whether playing in one of two environments plays in the other.

    :param one: An environment
    :param other: Another, or the same
    :return: True if they have an environment in common, whatever is around it
    """
    return not _innermost(one).isdisjoint(_innermost(other))


def _innermost(env: gym.Env | VecEnv) -> set[int]:
    if isinstance(env, gym.Env):
        return {id(env.unwrapped)}
    while isinstance(env, VecEnvWrapper):
        env = env.venv
    return {id(each.unwrapped) for each in env.envs} if isinstance(env, DummyVecEnv) else {id(env)}


def _check_wrappers(training_env: VecEnv, eval_env: VecEnv) -> None:
    """EvalCallback compares them one by one, from the outermost on, when it copies the statistics"""
    try:
        sync_envs_normalization(training_env, eval_env)
    except (AssertionError, AttributeError) as error:
        raise ValueError(
            "EvalCallback copies the statistics of VecNormalize, and needs an eval_env with the same wrappers: make it as "
            f"{_wrappers(training_env)}, got {_wrappers(eval_env)}."
        ) from error


def _wrappers(env: VecEnv) -> str:
    """As in Python: ``VecTransposeImage(VecNormalize(DummyVecEnv(…)))``"""
    inner = _wrappers(env.venv) if isinstance(env, VecEnvWrapper) else "…"
    return f"{type(env).__name__}({inner})"
