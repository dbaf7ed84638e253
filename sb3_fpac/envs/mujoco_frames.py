"""Frames of the cameras of a MuJoCo simulation, each drawn at its own size."""

import atexit
import gc
import importlib
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from sb3_fpac.arguments import number
from sb3_fpac.envs.cameras import find_camera, mujoco_model_and_data
from sb3_fpac.envs.rendering import check_process, choose_backend, draw_coarsely, drawing_restored, mean_of_blocks

_MOST_GEOMS = 10_000  # in a scene; as in MuJoCo's own Renderer
_FREE_CAMERA = ("lookat", "distance", "azimuth", "elevation")


class MujocoDrawing:
    """
    Draws one environment's MuJoCo model off screen, with one OpenGL context for all cameras and sizes. The context is made at
    the first frame, and made again if the environment has another model by then. Other contexts of this process, such as those
    of ``env.render()`` and of dm_control, stay current.

    dm_control draws itself, in its own context.

    :param env: A dm_control or Gymnasium MuJoCo environment, wrapped or not
    :param height: Height of the largest frame in pixels
    :param width: Width of the largest frame in pixels
    :param fast: Whether shadows and round shapes are drawn coarser
    :raises ValueError: if it is no such environment
    """

    def __init__(self, env: gym.Env, height: int, width: int, fast: bool = False) -> None:
        model, _ = mujoco_model_and_data(env)
        choose_backend()
        self._height, self._width, self._fast = height, width, fast
        self._canvas: _Canvas | None = None
        if hasattr(env.unwrapped, "physics"):  # dm_control makes its buffer at the first frame, as large as this says
            size = model.vis.global_
            size.offheight, size.offwidth = max(height, size.offheight), max(width, size.offwidth)
            if fast:
                draw_coarsely(model)

    @staticmethod
    def prepare(env: gym.Env) -> None:
        """
        Let an environment of Gymnasium-Robotics place what it only shows, such as the target, as its ``render()`` does.

        :param env: The environment
        """
        place = getattr(env.unwrapped, "_render_callback", None)
        if place is not None:
            place()

    def draw(self, env: gym.Env, camera: int | Mapping[str, Any], height: int, width: int) -> np.ndarray:
        """
        :param env: The environment
        :param camera: Number of a camera of the model, or a pose of the free camera
        :param height: Height in pixels
        :param width: Width in pixels
        :return: ``(height, width, 3)`` uint8
        """
        check_process()
        inner: Any = env.unwrapped
        if hasattr(inner, "physics"):
            return _draw_with_dm_control(inner.physics, camera, height, width)
        model, data = mujoco_model_and_data(env)
        with current_context_restored():
            if self._canvas is None or self._canvas.model is not model:
                self.close()
                self._canvas = _Canvas(model, self._height, self._width, self._fast)
            return self._canvas.draw(data, camera, height, width)

    def close(self) -> None:
        """Free the context. The next frame makes another."""
        if self._canvas is not None:
            self._canvas.free()
            self._canvas = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_canvas": None}  # contexts belong to this process


class MujocoFrames(gym.ObservationWrapper):
    """
    Replaces the observation by the image of a MuJoCo camera. One frame is drawn for every reset and step.

    :param env: A dm_control or Gymnasium MuJoCo environment, wrapped or not
    :param drawing: What draws it
    :param camera: Number or name of the camera; or a pose of the free camera, as :func:`check_pose` describes it
    :param height: Height in pixels
    :param width: Width in pixels
    :param supersampling: How many times as high and wide the image is drawn before it is reduced to its size
    :raises ValueError: if the model has no such camera, or the pose is none
    """

    def __init__(
        self,
        env: gym.Env,
        drawing: MujocoDrawing,
        camera: int | str | Mapping[str, Any],
        height: int,
        width: int,
        supersampling: int = 1,
    ) -> None:
        super().__init__(env)
        model, _ = mujoco_model_and_data(env)
        self.camera = check_pose(camera) if isinstance(camera, Mapping) else find_camera(model, camera)
        self._drawing, self._supersampling = drawing, supersampling
        self._height, self._width = supersampling * height, supersampling * width
        self.observation_space = spaces.Box(0, 255, (height, width, 3), np.uint8)

    def observation(self, observation: Any) -> np.ndarray:
        image = self._drawing.draw(self.env, self.camera, self._height, self._width)
        return mean_of_blocks(image, self._supersampling)


def is_pose(camera: Any) -> bool:
    """
    Check whether something describes a free camera, right or wrong.

    :param camera: Anything
    """
    return isinstance(camera, Mapping) and "lookat" in camera and set(camera) <= set(_FREE_CAMERA)


def check_pose(pose: Mapping[str, Any]) -> dict[str, Any]:
    """
    Check where MuJoCo's free camera is put.

    :param pose: ``lookat``, the point of the world in the centre of the image, in metres; ``distance`` from it, in metres;
        ``azimuth`` and ``elevation`` of the direction of view, in degrees. From azimuth 90 the camera looks along the y axis,
        at elevation -90 straight down.
    :return: The same as plain data
    :raises ValueError: if one is missing, unknown or no number
    """
    if set(pose) != set(_FREE_CAMERA):
        raise ValueError(f"A free camera has lookat, distance, azimuth and elevation, got {', '.join(map(repr, pose))}.")
    lookat = pose["lookat"]
    if not isinstance(lookat, (list, tuple, np.ndarray)) or len(lookat) != 3:
        raise ValueError(f"lookat must be a point [x, y, z], got {lookat!r}.")
    checked: dict[str, Any] = {"lookat": [number("lookat", x) for x in lookat]}
    checked["distance"] = number("distance", pose["distance"], above=0)
    return checked | {name: number(name, pose[name]) for name in ("azimuth", "elevation")}


class _Canvas:
    """An OpenGL context with a MuJoCo model in it"""

    def __init__(self, model: Any, height: int, width: int, fast: bool) -> None:
        import mujoco

        self.model = model
        self._gl = gl_context(height, width)
        self._gl.make_current()
        with drawing_restored(model):
            buffer = model.vis.global_
            buffer.offheight, buffer.offwidth = height, width  # a small one is faster
            if fast:
                draw_coarsely(model)
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_150)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene, self._option = mujoco.MjvScene(model, _MOST_GEOMS), mujoco.MjvOption()
        atexit.register(_free_at_exit, weakref.ref(self))  # before MuJoCo's own exit ends OpenGL

    def draw(self, data: Any, camera: int | Mapping[str, Any], height: int, width: int) -> np.ndarray:
        import mujoco

        self._gl.make_current()
        seen_from = mujoco.MjvCamera()
        if isinstance(camera, Mapping):
            seen_from.type = mujoco.mjtCamera.mjCAMERA_FREE
            for name, value in camera.items():
                setattr(seen_from, name, value)
        else:
            seen_from.type, seen_from.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, camera
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self.model, data, self._option, None, seen_from, everything, self._scene)
        area, image = mujoco.MjrRect(0, 0, width, height), np.empty((height, width, 3), np.uint8)
        mujoco.mjr_render(area, self._scene, self._context)
        mujoco.mjr_readPixels(image, None, area, self._context)
        return image[::-1]

    def free(self) -> None:
        if self._gl is not None:
            gl, self._gl = self._gl, None
            with current_context_restored():
                gl.make_current()
                self._context.free()
                gl.free()

    def __del__(self) -> None:
        if getattr(self, "_gl", None) is not None:
            self.free()


def _free_at_exit(reference: weakref.ref) -> None:
    canvas = reference()
    gl = getattr(canvas, "_gl", None)
    if canvas is None or gl is None:
        return
    from OpenGL.error import Error

    try:
        canvas.free()
    except Error:  # dm_control has ended OpenGL already, and every context with it
        gl._context = None


def _draw_with_dm_control(physics: Any, camera: int | Mapping[str, Any], height: int, width: int) -> np.ndarray:
    if not isinstance(camera, Mapping):
        return physics.render(height=height, width=width, camera_id=camera)
    from dm_control.mujoco import MovableCamera

    free = MovableCamera(physics, height, width)
    free.set_pose(**camera)
    return free.render().copy()


def gl_context(height: int, width: int) -> Any:
    """Of the backend that MUJOCO_GL names now, which may not be the one that it named when mujoco was imported"""
    backend = _backend()
    return importlib.import_module(f"mujoco.{backend}").GLContext(width, height)


def _backend() -> str:
    backend = os.environ.get("MUJOCO_GL", "").lower()
    return backend if backend in ("egl", "osmesa") else "glfw"


@contextmanager
def current_context_restored() -> Iterator[None]:
    """
    What was current before is current again, because others do not make their context current for every frame. If nothing was,
    nothing is: a MuJoCo model of others that is freed deletes the objects of the context that is current, whosever it is. For
    the same reason nothing is collected as garbage in between.
    """
    backend = _backend()
    if backend == "egl":
        from mujoco.egl import egl_ext as egl

        no_surface = egl.EGL_NO_SURFACE
        display, context = egl.eglGetCurrentDisplay(), egl.eglGetCurrentContext()
    elif backend == "glfw":
        import glfw

        window = glfw.get_current_context() if glfw.init() else None
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
        if backend == "egl":
            if context:
                with suppress(egl.error.GLError):  # it was the one that has been freed
                    egl.eglMakeCurrent(display, no_surface, no_surface, context)
            elif egl.eglGetCurrentContext():
                egl.eglMakeCurrent(egl.eglGetCurrentDisplay(), no_surface, no_surface, egl.EGL_NO_CONTEXT)
        elif backend == "glfw":
            glfw.make_context_current(window)  # type: ignore[arg-type]  # None: none
