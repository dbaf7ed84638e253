"""How much memory and time a training takes."""

import time
import warnings
from copy import deepcopy
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback

from sb3_fpac.doctor.check import Check, refusal
from sb3_fpac.doctor.environment import Layouts
from sb3_fpac.doctor.plan import Plan
from sb3_fpac.fpac import FPAC
from sb3_fpac.limits import free_memory

_N_UPDATES, _N_SECONDS = 20, 10  # to measure, whichever is first; in pairs, since the actor is updated on every second
_N_RANDOM, _N_WARM_UP = 10, 2  # agent steps
_START = _N_RANDOM + _N_WARM_UP + 1
_N_STEPS = 100_000  # for which the time is given if the plan has no other number


def check_memory(plan: Plan, layouts: Layouts) -> Check:
    """
    Compare the memory of a full FrameReplayBuffer, of one frame for each transition, with what is free.

    :param plan: What is to be trained
    :param layouts: Of the images
    :return: Not ok if it does not fit
    """
    frame = sum(layout.frame_bytes for layout in layouts.values())
    needed, free = plan.buffer_size * frame, free_memory()
    text = (
        f"a full replay buffer of {plan.buffer_size:,} transitions takes {needed / 1e9:.2g} GB, {free / 1e9:.2g} GB are free"
    )
    if needed <= free:
        return Check("memory", True, text)
    return Check("memory", False, text, f"pass buffer_size={_round(0.8 * free / frame)} or less, or make the frames smaller")


def check_speed(plan: Plan, env: gym.Env) -> Check:
    """
    Train for a few steps.

    :param plan: What is to be trained
    :param env: The environment
    :return: Seconds of an agent step and hours of the training, or why an agent cannot be trained
    """
    clock = _Clock()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the other checks say it
            model = _make_agent(plan, env)
            model.learn(_START + _N_UPDATES, callback=clock)
    except (FloatingPointError, ValueError) as error:
        return refusal("speed", str(error))
    seconds = clock.seconds / clock.n_updates
    n_steps = plan.n_timesteps or _N_STEPS
    return Check(
        "speed",
        True,
        f"{plan.algo} takes {seconds:.2g} s for an agent step on {model.device.type} ({clock.n_updates} updates)"
        f"{', uncompiled' * (model.device.type == 'cuda')}, {_duration(seconds * n_steps)} for {n_steps:,}",
    )


def _make_agent(plan: Plan, env: gym.Env) -> FPAC:
    """With the networks of the plan and a replay buffer of a few transitions"""
    is_dict = isinstance(env.observation_space, spaces.Dict)
    few: dict[str, Any] = dict(buffer_size=100, learning_starts=_N_RANDOM, compile=False, seed=0)
    hyperparams = {**deepcopy(plan.hyperparams), **few}
    policy_kwargs = hyperparams.setdefault("policy_kwargs", {})
    policy_kwargs.setdefault("features_extractor_kwargs", {})["frame_channels"] = plan.frame_channels
    return FPAC("MultiInputPolicy" if is_dict else "CnnPolicy", env, **hyperparams)


class _Clock(BaseCallback):
    """Measures the time of the updates after the warm-up, with the agent steps between them"""

    n_updates = 0
    seconds = 0.0

    def _on_step(self) -> bool:
        n_updates, now = self.num_timesteps - _START, time.perf_counter()
        if n_updates == 0:
            self._start_time = now
        elif n_updates > 0 and n_updates % 2 == 0:
            self.n_updates, self.seconds = n_updates, now - self._start_time
        return self.n_updates < _N_UPDATES and self.seconds < _N_SECONDS


def _round(number: float) -> str:
    """Downwards to two digits"""
    unit = 10 ** max(len(str(int(number))) - 2, 0)
    return str(int(number) // unit * unit)


def _duration(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.1f} hours" if 1 <= hours < 10 else f"{hours:.0f} hours" if hours >= 10 else f"{60 * hours:.0f} minutes"
