"""Handcrafted keypoints: the parts of a robot, projected into a camera without rendering an image."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from sb3_fpac.envs.cameras import MujocoCamera, mujoco_model_and_data


class Keypoints(gym.ObservationWrapper, RecordConstructorArgs):
    """
    Replaces the observation by the projected centres of all geoms and their velocities: the paper's handcrafted keypoints
    (Fig. 2).

    The observation is ``[positions, velocities]``, each flattened point by point as (x, y): 4K numbers, float32. The image
    spans [-1, 1] from top to bottom, x to the right and y downwards, so a square image spans [-1, 1] along both axes. Points
    outside the image have larger coordinates. A velocity is the displacement of a point since the previous step, with both
    positions projected into the current camera: it is 0 for an object at rest, however the camera moves.

    Geoms that never move, such as the floor, are left out. Geoms that a task places differently in every episode, such as
    Reacher's target, are included.

    :param env: A dm_control environment under Shimmy's adapter, or one of Gymnasium's MuJoCo environments. It is reset twice
        to find the geoms that move.
    :param camera_id: Number or name of the camera
    :param relative: Whether positions are relative to their mean over the K points, which the paper found to be better.
        Velocities are always those of the absolute positions.
    :raises ValueError: if the model has no such camera, or nothing moves in it
    """

    def __init__(self, env: gym.Env, camera_id: int | str = 0, relative: bool = True) -> None:
        RecordConstructorArgs.__init__(self, camera_id=camera_id, relative=relative)
        gym.ObservationWrapper.__init__(self, env)
        self._camera, self._relative = MujocoCamera(camera_id), relative
        self._geoms = _moving_geoms(env)
        self._past = np.empty(0)  # (K, 3), in the world
        n_points = len(self._geoms)
        self.observation_space = spaces.Box(-np.inf, np.inf, (4 * n_points,), np.float32)

    @property
    def geoms(self) -> np.ndarray:
        """``(K,)``: indices of the geoms in MuJoCo's model, in the order of the points"""
        return self._geoms

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._past = self._centres()
        return self.observation(observation), info

    def observation(self, observation: Any) -> np.ndarray:
        project = self._camera(self.env, height=2, width=2).project  # of an image that is two units high
        now = self._centres()
        positions, past = (np.apply_along_axis(project, 1, centres) for centres in (now, self._past))
        velocities = positions - past
        self._past = now
        if self._relative:
            positions = positions - positions.mean(axis=0)
        return np.concatenate([positions.ravel(), velocities.ravel()]).astype(np.float32)

    def _centres(self) -> np.ndarray:
        _, data = mujoco_model_and_data(self.env)
        return data.geom_xpos[self._geoms].copy()


def _moving_geoms(env: gym.Env) -> np.ndarray:
    """Indices of geoms of bodies that can move, and of geoms whose position differs between episodes"""
    places = []
    for _ in range(2):
        env.reset()
        model, data = mujoco_model_and_data(env)
        places.append(data.geom_xpos.copy())
    can_move = model.body_weldid[model.geom_bodyid] != 0
    (geoms,) = np.nonzero(can_move | (places[0] != places[1]).any(axis=1))
    if not geoms.size:
        raise ValueError(f"{env.unwrapped} has no keypoints, because nothing in it moves.")
    return geoms
