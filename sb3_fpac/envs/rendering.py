"""MuJoCo's OpenGL backend on machines without a display, and how much it has to draw."""

import ctypes
import ctypes.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

_FAST_SHADOW_SIZE = 512  # pixels; 2048 or more in the tasks of dm_control
_FAST_SLICES, _FAST_STACKS = 14, 8  # of spheres, capsules and cylinders; MuJoCo's defaults are 28 and 16

MOST_SUPERSAMPLING = 16  # along an axis: the sums over a block fit in 16 bits

_drawn_by: int | None = None  # id of the process that drew the first frame

HOW_TO_INSTALL = (
    "install EGL (Debian and Ubuntu: apt-get install libegl1 libgl1-mesa-dri) "
    "or OSMesa (apt-get install libosmesa6), or set MUJOCO_GL yourself"
)


def choose_backend(must_draw: bool = True) -> None:
    """
    Set ``MUJOCO_GL`` on Linux without a display: to ``egl`` if EGL works, otherwise to ``osmesa``.

    MuJoCo's default there is glfw, which fails at the first frame. A value that the user has set is kept.

    ``dmc-*`` environments, PixelFrames and AddPixels call it themselves. Call it before the first frame of Gymnasium's own
    MuJoCo environments if something else draws it.

    :param must_draw: Whether to raise an error if no backend works
    :raises RuntimeError: if neither works, or if dm_control was imported before and chose glfw
    """
    if os.environ.get("MUJOCO_GL") or not sys.platform.startswith("linux") or _has_display():
        return
    backend = "egl" if egl_works() else "osmesa" if osmesa_works() else None
    taken_by_dm_control = getattr(sys.modules.get("dm_control._render"), "BACKEND", None)
    if backend is None:
        problem = f"There is no display, and neither EGL nor OSMesa can draw: {HOW_TO_INSTALL}."
    elif taken_by_dm_control == "glfw":
        problem = (
            "dm_control was imported before the OpenGL backend could be chosen and took glfw, which needs a display: "
            f"set MUJOCO_GL={backend}, or import dm_control after the environment is made."
        )
    else:
        os.environ["MUJOCO_GL"] = backend
        return
    if must_draw:
        raise RuntimeError(problem)


def set_up_drawing(model: Any, largest: int, fast: bool) -> None:
    """
    Set the size and the quality of what a MuJoCo model draws off screen. Call it before the first frame.

    The buffer is as small as the images. MuJoCo's 640×480 pixels take longer to clear and to copy, and the pixels of a small
    image are the same.

    :param model: MuJoCo model
    :param largest: Height and width of the largest image, in pixels
    :param fast: Whether shadows and round shapes are drawn coarser, for software renderers
    """
    model.vis.global_.offwidth = model.vis.global_.offheight = largest
    if fast:
        draw_coarsely(model)


def draw_coarsely(model: Any) -> None:
    """
    Let a MuJoCo model draw coarser shadows and round shapes, for software renderers. Call it before the first frame.

    :param model: MuJoCo model
    """
    quality = model.vis.quality
    quality.shadowsize = min(quality.shadowsize, _FAST_SHADOW_SIZE)  # 0: no shadows
    quality.numslices = min(quality.numslices, _FAST_SLICES)
    quality.numstacks = min(quality.numstacks, _FAST_STACKS)


@contextmanager
def drawing_restored(model: Any) -> Iterator[None]:
    """
    What was set for drawing is set again at the end, as others draw the same model.

    :param model: MuJoCo model
    """
    buffer, quality = model.vis.global_, model.vis.quality
    before = [(buffer, name, getattr(buffer, name)) for name in ("offheight", "offwidth")]
    before += [(quality, name, getattr(quality, name)) for name in ("shadowsize", "numslices", "numstacks")]
    try:
        yield
    finally:
        for part, name, value in before:
            setattr(part, name, value)


def mean_of_blocks(image: np.ndarray, n: int) -> np.ndarray:
    """
    Reduce an image by the mean over blocks of pixels, rounded to whole numbers.

    :param image: ``(n H, n W, C)`` uint8
    :param n: Height and width of a block, at most :data:`MOST_SUPERSAMPLING`
    :return: ``(H, W, C)`` uint8
    """
    if n == 1:
        return image
    height, width, channels = image.shape
    blocks = image.reshape(height // n, n, width // n, n, channels)
    sums = blocks.sum(axis=3, dtype=np.uint16).sum(axis=1, dtype=np.uint16)
    return ((sums + n * n // 2) // (n * n)).astype(np.uint8)


def check_process() -> None:
    """
    Check, before a frame is drawn, that this process was not forked from one that has drawn. Its OpenGL context would block
    for ever.

    :raises RuntimeError: if it was
    """
    global _drawn_by
    if _drawn_by is None:
        _drawn_by = os.getpid()
    elif _drawn_by != os.getpid():
        raise RuntimeError(
            "This process was forked from one that had drawn a frame, and OpenGL does not work in it: start processes with "
            "'spawn' or 'forkserver', as in gym.make_vec(…, vectorization_mode='async', vector_kwargs=dict(context='spawn')) "
            "or SubprocVecEnv(…, start_method='spawn')."
        )


def egl_works() -> bool:
    """Check whether EGL can be initialised on a device, with or without a GPU."""
    egl = _load("EGL", "libEGL.so.1")
    if egl is None:
        return False
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    query_devices = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    get_display = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query_devices or not get_display:
        return False
    devices, n_devices = (ctypes.c_void_p * 16)(), ctypes.c_int()
    query = ctypes.CFUNCTYPE(ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(query_devices)
    query(len(devices), ctypes.byref(devices), ctypes.byref(n_devices))
    display_of = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(get_display)
    egl.eglInitialize.argtypes = [ctypes.c_void_p] * 3
    platform_device = 0x313F  # EGL_PLATFORM_DEVICE_EXT
    displays = (display_of(platform_device, device, None) for device in devices[: n_devices.value])
    return any(display and egl.eglInitialize(display, None, None) for display in displays)


def osmesa_works() -> bool:
    """Check whether OSMesa can create a context."""
    osmesa = _load("OSMesa", "libOSMesa.so.8")
    if osmesa is None:
        return False
    osmesa.OSMesaCreateContextExt.restype = ctypes.c_void_p
    osmesa.OSMesaDestroyContext.argtypes = [ctypes.c_void_p]
    rgba = 0x1908  # OSMESA_RGBA
    context = osmesa.OSMesaCreateContextExt(rgba, 24, 8, 0, None)
    if context:
        osmesa.OSMesaDestroyContext(context)
    return bool(context)


def _has_display() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _load(name: str, soname: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(ctypes.util.find_library(name) or soname)
    except OSError:
        return None
