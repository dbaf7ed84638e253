"""Whether MuJoCo can draw here, and how fast."""

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym

from sb3_fpac.doctor.check import Check, refusal
from sb3_fpac.envs import register_envs
from sb3_fpac.envs.rendering import HOW_TO_INSTALL

_TASK = "dmc-cartpole-swingup"
_SIZE = 84
_N_FRAMES = 5
_ON_A_DESKTOP = "log in to the desktop, as macOS and Windows draw nothing without one, and update the graphics driver"
_OF_PYOPENGL = re.compile(r"'NoneType' object has no attribute '(gl|egl|OSMesa)\w*'")  # the library was not found


@contextmanager
def opengl_errors() -> Iterator[None]:
    """
    Give all errors of OpenGL one type.

    :raises RuntimeError: in place of MuJoCo's FatalError, and of PyOpenGL's AttributeError where a library is missing
    """
    try:
        yield
    except _fatal_errors() as error:
        raise RuntimeError(f"MuJoCo cannot draw with {backend()}: {error}") from error
    except AttributeError as error:
        if not _OF_PYOPENGL.fullmatch(str(error)):
            raise
        raise RuntimeError(f"The library of {backend()} is missing") from error


def backend() -> str:
    """
    Name the OpenGL backend of MuJoCo.

    :return: The value of ``MUJOCO_GL``, or MuJoCo's default
    """
    return os.environ.get("MUJOCO_GL") or "glfw"


def examine_drawing() -> Check:
    """
    Draw frames of a task of DeepMind Control.

    :return: The backend and the time of a frame, or why there is none
    """
    given = os.environ.get("MUJOCO_GL")
    try:
        seconds = _time_frames()
    except (ImportError, RuntimeError) as error:  # dm_control's and those of choose_backend()
        if isinstance(error, ImportError) and error.name:  # a package, not a library
            return refusal("drawing", str(error), f"pip install {error.name}")
        problem = " ".join(str(error).split(": ")[0].rstrip(".").split())
        is_linux = sys.platform.startswith("linux")
        if given:
            or_install = f", or {HOW_TO_INSTALL.rpartition(', or ')[0]}" if is_linux else ""
            return Check("drawing", False, f"MUJOCO_GL={given} fails, {problem}", f"unset it{or_install}")
        return Check("drawing", False, problem, HOW_TO_INSTALL if is_linux else _ON_A_DESKTOP)
    chosen = "" if given or backend() == "glfw" else "; chosen for dmc-* ids, set MUJOCO_GL for other MuJoCo environments"
    return Check("drawing", True, f"{backend()} draws a frame of {_SIZE}×{_SIZE} in {1000 * seconds:.1f} ms{chosen}")


def _time_frames() -> float:
    """Seconds of a frame"""
    register_envs()
    with opengl_errors():
        env = gym.make(_TASK, size=_SIZE)
        try:
            env.reset(seed=0)  # draws the first, which takes longer
            physics = env.unwrapped.physics  # type: ignore[attr-defined]
            start = time.perf_counter()
            for _ in range(_N_FRAMES):
                physics.render(height=_SIZE, width=_SIZE, camera_id=0)
            return (time.perf_counter() - start) / _N_FRAMES
        finally:
            env.close()


def _fatal_errors() -> Any:
    """MuJoCo's own; none before it is imported, which reads MUJOCO_GL"""
    return getattr(sys.modules.get("mujoco"), "FatalError", ())
