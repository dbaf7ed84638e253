"""Encodes every stored frame once, for encoders that are not trained."""

from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np
import torch as th

from sb3_fpac.buffers.frame_pool import FramePool, to_device


class FixedEncoder(NamedTuple):
    """
    An encoder that is not trained.

    :param encode: Encodes frames: ``(N, c, H, W)`` uint8 → ``(N, …)``
    :param version: Equal for as long as ``encode`` returns the same for a frame
    """

    encode: Callable[[th.Tensor], th.Tensor]
    version: Hashable


class EncodedFrames:
    """
    The encoded frames of a pool. A frame is encoded when it is first asked for, and again only after the encoder has changed.

    :param pool: The frames
    """

    _encoded: th.Tensor | None
    _writes: np.ndarray  # which write to every slot has been encoded; 0: none

    def __init__(self, pool: FramePool) -> None:
        self._pool = pool
        self._forget(None, None)

    def gather(self, slots: np.ndarray, encoder: FixedEncoder, device: th.device) -> th.Tensor:
        """
        Collect encoded frames, and encode those that are new.

        :param slots: ``(B, F)``, slots of the pool
        :param encoder: Their encoder
        :param device: The device on which frames are encoded
        :return: ``(B, F, …)``
        """
        if (self._version, self._device) != (encoder.version, device):
            self._forget(encoder, device)
        wanted = slots.ravel()
        self._writes = _grown(self._writes, int(wanted.max()) + 1)
        new = np.unique(wanted[self._writes[wanted] != self._pool.writes(wanted)])
        if len(new):
            encoded = encoder.encode(self._pool.gather(new[:, None], device))
            if self._encoded is None or len(self._encoded) < len(self._writes):
                grown = encoded.new_empty((len(self._writes), *encoded.shape[1:]))
                if self._encoded is not None:
                    grown[: len(self._encoded)] = self._encoded
                self._encoded = grown
            self._encoded[_indices(new, device)] = encoded
            self._writes[new] = self._pool.writes(new)
        assert self._encoded is not None
        return self._encoded[_indices(wanted, device)].unflatten(0, slots.shape)

    def _forget(self, encoder: FixedEncoder | None, device: th.device | None) -> None:
        self._version = None if encoder is None else encoder.version
        self._device = device
        self._encoded = None
        self._writes = np.zeros(0, dtype=np.int64)


def _grown(writes: np.ndarray, length: int) -> np.ndarray:
    """At least so long, and then by half again, so that frames are seldom copied"""
    if len(writes) >= length:
        return writes
    return np.concatenate([writes, np.zeros(length + length // 2 - len(writes), dtype=np.int64)])


def _indices(slots: np.ndarray, device: th.device) -> th.Tensor:
    return to_device(th.from_numpy(slots.astype(np.int64)), device)
