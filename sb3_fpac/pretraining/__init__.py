"""Pre-trains feature points without rewards, by reconstructing one frame of a random policy from another."""

from sb3_fpac.pretraining.frames import collect_frames
from sb3_fpac.pretraining.picture import render_reconstructions
from sb3_fpac.pretraining.training import Pretraining, pretrain

__all__ = ["Pretraining", "collect_frames", "pretrain", "render_reconstructions"]
