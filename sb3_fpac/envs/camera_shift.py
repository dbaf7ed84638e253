"""Tells stacks of frames how their camera moved."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from sb3_fpac.arguments import whole_number
from sb3_fpac.envs.cameras import CameraView, MujocoCamera, find_camera, follows, mujoco_model_and_data
from sb3_fpac.envs.stacks_below import find_stack
from sb3_fpac.observations import (
    check_channels_are_fewest,
    check_header_fits,
    encode_camera_shift,
    entry_of,
    has_channels_first,
    naming,
)

Camera = int | str | Callable[[gym.Env, int, int], CameraView]


class CameraShift(gym.Wrapper, RecordConstructorArgs):
    """
    Adds the movement of the camera as one uint8 header plane in front of the stack: (C, H, W) becomes (1 + C, H, W).

    For every past frame, the plane contains the displacement in pixels of a stationary object from that frame to the current
    one (see :mod:`sb3_fpac.observations` for the bytes). :class:`~sb3_fpac.FeaturePointExtractor` uses it to move the past
    points into the current camera's frame, so that velocities are relative to the world and not to the camera (Fig. 3).

    :param env: Environment whose observations are channel-first stacks of frames, as FrameStack makes them; or a Dict of them,
        with anything beside them
    :param camera: Number or name of a MuJoCo camera, for dm_control and Gymnasium's MuJoCo environments (see
        :class:`~sb3_fpac.MujocoCamera`); or a function that returns the view of the current frame, for a robot. It is called
        as ``camera(env, height, width)`` after every reset and step, with the wrapped environment and the size of the frames.
        For Dict observations a dict by key, such as ``dict(wrist=tracker)``: images that it lacks get no header plane.
    :param n_frames: S, frames in the stack; None: as many as FrameStack or PixelFrames below stacks, or else two
    :raises ValueError: if the observations are not such stacks, or contain a single frame, or there is no such camera or key
    """

    def __init__(self, env: gym.Env, camera: Camera | Mapping[str, Camera], n_frames: int | None = None) -> None:
        space = env.observation_space
        if n_frames is not None:
            n_frames = whole_number("n_frames", n_frames, at_least=2)  # it compares frames
        cameras = {key: _plain(each) for key, each in _cameras_by_key(space, camera).items()}
        self._headers: dict[Any, _Header] = {}
        for key, each in cameras.items():
            with naming(key):
                self._headers[key] = _Header(env, key, each, n_frames)
        only_n = next(iter(self._headers.values())).n_frames if None in cameras else n_frames
        RecordConstructorArgs.__init__(self, camera=cameras.get(None, cameras), n_frames=only_n)
        gym.Wrapper.__init__(self, env)
        if isinstance(space, spaces.Dict):
            parts = [(key, self._headers[key].space if key in self._headers else part) for key, part in space.items()]
            self.observation_space = spaces.Dict(parts)
        else:
            self.observation_space = self._headers[None].space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        for header in self._headers.values():
            header.fill(self.env)
        return self._with_headers(observation), info

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        for header in self._headers.values():
            header.append(self.env)
        return self._with_headers(observation), reward, terminated, truncated, info

    def _with_headers(self, observation: Any) -> Any:
        if None in self._headers:
            return self._headers[None].in_front_of(observation)
        with_header = {}
        for key, header in self._headers.items():
            stack = entry_of(observation, key)
            with naming(key):
                with_header[key] = header.in_front_of(stack)
        return {**observation, **with_header}


class _Header:
    """The header plane of one image"""

    def __init__(self, env: gym.Env, key: str | None, camera: Camera, n_frames: int | None) -> None:
        self.n_frames = _n_frames(env, key, n_frames)
        self._name = "The camera of CameraShift" if key is None else f"The camera of {key!r}"
        space = _space_of_stacks(env.observation_space if key is None else env.observation_space[key], self.n_frames)  # type: ignore[index]
        self._height, self._width = space.shape[1:]
        self._camera = camera if callable(camera) else MujocoCamera(camera)
        if isinstance(self._camera, MujocoCamera):
            self._camera.check(env)
        self._views: deque[CameraView] = deque(maxlen=self.n_frames)
        header_low, header_high = np.zeros_like(space.low[:1]), np.full_like(space.high[:1], 255)
        self.space = spaces.Box(
            np.concatenate([header_low, space.low]), np.concatenate([header_high, space.high]), dtype=np.uint8
        )

    def fill(self, env: gym.Env) -> None:
        """Start an episode with its first view."""
        self._views.extend([self._view(env)] * self.n_frames)

    def append(self, env: gym.Env) -> None:
        self._views.append(self._view(env))

    def in_front_of(self, stack: np.ndarray) -> np.ndarray:
        """(1 + C, H, W)"""
        *past, now = self._views
        shift = np.array([now.project(view.anchor) - view.project(view.anchor) for view in past])
        return np.concatenate([encode_camera_shift(shift, self._height, self._width)[None], stack])

    def _view(self, env: gym.Env) -> CameraView:
        view = self._camera(env, self._height, self._width)
        if not isinstance(view, CameraView):
            raise TypeError(f"{self._name} returned {view!r}: return a CameraView(anchor, project).")
        return view


def _cameras_by_key(space: spaces.Space, camera: Any) -> dict[Any, Any]:
    """The camera of every image that gets a header plane; without Dict observations its key is None"""
    if not isinstance(space, spaces.Dict):
        if isinstance(camera, Mapping):
            raise ValueError(f"camera is a dict by key, but the observation is {space}: pass one camera.")
        return {None: camera}
    keys = ", ".join(map(repr, space))
    if not isinstance(camera, Mapping) or not camera:
        raise ValueError(
            f"The observations are a Dict with the keys {keys}, but camera is {camera!r}: pass a dict with the camera of "
            "every image whose camera moves, such as dict(wrist=tracker)."
        )
    unknown = ", ".join(repr(key) for key in camera if key not in space.spaces)
    if unknown:
        raise ValueError(f"camera of CameraShift names {unknown}, but the observations have {keys}.")
    return dict(camera)


def _plain(camera: Camera) -> Camera:
    """EnvSpec stores numbers and names as JSON"""
    if isinstance(camera, MujocoCamera):
        camera = camera.camera_id
    return int(camera) if isinstance(camera, np.integer) else camera


def _n_frames(env: gym.Env, key: str | None, n_frames: int | None) -> int:
    below = find_stack(env, key)
    if below is None:
        return n_frames or 2
    if n_frames not in (None, below.n):
        raise ValueError(
            f"CameraShift has n_frames={n_frames}, but {below.maker} has {below.argument}={below.n}: leave n_frames out."
        )
    return whole_number("n_frames", below.n, at_least=2)


def _space_of_stacks(space: spaces.Space, n_frames: int) -> spaces.Box:
    if not isinstance(space, spaces.Box) or len(space.shape) != 3 or space.dtype != np.uint8 or space.shape[0] % n_frames:
        raise ValueError(
            f"CameraShift needs channel-first stacks of {n_frames} uint8 frames, as from FrameStack, got {space}."
        )
    n_channels, height, width = space.shape
    check_header_fits(n_frames - 1, height, width)
    if not has_channels_first(space.shape):
        raise ValueError(f"CameraShift needs the channels first, as from FrameStack, got {space}.")
    check_channels_are_fewest(1 + n_channels, height, width)
    return space


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
