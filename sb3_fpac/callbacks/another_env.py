"""A second environment like that of training."""

from dataclasses import replace

import gymnasium as gym
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecEnv,
    VecEnvWrapper,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

from sb3_fpac.envs import AsReturned
from sb3_fpac.visualization.normalization import share_statistics


def another_env(training_env: VecEnv) -> gym.Env | VecEnv:
    """
    Make an environment like the first one of training: the same id, keyword arguments, and wrappers.

    :param training_env: The environment of training
    :return: A new one; vectorized if frames are stacked by VecFrameStack or observations normalized by VecNormalize, of which
        it has the statistics, also when they change
    :raises ValueError: if it was not made by ``gym.make``, or has a wrapper whose arguments are not known. The message names
        the wrapper.
    """
    wrappers = _vec_wrappers(training_env)
    spec = training_env.get_attr("spec")[0]
    if spec is None:
        raise ValueError(
            "The training environment was not made by gym.make, so there is no second one like it: pass eval_env to "
            "FeaturePointCallback."
        )
    of_training = {f"{wrapper.__module__}:{wrapper.__name__}" for wrapper in (Monitor, AsReturned)}
    recorded = tuple(wrapper for wrapper in spec.additional_wrappers if wrapper.entry_point not in of_training)
    for wrapper in recorded:
        if wrapper.kwargs is None:
            raise _unknown(wrapper.name)
    env = gym.make(replace(spec, additional_wrappers=recorded))
    if not any(isinstance(wrapper, (VecFrameStack, VecNormalize)) for wrapper in wrappers):
        return env  # SB3 transposes the images itself
    vec_env: VecEnv = DummyVecEnv([lambda: env])
    for wrapper in reversed(wrappers):
        if isinstance(wrapper, VecTransposeImage):
            vec_env = VecTransposeImage(vec_env)
        elif isinstance(wrapper, VecFrameStack):
            first = wrapper.stacked_obs.channels_first
            vec_env = VecFrameStack(vec_env, wrapper.stacked_obs.n_stack, "first" if first else "last")
        elif isinstance(wrapper, VecNormalize):
            vec_env = share_statistics(vec_env, wrapper)
    return vec_env


def _vec_wrappers(env: VecEnv) -> list[VecEnvWrapper]:
    """The wrappers of a vectorized environment that another one needs, the outermost first"""
    wrappers: list[VecEnvWrapper] = []
    while isinstance(env, VecEnvWrapper):
        if isinstance(env, (VecTransposeImage, VecFrameStack)) and not isinstance(env.observation_space, spaces.Dict):
            wrappers.append(env)
        elif isinstance(env, VecNormalize):
            wrappers += [env] if env.norm_obs else []
        elif not isinstance(env, (VecTransposeImage, VecMonitor)):
            raise _unknown(type(env).__name__)
        env = env.venv
    return wrappers


def _unknown(wrapper: str) -> ValueError:
    return ValueError(
        f"The training environment has the wrapper {wrapper}, and FeaturePointCallback does not know its arguments: pass an "
        "environment with the same wrappers as eval_env, or let the wrapper record them, as "
        "gymnasium.utils.RecordConstructorArgs does."
    )
