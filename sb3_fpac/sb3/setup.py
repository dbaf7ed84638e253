"""What SB3's algorithms check and say when they are set up, learn and store transitions."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from gymnasium import spaces
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3.common import base_class
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import MaybeCallback

from sb3_fpac.buffers import BaseFrameReplayBuffer, end_episodes, normalized_keys
from sb3_fpac.checks.environments import (
    check_first_action,
    check_normalization,
    check_normalized,
    check_spaces,
    check_stacking,
    warn_of_new_statistics,
)
from sb3_fpac.checks.evaluation import check_evaluation_env
from sb3_fpac.checks.own_buffer import check_own_buffer, warn_of_empty_buffer
from sb3_fpac.checks.policy_kwargs import check_places, check_policy_kwargs
from sb3_fpac.checks.replay_memory import check_replay_memory
from sb3_fpac.sb3.points import describe, frame_options, has_points
from sb3_fpac.sb3.saved_by import check_saved_by
from sb3_fpac.sb3.unnormalized import unnormalized_vectors

_MARK = "_is_of_sb3_fpac"  # of what wraps a method of SB3
_SET_UP = (OffPolicyAlgorithm, OnPolicyAlgorithm, MaskablePPO, RecurrentPPO)  # the classes that define _setup_model


def register_setup() -> None:
    """
    Change what SB3 does with agents that have feature points or a buffer of frames:

    - Setting up an agent checks where it comes from, its ``policy_kwargs``, its environment and the memory for its replay
      buffer. It prints :func:`describe` with ``verbose=1``. A buffer of frames gets :func:`frame_options`.
    - ``learn`` checks the statistics of VecNormalize and the replay buffer.
    - Storing a transition stores the images and vectors that VecNormalize has not changed.
    - Comparing the spaces of an agent and an environment names what differs.
    - EvalCallback checks its environment when training starts.
    """
    for algorithm in _SET_UP:
        _wrap(algorithm, "_setup_model", _checked)
    _wrap(BaseAlgorithm, "_setup_learn", _checked_learn)
    _wrap(OffPolicyAlgorithm, "_store_transition", _storing_what_is_seen)
    _wrap(base_class, "check_for_correct_spaces", _naming_differences)
    _wrap(EvalCallback, "init_callback", _checked_evaluation)


def _wrap(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
    """Once, also if this module is reloaded"""
    method = getattr(owner, name)
    if not getattr(method, _MARK, False):
        wrapped = wrapper(method)
        setattr(wrapped, _MARK, True)
        setattr(owner, name, wrapped)


def _checked(setup: Callable[[Any], None]) -> Callable[[Any], None]:
    @wraps(setup)
    def checked_setup(self: BaseAlgorithm) -> None:
        with_points = has_points(self)
        if with_points:  # load has set the attributes of the file
            check_saved_by(type(self), vars(self), "This agent")
        check_policy_kwargs(self)
        if with_points:
            self.policy_kwargs = _own(self.policy_kwargs)
            check_places(self)
            check_first_action(self.action_space)
            check_normalization(self.observation_space, self._vec_normalize_env)
            check_stacking(self.env, has_replay_buffer=isinstance(self, OffPolicyAlgorithm))
            if self._vec_normalize_env is not None and not hasattr(self, "normalized_keys"):
                self.normalized_keys = normalized_keys(self._vec_normalize_env)  # type: ignore[attr-defined]
                self.has_normalized_rewards = self._vec_normalize_env.norm_reward  # type: ignore[attr-defined]
        if isinstance(self, OffPolicyAlgorithm) and with_points:
            check_replay_memory(self)
            if issubclass(self.replay_buffer_class or ReplayBuffer, BaseFrameReplayBuffer):
                self.replay_buffer_kwargs = {**frame_options(self.policy_kwargs), **self.replay_buffer_kwargs}
        setup(self)
        description = describe(self) if self.verbose else None
        if description is not None:
            _print(description)

    return checked_setup


def _print(text: str) -> None:
    """Replace characters that standard output cannot encode by ?, as × in a file to which Windows writes Cyrillic"""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, errors="replace").decode(encoding))


def _checked_learn(setup: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(setup)
    def checked_learn(
        self: BaseAlgorithm,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        buffer = getattr(self, "replay_buffer", None)
        if isinstance(buffer, BaseFrameReplayBuffer):
            check_own_buffer(self)  # type: ignore[arg-type]
            if reset_num_timesteps or self._last_obs is None:
                end_episodes(buffer)  # SB3 resets the environment
        if has_points(self):
            check_normalized(self, "This agent")
            if isinstance(self, OffPolicyAlgorithm) and not reset_num_timesteps:
                warn_of_empty_buffer(self)
            if self.num_timesteps and self._last_obs is None:  # it has been loaded, or has another environment
                warn_of_new_statistics(self)
            if isinstance(self, OffPolicyAlgorithm) and self.buffer_size == 1:
                raise ValueError(
                    "This agent was loaded to act, with a replay buffer of one transition: to train it, load it with its "
                    "environment, and without buffer_size=1."
                )
        return setup(self, total_timesteps, callback, reset_num_timesteps, *args, **kwargs)

    return checked_learn


def _naming_differences(check: Callable[..., None]) -> Callable[..., None]:
    @wraps(check)
    def name_differences(env: Any, observation_space: spaces.Space, action_space: spaces.Space) -> None:
        check_spaces(env, observation_space)
        check(env, observation_space, action_space)

    return name_differences


def _checked_evaluation(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def init_checked(self: EvalCallback, model: BaseAlgorithm) -> None:
        if has_points(model):
            check_evaluation_env(model, self.eval_env)
        init(self, model)

    return init_checked


def _own(policy_kwargs: dict[str, Any]) -> dict[str, Any]:
    """A copy without copies of pre-trained weights"""
    return {name: dict(value) if isinstance(value, dict) else value for name, value in policy_kwargs.items()}


def _storing_what_is_seen(store: Callable[..., None]) -> Callable[..., None]:
    @wraps(store)
    def store_what_is_seen(
        self: OffPolicyAlgorithm, replay_buffer: ReplayBuffer, buffer_action: np.ndarray, new_obs: Any, *args: Any
    ) -> None:
        if not (has_points(self) or isinstance(replay_buffer, BaseFrameReplayBuffer)):
            return store(self, replay_buffer, buffer_action, new_obs, *args)
        with unnormalized_vectors(self, new_obs):
            return store(self, replay_buffer, buffer_action, new_obs, *args)

    return store_what_is_seen
