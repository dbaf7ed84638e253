"""Which arguments FPAC refuses: each function raises a ValueError that names the cause and the cure."""

import re
from collections.abc import Mapping
from types import NoneType
from typing import Any

import torch as th
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import TrainFreq

from sb3_fpac.arguments import number, one_of, whole_number
from sb3_fpac.buffers import BaseFrameReplayBuffer, FrameReplayBuffer, HerFrameReplayBuffer
from sb3_fpac.checks.own_buffer import problem_of_buffer
from sb3_fpac.features.combined_extractor import FeaturePointCombinedExtractor
from sb3_fpac.features.frame_extractor import FrameExtractor
from sb3_fpac.observations import Layout, check_options
from sb3_fpac.policies.critic_trained_encoder import SACActor, SACCritic
from sb3_fpac.policies.policies import FPACPolicy

_WHOLE_NUMBERS = dict(
    buffer_size=1, learning_starts=0, batch_size=1, gradient_steps=-1, n_steps=1, policy_delay=1, target_update_interval=1
)
"""The smallest values of FPAC's counts and intervals"""


def check_hyperparameters(model: Any) -> None:
    """
    Check FPAC's numbers, and convert NumPy's numbers to Python's.

    :param model: FPAC, before its networks or its update are made
    """
    for name, lowest in _WHOLE_NUMBERS.items():
        setattr(model, name, whole_number(name, getattr(model, name), lowest))
    _check_train_freq(model)
    if model.seed is not None:
        model.seed = whole_number("seed", model.seed, at_least=0, at_most=2**32 - 1)
    if not isinstance(model.action_noise, (ActionNoise, NoneType)):
        raise ValueError(f"action_noise must be an ActionNoise, such as SB3's NormalActionNoise, got {model.action_noise!r}.")
    for name in ("gamma", "tau"):
        setattr(model, name, number(name, getattr(model, name), at_least=0, at_most=1))
    if not callable(model.learning_rate):
        model.learning_rate = number("learning_rate", model.learning_rate, at_least=0)
    if not isinstance(model.ent_coef, str):
        number("ent_coef", model.ent_coef, at_least=0)
    elif not re.fullmatch(r"auto(_\d*\.?\d+(e-?\d+)?)?", model.ent_coef):
        raise ValueError(f"ent_coef must be a number, 'auto', or 'auto_' and α's initial value, got {model.ent_coef!r}.")
    if model.target_entropy != "auto":
        model.target_entropy = number("target_entropy", model.target_entropy)
    one_of("compile", model.compile, (True, False, "auto"))
    whole_number("n_critics", model.policy_kwargs.get("n_critics", 2), at_least=1)
    for name, example in (("activation_fn", "torch.nn.ReLU"), ("optimizer_class", "torch.optim.Adam")):
        if not callable(model.policy_kwargs.get(name, type)):
            raise ValueError(f"{name} must be a class, such as {example}, got {model.policy_kwargs[name]!r}.")


def _check_train_freq(model: Any) -> None:
    given = model.train_freq
    if isinstance(given, TrainFreq):  # SB3 has converted it
        return
    is_pair = isinstance(given, (tuple, list)) and len(given) == 2  # YAML has lists
    n, unit = given if is_pair else (given, "step")
    if isinstance(n, (str, tuple, list, NoneType)) or unit not in ("step", "episode"):
        raise ValueError(
            f"train_freq must be a number of agent steps, or a number and its unit, such as (1, 'episode'), got {given!r}."
        )
    model.train_freq = (whole_number("train_freq", n, at_least=1), unit)


def check_gamma(replay_buffer_kwargs: Mapping[str, Any], gamma: float) -> None:
    """
    Check that n-step returns have the discount factor of the agent.

    :param replay_buffer_kwargs: As in FPAC
    :param gamma: As in FPAC
    """
    of_buffer = replay_buffer_kwargs.get("gamma", gamma)
    if of_buffer != gamma:
        raise ValueError(f"replay_buffer_kwargs has gamma={of_buffer}, and FPAC {gamma}: pass FPAC(…, gamma={of_buffer}).")


def check_random_shift(random_shift: Any, layouts: Mapping[Any, Layout]) -> Any:
    """
    Check that random shifts leave something of every image.

    :param random_shift: Padding in pixels, or a dict of paddings by the keys of images
    :param layouts: Of all images, by key
    :return: The padding, or the paddings
    """
    check_options(dict(random_shift=random_shift), [key for key in layouts if key is not None])
    if isinstance(random_shift, Mapping):
        return {
            key: whole_number(f"random_shift of {key!r}", pixels, at_least=0, at_most=min(layouts[key][-2:]) - 1)
            for key, pixels in random_shift.items()
        }
    smallest_side = min(min(layout[-2:]) for layout in layouts.values())
    return whole_number("random_shift", random_shift, at_least=0, at_most=smallest_side - 1)


def check_trained(encoder: th.nn.Module, optimizer: th.optim.Optimizer) -> None:
    """
    Check that an encoder whose weights record gradients is trained.

    :param encoder: Of the policy
    :param optimizer: The critic's
    """
    trained = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    if any(weight.requires_grad and id(weight) not in trained for weight in encoder.parameters()):
        raise ValueError(
            "The encoder was frozen when the agent was made, and its optimizer does not know the weights that require "
            "gradients now: make a new agent with frozen=False, and copy the networks: "
            "new.policy.load_state_dict(model.policy.state_dict())."
        )


def check_policy(policy: str | type[BasePolicy], policy_kwargs: dict[str, Any], policy_delay: int) -> None:
    """
    Check that the policy has the networks of FPAC's update.

    :param policy: ``"CnnPolicy"``, ``"MultiInputPolicy"`` or a subclass of FPACPolicy
    :param policy_kwargs: Their extractor encodes single frames; their ``actor_update_interval`` is ``policy_delay``
    :param policy_delay: As in FPAC
    """
    if policy not in ("CnnPolicy", "MultiInputPolicy") and not (isinstance(policy, type) and issubclass(policy, FPACPolicy)):
        got = repr(policy) if isinstance(policy, (str, type)) else f"an instance of {type(policy).__name__}"
        raise ValueError(
            "FPAC learns from images with 'CnnPolicy', or from Dicts of images and vectors with 'MultiInputPolicy', got "
            f"{got} as its policy: use SAC for anything else, also with feature points."
        )
    if not isinstance(policy_kwargs, Mapping):
        raise ValueError(f"policy_kwargs must be a dict, got {policy_kwargs!r}.")
    extractor_kwargs = policy_kwargs.get("features_extractor_kwargs")
    if not (extractor_kwargs is None or isinstance(extractor_kwargs, Mapping)):
        raise ValueError(f"features_extractor_kwargs must be a dict, got {extractor_kwargs!r}.")
    extractor = policy_kwargs.get("features_extractor_class", FrameExtractor)
    if not isinstance(extractor, type):
        raise ValueError(f"features_extractor_class must be a class, got {extractor!r}.")
    if not issubclass(extractor, (FrameExtractor, FeaturePointCombinedExtractor)):
        raise ValueError(f"FPAC's update encodes single frames, which {extractor.__name__} cannot: use SAC with it.")
    interval = policy_kwargs.get("actor_update_interval", policy_delay)
    if interval != policy_delay:  # in fpac_kwargs it is the same
        raise ValueError(
            f"FPAC delays the actor with policy_delay={policy_delay}, but policy_kwargs has "
            f"actor_update_interval={interval}: leave it out."
        )


def check_methods(policy: FPACPolicy, replay_buffer: BaseFrameReplayBuffer) -> None:
    """
    Check that no method is overridden that FPAC's update does not call, unlike SAC's.

    :param policy: The policy
    :param replay_buffer: The replay buffer
    """
    parts: tuple[tuple[Any, tuple[type, ...], tuple[str, ...], str], ...] = (
        (policy.features_extractor, (FrameExtractor, FeaturePointCombinedExtractor), ("forward",), "encode_frames or state"),
        (policy.actor, (SACActor,), ("forward", "get_action_dist_params", "action_log_prob"), ""),
        (policy.critic, (SACCritic,), ("forward",), ""),
        (replay_buffer, (FrameReplayBuffer, HerFrameReplayBuffer), ("sample", "_get_samples"), "sample_frames"),
    )
    for part, ours, names, instead in parts:
        of_part = type(part)
        for name in names:
            if not any(getattr(of_part, name) is getattr(each, name) for each in ours if issubclass(of_part, each)):
                cure = f"override {instead}, which it calls, or use SAC" if instead else "use SAC"
                raise ValueError(f"FPAC's update would not call {of_part.__name__}.{name}: {cure} with {of_part.__name__}.")


def check_replay_buffer_class(replay_buffer_class: type[ReplayBuffer]) -> type[BaseFrameReplayBuffer]:
    """
    Check that the replay buffer hands out frames.

    :param replay_buffer_class: FrameReplayBuffer, HerFrameReplayBuffer or a subclass of one
    :return: The class
    """
    if not (isinstance(replay_buffer_class, type) and issubclass(replay_buffer_class, BaseFrameReplayBuffer)):
        got = replay_buffer_class.__name__ if isinstance(replay_buffer_class, type) else repr(replay_buffer_class)
        raise ValueError(
            "FPAC's update takes frames, which only the classes FrameReplayBuffer and HerFrameReplayBuffer hand out, got "
            f"{got}."
        )
    return replay_buffer_class


def check_loaded_buffer(loaded: ReplayBuffer, expected: BaseFrameReplayBuffer) -> None:
    """
    Check that a replay buffer from a file can take the place of the model's.

    :param loaded: The one from the file
    :param expected: The model's
    """
    if not isinstance(loaded, BaseFrameReplayBuffer):
        raise ValueError(f"it contains a {type(loaded).__name__}, and FPAC needs a FrameReplayBuffer.")
    if type(loaded) is not type(expected):
        raise ValueError(f"it contains a {type(loaded).__name__}, and the model has a {type(expected).__name__}.")
    problem = problem_of_buffer(loaded, expected)
    if problem is not None:
        raise ValueError(problem)
    for key, layout in expected.layouts.items():
        for name in ("frame_channels", "camera_shift"):
            theirs, ours = getattr(loaded.layouts[key], name), getattr(layout, name)
            if theirs != ours:
                raise ValueError(f"its {name}{_of(key)} is {theirs}, that of the model is {ours}.")


def check_same_layout(extractor: FrameExtractor | FeaturePointCombinedExtractor, replay_buffer: BaseFrameReplayBuffer) -> None:
    """
    Check that the extractor takes the stacks that the buffer stores.

    :param extractor: The extractor
    :param replay_buffer: The replay buffer
    """
    images: Mapping[Any, FrameExtractor] = extractor.images
    for key, layout in replay_buffer.layouts.items():
        for name in ("frame_channels", "camera_shift"):
            of_extractor, of_buffer = (getattr(each, name) for each in (images[key].layout, layout))
            if of_extractor != of_buffer:
                value = of_extractor if key is None else {key: of_extractor}
                raise ValueError(
                    f"The extractor has {name}={of_extractor}{_of(key)}, but the replay buffer {of_buffer}: "
                    f"pass replay_buffer_kwargs=dict({name}={value}), too."
                )


def _of(key: str | None) -> str:
    return "" if key is None else f" of {key!r}"
