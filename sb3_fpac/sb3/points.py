"""Which of SB3's agents have feature points, and from what."""

from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_fpac.features.combined_extractor import FeaturePointCombinedExtractor
from sb3_fpac.features.frame_extractor import FrameExtractor
from sb3_fpac.policies.policies import FPACPolicy, FPACTQCPolicy

_OF_BOTH = ("frame_channels", "camera_shift")  # the extractor and the replay buffer


def has_points(model: BaseAlgorithm) -> bool:
    """
    Say whether an agent will have an extractor of this package.

    :param model: Any SB3 algorithm, also before its policy is made
    """
    extractor = model.policy_kwargs.get("features_extractor_class")
    if extractor is None:
        return issubclass(model.policy_class, (FPACPolicy, FPACTQCPolicy))
    return isinstance(extractor, type) and issubclass(extractor, (FrameExtractor, FeaturePointCombinedExtractor))


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


def frame_options(policy_kwargs: dict[str, Any]) -> dict[str, Any]:
    """
    Select the options of a features extractor that a buffer of frames needs, too.

    :param policy_kwargs: Of any algorithm
    :return: ``frame_channels`` and ``camera_shift``, those that are given
    """
    extractor_kwargs = policy_kwargs.get("features_extractor_kwargs") or {}
    return {name: extractor_kwargs[name] for name in _OF_BOTH if name in extractor_kwargs}
