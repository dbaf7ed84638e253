"""DrQ's random shift of the frames of a transition."""

import torch as th


def random_shift(frames: th.Tensor, padding: int) -> th.Tensor:
    """
    Shift every transition's frames by a random whole number of pixels, as if they were padded with their border's pixels and
    cropped at random (arXiv 2004.13649, Section 3.1).

    All frames of a transition are shifted alike, so velocities do not change.

    :param frames: ``(B, F, C, H, W)``
    :param padding: Largest shift to any side, in pixels
    :return: ``(B, F, C, H, W)``, same dtype
    """
    n_transitions, n_frames, n_channels, height, width = frames.shape
    shift = th.randint(-padding, padding + 1, (2, n_transitions, 1), device=frames.device)
    rows = (th.arange(height, device=frames.device) + shift[0]).clamp(0, height - 1)
    columns = (th.arange(width, device=frames.device) + shift[1]).clamp(0, width - 1)
    frames = frames.gather(3, rows[:, None, None, :, None].expand(-1, n_frames, n_channels, -1, width))
    return frames.gather(4, columns[:, None, None, None, :].expand(-1, n_frames, n_channels, height, -1))
