"""DeepMind Control tasks under Gymnasium ids: ``gym.make("dmc-cheetah-run")``; wrappers that draw and stack frames."""

from gymnasium.envs.registration import register, registry

from sb3_fpac.envs.action_repeat import ActionRepeat
from sb3_fpac.envs.add_pixels import AddPixels
from sb3_fpac.envs.as_returned import AsReturned
from sb3_fpac.envs.camera_shift import CameraShift
from sb3_fpac.envs.cameras import CameraView, MujocoCamera
from sb3_fpac.envs.dmc import make_dmc
from sb3_fpac.envs.frame_stack import FrameStack
from sb3_fpac.envs.keypoints import Keypoints
from sb3_fpac.envs.pixel_frames import PixelFrames
from sb3_fpac.envs.rendering import choose_backend
from sb3_fpac.envs.robots import register_robots
from sb3_fpac.envs.tasks import TASKS, Task

__all__ = [
    "TASKS",
    "ActionRepeat",
    "AddPixels",
    "AsReturned",
    "CameraShift",
    "CameraView",
    "FrameStack",
    "Keypoints",
    "MujocoCamera",
    "PixelFrames",
    "Task",
    "choose_backend",
    "make_dmc",
    "register_envs",
    "register_robots",
]


def register_envs() -> None:
    """Register an id for every task of ``dm_control.suite``. Imports no dm_control; making an environment does."""
    for env_id, task in TASKS.items():
        if env_id not in registry:
            register(env_id, entry_point="sb3_fpac.envs.dmc:make_dmc", kwargs=task._asdict())
