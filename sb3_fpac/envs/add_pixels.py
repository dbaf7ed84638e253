"""One wrapper from any environment that draws to a Dict of images and vectors."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from sb3_fpac.arguments import flag, one_of, whole_number
from sb3_fpac.envs.action_repeat import ActionRepeat
from sb3_fpac.envs.camera_shift import with_camera_shift
from sb3_fpac.envs.cameras import find_cameras, mujoco_model_and_data
from sb3_fpac.envs.frame_stack import FrameStack, with_channels_first
from sb3_fpac.envs.gathering import PIXELS, STATE, Entry, Gathered, NamesItselfOnly, by_key, check_distinct
from sb3_fpac.envs.mujoco_frames import MujocoDrawing, MujocoFrames, check_pose, is_pose
from sb3_fpac.envs.pixel_frames import RenderedFrames, height_and_width, image_shape, let_pygame_end, plain_size
from sb3_fpac.envs.rendering import MOST_SUPERSAMPLING
from sb3_fpac.observations import VECTORS

Camera = int | str | Mapping[str, Any] | None
CameraShifted = bool | Literal["auto"]


class AddPixels(NamesItselfOnly):
    """
    Adds the images of one or several cameras to the observations of an environment. The new observations are a Dict.

    Every image is a stack of small frames, ``(frame_stack · 3, height, width)`` uint8, oldest first, under the key of its
    camera. In front of them, a camera that follows a body has a plane with its shift, see :class:`~sb3_fpac.CameraShift`. A
    vector is under the key ``"state"``. If the observations are a Dict already, its keys stay, or those that ``keep`` lists.
    Its images have their channels first then. Rewards, ends of episodes and infos are not changed.

    A MuJoCo camera is drawn at the size of its frames: with Gymnasium's MuJoCo environments, Gymnasium-Robotics and
    dm_control. What ``env.render()`` draws is resized by area, as in :class:`~sb3_fpac.PixelFrames`.

    >>> import gymnasium as gym
    >>> env = AddPixels(gym.make("Pendulum-v1", render_mode="rgb_array"), size=64)
    >>> {key: space.shape for key, space in env.observation_space.items()}
    {'pixels': (6, 64, 64), 'state': (3,)}

    :param env: An environment with ``render_mode="rgb_array"`` or with a MuJoCo simulation
    :param cameras: The camera of every key. A camera is the number or name of one in the MuJoCo model; or a pose of MuJoCo's
        free camera, ``dict(lookat=[x, y, z], distance=…, azimuth=…, elevation=…)``, in metres and degrees; or None: what
        ``env.render()`` draws. In place of the dict, a list of numbers and names: each then has its name in the model as key,
        with ``_`` for every dot, or else its number as text. Default: ``{"pixels": None}``
    :param size: Height and width of the frames in pixels; or both, as (height, width); or a dict of these, with all keys
    :param frame_stack: Number of frames in a stack, see :class:`~sb3_fpac.FrameStack`
    :param action_repeat: Steps of the environment for each action, see :class:`~sb3_fpac.ActionRepeat`
    :param keep: Keys of the environment's own observations to keep; ``"state"`` if these are a vector. None: all
    :param supersampling: How many times as high and wide a MuJoCo camera is drawn before the frame is reduced to its size, by
        the mean over blocks of pixels. What ``env.render()`` draws has a size of its own.
    :param camera_shift: Whether a header plane tells how a camera of the MuJoCo model moved; ``"auto"``: if it follows a body
        and there are at least two frames. One value, or a dict with all keys.
    :param fast_rendering: Whether MuJoCo draws coarser shadows and round shapes, which is faster with a software renderer. An
        agent needs the frames that it was trained on.
    :raises ValueError: if there is no such camera, the environment does not draw, its observations are images or neither
        vectors nor a Dict, a key is there twice or missing, or an argument is out of range
    :raises RuntimeError: at the first frame, if this process was forked from one that had drawn, or if no OpenGL backend works
    """

    def __init__(
        self,
        env: gym.Env,
        cameras: Mapping[str, Camera] | Sequence[int | str] | None = None,
        size: int | Sequence[int] | Mapping[str, int | Sequence[int]] = 84,
        frame_stack: int = 2,
        action_repeat: int = 1,
        keep: Sequence[str] | None = None,
        supersampling: int = 1,
        camera_shift: CameraShifted | Mapping[str, CameraShifted] = "auto",
        fast_rendering: bool = False,
    ) -> None:
        let_pygame_end()
        by_name = _cameras(env, cameras)
        sizes = {
            key: height_and_width(f"size[{key!r}]" if isinstance(size, Mapping) else "size", each)
            for key, each in by_key("size", size, by_name).items()
        }
        frame_stack = whole_number("frame_stack", frame_stack, at_least=1)
        action_repeat = whole_number("action_repeat", action_repeat, at_least=1)
        supersampling = whole_number("supersampling", supersampling, at_least=1, at_most=MOST_SUPERSAMPLING)
        if flag("fast_rendering", fast_rendering) and all(camera is None for camera in by_name.values()):
            raise ValueError(
                "fast_rendering is for the cameras of a MuJoCo simulation, and does not change what env.render() draws: name "
                "a camera, or leave fast_rendering out."
            )
        shifted = by_key("camera_shift", camera_shift, by_name)
        for key, each in shifted.items():
            one_of("camera_shift", each, (True, False, "auto"))
            if each is True and not isinstance(by_name[key], (int, str)):
                raise ValueError(
                    f"The camera of {key!r} is none of the MuJoCo model, so its shift is not known: pass camera_shift='auto'."
                )
        kept = _kept(env.observation_space, keep)
        check_distinct("cameras", list(by_name), kept)
        plain_sizes = {key: plain_size(*each) for key, each in sizes.items()}
        RecordConstructorArgs.__init__(
            self,
            cameras=by_name,
            size=plain_sizes if isinstance(size, Mapping) else next(iter(plain_sizes.values())),
            frame_stack=frame_stack,
            action_repeat=action_repeat,
            keep=None if keep is None else list(keep),
            supersampling=supersampling,
            camera_shift=shifted if isinstance(camera_shift, Mapping) else camera_shift,
            fast_rendering=fast_rendering,
        )
        repeated = env if action_repeat == 1 else ActionRepeat(env, action_repeat)
        views = _Views(repeated, by_name, sizes, frame_stack, kept, supersampling, shifted, fast_rendering)
        NamesItselfOnly.__init__(self, env, views)
        if env.metadata.get("render_fps"):
            self.metadata = {**env.metadata, "render_fps": env.metadata["render_fps"] / action_repeat}


class _Views(Gathered):
    """A stack of frames of every camera, and the kept keys"""

    def __init__(
        self,
        env: gym.Env,
        cameras: Mapping[str, Camera],
        sizes: Mapping[str, tuple[int, int]],
        frame_stack: int,
        kept: Sequence[str],
        supersampling: int,
        camera_shift: Mapping[str, CameraShifted],
        fast_rendering: bool,
    ) -> None:
        self._drawing: MujocoDrawing | None = None
        if any(camera is not None for camera in cameras.values()):
            height, width = (supersampling * max(size[axis] for size in sizes.values()) for axis in (0, 1))
            self._drawing = MujocoDrawing(env, height, width, fast_rendering)
        ways: dict[str, Any] = {
            key: partial(
                _stack,
                drawing=self._drawing,
                camera=camera,
                size=sizes[key],
                n=frame_stack,
                supersampling=supersampling,
                camera_shift=camera_shift[key],
            )
            for key, camera in cameras.items()
        }
        is_dict = isinstance(env.observation_space, spaces.Dict)
        ways |= {key: partial(_entry, key=key if is_dict else None) for key in kept}
        super().__init__(env, ways)

    def _prepare(self) -> None:
        if self._drawing is not None:
            self._drawing.prepare(self.env)

    def close(self) -> None:
        if self._drawing is not None:
            self._drawing.close()
        super().close()


def _entry(env: gym.Env, key: str | None) -> gym.Env:
    return with_channels_first(Entry(env, key))


def _stack(
    env: gym.Env,
    drawing: MujocoDrawing | None,
    camera: Camera,
    size: tuple[int, int],
    n: int,
    supersampling: int,
    camera_shift: CameraShifted,
) -> gym.Env:
    if camera is None:
        return FrameStack(RenderedFrames(env, *size), n)
    assert drawing is not None
    stack = FrameStack(MujocoFrames(env, drawing, camera, *size, supersampling), n)
    return with_camera_shift(stack, camera, n, camera_shift) if isinstance(camera, (int, str)) else stack


def _cameras(env: gym.Env, cameras: Any) -> dict[str, Camera]:
    """The camera of every key"""
    if cameras is None:
        return {PIXELS: None}
    if is_pose(cameras) or (isinstance(cameras, (list, tuple)) and any(isinstance(camera, Mapping) for camera in cameras)):
        raise ValueError(f"A free camera needs a key, cameras=dict(front=dict(lookat=…, …)), got {cameras!r}.")
    if isinstance(cameras, Mapping):
        if not cameras:
            raise ValueError("cameras must have at least one key, got an empty dict.")
        for key in cameras:
            if not isinstance(key, str):
                raise ValueError(f"The keys of cameras must be text, got {key!r}.")
        if any(camera is not None for camera in cameras.values()):
            _model(env)
        numbers = {key: int(each) for key, each in cameras.items() if isinstance(each, np.integer)}  # JSON has only Python's
        return {key: check_pose(each) if isinstance(each, Mapping) else each for key, each in {**cameras, **numbers}.items()}
    if not isinstance(cameras, (list, tuple)):
        raise ValueError(f"cameras must be a dict from keys to cameras, or a list of cameras, got {cameras!r}.")
    return dict(find_cameras("cameras", _model(env), cameras))


def _model(env: gym.Env) -> Any:
    try:
        return mujoco_model_and_data(env)[0]
    except ValueError as error:
        raise ValueError(
            f"Cameras are those of a MuJoCo simulation, but {env.unwrapped} shows none (no model and data, no physics): pass "
            "cameras=dict(pixels=None) for what env.render() draws."
        ) from error


def _kept(space: spaces.Space, keep: Sequence[str] | None) -> list[str]:
    """The keys of the environment's own observations that stay"""
    if isinstance(space, spaces.Dict):
        there = list(space)
    elif isinstance(space, spaces.Tuple) or image_shape(space) is not None:
        cure = "use PixelFrames" if image_shape(space) is not None else "make them a Dict"
        raise ValueError(f"AddPixels needs observations that are a vector or a Dict, got {space}: {cure}.")
    else:
        there = [STATE]
    if keep is None:
        keep = there
    if isinstance(keep, str) or not isinstance(keep, Sequence):
        raise ValueError(f"keep must be a list of keys, got {keep!r}.")
    for key in keep:
        if key not in there:
            raise ValueError(f"keep has {key!r}, but the keys of the observations are {', '.join(map(repr, there))}.")
    others = [key for key in keep if isinstance(space, spaces.Dict) and not isinstance(space[key], VECTORS)]
    if others:
        flat = [key for key in there if key in keep and key not in others]
        raise ValueError(
            f"Stable-Baselines3 takes vectors and images, but {', '.join(map(repr, others))} is a Dict, Tuple, text or "
            f"sequence: leave it out, keep={flat!r}."
        )
    return [key for key in there if key in keep]
