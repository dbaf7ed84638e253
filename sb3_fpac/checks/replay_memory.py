"""Whether SB3's replay buffer fits into memory."""

import warnings

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from sb3_fpac.limits import free_memory, total_memory


def check_replay_memory(model: OffPolicyAlgorithm) -> None:
    """
    Check that SB3's replay buffer of images fits into memory. SB3 stores both stacks of a transition, and its default
    is a million transitions.

    :param model: Any off-policy algorithm, before its replay buffer is made
    :raises MemoryError: if the machine has less memory in total; if only less is free, there is a warning
    """
    if model.replay_buffer is not None or model.replay_buffer_class is not None:
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
