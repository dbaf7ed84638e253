"""Processors, GPU and compiler."""

import os
import shutil
import sys
from pathlib import Path

import psutil
import torch as th
from stable_baselines3.common.utils import get_device

from sb3_fpac.doctor.check import Check
from sb3_fpac.features.encoder import has_native_bfloat16
from sb3_fpac.limits import threads_beside, usable_cores

_DRIVER = Path("/proc/driver/nvidia/version")
_BUSY_SECONDS = 0.3  # of measuring
_COMPILERS = ("g++", "clang++", "c++", "cl")


def examine_threads() -> Check:
    """
    Compare PyTorch's threads with the processors that it may use and, if it updates on them, with those that other programs
    leave.

    :return: Not ok if there are more threads
    """
    threads, cores = th.get_num_threads(), usable_cores()
    share = psutil.cpu_percent(_BUSY_SECONDS) / 100
    setting = os.environ.get("OMP_NUM_THREADS")
    text = f"PyTorch has {threads} thread{'s' * (threads > 1)} for {cores} core{'s' * (cores > 1)}"
    text += f", OMP_NUM_THREADS={setting}" if setting else ", OMP_NUM_THREADS is not set"
    text += f", other programs use {share:.0%} of the machine".replace("%", " %")
    on_gpu = get_device("auto").type != "cpu"
    fewer = cores if on_gpu else threads_beside(share * (psutil.cpu_count() or 1))
    return Check("threads", threads <= fewer, text, "" if threads <= fewer else f"set OMP_NUM_THREADS={fewer}")


def examine_device() -> Check:
    """
    Say which device SB3 takes by itself.

    :return: Not ok if there is an NVIDIA driver that PyTorch does not use
    """
    device = get_device("auto")
    if device.type == "cuda":
        return Check("device", True, f'device="auto" takes CUDA, {th.cuda.get_device_name(device)}')
    if shutil.which("nvidia-smi") or _DRIVER.exists():
        if th.version.cuda is None:
            problem = f"PyTorch {th.__version__} was built without CUDA, but there is an NVIDIA driver"
            return Check("device", False, problem, "install a CUDA build, see https://pytorch.org/get-started/locally")
        problem = f"PyTorch cannot use CUDA {th.version.cuda}, but there is an NVIDIA driver"
        return Check("device", False, problem, "update the driver, and check nvidia-smi and CUDA_VISIBLE_DEVICES")
    if th.backends.mps.is_available():
        return Check("device", True, 'device="auto" takes the CPU; device="mps" takes the GPU of this Mac')
    return Check("device", True, 'device="auto" takes the CPU, there is no GPU')


def examine_bfloat16() -> Check:
    """
    Say in which precision the encoder computes.

    :return: Always ok
    """
    device = get_device("auto")
    name = "the CPU" if device.type == "cpu" else "the GPU"
    if has_native_bfloat16(device):
        return Check("bfloat16", True, f"{name} multiplies it, and encoders that are trained use it")
    return Check("bfloat16", True, f"{name} does not multiply it, so encoders use float32, which is slower to train")


def examine_compiler() -> Check:
    """
    Look for the C++ compiler of ``torch.compile``.

    :return: Not ok if it is missing on CUDA, where ``compile="auto"`` compiles
    """
    names = [name for name in (os.environ.get("CXX"), *_COMPILERS) if name]
    found = next((name for name in names if shutil.which(name)), None)
    if get_device("auto").type == "cuda":
        if found:
            return Check("compiler", True, f'{found}, with which compile="auto" compiles on CUDA')
        cure = "apt-get install g++" if sys.platform.startswith("linux") else "install one, or pass compile=False"
        return Check("compiler", False, 'there is none, so compile="auto" cannot compile', cure)
    text = f"{found}, which compile=True would use" if found else "there is none, which only compile=True would need"
    return Check("compiler", True, f'{text}; compile="auto" does not compile on a CPU')
