"""Which environments FPAC refuses: each function raises a ValueError that names the cause and the cure."""

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import is_image_space, is_image_space_channels_first
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecFrameStack, VecNormalize

from sb3_fpac.buffers import normalized_keys
from sb3_fpac.envs.camera_shift import CameraShift
from sb3_fpac.envs.frame_stack import FrameStack
from sb3_fpac.observations import split_keys, why_no_stack, write_option

_NORMALIZED_IMAGE = (
    "VecNormalize must leave images as they are: use VecNormalize(…, norm_obs=False), in a YAML of RL Zoo "
    'normalize: "dict(norm_obs=False)".'
)


def check_env(env: Any) -> None:
    """
    Check that the argument is an environment, with images and actions that FPAC can take.

    :param env: What FPAC is given, unless it is an id
    """
    if not isinstance(env, (gym.Env, VecEnv)):
        raise ValueError(
            f"FPAC needs an environment, a VecEnv or an id, got {type(env).__name__}: for several environments use "
            "SB3's make_vec_env, or DummyVecEnv with a list of functions."
        )
    if not isinstance(env.observation_space, spaces.Space):
        raise ValueError(why_no_stack(env.observation_space))
    check_actions(env.action_space)  # before SB3 does, which knows no cure
    if isinstance(env, gym.Env) and isinstance(env.observation_space, spaces.Dict):
        split_keys(env.observation_space)
    check_axes(env.observation_space)
    if isinstance(env, VecEnv):
        check_stacking(env, has_replay_buffer=True)


def check_actions(space: spaces.Space) -> None:
    """
    Check that actions are continuous.

    :param space: Of the environment's actions
    """
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        raise ValueError(
            f"FPAC needs continuous actions, a Box, got {space}: wrap the environment in Gymnasium's "
            "TransformAction, with one Box for all parts and a function that makes the parts from its numbers."
        )
    if not isinstance(space, spaces.Box):
        raise ValueError(
            f"FPAC needs continuous actions, a Box, got {space}: use DQN, QR-DQN or PPO with "
            "policy_kwargs=dict(features_extractor_class=FeaturePointExtractor)."
        )
    if not np.issubdtype(space.dtype, np.floating):
        raise ValueError(
            f"FPAC needs actions that are floats, got {space}: wrap the environment in Gymnasium's TransformAction, with a "
            "Box of float32 and a function that rounds."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        range_is_finite = np.isfinite(np.subtract(space.high, space.low, dtype=np.float32)).all()  # SB3 scales by it
    if not range_is_finite:
        raise ValueError(
            f"FPAC needs actions with bounds, got {space}: leave out ClipAction, if it is there, or wrap the environment in "
            "Gymnasium's TransformAction, with a Box from -1 to 1 and a function that scales its actions."
        )
    if (space.low == space.high).any():
        raise ValueError(f"An action has only one value in {space}: leave it out, with Gymnasium's TransformAction.")


def check_first_action(space: spaces.Space) -> None:
    """
    Check that discrete actions are numbered from 0, as SB3's algorithms send them.

    :param space: Of the environment's actions
    """
    if isinstance(space, (spaces.Discrete, spaces.MultiDiscrete)) and np.any(space.start):
        raise ValueError(
            f"SB3's algorithms number discrete actions from 0, got {space}, which starts at {space.start}: wrap the "
            "environment in Gymnasium's TransformAction, with a space that starts at 0 and a function that adds the start."
        )


def check_axes(space: spaces.Space) -> None:
    """
    Check that Stable-Baselines3 can put the channels of all images first, as it does with all of them or none.

    :param space: Of the environment's observations
    """
    parts = space.spaces.items() if isinstance(space, spaces.Dict) else ()
    images = {key: part for key, part in parts if isinstance(part, spaces.Box) and is_image_space(part)}
    first = [key for key, part in images.items() if is_image_space_channels_first(part)]
    last = [key for key in images if key not in first]
    if first and last:
        raise ValueError(
            f"{last[0]!r} of shape {images[last[0]].shape} has its channels last, and {first[0]!r} of shape "
            f"{images[first[0]].shape} has them first: let all images have them first, with "
            f"FrameStack(env, {write_option(last[0], 'n', 2)})."
        )


def check_observations(space: spaces.Space, normalization: VecNormalize | None) -> None:
    """
    Check that the agent sees images as they are.

    :param space: A stack of images, or a Dict of images and vectors
    :param normalization: The VecNormalize of the environment, which may normalize rewards and vectors; None: there is none
    """
    check_normalization(space, normalization)
    if isinstance(space, spaces.Dict):
        split_keys(space)
        return
    problem = why_no_stack(space)
    if problem is not None:
        raise ValueError(f"FPAC learns from one stack of images. {problem}")


def check_spaces(env: Any, observation_space: spaces.Space) -> None:
    """
    Check that an agent with cameras gets an environment with the same ones. SB3's own check prints both spaces in full.

    :param env: The environment
    :param observation_space: Of the agent
    :raises ValueError: if the observations are other Dicts with images; it names what differs
    """
    own, given = observation_space, env.observation_space
    if not (
        isinstance(own, spaces.Dict)
        and isinstance(given, spaces.Dict)
        and any(len(each.shape or ()) == 3 for each in own.values())
    ):
        return
    missing, extra = sorted(set(own) - set(given)), sorted(set(given) - set(own))
    problems = [f"the environment lacks {', '.join(map(repr, missing))}"] * bool(missing)
    problems += [f"the agent does not know {', '.join(map(repr, extra))}"] * bool(extra)
    problems += [
        f"{key!r} is {given[key]}, and {own[key]} for the agent"
        for key in sorted(set(own) & set(given))
        if own[key] != given[key]
    ]
    if problems:
        raise ValueError(
            f"Observation spaces do not match: {'; '.join(problems)}. Give the environment the keys and spaces of the "
            "training, for example with Gymnasium's TransformObservation. Another set of cameras needs a new agent, to which "
            "encoders can be copied."
        )


def check_normalization(space: spaces.Space, normalization: VecNormalize | None) -> None:
    """
    Check that VecNormalize leaves images as they are.

    :param space: Of an agent with feature points
    :param normalization: The VecNormalize of its environment; None: there is none
    """
    if normalization is None or not normalization.norm_obs:
        return
    if not isinstance(space, spaces.Dict):
        raise ValueError(_NORMALIZED_IMAGE)
    for key in normalization.norm_obs_keys or []:
        if len(space[key].shape or ()) == 3:  # VecNormalize has made the image a Box of floats
            raise ValueError(
                f"VecNormalize must leave images as they are, but normalizes {key!r}: pass it norm_obs_keys without images."
            )


def check_normalized(model: BaseAlgorithm, what: Any) -> None:
    """
    Check that an agent that was trained with VecNormalize acts with it.

    :param model: Any SB3 algorithm; of one without feature points, this is not known
    :param what: The agent, for the error
    """
    now = normalized_keys(model.get_vec_normalize_env())
    keys = [key for key in getattr(model, "normalized_keys", []) if key not in now]
    if keys:
        raise ValueError(
            f"{what} was trained with VecNormalize of {', '.join(map(repr, keys))}, whose statistics are missing: for the "
            "commands, save them beside the model as vecnormalize.pkl, with VecNormalize.save; in Python, pass "
            "VecNormalize.load(path, venv) to set_env."
        )


def warn_of_new_statistics(model: BaseAlgorithm) -> None:
    """
    Warn if VecNormalize has seen nothing yet, or does not normalize rewards any more, so that vectors or rewards are others
    than those with which an agent was trained.

    :param model: An agent that has been trained
    """
    normalization = model.get_vec_normalize_env()
    statistics = normalization.obs_rms if normalization is not None and normalization.norm_obs else {}
    names = [repr(key) for key, each in statistics.items() if each.count < 1] if isinstance(statistics, dict) else []
    normalizes_rewards = normalization is not None and normalization.norm_reward
    if normalization is not None and normalizes_rewards and normalization.ret_rms.count < 1:
        names.append("the rewards")
    if names:
        warnings.warn(
            f"This agent has been trained, and gets a VecNormalize of {' and '.join(names)} that has seen nothing yet: "
            "pass VecNormalize.load(path, venv), with the file that VecNormalize.save wrote, or leave VecNormalize out if "
            "there was none.",
            stacklevel=3,
        )
    if getattr(model, "has_normalized_rewards", False) and not normalizes_rewards:
        warnings.warn(
            "This agent was trained with rewards that VecNormalize had normalized, and gets rewards of another size now: pass "
            "VecNormalize.load(path, venv) to set_env, with the file that VecNormalize.save wrote.",
            stacklevel=3,
        )


def check_not_replaced(last_obs: Any) -> None:
    """
    Check that ``learn`` goes on in the environment in which it took its last step.

    :param last_obs: The agent's last observation, which ``set_env`` forgets
    """
    if last_obs is None:
        raise ValueError(
            "set_env was called while learn was running, as by a callback, which leaves the agent without an observation: "
            "call it between two calls of learn, the second with reset_num_timesteps=False, or change the environment itself, "
            "with training_env.set_attr or training_env.env_method."
        )


def check_stacking(env: VecEnv | None, has_replay_buffer: bool) -> None:
    """
    Check that VecFrameStack stacks frames, and not stacks, camera shifts or, for a replay buffer, normalized vectors.

    :param env: Of an agent with feature points
    :param has_replay_buffer: Whether the agent stores what it sees without the normalization
    """
    stacks = False
    while isinstance(env, VecEnvWrapper):
        if stacks and has_replay_buffer and isinstance(env, VecNormalize) and env.norm_obs:
            if not isinstance(env.observation_space, spaces.Dict):
                raise ValueError(_NORMALIZED_IMAGE)
            raise ValueError(
                "VecFrameStack stacks what VecNormalize has normalized, which the replay buffer cannot undo: put VecNormalize "
                "around VecFrameStack, or stack frames with the wrapper FrameStack instead."
            )
        stacks = stacks or (isinstance(env, VecFrameStack) and env.stacked_obs.n_stack > 1)
        env = env.venv
    if not stacks or env is None:
        return
    if any(env.env_is_wrapped(CameraShift)):
        raise ValueError(
            "VecFrameStack stacks observations that have a header plane with the camera shift: leave VecFrameStack out, and "
            "stack frames below CameraShift, with FrameStack or frame_stack."
        )
    if all(env.env_is_wrapped(FrameStack)) and max(env.get_attr("frame_stack")) > 1:
        raise ValueError(
            "VecFrameStack stacks observations that are stacks of frames already: leave VecFrameStack out, and raise n of "
            "FrameStack, or frame_stack."
        )
