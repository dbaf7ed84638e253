"""The policies of SAC and TQC whose actor and critics share one encoder."""

from sb3_fpac.hooks import run_hooks
from sb3_fpac.policies.policies import (
    FPACPolicy,
    FPACTQCPolicy,
    SACCnnPolicy,
    SACMultiInputPolicy,
    TQCCnnPolicy,
    TQCMultiInputPolicy,
    register_policies,
)

__all__ = [
    "FPACPolicy",
    "FPACTQCPolicy",
    "SACCnnPolicy",
    "SACMultiInputPolicy",
    "TQCCnnPolicy",
    "TQCMultiInputPolicy",
    "register_policies",
]

register_policies()
run_hooks(__name__)
