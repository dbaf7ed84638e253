"""Projects points of the world into a camera, to measure the camera shift."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

# MuJoCo's mjtCamLight
_FIXED = 0
_TURNING = (3, 4)  # targetbody, targetbodycom: the camera stays where it is and turns to the body


class CameraView(NamedTuple):
    """
    The view of a camera at one moment.

    The shift between the images of two views is ``now.project(past.anchor) - past.project(past.anchor)``.

    A tracker that knows only how far its camera has travelled, as ``travelled = np.array([x, y])`` in pixels since some
    moment, returns ``CameraView(anchor=np.zeros(2), project=lambda point: point - travelled)``.
    """

    anchor: np.ndarray
    """The point of the world for which the shift is exact, such as the current position of the body that the camera follows"""

    project: Callable[[np.ndarray], np.ndarray]
    """Projects a point of the world into the image: (x, y) in pixels, x to the right and y downwards, from any fixed origin"""


@dataclass(frozen=True)
class MujocoCamera:
    """
    A camera of a MuJoCo model, for :class:`~sb3_fpac.envs.CameraShift`. The shift is exact for a point that is fixed in the
    world: the centre of mass, at the past frame, of the body that the camera follows.

    Works with Shimmy's dm_control environments and with Gymnasium's MuJoCo environments.

    :param camera_id: Number or name of the camera, as in the model
    :raises ValueError: if the model has no such camera, or the camera is attached to a body
    """

    camera_id: int | str = 0

    def __call__(self, env: gym.Env, height: int, width: int) -> CameraView:
        """
        :param env: A dm_control or Gymnasium MuJoCo environment, wrapped or not
        :param height: Height of the frames in pixels
        :param width: Width of the frames in pixels
        :return: The view for the current state of the simulation
        """
        model, data = mujoco_model_and_data(env)
        camera = self._find(model)
        position, rotation = data.cam_xpos[camera].copy(), data.cam_xmat[camera].reshape(3, 3).copy()
        focal_length = height / 2 / np.tan(np.deg2rad(model.cam_fovy[camera]) / 2)  # in pixels

        anchor = data.subtree_com[followed_body(model, camera)].copy()
        return CameraView(anchor, _Perspective(position, rotation, focal_length))

    def check(self, env: gym.Env) -> None:
        """
        Check that the environment has this camera, and that its shift is defined.

        :param env: As in calls
        :raises ValueError: if it has not
        """
        model, _ = mujoco_model_and_data(env)
        followed_body(model, self._find(model))

    def _find(self, model: Any) -> int:
        camera = find_camera(model, self.camera_id)
        if _projections(model)[camera] or model.cam_sensorsize[camera].any():
            raise ValueError(
                f"Camera {self.camera_id!r} must be a perspective camera defined by its field of view alone: choose another "
                "camera, or camera_shift=False."
            )
        return camera


@dataclass(frozen=True, eq=False)
class _Perspective:
    """Projects points of the world into the image; an object instead of a function, so that environments can be pickled"""

    position: np.ndarray
    rotation: np.ndarray
    focal_length: float

    def __call__(self, point: np.ndarray) -> np.ndarray:
        right, up, backward = self.rotation.T @ (point - self.position)
        return self.focal_length * np.array([right, -up]) / -backward


def follows(model: Any, camera: int) -> bool:
    """
    Check whether a camera follows a body, by moving or by turning.

    :param model: MuJoCo model
    :param camera: Number of the camera
    :return: False for a camera that is fixed in the world or attached to a body
    """
    return int(model.cam_mode[camera]) != _FIXED


def followed_body(model: Any, camera: int) -> int:
    """
    Find the body that a camera follows; for a camera that is fixed in the world, the world (centre of mass of the model).

    :param model: MuJoCo model
    :param camera: Number of the camera
    :return: Number of the body
    :raises ValueError: if the camera is attached to a body, so that the shift is not defined
    """
    mode, body, target = int(model.cam_mode[camera]), int(model.cam_bodyid[camera]), int(model.cam_targetbodyid[camera])
    if mode in _TURNING:
        return target
    if mode == _FIXED and body != 0:
        raise ValueError(
            f"Camera {camera} is attached to a body of the model, so its shift is not defined: use another camera_id, or "
            "pixels with camera_shift=False."
        )
    return body


def find_camera(model: Any, camera_id: int | str) -> int:
    """
    Find the number of a camera.

    :param model: MuJoCo model
    :param camera_id: Number or name; a number may be text, ``"0"``, unless a camera has this name
    :return: Number
    :raises ValueError: if there is none
    """
    if isinstance(camera_id, (int, np.integer)) and 0 <= camera_id < model.ncam:
        return int(camera_id)
    names = [camera_name(model, camera) for camera in range(model.ncam)]
    if isinstance(camera_id, str) and camera_id:
        if camera_id in names:
            return names.index(camera_id)
        if camera_id.isdecimal() and int(camera_id) < model.ncam:
            return int(camera_id)
    pose = "dict(lookat=[x, y, z], distance=…, azimuth=…, elevation=…)"
    has = f"its cameras are {dict(enumerate(names))}" if names else f"it has none. AddPixels also takes a free camera, {pose}"
    raise ValueError(f"The model has no camera {camera_id!r}: {has}.")


def find_cameras(name: str, model: Any, camera_ids: Any) -> dict[str, int]:
    """
    Find the numbers of several cameras, and a key for each: its name in the model, or its number if it has none. Dots, which
    PyTorch does not allow in the name of a network, become underscores.

    :param name: Name of the argument
    :param model: MuJoCo model
    :param camera_ids: Sequence of numbers and names
    :return: Number of every camera, by key
    :raises ValueError: if it is no sequence or empty, a camera is missing, or two entries have the same key
    """
    if not isinstance(camera_ids, (list, tuple)) or not camera_ids:
        raise ValueError(f"{name} must be a list of at least one camera, got {camera_ids!r}.")
    cameras: dict[str, int] = {}
    given: dict[str, Any] = {}
    for camera_id in camera_ids:
        camera = find_camera(model, camera_id)
        key = (camera_name(model, camera) or str(camera)).replace(".", "_")
        if key in cameras:
            raise ValueError(
                f"{name} has {given[key]!r} and {camera_id!r}, which have the same key {key!r}: list every camera once."
            )
        cameras[key], given[key] = camera, camera_id
    return cameras


def mujoco_model_and_data(env: gym.Env) -> tuple[Any, Any]:
    """
    Return the simulation of an environment.

    :param env: A dm_control environment under Shimmy's adapter, or one of Gymnasium's MuJoCo environments; wrapped or not
    :return: MuJoCo's model and data
    :raises ValueError: if it is neither
    """
    inner = env.unwrapped
    if hasattr(inner, "physics"):
        return inner.physics.model.ptr, inner.physics.data.ptr
    if hasattr(inner, "model") and hasattr(inner, "data"):
        return inner.model, inner.data
    raise ValueError(f"MujocoCamera needs a dm_control or Gymnasium MuJoCo environment, got {inner}.")


def _projections(model: Any) -> np.ndarray:
    """For every camera 0 if it is a perspective camera, 1 if orthographic"""
    return model.cam_projection if hasattr(model, "cam_projection") else model.cam_orthographic


def camera_name(model: Any, camera: int) -> str:
    """
    Read the name of a camera.

    :param model: MuJoCo model
    :param camera: Number of the camera
    :return: Its name; the empty text if it has none
    """
    start = int(model.name_camadr[camera])
    return bytes(model.names[start:]).split(b"\0", 1)[0].decode()
