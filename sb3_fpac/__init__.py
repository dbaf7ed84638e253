"""
FPAC (feature point actor-critic, arXiv 2106.07995) for Stable-Baselines3: agents that learn from images.

Importing the package loads no PyTorch. A name such as ``sb3_fpac.FPAC`` is imported when it is used first.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from sb3_fpac.envs import register_envs
from sb3_fpac.hooks import when_loaded
from sb3_fpac.version import __version__

if TYPE_CHECKING:
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
    from sb3_fpac.fpac import FPAC
    from sb3_fpac.hyperparams import fpac_fast, fpac_hyperparams, fpac_kwargs
    from sb3_fpac.observations import decode_camera_shift, encode_camera_shift
    from sb3_fpac.policies import FPACPolicy, FPACTQCPolicy
    from sb3_fpac.pretraining import collect_frames, pretrain
    from sb3_fpac.weights import load_weights, save_weights

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

_FOLDERS = (  # where the names are defined
    *("envs", "observations", "features", "buffers", "hyperparams", "policies", "fpac"),
    *("callbacks", "pretraining", "weights"),
)

if not TYPE_CHECKING:  # type checkers read the imports above, and find misspelt names

    def __getattr__(name: str) -> object:
        if name in _FOLDERS:
            return import_module(f"sb3_fpac.{name}")
        for folder in _FOLDERS if name in __all__ else ():
            module = import_module(f"sb3_fpac.{folder}")
            if name in module.__all__:
                globals()[name] = getattr(module, name)
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_FOLDERS})


register_envs()
when_loaded("sb3_fpac.features", lambda: import_module("sb3_fpac.policies"))  # which let SB3 share the encoder of an extractor
when_loaded("sb3_fpac.policies", lambda: import_module("sb3_fpac.sb3"))  # which checks agents with an extractor

if "rl_zoo3" in sys.modules:  # RL Zoo is running: --gym-packages sb3_fpac
    import sb3_fpac.zoo  # noqa: F401
