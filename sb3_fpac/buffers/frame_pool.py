"""Stores frames in blocks of memory that are allocated as they fill, and counts the references to each frame."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch as th

BLOCK_BYTES = 2**26


def to_device(tensor: th.Tensor, device: th.device) -> th.Tensor:
    """
    Copy a temporary tensor to a device, without waiting for a GPU where that is safe. CUDA copies ordinary memory before it
    returns; MPS does not.

    :param tensor: A tensor on any device
    :param device: The device of the result
    :return: The tensor on that device
    """
    return tensor.to(device, non_blocking=device.type == "cuda")


class FramePool:
    """
    Stores uint8 frames in numbered slots, and counts the references to each slot.

    Memory is allocated in blocks of 64 MiB or ``max_frames`` frames, whichever is less. A slot without references is reused.
    Pickles contain only the slots in use. A pool on a GPU is unpickled on the CPU, with a warning, if there is no GPU.

    :param frame_shape: ``(c, H, W)``
    :param device: Where the frames are stored: a CPU or a CUDA device
    :param max_frames: Expected maximum number of frames; the pool takes more if necessary
    """

    def __init__(self, frame_shape: tuple[int, ...], device: th.device, max_frames: int) -> None:
        self.frame_shape = frame_shape
        self.frame_bytes = int(np.prod(frame_shape))
        self.device = device
        self.frames_per_block = max(1, min(BLOCK_BYTES // self.frame_bytes, max_frames))
        self._n_writes = 0
        self.clear()

    @property
    def n_slots(self) -> int:
        """Number of slots that have ever had references"""
        return len(self._references)

    @property
    def n_frames(self) -> int:
        """Number of frames with references"""
        return self.n_slots - len(self._free)

    @property
    def nbytes(self) -> int:
        """Bytes of the allocated blocks; the operating system provides the memory of a CPU block as it fills"""
        return len(self.blocks) * self.frames_per_block * self.frame_bytes

    def clear(self) -> None:
        """Forget all frames and free their memory."""
        self.blocks: list[th.Tensor] = []
        self._arrays: list[np.ndarray] = []  # the blocks once more, if on the CPU: NumPy copies a row in less time
        self._references: list[int] = []  # of every slot ever used
        self._free: list[int] = []
        self._writes: list[int] = []  # the number of the latest write to every slot

    def put(self, frame: np.ndarray) -> int:
        """
        Store a frame. It has no references yet.

        :param frame: ``(c, H, W)`` uint8
        :return: Its slot
        """
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self._references)
            if slot == len(self.blocks) * self.frames_per_block:
                self._append(th.empty((self.frames_per_block, *self.frame_shape), dtype=th.uint8, device=self.device))
            self._references.append(0)
            self._writes.append(0)
        self._n_writes += 1
        self._writes[slot] = self._n_writes
        block, row = divmod(slot, self.frames_per_block)
        if self._arrays:
            self._arrays[block][row] = frame
        else:
            self.blocks[block][row].copy_(th.from_numpy(frame), non_blocking=True)
        return slot

    def writes(self, slots: np.ndarray) -> np.ndarray:
        """
        Return a number for each slot that changes with every :meth:`put` to it.

        :param slots: ``(N,)``
        :return: ``(N,)``, positive
        """
        return np.array([self._writes[slot] for slot in slots.tolist()])

    def acquire(self, slots: Iterable[int]) -> None:
        """
        Add references to frames.

        :param slots: Slots; a repeated slot gets several references
        """
        for slot in slots:
            self._references[slot] += 1

    def release(self, slots: Iterable[int]) -> None:
        """
        Remove references that :meth:`acquire` added. Frames without references are freed.

        :param slots: Slots; a repeated slot loses several references
        """
        for slot in slots:
            self._references[slot] -= 1
            if self._references[slot] == 0:
                self._free.append(slot)

    def gather(self, slots: np.ndarray, device: th.device, n_header_planes: int = 0) -> th.Tensor:
        """
        Collect stacks of frames, without waiting for a GPU.

        :param slots: ``(B, F)``
        :param device: The device of the result
        :param n_header_planes: Number of planes of zeros in front of every stack
        :return: ``(B, n_header_planes + F·c, H, W)`` uint8
        """
        batch_size, n_frames = slots.shape
        channels, height, width = self.frame_shape
        shape = (batch_size, n_header_planes + n_frames * channels, height, width)
        if self.device.type == "cpu":
            stacks = th.empty(shape, dtype=th.uint8, pin_memory=device.type == "cuda")
            stacks[:, :n_header_planes] = 0
            rows = stacks[:, n_header_planes:].unflatten(1, (n_frames, channels)).numpy()
            blocks, rows_in_block = np.divmod(slots, self.frames_per_block)
            for stack, stack_blocks, stack_rows in zip(rows, blocks.tolist(), rows_in_block.tolist(), strict=True):
                for i, (block, row) in enumerate(zip(stack_blocks, stack_rows, strict=True)):
                    stack[i] = self._arrays[block][row]
        else:
            frames = self._gather_by_block(slots.ravel())
            stacks = frames.view(batch_size, n_frames * channels, height, width)
            if n_header_planes:
                stacks = th.cat([stacks.new_zeros(batch_size, n_header_planes, height, width), stacks], dim=1)
        return to_device(stacks, device)

    def _gather_by_block(self, slots: np.ndarray) -> th.Tensor:
        """(N,) → (N, c, H, W)"""
        order = np.argsort(slots, kind="stable")
        blocks, rows = np.divmod(slots[order], self.frames_per_block)
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        indices = to_device(th.from_numpy(np.stack([rows, places]).astype(np.int64)), self.device)
        by_block = th.empty((len(slots), *self.frame_shape), dtype=th.uint8, device=self.device)
        used, starts = np.unique(blocks, return_index=True)
        for block, start, end in zip(used.tolist(), starts.tolist(), [*starts[1:].tolist(), len(slots)], strict=True):
            th.index_select(self.blocks[block], 0, indices[0, start:end], out=by_block[start:end])
        return by_block.index_select(0, indices[1])

    def _append(self, block: th.Tensor) -> None:
        self.blocks.append(block)
        if self.device.type == "cpu":
            self._arrays.append(block.numpy())

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        del state["_arrays"]
        ends = range(len(self._references), 0, -self.frames_per_block)  # slots left to save from every block on
        state["blocks"] = [block[:end].cpu().numpy() for block, end in zip(self.blocks, ends, strict=True)]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        arrays = state.pop("blocks")
        self.__dict__.update(state)
        if self.device.type == "cuda" and not th.cuda.is_available():
            warnings.warn(
                f"The frames were stored on {self.device}, but there is no CUDA GPU: they are now in the CPU's memory.",
                stacklevel=2,
            )
            self.device = th.device("cpu")
        self.blocks, self._arrays = [], []
        for array in arrays:
            block = th.from_numpy(array).to(self.device)
            if len(array) < self.frames_per_block:
                block = block.new_empty((self.frames_per_block, *self.frame_shape))
                block[: len(array)] = th.from_numpy(array)
            self._append(block)
