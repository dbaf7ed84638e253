"""Callbacks for training: checkpoints, pictures of feature points, a learning rate that drops."""

from sb3_fpac.callbacks.checkpoint import ResumableCheckpoint, latest_checkpoint, save_checkpoint
from sb3_fpac.callbacks.feature_points import FeaturePointCallback
from sb3_fpac.callbacks.learning_rate import LearningRateDrop
from sb3_fpac.callbacks.resuming import resume

__all__ = [
    "FeaturePointCallback",
    "LearningRateDrop",
    "ResumableCheckpoint",
    "latest_checkpoint",
    "resume",
    "save_checkpoint",
]
