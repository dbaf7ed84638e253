"""RL Zoo: the hyperparameters of this package's environments, and the algorithms ``fpac`` and ``fpac_fast``."""

from sb3_fpac.zoo.integration import ZooFPAC
from sb3_fpac.zoo.ours import config_file

__all__ = ["ZooFPAC", "config_file"]
