"""DeepMind Control tasks as Gymnasium environments, over Shimmy's adapter."""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from sb3_fpac.arguments import flag, number, one_of, whole_number
from sb3_fpac.envs.action_repeat import ActionRepeat
from sb3_fpac.envs.camera_shift import with_camera_shift
from sb3_fpac.envs.cameras import find_camera, find_cameras, mujoco_model_and_data
from sb3_fpac.envs.frame_stack import FrameStack
from sb3_fpac.envs.gathering import PIXELS, STATE, Gathered, by_key, check_distinct
from sb3_fpac.envs.keypoints import Keypoints
from sb3_fpac.envs.rendering import MOST_SUPERSAMPLING, check_process, choose_backend, mean_of_blocks, set_up_drawing
from sb3_fpac.envs.tasks import Task
from sb3_fpac.optional import INSTALL_DM_CONTROL


def make_dmc(
    domain: str,
    task: str,
    observation: Literal["pixels", "state", "pixels+state", "keypoints"] = "pixels",
    action_repeat: int | None = None,
    size: int | Mapping[str, int] = 84,
    frame_stack: int = 2,
    camera_id: int | str | Sequence[int | str] = 0,
    camera_shift: bool | Literal["auto"] = "auto",
    render_mode: str | None = None,
    render_size: int = 256,
    time_limit: float | None = None,
    relative_keypoints: bool = True,
    fast_rendering: bool = False,
    supersampling: int = 1,
) -> gym.Env:
    """
    Make a task of ``dm_control.suite``. ``gym.make("dmc-cheetah-run", ...)`` calls this function with the same keywords.

    Actions are float32 in [-1, 1], scaled to the task's range (LQR, whose forces are unbounded: [-1, 1] as they are).
    A time-out is reported as ``truncated``, a true end as ``terminated``. After ``reset(seed=...)`` this episode and the
    following ones are reproducible, to the pixel on the same machine.

    :param domain: Domain of the suite, ``"cheetah"``
    :param task: Task of the domain, ``"run"``
    :param observation: ``"pixels"``: a channel-first uint8 stack of frames; ``"state"``: the task's own observations,
        flattened in alphabetical order of their names, float32; ``"pixels+state"``: a Dict of both, with the keys
        ``"pixels"`` and ``"state"``; ``"keypoints"``: the projected parts of the robot, see
        :class:`~sb3_fpac.envs.keypoints.Keypoints`
    :param action_repeat: Env steps for each agent step; None: PlaNet's for its six tasks, 2 elsewhere
    :param size: Height and width of a frame in pixels; with a list of cameras also a dict by key
    :param frame_stack: Number of frames, oldest first
    :param camera_id: Number or name of the camera that the agent sees through. A number may be text, ``"0"``. A list of
        cameras gives a Dict with the stack of each. Its keys are the names of the cameras in the model, with ``_`` for every
        dot; a camera without a name has its number, as text. ``env.render()`` draws the first.
    :param camera_shift: Whether a header plane tells the agent how its camera moved; ``"auto"``: if the camera follows a
        body and there are at least two frames
    :param render_mode: None, ``"rgb_array"`` or ``"human"`` (needs a display), for ``env.render()``
    :param render_size: Height and width of the images of ``env.render()``, in pixels; the agent does not see them
    :param time_limit: Seconds of simulated time in an episode; None: 1000 env steps, as the suite itself has it (and
        30 seconds for LQR, where it has no limit)
    :param relative_keypoints: Whether keypoints are relative to their mean; no effect on pixels and state
    :param fast_rendering: Whether shadows and round shapes are drawn coarser, in a third of the time with a software
        renderer. Of the pixels of an 84×84 frame, 2 to 11 % then change slightly. An agent needs the frames that it was
        trained on.
    :param supersampling: How many times as high and wide a frame is drawn before it is reduced to its size, by the mean over
        blocks of pixels. 2 shows movements that are small fractions of a pixel more exactly. An agent needs the frames that
        it was trained on.
    :return: The environment
    :raises ValueError: if an argument is out of range, the model has no such camera, or a camera is listed twice
    :raises RuntimeError: if no OpenGL backend works
    """
    one_of("observation", observation, ("pixels", "state", "pixels+state", "keypoints"))
    one_of("camera_shift", camera_shift, (True, False, "auto"))
    one_of("render_mode", render_mode, (None, "rgb_array", "human"))
    render_size = whole_number("render_size", render_size, at_least=1)
    frame_stack = whole_number("frame_stack", frame_stack, at_least=1)
    if action_repeat is not None:
        action_repeat = whole_number("action_repeat", action_repeat, at_least=1)
    flag("relative_keypoints", relative_keypoints)
    flag("fast_rendering", fast_rendering)
    supersampling = whole_number("supersampling", supersampling, at_least=1, at_most=MOST_SUPERSAMPLING)
    if time_limit is not None:
        time_limit = number("time_limit", time_limit, above=0)  # seconds
    spec = Task(domain, task)
    choose_backend(must_draw="pixels" in observation or render_mode is not None)
    render_kwargs = {"height": render_size, "width": render_size}
    env = _load(spec, spec.time_limit if time_limit is None else time_limit, render_mode, render_kwargs)
    model, _ = mujoco_model_and_data(env)
    cameras = _cameras(model, camera_id)
    render_kwargs["camera_id"] = next(iter(cameras.values()))
    sizes = _sizes(size, cameras, is_list=_is_list(camera_id))
    set_up_drawing(model, largest=max(supersampling * max(sizes.values()), render_size), fast=fast_rendering)

    env = ActionRepeat(UnitActions(env), spec.action_repeat if action_repeat is None else action_repeat)
    fps = 1 / (env.unwrapped.control_timestep() * env.n)  # type: ignore[attr-defined]
    env.metadata = {"render_modes": ["rgb_array", "human"], "render_fps": fps}
    if observation == "state":
        return FlatState(env)
    if observation == "keypoints":
        if _is_list(camera_id):
            raise ValueError(f"Keypoints are those of one camera, got the list {camera_id!r}: pass one of them.")
        return Keypoints(env, camera_id, relative_keypoints)  # type: ignore[arg-type]
    if observation == "pixels" and not _is_list(camera_id):
        return stacked_pixels(env, sizes[PIXELS], camera_id, frame_stack, camera_shift, supersampling)  # type: ignore[arg-type]
    if observation == "pixels+state":
        check_distinct("camera_id", list(cameras), [STATE])
    return DictPixels(env, cameras, sizes, frame_stack, camera_shift, supersampling, state=observation == "pixels+state")


class UnitActions(gym.ActionWrapper, RecordConstructorArgs):
    """
    Rescales float32 actions from [-1, 1] to the range of the environment. A bound beyond ±1e6 counts as unbounded: such
    actions are passed on unchanged.

    :param env: Environment with a Box action space
    """

    def __init__(self, env: gym.Env) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ActionWrapper.__init__(self, env)
        assert isinstance(env.action_space, spaces.Box)
        low, high = env.action_space.low.astype(np.float64), env.action_space.high.astype(np.float64)
        bounded = (np.abs(low) <= 1e6) & (np.abs(high) <= 1e6)
        self._low, self._high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
        self.action_space = spaces.Box(-1.0, 1.0, env.action_space.shape, np.float32)

    def action(self, action: np.ndarray) -> np.ndarray:
        return self._low + (np.asarray(action, dtype=np.float64) + 1) / 2 * (self._high - self._low)


class FlatState(gym.ObservationWrapper, RecordConstructorArgs):
    """
    Flattens a Dict observation to one float32 vector, in the order of the Dict. Gymnasium's FlattenObservation keeps float64.

    :param env: Environment with a Dict of Boxes
    """

    def __init__(self, env: gym.Env) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        self.observation_space = spaces.Box(-np.inf, np.inf, (spaces.flatdim(env.observation_space),), np.float32)

    def observation(self, observation: Any) -> np.ndarray:
        return np.asarray(spaces.flatten(self.env.observation_space, observation), dtype=np.float32)


class Pixels(gym.ObservationWrapper, RecordConstructorArgs):
    """
    Replaces the observation by the image of a camera. One frame is drawn for every reset and step.

    :param env: A dm_control environment under Shimmy's adapter
    :param size: Height and width in pixels
    :param camera_id: Number or name of the camera
    :param supersampling: How many times as high and wide the image is drawn before it is reduced to its size
    :raises ValueError: if the model has no such camera
    :raises RuntimeError: if this process was forked from one that had drawn a frame
    """

    def __init__(self, env: gym.Env, size: int, camera_id: int | str, supersampling: int = 1) -> None:
        self.camera = find_camera(mujoco_model_and_data(env)[0], camera_id)
        RecordConstructorArgs.__init__(self, size=size, camera_id=camera_id, supersampling=supersampling)
        gym.ObservationWrapper.__init__(self, env)
        self._drawn_size, self._supersampling = size * supersampling, supersampling
        self.observation_space = spaces.Box(0, 255, (size, size, 3), np.uint8)

    def observation(self, observation: Any) -> np.ndarray:
        check_process()
        physics = self.env.unwrapped.physics  # type: ignore[attr-defined]
        image = physics.render(height=self._drawn_size, width=self._drawn_size, camera_id=self.camera)
        return mean_of_blocks(image, self._supersampling)


class DictPixels(Gathered, RecordConstructorArgs):
    """
    Replaces the observation by a Dict: a stack of frames from every camera, each as :func:`stacked_pixels` makes it, and
    possibly the state as ``"state"``. One frame is drawn from every camera for every reset and step.

    :param env: A dm_control environment under Shimmy's adapter
    :param cameras: Number or name of the camera of every key
    :param sizes: Height and width of the frames of every key, in pixels
    :param n_frames: Frames in a stack
    :param camera_shift: As in :func:`stacked_pixels`, for all cameras
    :param supersampling: As in :class:`Pixels`, for all cameras
    :param state: Whether the Dict contains the state, as :class:`FlatState` makes it
    """

    def __init__(
        self,
        env: gym.Env,
        cameras: Mapping[str, int | str],
        sizes: Mapping[str, int],
        n_frames: int,
        camera_shift: bool | Literal["auto"],
        supersampling: int,
        state: bool,
    ) -> None:
        RecordConstructorArgs.__init__(
            self,
            cameras=dict(cameras),
            sizes=dict(sizes),
            n_frames=n_frames,
            camera_shift=camera_shift,
            supersampling=supersampling,
            state=state,
        )
        ways: dict[str, Any] = {
            key: partial(
                stacked_pixels,
                size=sizes[key],
                camera_id=camera,
                n_frames=n_frames,
                camera_shift=camera_shift,
                supersampling=supersampling,
            )
            for key, camera in cameras.items()
        }
        if state:
            ways[STATE] = FlatState
        Gathered.__init__(self, env, ways)


def stacked_pixels(
    env: gym.Env,
    size: int,
    camera_id: int | str,
    n_frames: int,
    camera_shift: bool | Literal["auto"],
    supersampling: int = 1,
) -> gym.Env:
    """
    Wrap an environment for channel-first stacks of frames.

    :param env: A dm_control environment under Shimmy's adapter
    :param size: Height and width of a frame in pixels
    :param camera_id: Number or name of the camera
    :param n_frames: Frames in a stack
    :param camera_shift: Whether a header plane tells how the camera moved; ``"auto"``: if it follows a body and there are at
        least two frames
    :param supersampling: As in :class:`Pixels`
    :return: The wrapped environment
    """
    stack = FrameStack(Pixels(env, size, camera_id, supersampling), n_frames)
    return with_camera_shift(stack, camera_id, n_frames, camera_shift)


def _is_list(camera_id: Any) -> bool:
    return isinstance(camera_id, (list, tuple))


def _cameras(model: Any, camera_id: Any) -> dict[str, int]:
    """The number of every camera, by key"""
    return find_cameras("camera_id", model, camera_id) if _is_list(camera_id) else {PIXELS: find_camera(model, camera_id)}


def _sizes(size: Any, cameras: Mapping[str, int], is_list: bool) -> dict[str, int]:
    """Height and width of the frames in pixels, by key"""
    if not is_list:
        return {PIXELS: whole_number("size", size, at_least=1)}
    names = {key: f"size[{key!r}]" if isinstance(size, Mapping) else "size" for key in cameras}
    return {key: whole_number(names[key], each, at_least=1) for key, each in by_key("size", size, cameras).items()}


def _load(task: Task, time_limit: float | None, render_mode: str | None, render_kwargs: dict[str, Any]) -> gym.Env:
    suite, compatibility = _import_dm_control()
    # Some tasks draw their model at random (LQR's masses): with this seed an id is always the same environment
    task_kwargs: dict[str, Any] = {"random": np.random.RandomState(0)}
    if time_limit is not None:
        task_kwargs["time_limit"] = time_limit
    env = suite.load(task.domain, task.task, task_kwargs=task_kwargs)
    env.task._random = np.random.RandomState()  # environments differ in their episodes until reset(seed=...)
    return compatibility(env, render_mode=render_mode, render_kwargs=render_kwargs)


def _import_dm_control() -> tuple[Any, Any]:
    """
    The suite and Shimmy's adapter. Imported late, as dm_control reads the chosen OpenGL backend when it is imported. What it
    imports makes Python show the deprecations of all packages, again and again; one of its own, with NumPy 2.5, comes in every
    step.
    """
    try:
        with warnings.catch_warnings():
            from dm_control import suite
            from shimmy.dm_control_compatibility import DmControlCompatibilityV0
    except ModuleNotFoundError as error:
        if error.name != "dm_control":
            raise
        raise ImportError(f"dm_control is missing: {INSTALL_DM_CONTROL}", name="dm_control") from error
    warnings.filterwarnings("ignore", "Setting the shape on a NumPy array", DeprecationWarning, r"dm_control\.")
    return suite, DmControlCompatibilityV0
