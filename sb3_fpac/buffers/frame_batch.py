"""What an update gets from the replay buffer."""

from typing import NamedTuple

import torch as th


class FrameBatch(NamedTuple):
    """
    Sampled transitions whose observation and next observation share their frames.

    :param frames: ``(B, F, c, H, W)`` uint8, oldest first. One-step transitions: F = S + 1, the observation is
        ``frames[:, :S]`` and the next observation ``frames[:, 1:]``. n-step transitions: F = 2S, one after the other.
    :param camera_shifts: ``(B, 2, S − 1, 2)`` float32, of the observation and of the next observation, x and y in pixels (see
        :func:`~sb3_fpac.observations.encode_camera_shift`); None without camera shift
    :param actions: ``(B, action_dim)``
    :param rewards: ``(B, 1)`` float32; the discounted sum of n steps
    :param dones: ``(B, 1)`` float32: 1 where nothing follows, time-outs excepted as in SB3
    :param discounts: ``(B, 1)`` float32, what the value of the next observation is multiplied with; None for one-step
        transitions, where it is γ
    """

    frames: th.Tensor
    camera_shifts: th.Tensor | None
    actions: th.Tensor
    rewards: th.Tensor
    dones: th.Tensor
    discounts: th.Tensor | None
