"""The algorithm: FPAC, its policies for SAC and TQC, and its update."""

from sb3_fpac.fpac.checks import check_normalized
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
from sb3_fpac.fpac.sb3_setup import register_setup
from sb3_fpac.fpac.weights import load_weights, save_weights

__all__ = [
    "FPAC",
    "FPACPolicy",
    "FPACTQCPolicy",
    "SACCnnPolicy",
    "SACMultiInputPolicy",
    "TQCCnnPolicy",
    "TQCMultiInputPolicy",
    "check_finite",
    "check_normalized",
    "fpac_fast",
    "fpac_hyperparams",
    "fpac_kwargs",
    "load_weights",
    "register_policies",
    "register_setup",
    "save_weights",
]

register_policies()
register_setup()
