"""Where a replay buffer stores frames, and whether it fits there."""

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_obs_shape

from sb3_fpac.limits import free_memory
from sb3_fpac.observations import Layout


def check_storage_device(device: th.device | str) -> th.device:
    """
    Check that frames can be stored on a device.

    :param device: ``"cpu"`` or ``"cuda"``
    :return: The device
    :raises ValueError: if it is another one, or there is no GPU
    """
    try:
        device = th.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"storage_device must be 'cpu' or 'cuda', got {device!r}.") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"storage_device must be 'cpu' or 'cuda', got '{device}'.")
    if device.type == "cuda" and not th.cuda.is_available():
        raise ValueError(f"storage_device='{device}' needs a CUDA GPU, and there is none: use storage_device='cpu'.")
    return device


def check_memory(n_transitions: int, layouts: list[Layout], vectors: Mapping[str, spaces.Space], device: th.device) -> None:
    """
    Check that a full buffer fits into memory.

    :param n_transitions: Size of the buffer, over all environments
    :param layouts: Of all images, one frame of which is stored for each transition
    :param vectors: Spaces of all vectors, which are stored twice for each transition, on the CPU
    :param device: Where the frames are stored
    :raises MemoryError: if it does not fit
    """
    sizes = " and ".join(f"{layout.frame_channels}×{layout.height}×{layout.width}" for layout in layouts)
    of_frames = n_transitions * sum(layout.frame_bytes for layout in layouts)
    _check_fits(f"{n_transitions} frames of {sizes} bytes", of_frames, device)
    if vectors:
        cpu = th.device("cpu")
        of_vectors = n_transitions * sum(2 * vector_bytes(space) for space in vectors.values())
        largest = max(vectors, key=lambda key: vector_bytes(vectors[key]))
        what = f"{n_transitions} transitions, with vectors of which {largest!r} is the largest,"
        _check_fits(what, of_vectors + (of_frames if device == cpu else 0), cpu)


def _check_fits(what: str, n_bytes: int, device: th.device) -> None:
    available = free_memory() if device.type == "cpu" else th.cuda.mem_get_info(device)[0]
    if n_bytes > available:
        raise MemoryError(
            f"{what} need {n_bytes / 1e9:.3g} GB, but {available / 1e9:.3g} GB are available on {device}: choose a smaller "
            "buffer_size."
        )


def vector_bytes(space: spaces.Space) -> int:
    """
    :param space: Of a vector
    :return: Bytes that it takes in a buffer
    """
    shape = cast(tuple[int, ...], get_obs_shape(space))
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(space.dtype).itemsize
