"""Checks of the machine and of an environment, before training."""

from sb3_fpac.doctor.check import Check
from sb3_fpac.doctor.examination import examine_environment, examine_machine
from sb3_fpac.doctor.plan import Plan

__all__ = ["Check", "Plan", "examine_environment", "examine_machine"]
