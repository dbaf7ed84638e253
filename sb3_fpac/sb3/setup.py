"""What SB3's algorithms say and check about images when they are set up, and what they store of them."""

import inspect
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
from gymnasium import spaces
from sb3_contrib import TQC, MaskablePPO, RecurrentPPO
from stable_baselines3 import SAC
from stable_baselines3.common import base_class
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import MaybeCallback

from sb3_fpac.arguments import keywords
from sb3_fpac.buffers import BaseFrameReplayBuffer, end_episodes, normalized_keys
from sb3_fpac.checks.environments import (
    check_normalization,
    check_normalized,
    check_spaces,
    check_stacking,
    warn_of_new_statistics,
)
from sb3_fpac.checks.evaluation import check_evaluation_env
from sb3_fpac.checks.own_buffer import check_own_buffer
from sb3_fpac.features.combined_extractor import FeaturePointCombinedExtractor
from sb3_fpac.features.extractor import FeaturePointExtractor
from sb3_fpac.features.frame_extractor import FrameExtractor
from sb3_fpac.features.pixel_extractor import PixelExtractor
from sb3_fpac.limits import free_memory, total_memory
from sb3_fpac.policies.critic_trained_encoder import OWN_OPTIONS, SharedEncoderPolicy
from sb3_fpac.policies.policies import FPACPolicy, FPACTQCPolicy
from sb3_fpac.sb3.saved_by import check_saved_by
from sb3_fpac.sb3.unnormalized import unnormalized_vectors

_OF_BOTH = ("frame_channels", "camera_shift")  # the extractor and the replay buffer
_MARK = "_is_of_sb3_fpac"  # of what wraps a method of SB3
_SET_UP = (OffPolicyAlgorithm, OnPolicyAlgorithm, MaskablePPO, RecurrentPPO)  # the classes that define _setup_model


def describe(model: BaseAlgorithm) -> str | None:
    """
    Say what an agent takes its observations for.

    :param model: Any SB3 algorithm
    :return: ``"2 RGB frames of 84×84, camera shift, 32 points, 192 features"``, one line for each image; None without
        feature points
    """
    lines: list[str] = []
    for module in model.policy.modules():
        if isinstance(module, FeaturePointCombinedExtractor):
            return module.summary
        if isinstance(module, FrameExtractor):
            lines.append(module.summary)
    return "\n".join(dict.fromkeys(lines)) or None  # actor and critic may have one each


def check_replay_buffer(model: OffPolicyAlgorithm) -> None:
    """
    Check that SB3's replay buffer for an agent with feature points fits into memory. SB3 stores both stacks of a transition,
    and its default is a million transitions.

    :param model: Any off-policy algorithm, before its replay buffer is made
    :raises MemoryError: if the machine has less memory in total; if only less is free, there is a warning
    """
    if model.replay_buffer is not None or model.replay_buffer_class is not None or not _has_points(model):
        return
    space = model.observation_space
    boxes = space.spaces.values() if isinstance(space, spaces.Dict) else [space]
    stack = sum(int(np.prod(box.shape)) * np.dtype(box.dtype).itemsize for box in boxes if isinstance(box, spaces.Box))
    needed = stack * model.buffer_size * (1 if model.optimize_memory_usage else 2)
    free, total = free_memory(), total_memory()
    if needed <= free:
        return
    message = (
        f"SB3's replay buffer of {model.buffer_size:,} transitions needs {needed / 1e9:.1f} GB for its images, and of "
        f"{total / 1e9:.1f} GB of memory {free / 1e9:.1f} GB are free: pass "
        "replay_buffer_class=FrameReplayBuffer, which stores every frame once, and a buffer_size such as 100_000. To load an "
        "agent that only acts, pass buffer_size=1."
    )
    if needed > total:
        raise MemoryError(message)
    warnings.warn(message, stacklevel=2)


def check_policy_kwargs(model: BaseAlgorithm) -> None:
    """
    Check that the options of FPAC's policies, which are in ``fpac_kwargs``, are passed to one of them.

    :param model: Any SB3 algorithm, before its policy is made
    :raises ValueError: if another policy gets them, such as that of TD3, or ``"MlpPolicy"``, or one of FPAC's policies is that
        of another algorithm
    """
    for policy, algorithm in ((FPACPolicy, SAC), (FPACTQCPolicy, TQC)):
        if issubclass(model.policy_class, policy) and not isinstance(model, algorithm):
            raise ValueError(
                f"{policy.__name__} is a policy of {algorithm.__name__}, got {type(model).__name__}: pass 'CnnPolicy' or "
                "'MultiInputPolicy', and policy_kwargs=fpac_kwargs with SAC or TQC, or "
                "policy_kwargs=dict(features_extractor_class=FeaturePointExtractor) with another algorithm."
            )
    if issubclass(model.policy_class, SharedEncoderPolicy):
        return
    parameters = inspect.signature(model.policy_class.__init__).parameters
    names = [name for name in OWN_OPTIONS if name in model.policy_kwargs and name not in parameters]
    if names:
        raise ValueError(
            f"policy_kwargs with {', '.join(names)} are for 'CnnPolicy' and 'MultiInputPolicy' of SAC, TQC and FPAC, got "
            f"{type(model).__name__} with {model.policy_class.__name__}: instead of fpac_kwargs pass "
            "policy_kwargs=dict(features_extractor_class=FeaturePointExtractor)."
        )


def check_places(model: BaseAlgorithm) -> None:
    """
    Check that no option of the policy, the extractor or the algorithm is passed to another of them.

    :param model: Any SB3 algorithm with feature points, before its policy is made
    :raises ValueError: if ``policy_kwargs`` or ``features_extractor_kwargs`` have an option that belongs elsewhere, or
        ``features_dim``, which SB3's extractors have; another that belongs nowhere is left to Python
    """
    extractor = model.policy_kwargs.get("features_extractor_class", FeaturePointExtractor)
    of_extractor = keywords(extractor)
    if issubclass(extractor, (FeaturePointExtractor, FeaturePointCombinedExtractor)):  # which passes its options on
        of_extractor |= keywords(FeaturePointExtractor) | keywords(FeaturePointCombinedExtractor)
    extractor_kwargs = model.policy_kwargs.get("features_extractor_kwargs") or {}
    _check_features_dim(extractor, extractor_kwargs)
    algorithm = type(model)
    parts: tuple[tuple[str, dict[str, Any], set[str]], ...] = (
        ("policy_kwargs=dict({}=…)", model.policy_kwargs, keywords(model.policy_class)),
        ("policy_kwargs=dict(features_extractor_kwargs=dict({}=…))", extractor_kwargs, of_extractor),
        (f"{algorithm.__name__}(…, {{}}=…)", {}, keywords(algorithm)),
    )
    for here, given, known in parts:
        for option in sorted(given.keys() - known):
            for there, _, others in parts:
                if option in others:
                    raise ValueError(f"There is no {here.format(option)}: pass {there.format(option)}.")


def _check_features_dim(extractor: type, extractor_kwargs: dict[str, Any]) -> None:
    """NatureCNN has this option, which FrameExtractor passes to SB3's base class"""
    if "features_dim" in extractor_kwargs and "features_dim" not in inspect.signature(extractor).parameters:
        instead = "n_maps" if issubclass(extractor, PixelExtractor) else "n_points"
        raise ValueError(
            f"{extractor.__name__} has no option features_dim: leave it out, and pass "
            f"{instead}, from which the number of features follows."
        )


def frame_options(policy_kwargs: dict[str, Any]) -> dict[str, Any]:
    """
    Select the options of a features extractor that a buffer of frames needs, too.

    :param policy_kwargs: Of any algorithm
    :return: ``frame_channels`` and ``camera_shift``, those that are given
    """
    extractor_kwargs = policy_kwargs.get("features_extractor_kwargs") or {}
    return {name: extractor_kwargs[name] for name in _OF_BOTH if name in extractor_kwargs}


def register_setup() -> None:
    """
    Let SB3's algorithms call :func:`check_saved_by`, :func:`check_policy_kwargs`, :func:`check_places`,
    :func:`check_normalization`, :func:`check_stacking` and :func:`check_replay_buffer` before they are set up, and print
    :func:`describe` afterwards, with ``verbose=1``. A buffer of frames gets :func:`frame_options`. Agents with feature points,
    or with such a buffer, store the images that they saw under VecNormalize. Their ``learn`` calls :func:`check_normalized`
    and :func:`warn_of_new_statistics`, and refuses a replay buffer of one transition, with which agents are loaded to act.
    A buffer of frames must pass :func:`check_own_buffer` then. Their ``policy_kwargs`` are their own, as SB3 and the policies
    change them. ``normalized_keys``, which is saved with them,
    names the vectors that VecNormalize normalizes. Where SB3 compares the spaces of an agent and an environment,
    :func:`check_spaces` does so before. EvalCallback calls :func:`check_evaluation_env` when training starts.
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
        has_points = _has_points(self)
        if has_points:  # load has set the attributes of the file
            check_saved_by(type(self), vars(self), "This agent")
        check_policy_kwargs(self)
        if has_points:
            self.policy_kwargs = _own(self.policy_kwargs)
            check_places(self)
            check_normalization(self.observation_space, self._vec_normalize_env)
            check_stacking(self.env, has_replay_buffer=isinstance(self, OffPolicyAlgorithm))
            if self._vec_normalize_env is not None and not hasattr(self, "normalized_keys"):
                self.normalized_keys = normalized_keys(self._vec_normalize_env)  # type: ignore[attr-defined]
        if isinstance(self, OffPolicyAlgorithm):
            check_replay_buffer(self)
            if has_points and issubclass(self.replay_buffer_class or ReplayBuffer, BaseFrameReplayBuffer):
                self.replay_buffer_kwargs = {**frame_options(self.policy_kwargs), **self.replay_buffer_kwargs}
        setup(self)
        description = describe(self) if self.verbose else None
        if description is not None:
            _print(description)

    return checked_setup


def _print(text: str) -> None:
    """With ? for signs that standard output has not, as × in a file to which Windows writes Cyrillic"""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(text.encode(encoding, errors="replace").decode(encoding))


def _checked_learn(setup: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(setup)
    def checked_setup(
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
        if _has_points(self):
            check_normalized(self, "This agent")
            if self.num_timesteps and self._last_obs is None:  # it has been loaded, or has another environment
                warn_of_new_statistics(self._vec_normalize_env)
            if isinstance(self, OffPolicyAlgorithm) and self.buffer_size == 1:
                raise ValueError(
                    "This agent was loaded to act, with a replay buffer of one transition: to train it, load it with its "
                    "environment, and without buffer_size=1."
                )
        return setup(self, total_timesteps, callback, reset_num_timesteps, *args, **kwargs)

    return checked_setup


def _naming_differences(check: Callable[..., None]) -> Callable[..., None]:
    @wraps(check)
    def name_differences(env: Any, observation_space: spaces.Space, action_space: spaces.Space) -> None:
        check_spaces(env, observation_space)
        check(env, observation_space, action_space)

    return name_differences


def _checked_evaluation(init: Callable[..., None]) -> Callable[..., None]:
    @wraps(init)
    def init_checked(self: EvalCallback, model: BaseAlgorithm) -> None:
        if _has_points(model):
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
        if not (_has_points(self) or isinstance(replay_buffer, BaseFrameReplayBuffer)):
            return store(self, replay_buffer, buffer_action, new_obs, *args)
        with unnormalized_vectors(self, new_obs):
            return store(self, replay_buffer, buffer_action, new_obs, *args)

    return store_what_is_seen


def _has_points(model: BaseAlgorithm) -> bool:
    extractor = model.policy_kwargs.get("features_extractor_class")
    if extractor is None:
        return issubclass(model.policy_class, (FPACPolicy, FPACTQCPolicy))
    return isinstance(extractor, type) and issubclass(extractor, (FrameExtractor, FeaturePointCombinedExtractor))
