"""The environments of Gymnasium-Robotics, such as the Fetch arm."""

from enum import IntEnum
from types import SimpleNamespace

import gymnasium as gym

from sb3_fpac.optional import needs


def register_robots() -> None:
    """
    Register the ids of Gymnasium-Robotics, such as ``FetchReachDense-v4``, and let its environments work with the MuJoCo that
    this package needs.

    Gymnasium-Robotics 1.4 checks types of joints in a way that fails with MuJoCo 3.17: it searches a number in a tuple of
    ``mujoco.mjtJoint``, whose members no longer equal numbers. Here its module sees these members as numbers. Nothing else is
    changed. The extra ``robots`` installs the package.

    :raises ImportError: if Gymnasium-Robotics is not installed
    """
    with needs("robots"):
        import gymnasium_robotics
        from gymnasium_robotics.utils import mujoco_utils
    import mujoco

    numbers = IntEnum("mjtJoint", {name: int(member) for name, member in mujoco.mjtJoint.__members__.items()})  # type: ignore[misc]
    mujoco_utils.mujoco = SimpleNamespace(**{**vars(mujoco), "mjtJoint": numbers})
    gym.register_envs(gymnasium_robotics)
