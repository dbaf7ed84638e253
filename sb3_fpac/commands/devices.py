"""Checks the PyTorch device that the options of a command name."""

import torch as th


def check_device(device: str) -> str:
    """
    Check that this machine has a device, where SB3 would take the CPU instead of a missing GPU.

    :param device: ``"auto"``, or a device of PyTorch
    :return: The device
    :raises ValueError: if there is no such device
    """
    try:
        if device != "auto":
            th.empty(0, device=device)
    # PyTorch raises the first if it was built without CUDA or XPU, the second without MPS, the third for other names
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"PyTorch has no device {device!r}: {str(error).splitlines()[0]}") from error
    return device
