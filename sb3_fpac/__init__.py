"""FPAC (feature point actor-critic, arXiv 2106.07995) for Stable-Baselines3: agents that learn from images."""

import sys

from sb3_fpac.buffers import FrameBatch, FrameReplayBuffer
from sb3_fpac.camera_shift import decode_camera_shift, encode_camera_shift
from sb3_fpac.cameras import CameraView, MujocoCamera
from sb3_fpac.checkpoint import ResumableCheckpoint, latest_checkpoint, resume, save_checkpoint
from sb3_fpac.combined_extractor import FeaturePointCombinedExtractor
from sb3_fpac.envs import register_envs
from sb3_fpac.extractor import FeaturePointExtractor
from sb3_fpac.feature_points import feature_points, joint_probabilities, marginal_probabilities
from sb3_fpac.fpac import FPAC
from sb3_fpac.hyperparams import fpac_hyperparams, fpac_kwargs
from sb3_fpac.pixels import PixelExtractor
from sb3_fpac.policies import FPACPolicy, FPACTQCPolicy
from sb3_fpac.pretrained import PretrainedPoints
from sb3_fpac.pretraining import collect_frames, pretrain
from sb3_fpac.wrappers import ActionRepeat, CameraShift, FrameStack

__version__ = "0.1.0"

__all__ = [
    "FPAC",
    "ActionRepeat",
    "CameraShift",
    "CameraView",
    "FPACPolicy",
    "FPACTQCPolicy",
    "FeaturePointCombinedExtractor",
    "FeaturePointExtractor",
    "FrameBatch",
    "FrameReplayBuffer",
    "FrameStack",
    "MujocoCamera",
    "PixelExtractor",
    "PretrainedPoints",
    "ResumableCheckpoint",
    "collect_frames",
    "decode_camera_shift",
    "encode_camera_shift",
    "feature_points",
    "fpac_hyperparams",
    "fpac_kwargs",
    "joint_probabilities",
    "latest_checkpoint",
    "marginal_probabilities",
    "pretrain",
    "resume",
    "save_checkpoint",
]

register_envs()

if "rl_zoo3" in sys.modules:  # RL Zoo is running: --gym-packages sb3_fpac
    import sb3_fpac.zoo  # noqa: F401
