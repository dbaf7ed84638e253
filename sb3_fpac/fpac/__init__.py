"""The algorithm: FPAC, its policies for SAC and TQC, and its update."""

from sb3_fpac.fpac.buffer_memory import register_memory_check
from sb3_fpac.fpac.fpac import FPAC
from sb3_fpac.fpac.hyperparams import fpac_fast, fpac_hyperparams, fpac_kwargs
from sb3_fpac.fpac.loss_tracker import check_finite
from sb3_fpac.fpac.policies import (
    FPACPolicy,
    FPACTQCPolicy,
    SACCnnPolicy,
    SACMultiInputPolicy,
    TQCCnnPolicy,
    TQCMultiInputPolicy,
    register_policies,
)

__all__ = [
    "FPAC",
    "FPACPolicy",
    "FPACTQCPolicy",
    "SACCnnPolicy",
    "SACMultiInputPolicy",
    "TQCCnnPolicy",
    "TQCMultiInputPolicy",
    "check_finite",
    "fpac_fast",
    "fpac_hyperparams",
    "fpac_kwargs",
    "register_memory_check",
    "register_policies",
]
