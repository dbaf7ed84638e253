"""Processors and memory that this process may use, which in a container are fewer than the machine has."""

import math
import os
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")  # of a container, version 2


def usable_cores() -> int:
    """
    Count the processors that this process may use.

    :return: At least 1: those of its affinity, or fewer if the container has a quota
    """
    has_affinity = hasattr(os, "sched_getaffinity")  # Linux
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    quota, _, period = _read("cpu.max").partition(" ")
    return min(cores, max(math.ceil(int(quota) / int(period)), 1)) if quota.isdecimal() else cores


def free_memory() -> int:
    """
    Measure the memory that this process may still take.

    :return: Bytes: what the machine has available, or what the container leaves if it is less
    """
    free = psutil.virtual_memory().available
    limit, used = _read("memory.max"), _read("memory.current")
    if not (limit.isdecimal() and used.isdecimal()):
        return free
    statistics = dict(line.split(" ") for line in _read("memory.stat").splitlines())
    cache = int(statistics.get("inactive_file", 0))  # the kernel gives it up when memory runs short
    return min(free, max(int(limit) - int(used) + cache, 0))


def total_memory() -> int:
    """
    Measure the memory that this process could have if nothing else took any.

    :return: Bytes: that of the machine, or of the container if it is less
    """
    limit = _read("memory.max")
    total = psutil.virtual_memory().total
    return min(total, int(limit)) if limit.isdecimal() else total


def _read(name: str) -> str:
    """The content of one of the container's files; empty without a container"""
    try:
        return (_CGROUP / name).read_text().strip()
    except OSError:
        return ""
