"""What an update gets from the replay buffer."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch as th


class FrameBatch(NamedTuple):
    """
    Sampled transitions whose observation and next observation share their frames.

    With Dict observations, ``frames`` and ``camera_shifts`` are dicts by the keys of the images, and ``vectors`` and
    ``next_vectors`` contain everything else.

    :param frames: ``(B, F, c, H, W)`` uint8, oldest first. One-step transitions: F = S + 1, the observation is
        ``frames[:, :S]`` and the next observation ``frames[:, 1:]``. n-step transitions: F = 2S, one after the other. Frames
        that have been encoded are ``(B, F, K, 3)`` float32.
    :param camera_shifts: ``(B, 2, S − 1, 2)`` float32, of the observation and of the next observation, x and y in pixels (see
        :func:`~sb3_fpac.observations.encode_camera_shift`); None without camera shift
    :param actions: ``(B, action_dim)``
    :param rewards: ``(B, 1)`` float32; the discounted sum of n steps
    :param dones: ``(B, 1)`` float32: 1 where nothing follows, time-outs excepted as in SB3
    :param discounts: ``(B, 1)`` float32, what the value of the next observation is multiplied with; None for one-step
        transitions, where it is γ
    :param vectors: ``(B, …)`` by key, as SB3's DictReplayBuffer returns them; empty without vectors
    :param next_vectors: ``(B, …)`` by key, of the next observations
    """

    frames: Any
    camera_shifts: Any
    actions: th.Tensor
    rewards: th.Tensor
    dones: th.Tensor
    discounts: th.Tensor | None
    vectors: Mapping[str, th.Tensor] = MappingProxyType({})
    next_vectors: Mapping[str, th.Tensor] = MappingProxyType({})

    def image(self, key: str | None) -> tuple[th.Tensor, th.Tensor | None]:
        """
        Return frames and camera shifts of one image.

        :param key: Its key; None: the observations are a single image
        :return: As in ``frames`` and ``camera_shifts``
        """
        return (self.frames, self.camera_shifts) if key is None else (self.frames[key], self.camera_shifts[key])

    def tensors(self) -> Iterator[th.Tensor]:
        """All tensors, in an order that depends on the keys alone"""
        for field in self:
            values = [field[key] for key in sorted(field)] if isinstance(field, Mapping) else [field]
            yield from (value for value in values if value is not None)

    def map(self, function: Callable[[th.Tensor], th.Tensor]) -> "FrameBatch":
        """
        Apply a function to every tensor.

        :param function: From a tensor to a tensor
        :return: The batch of the results
        """

        def apply(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {key: apply(part) for key, part in value.items()}
            return None if value is None else function(value)

        return FrameBatch(*map(apply, self))
