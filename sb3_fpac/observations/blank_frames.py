"""Recognizes images in which there is nothing to see."""

import numpy as np

_LOOK = "save a frame as a picture; choose another camera, light or size"


def why_blank(images: np.ndarray) -> tuple[str, str] | None:
    """
    Check whether images show anything.

    :param images: ``(N, C, H, W)`` uint8, without a header plane: single frames or stacks, of different steps
    :return: The problem and its cure; None if there is something to see, and it changes
    """
    if not images.any():
        return "all frames are black", _LOOK
    if images.max() <= 1:
        return "all pixels are 0 or 1, and not from 0 to 255", "multiply by 255 before the conversion"
    if (images == images[..., :1, :1]).all():
        return "every frame is of a single colour", _LOOK
    if (images == images[:1]).all():
        return "nothing changes", "check that it is drawn after each step, and that the camera sees what moves"
    return None
