"""Whether every option of a policy and of its extractor is passed where it belongs."""

import inspect
from typing import Any

from sb3_contrib import TQC
from stable_baselines3 import SAC
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_fpac.arguments import keywords
from sb3_fpac.features.combined_extractor import FeaturePointCombinedExtractor
from sb3_fpac.features.extractor import FeaturePointExtractor
from sb3_fpac.features.pixel_extractor import PixelExtractor
from sb3_fpac.policies.critic_trained_encoder import OWN_OPTIONS, SharedEncoderPolicy
from sb3_fpac.policies.policies import FPACPolicy, FPACTQCPolicy


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
