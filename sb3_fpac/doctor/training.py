"""How much memory and time a training takes."""

import warnings
from copy import deepcopy
from typing import Any

import gymnasium as gym
from gymnasium import spaces

from sb3_fpac.buffers import vector_bytes
from sb3_fpac.doctor.check import Check, refusal
from sb3_fpac.doctor.clock import FEW, N_STEPS, UpdateClock
from sb3_fpac.doctor.environment import Layouts
from sb3_fpac.doctor.plan import Plan
from sb3_fpac.fpac import FPAC
from sb3_fpac.limits import free_memory
from sb3_fpac.observations import split_keys

_N_SECONDS = 10  # to measure, if 20 updates take longer
_USUAL_STEPS = 100_000  # for which the time is given if the plan has no other number


def examine_memory(plan: Plan, space: spaces.Space, layouts: Layouts) -> Check:
    """
    Compare the memory of a full FrameReplayBuffer, of one frame and two of each vector for each transition, with what is free.

    :param plan: What is to be trained
    :param space: Observation space of the environment
    :param layouts: Of the images
    :return: Not ok if it does not fit
    """
    vectors = split_keys(space)[1] if isinstance(space, spaces.Dict) else {}
    transition = sum(layout.frame_bytes for layout in layouts.values()) + sum(
        2 * vector_bytes(each) for each in vectors.values()
    )
    needed, free = plan.buffer_size * transition, free_memory()
    text = (
        f"a full replay buffer of {plan.buffer_size:,} transitions takes {needed / 1e9:.2g} GB, {free / 1e9:.2g} GB are free"
    )
    if needed <= free:
        return Check("memory", True, text)
    return Check(
        "memory", False, text, f"pass buffer_size={_round(0.8 * free / transition)} or less, or make the observations smaller"
    )


def examine_speed(plan: Plan, env: gym.Env) -> Check:
    """
    Train for a few steps.

    :param plan: What is to be trained
    :param env: The environment
    :return: Seconds of an agent step and hours of the training, or why an agent cannot be trained
    """
    clock = UpdateClock(_N_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the other checks say it
            model = _make_agent(plan, env)
            model.learn(N_STEPS, callback=clock)
    except (FloatingPointError, ValueError) as error:
        return refusal("speed", str(error))
    seconds = clock.seconds_per_step
    n_steps = plan.n_timesteps or _USUAL_STEPS
    return Check(
        "speed",
        True,
        f"{plan.algo} takes {seconds:.2g} s for an agent step on {model.device.type} ({clock.n_updates} updates)"
        f"{', uncompiled' * (model.device.type == 'cuda')}, {_duration(seconds * n_steps)} for {n_steps:,}",
    )


def _make_agent(plan: Plan, env: gym.Env) -> FPAC:
    """With the networks of the plan and a replay buffer of a few transitions"""
    is_dict = isinstance(env.observation_space, spaces.Dict)
    hyperparams: dict[str, Any] = {**deepcopy(plan.hyperparams), **FEW, "compile": False, "seed": 0}
    policy_kwargs = hyperparams.setdefault("policy_kwargs", {})
    policy_kwargs.setdefault("features_extractor_kwargs", {})["frame_channels"] = plan.frame_channels
    return FPAC("MultiInputPolicy" if is_dict else "CnnPolicy", env, **hyperparams)


def _round(number: float) -> str:
    """Downwards to two digits"""
    unit = 10 ** max(len(str(int(number))) - 2, 0)
    return str(int(number) // unit * unit)


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.1f} hours" if 1 <= hours < 10 else f"{hours:.0f} hours" if hours >= 10 else f"{60 * hours:.0f} minutes"
