"""The header plane of an observation, which contains the camera shift. :mod:`sb3_fpac.observations` describes its bytes."""

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import torch as th

UNITS_PER_PIXEL = 64

_Array = TypeVar("_Array", np.ndarray, "th.Tensor")


def encode_camera_shift(shift: np.ndarray, height: int, width: int) -> np.ndarray:
    """
    Write camera shifts into a header plane.

    :param shift: ``(S − 1, 2)``: for every past frame, oldest first, the displacement (x to the right, y downwards, in pixels)
        of a stationary object in the image from that frame to the current one. It is rounded to 1/64 pixel and clipped to
        -512 … 511.98.
    :param height: Height of the frames
    :param width: Width of the frames
    :return: ``(height, width)`` uint8
    :raises ValueError: if the shape does not fit or a shift is not finite
    """
    shift = np.asarray(shift, dtype=np.float64)
    if shift.ndim != 2 or shift.shape[1] != 2:
        raise ValueError(f"Camera shifts must have the shape (past frames, 2), got {shift.shape}.")
    if not np.isfinite(shift).all():
        raise ValueError(f"Camera shifts must be finite, got {shift.tolist()}.")
    check_header_fits(len(shift), height, width)
    units = np.clip(np.rint(shift * UNITS_PER_PIXEL), -(2**15), 2**15 - 1)
    plane = np.zeros(height * width, dtype=np.uint8)
    plane[: 4 * len(shift)] = np.frombuffer(units.astype(">i2").tobytes(), dtype=np.uint8)
    return plane.reshape(height, width)


def decode_camera_shift(plane: _Array, n_past_frames: int) -> _Array:
    """
    Read camera shifts from header planes: the inverse of :func:`encode_camera_shift`.

    :param plane: ``(..., H, W)``, bytes 0…255 as uint8 or as floats; NumPy or torch
    :param n_past_frames: S − 1, frames in the stack before the current one
    :return: ``(..., S − 1, 2)``: x and y in pixels, as float64 (NumPy) or float32 (torch)
    """
    pairs = plane.reshape(*plane.shape[:-2], -1)[..., : 4 * n_past_frames].reshape(*plane.shape[:-2], n_past_frames, 2, 2)
    pairs = pairs.astype(np.float64) if isinstance(pairs, np.ndarray) else pairs.float()
    units = 256 * pairs[..., 0] + pairs[..., 1]
    return (units - 2**16 * (units >= 2**15)) / UNITS_PER_PIXEL


def check_header_fits(n_past_frames: int, height: int, width: int) -> None:
    """
    Check that a header plane is large enough.

    :param n_past_frames: S − 1
    :param height: Height of the plane
    :param width: Width of the plane
    :raises ValueError: if a plane of this size cannot hold the shifts of so many past frames
    """
    if 4 * n_past_frames > height * width:
        raise ValueError(f"A {height}×{width} plane is too small to hold the camera shift of {n_past_frames} past frames.")


def problem_of_header(planes: "np.ndarray | th.Tensor", n_past_frames: int, cure: str = "camera_shift=False") -> str | None:
    """
    Explain why planes are not header planes.

    :param planes: ``(B, H, W)`` or ``(B, H · W)``; NumPy or torch
    :param n_past_frames: S − 1
    :param cure: The argument to pass if there is no header plane
    :return: One sentence; None if there is nothing behind the camera shifts
    """
    if not planes.reshape(planes.shape[0], -1)[:, 4 * n_past_frames :].any():
        return None
    return (
        f"The first plane of an observation contains more than the camera shift of {n_past_frames} past frames: pass "
        f"{cure} if it is part of the image."
    )
