"""Whether an agent can act in the environment in which it is evaluated. Without a check, this shows hours later."""

import numpy as np
from gymnasium.vector.utils import create_empty_array
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, sync_envs_normalization

from sb3_fpac.observations import check_given

_CURE = "Make eval_env like the environment of training, with the same id, arguments and wrappers."


def check_evaluation_env(model: BaseAlgorithm, eval_env: VecEnv) -> None:
    """
    Check an environment of SB3's EvalCallback before training.

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
    if model.env is not None and model.get_vec_normalize_env() is not None:
        _check_wrappers(model.env, eval_env)


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
