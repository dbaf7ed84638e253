"""RL Zoo: the hyperparameters of this package's environments, and the algorithm ``fpac``."""

from sb3_fpac.zoo.integration import ZooFPAC, config_file

__all__ = ["ZooFPAC", "config_file"]
