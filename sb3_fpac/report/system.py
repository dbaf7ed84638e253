"""The versions and the machine with which a report was written."""

import platform
from datetime import datetime, timezone
from pathlib import Path

import torch as th
from stable_baselines3.common.utils import get_system_info

from sb3_fpac.version import __version__


def describe_system() -> dict[str, str]:
    """
    Describe versions and machine, with the names of SB3's ``get_system_info``, which SB3 also saves with every model.

    :return: Values by name
    """
    info, _ = get_system_info(print_info=False)
    gpus = [th.cuda.get_device_name(index) for index in range(th.cuda.device_count())] if th.cuda.is_available() else []
    return {
        "Date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "sb3-fpac": __version__,
        **info,
        "CPU": cpu_name(),
        "GPU": ", ".join(gpus) or "none",
    }


def cpu_name() -> str:
    """
    Look up the name of the processor.

    :return: The name that the operating system reports
    """
    cpuinfo = Path("/proc/cpuinfo")  # Linux; elsewhere, platform.processor() returns the name
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
