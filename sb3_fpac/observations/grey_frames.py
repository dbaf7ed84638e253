"""Recognizes grey frames that are taken for the colours of one frame."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch as th


def look_like_grey_frames(past: "th.Tensor", now: "th.Tensor") -> bool:
    """
    Check whether the channels of an image move along by one from one step to the next, as those of a stack of grey frames do.

    :param past: ``(..., C, H, W)``: images without a header plane
    :param now: ``(..., C, H, W)``: the next ones
    :return: True if every channel but the last is the next one of the step before, and the image tells: its own channels
        are not all equal
    """
    n_channels = now.shape[-3]
    if n_channels < 2 or past.shape != now.shape:
        return False
    moved_along = now[..., :-1, :, :].equal(past[..., 1:, :, :])
    return moved_along and not now[..., :-1, :, :].equal(now[..., 1:, :, :])
