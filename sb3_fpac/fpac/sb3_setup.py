"""What SB3's off-policy algorithms say and check about images when they are set up."""

import warnings
from functools import wraps

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from sb3_fpac.features.combined_extractor import FeaturePointCombinedExtractor
from sb3_fpac.features.frame_extractor import FrameExtractor
from sb3_fpac.fpac.policies import FPACPolicy, FPACTQCPolicy
from sb3_fpac.limits import free_memory, total_memory


def describe(model: OffPolicyAlgorithm) -> str | None:
    """
    Say what an agent takes its observations for.

    :param model: Any off-policy algorithm
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


def check_memory(model: OffPolicyAlgorithm) -> None:
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


def register_setup() -> None:
    """
    Let SB3's off-policy algorithms call :func:`check_memory` before they make their replay buffer, and print
    :func:`describe` after they have made their policy, with ``verbose=1``.
    """
    setup = OffPolicyAlgorithm._setup_model
    if hasattr(setup, "__wrapped__"):
        return

    @wraps(setup)
    def checked_setup(self: OffPolicyAlgorithm) -> None:
        check_memory(self)
        setup(self)
        description = describe(self) if self.verbose else None
        if description is not None:
            print(description)

    OffPolicyAlgorithm._setup_model = checked_setup  # type: ignore[method-assign]


def _has_points(model: OffPolicyAlgorithm) -> bool:
    extractor = model.policy_kwargs.get("features_extractor_class")
    if extractor is None:
        return issubclass(model.policy_class, (FPACPolicy, FPACTQCPolicy))
    return isinstance(extractor, type) and issubclass(extractor, (FrameExtractor, FeaturePointCombinedExtractor))
