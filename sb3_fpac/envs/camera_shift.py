"""Tells stacks of frames how their camera moved."""

from collections import deque
from collections.abc import Callable
from typing import Any, Literal, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from sb3_fpac.arguments import whole_number
from sb3_fpac.envs.cameras import CameraView, MujocoCamera, find_camera, follows, mujoco_model_and_data
from sb3_fpac.envs.frame_stack import FrameStack
from sb3_fpac.observations import (
    check_channels_are_fewest,
    check_header_fits,
    encode_camera_shift,
    has_channels_first,
)


class CameraShift(gym.Wrapper, RecordConstructorArgs):
    """
    Adds the movement of the camera as one uint8 header plane in front of the stack: (C, H, W) becomes (1 + C, H, W).

    For every past frame, the plane contains the displacement in pixels of a stationary object from that frame to the current
    one (see :mod:`sb3_fpac.observations` for the bytes). :class:`~sb3_fpac.FeaturePointExtractor` uses it to move the past
    points into the current camera's frame, so that velocities are relative to the world and not to the camera (Fig. 3).

    :param env: Environment whose observations are channel-first stacks of frames, as FrameStack makes them
    :param camera: Number or name of a MuJoCo camera, for dm_control and Gymnasium's MuJoCo environments (see
        :class:`~sb3_fpac.MujocoCamera`); or a function that returns the view of the current frame, for a robot. It is called
        as ``camera(env, height, width)`` after every reset and step, with the wrapped environment and the size of the frames.
    :param n_frames: S, frames in the stack; None: as many as FrameStack or PixelFrames below stacks, or else two
    :raises ValueError: if the observations are not such stacks, or contain a single frame, or there is no such camera
    """

    def __init__(
        self, env: gym.Env, camera: int | str | Callable[[gym.Env, int, int], CameraView], n_frames: int | None = None
    ) -> None:
        space = env.observation_space
        stacked = _n_stacked(env)
        if n_frames is None:
            n_frames = 2 if stacked is None else stacked
        n_frames = whole_number("n_frames", n_frames, at_least=2)  # it compares frames
        if stacked not in (None, n_frames):
            raise ValueError(f"CameraShift has n_frames={n_frames}, but FrameStack has n={stacked}: leave n_frames out.")
        if not isinstance(space, spaces.Box) or len(space.shape) != 3 or space.dtype != np.uint8 or space.shape[0] % n_frames:
            raise ValueError(
                f"CameraShift needs channel-first stacks of {n_frames} uint8 frames, as from FrameStack, got {space}."
            )
        self._height, self._width = space.shape[1:]
        check_header_fits(n_frames - 1, self._height, self._width)
        if not has_channels_first(space.shape):
            raise ValueError(f"CameraShift needs the channels first, as from FrameStack, got {space}.")
        check_channels_are_fewest(1 + space.shape[0], self._height, self._width)
        if isinstance(camera, MujocoCamera):
            camera = camera.camera_id
        if isinstance(camera, np.integer):
            camera = int(camera)  # EnvSpec stores numbers and names as JSON
        RecordConstructorArgs.__init__(self, camera=camera, n_frames=n_frames)
        gym.Wrapper.__init__(self, env)
        self._camera = camera if callable(camera) else MujocoCamera(camera)
        if isinstance(self._camera, MujocoCamera):
            self._camera.check(env)
        self._views: deque[CameraView] = deque(maxlen=n_frames)
        header_low, header_high = np.zeros_like(space.low[:1]), np.full_like(space.high[:1], 255)
        self.observation_space = spaces.Box(
            np.concatenate([header_low, space.low]), np.concatenate([header_high, space.high]), dtype=np.uint8
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        stack, info = self.env.reset(seed=seed, options=options)
        assert self._views.maxlen is not None
        self._views.extend([self._view()] * self._views.maxlen)
        return self._with_header(stack), info

    def step(self, action: Any) -> tuple[np.ndarray, SupportsFloat, bool, bool, dict[str, Any]]:
        stack, reward, terminated, truncated, info = self.env.step(action)
        self._views.append(self._view())
        return self._with_header(stack), reward, terminated, truncated, info

    def _view(self) -> CameraView:
        view = self._camera(self.env, self._height, self._width)
        if not isinstance(view, CameraView):
            raise TypeError(f"The camera of CameraShift returned {view!r}: return a CameraView(anchor, project).")
        return view

    def _with_header(self, stack: np.ndarray) -> np.ndarray:
        *past, now = self._views
        shift = np.array([now.project(view.anchor) - view.project(view.anchor) for view in past])
        return np.concatenate([encode_camera_shift(shift, self._height, self._width)[None], stack])


def with_camera_shift(stack: gym.Env, camera: int | str, n_frames: int, camera_shift: bool | Literal["auto"]) -> gym.Env:
    """
    Add the camera shift to the stacks of a MuJoCo camera, if it is wanted.

    :param stack: As :class:`CameraShift` takes it
    :param camera: Number or name of the camera
    :param n_frames: Frames in a stack
    :param camera_shift: Whether it is wanted; ``"auto"``: if the camera follows a body and there are at least two frames
    :return: The environment, wrapped or not
    """
    if camera_shift == "auto":
        model, _ = mujoco_model_and_data(stack)
        camera_shift = n_frames > 1 and follows(model, find_camera(model, camera))
    return CameraShift(stack, camera, n_frames) if camera_shift else stack


def _n_stacked(env: gym.Env) -> int | None:
    """Frames in the stacks of a FrameStack whose observations are those of the environment; None: there is no FrameStack"""
    below = env
    while isinstance(below, gym.Wrapper) and below.observation_space.shape == env.observation_space.shape:
        if isinstance(below, FrameStack):
            return below.frame_stack
        below = below.env
    return None
