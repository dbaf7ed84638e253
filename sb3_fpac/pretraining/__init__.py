"""Feature points without an agent: frames of a random policy, and a network that rebuilds one from another."""

from sb3_fpac.pretraining.frames import collect_frames
from sb3_fpac.pretraining.training import Pretraining, pretrain

__all__ = ["Pretraining", "collect_frames", "pretrain"]
