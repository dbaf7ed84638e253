"""FPAC (feature point actor-critic, arXiv 2106.07995) for Stable-Baselines3: agents that learn from images."""

import sys

from sb3_fpac.buffers import FrameBatch, FrameReplayBuffer, HerFrameReplayBuffer
from sb3_fpac.callbacks import ResumableCheckpoint, latest_checkpoint, resume, save_checkpoint
from sb3_fpac.envs import (
    ActionRepeat,
    AddPixels,
    CameraShift,
    CameraView,
    FrameStack,
    MujocoCamera,
    PixelFrames,
    register_envs,
)
from sb3_fpac.features import (
    FeaturePointCombinedExtractor,
    FeaturePointExtractor,
    FrameExtractor,
    PixelExtractor,
    PretrainedPoints,
    feature_points,
    joint_probabilities,
    marginal_probabilities,
)
from sb3_fpac.fpac import (
    FPAC,
    FPACPolicy,
    FPACTQCPolicy,
    fpac_fast,
    fpac_hyperparams,
    fpac_kwargs,
    load_weights,
    register_policies,
    register_setup,
    save_weights,
)
from sb3_fpac.observations import decode_camera_shift, encode_camera_shift
from sb3_fpac.pretraining import collect_frames, pretrain
from sb3_fpac.version import __version__

__all__ = [
    "FPAC",
    "ActionRepeat",
    "AddPixels",
    "CameraShift",
    "CameraView",
    "FPACPolicy",
    "FPACTQCPolicy",
    "FeaturePointCombinedExtractor",
    "FeaturePointExtractor",
    "FrameBatch",
    "FrameExtractor",
    "FrameReplayBuffer",
    "FrameStack",
    "HerFrameReplayBuffer",
    "MujocoCamera",
    "PixelExtractor",
    "PixelFrames",
    "PretrainedPoints",
    "ResumableCheckpoint",
    "__version__",
    "collect_frames",
    "decode_camera_shift",
    "encode_camera_shift",
    "feature_points",
    "fpac_fast",
    "fpac_hyperparams",
    "fpac_kwargs",
    "joint_probabilities",
    "latest_checkpoint",
    "load_weights",
    "marginal_probabilities",
    "pretrain",
    "resume",
    "save_checkpoint",
    "save_weights",
]

register_envs()
register_policies()
register_setup()

if "rl_zoo3" in sys.modules:  # RL Zoo is running: --gym-packages sb3_fpac
    import sb3_fpac.zoo  # noqa: F401
