"""The algorithm."""

from sb3_fpac.fpac.fpac import FPAC
from sb3_fpac.fpac.loss_tracker import check_finite

__all__ = ["FPAC", "check_finite"]
