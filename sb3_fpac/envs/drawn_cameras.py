"""Finds the MuJoCo cameras through which an agent sees."""

from typing import Any

import gymnasium as gym

from sb3_fpac.envs.dmc import Pixels
from sb3_fpac.envs.gathering import Gathered
from sb3_fpac.envs.mujoco_frames import MujocoFrames


def drawn_cameras(env: gym.Env) -> dict[str | None, int]:
    """
    Find the cameras of a MuJoCo model that draw the images of an environment's observations.

    :param env: Any environment, wrapped or not
    :return: The number of every camera by the key of its image; None is the key of an image that is the whole observation.
        Free cameras, and images that come from elsewhere, are left out.
    """
    while isinstance(env, gym.Wrapper):
        if isinstance(env, Gathered):
            return {key: camera for key, way in env.ways.items() for camera in drawn_cameras(way).values()}
        if isinstance(env, (Pixels, MujocoFrames)):
            return {None: env.camera} if isinstance(env.camera, int) else {}
        env = env.env
    camera = _camera_of_render(env) if env.render_mode == "rgb_array" else None
    return {} if camera is None else {None: camera}


def _camera_of_render(env: Any) -> int | None:
    """Of ``env.render()``, which a wrapper may have made the observation"""
    if hasattr(env, "physics"):
        camera = env.render_kwargs.get("camera_id")
    else:
        camera = getattr(getattr(env, "mujoco_renderer", None), "camera_id", None)
    return camera if isinstance(camera, int) and camera >= 0 else None
