"""One wrapper from any environment that draws to a stack of small frames."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from sb3_fpac.arguments import whole_number
from sb3_fpac.envs.action_repeat import ActionRepeat
from sb3_fpac.envs.frame_stack import FrameStack
from sb3_fpac.envs.gathering import NamesItselfOnly
from sb3_fpac.envs.rendering import check_process, choose_backend
from sb3_fpac.observations import check_image, has_channels_first, is_image, is_nearly_image, why_no_stack

_MOST_CHANNELS = 4  # of one frame: RGB-D
_SMALLEST = _MOST_CHANNELS  # pixels: the channels must be the smallest axis


class PixelFrames(NamesItselfOnly):
    """
    Turns an environment into one that shows stacks of small frames: ``(frame_stack · C, height, width)`` uint8, oldest first.

    If the observations are images, they become the frames: uint8 from 0 to 255, of shape (H, W, C), (C, H, W) or, if grey,
    (H, W), or stacks of one of these. Images of another type or range are refused, and so is a Dict with images. If there
    are no images, what ``env.render()`` draws replaces the observations, which needs ``render_mode="rgb_array"``. The frames
    that an action repeat skips are not drawn.

    A pixel of a frame is the mean of the area that it covers, rounded to the nearest byte.

    The wrapper sets the environment variable ``SDL_NO_SIGNAL_HANDLERS=1`` unless it has a value. Without it, a process in
    which pygame draws ignores SIGTERM, and RL Zoo does not end with ``--vec-env subproc``.

    >>> import gymnasium as gym
    >>> env = PixelFrames(gym.make("Pendulum-v1", render_mode="rgb_array"), size=64)
    >>> env.observation_space.shape
    (6, 64, 64)

    :param env: An environment with images or with ``render_mode="rgb_array"``
    :param size: Height and width of a frame in pixels; or both, as (height, width)
    :param action_repeat: Steps of the environment for each action, see :class:`~sb3_fpac.ActionRepeat`
    :param frame_stack: Number of frames in a stack, see :class:`~sb3_fpac.FrameStack`
    :raises ValueError: if there are neither images nor ``render_mode="rgb_array"``, an image has more than four channels, an
        argument is out of range, or ``render()`` does not return pictures
    :raises RuntimeError: if MuJoCo draws and no OpenGL backend works; at the first frame, if this process was forked from one
        that had drawn
    """

    def __init__(self, env: gym.Env, size: int | Sequence[int] = 84, action_repeat: int = 1, frame_stack: int = 2) -> None:
        let_pygame_end()
        height, width = height_and_width("size", size)
        repeated = ActionRepeat(env, whole_number("action_repeat", action_repeat, at_least=1))
        frames = FrameStack(_Frames(repeated, height, width), whole_number("frame_stack", frame_stack, at_least=1))
        RecordConstructorArgs.__init__(
            self,
            size=plain_size(height, width),
            action_repeat=repeated.n,
            frame_stack=frames.n,
        )
        NamesItselfOnly.__init__(self, env, frames)
        if env.metadata.get("render_fps"):
            self.metadata = {**env.metadata, "render_fps": env.metadata["render_fps"] / repeated.n}


class _Frames(gym.ObservationWrapper):
    """Single frames, channel-first, of one size: the environment's images, or else what it draws"""

    def __init__(self, env: gym.Env, height: int, width: int) -> None:
        super().__init__(env)
        self._height, self._width = height, width
        shape = image_shape(env.observation_space)
        if shape is None:
            _check_no_nearly_image(env)
            _check_no_images_in(env.observation_space)
            prepare_to_draw(env, "PixelFrames needs images, but {env} has none in its observations")
        self._shape = shape
        shape = shape[1:] if shape is not None and len(shape) == 4 else shape
        self._channels_are_first = shape is not None and len(shape) == 3 and has_channels_first(shape)
        n_channels = 3 if shape is None else 1 if len(shape) == 2 else shape[0 if self._channels_are_first else 2]
        if n_channels > _MOST_CHANNELS:
            raise ValueError(
                f"PixelFrames needs single frames of at most {_MOST_CHANNELS} channels, got {n_channels} in images of shape "
                f"{shape}: if these are stacks of frames already, leave PixelFrames out."
            )
        self.observation_space = spaces.Box(0, 255, (n_channels, height, width), np.uint8)

    def observation(self, observation: Any) -> np.ndarray:
        frame = draw("PixelFrames", self.env) if self._shape is None else check_image(observation, self._shape)
        if frame.ndim == 4:
            frame = frame[0]
        if frame.ndim == 2:
            frame = frame[None]
        elif not self._channels_are_first:
            frame = frame.transpose(2, 0, 1)
        return resize_by_area(frame, self._height, self._width)


def _check_no_nearly_image(env: gym.Env) -> None:
    """Do not draw in place of images that are of another type, or stacked already"""
    space = env.observation_space
    if not (isinstance(space, spaces.Box) and is_nearly_image(space)):
        return
    problem = why_no_stack(space)
    if len(space.shape) == 4:
        problem = (
            f"Single frames are expected, got {space}: leave out the wrapper that stacks them, such as FrameStackObservation."
        )
    draws = " To draw frames instead, wrap the environment in Gymnasium's AddRenderObservation first."
    raise ValueError(f"PixelFrames needs images, but these are not. {problem}{draws * (env.render_mode == 'rgb_array')}")


def _check_no_images_in(space: spaces.Space) -> None:
    """Do not draw in place of the images of a Dict"""
    images = list(_images_in(space))
    if images:
        raise ValueError(
            f"PixelFrames shows a single image in place of the observations, but these have images: {', '.join(images)}. Use "
            "FrameStack, which stacks them and keeps the vectors, or AddPixels for what env.render() draws beside them."
        )


def _images_in(space: spaces.Space, name: str = "") -> Iterator[str]:
    """Where a Dict or Tuple has something like an image, with the keys on the way"""
    parts = space.items() if isinstance(space, spaces.Dict) else enumerate(space) if isinstance(space, spaces.Tuple) else ()
    for key, part in parts:
        where = f"{name}[{key!r}]" if name else repr(key)
        if isinstance(part, spaces.Box) and (is_image(part) or is_nearly_image(part)):
            yield where
        yield from _images_in(part, where)


class RenderedFrames(gym.ObservationWrapper):
    """
    Replaces the observation by what ``env.render()`` draws, resized by area. One frame is drawn for every reset and step.

    :param env: An environment with ``render_mode="rgb_array"``
    :param height: Height in pixels
    :param width: Width in pixels
    :raises ValueError: if the environment does not draw
    """

    def __init__(self, env: gym.Env, height: int, width: int) -> None:
        super().__init__(env)
        prepare_to_draw(env, "A camera that is None is what env.render() draws, but {env} has")
        self._height, self._width = height, width
        self.observation_space = spaces.Box(0, 255, (3, height, width), np.uint8)

    def observation(self, observation: Any) -> np.ndarray:
        return resize_by_area(draw("AddPixels", self.env).transpose(2, 0, 1), self._height, self._width)


def draw(wrapper: str, env: gym.Env) -> np.ndarray:
    """
    Let an environment draw itself.

    :param wrapper: Name of the wrapper that needs it
    :param env: Environment with ``render_mode="rgb_array"``
    :return: ``(H, W, 3)`` uint8
    :raises ValueError: if it returns something else than a picture
    """
    check_process()
    viewer = getattr(getattr(env.unwrapped, "mujoco_renderer", None), "viewer", None)
    if viewer is not None:
        viewer.make_context_current()  # Gymnasium takes for granted that nobody else has drawn since
    picture: Any = env.render()
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] not in ((3,), (4,)):
        what = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise ValueError(
            f"{wrapper} needs pictures of shape (H, W, 3) or (H, W, 4) and type uint8, but render() of {env.unwrapped} "
            f"returned {what}."
        )
    return picture[:, :, :3]


def let_pygame_end() -> None:
    """Let a process in which pygame draws end at SIGTERM. pygame reads the variable when it starts to draw."""
    os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")


def prepare_to_draw(env: gym.Env, problem: str) -> None:
    """
    Check that an environment draws, and let one of Gymnasium's MuJoCo environments draw where there is no display.

    :param env: Environment
    :param problem: What is wrong otherwise, with ``{env}`` for its name
    :raises ValueError: if its render mode is not ``"rgb_array"``
    :raises RuntimeError: if MuJoCo draws and no OpenGL backend works
    """
    if env.render_mode != "rgb_array":
        name = repr(env.spec.id) if env.spec else "id"
        and_has = "" if problem.endswith(" has") else " and"
        raise ValueError(
            f"{problem.format(env=env.unwrapped)}{and_has} render_mode={env.render_mode!r}: make it with gym.make({name}, "
            'render_mode="rgb_array").'
        )
    if hasattr(env.unwrapped, "mujoco_renderer"):  # Gymnasium's, which takes glfw where there is no display
        choose_backend()


def resize_by_area(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """
    Resize an image: every new pixel is the mean of the area that it covers, rounded to the nearest byte.

    Pixels that are covered in part count in part. The sums are exact, so the result is the same on every machine.

    :param frame: ``(C, H, W)`` uint8
    :param height: New height in pixels
    :param width: New width in pixels
    :return: ``(C, height, width)`` uint8
    """
    old_height, old_width = frame.shape[1:]
    if (old_height, old_width) == (height, width):
        return frame
    sums = _area_sums(_area_sums(frame.astype(np.int64, order="C"), 1, height), 2, width)
    return np.rint(sums / (old_height * old_width)).astype(np.uint8)


def _area_sums(image: np.ndarray, axis: int, n_new: int) -> np.ndarray:
    """
    Sum what every new pixel covers along one axis, in units of 1/n_new of an old pixel. All sums are whole numbers. No matrix
    is multiplied: NumPy's threads would stay busy for a while, and take a processor from the next update.
    """
    n_old = image.shape[axis]
    whole, part = np.divmod(np.arange(n_new + 1) * n_old, n_new)  # where new pixels start and end
    sums = n_new * np.add.reduceat(image, whole[:-1], axis)
    shape = [-1 if i == axis else 1 for i in range(image.ndim)]
    sums *= (np.diff(whole) > 0).reshape(shape)  # reduceat takes one pixel where there is none
    cut = part.reshape(shape) * image.take(whole, axis, mode="clip")  # nothing of the last one, which ends with the image
    return sums + np.diff(cut, axis=axis)


def height_and_width(name: str, size: Any) -> tuple[int, int]:
    """
    Check the size of a frame.

    :param name: Name of the argument
    :param size: Height and width in pixels; or both, as (height, width)
    :return: Height and width
    :raises ValueError: if it is neither, or too small
    """
    if isinstance(size, (int, float, np.number)):
        size = whole_number(name, size, at_least=_SMALLEST)
        return size, size
    if not isinstance(size, Sequence) or isinstance(size, str) or len(size) != 2:
        raise ValueError(f"{name} must be a whole number or (height, width), got {size!r}.")
    height, width = (whole_number(f"{name}[{i}]", pixels, at_least=_SMALLEST) for i, pixels in enumerate(size))
    return height, width


def plain_size(height: int, width: int) -> int | list[int]:
    """The size of a frame as JSON and YAML have it"""
    return height if height == width else [height, width]


def image_shape(space: spaces.Space) -> tuple[int, ...] | None:
    """
    Find the shape of the images of a space.

    :param space: Any space
    :return: Their shape, (H, W), (H, W, C), (C, H, W), or one of the latter as a stack of one, (1, …); None if it has none
    """
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or (space.low.min(), space.high.max()) != (0, 255):
        return None
    is_stack_of_one = len(space.shape) == 4 and space.shape[0] == 1
    return space.shape if is_stack_of_one or len(space.shape) in (2, 3) else None
