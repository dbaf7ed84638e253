"""Processors and memory that this process may use (in a container, fewer than the machine has), and what others use."""

import math
import os
import time
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


def threads_beside(others: float) -> int:
    """
    Choose a number of PyTorch threads that leaves other programs their processors. Threads without one of their own wait for
    each other, and together are slower than a single one.

    :param others: Processors that other programs of the machine use
    :return: At least 1, at most :func:`usable_cores`
    """
    return max(min(usable_cores(), int((psutil.cpu_count() or 1) - others + 0.5)), 1)


class OtherPrograms:
    """Measures how many processors other programs use from now on."""

    def __init__(self) -> None:
        self._start = self._seconds()

    def processors(self) -> float:
        """Processors that were busy on average, without those of this process and of its children"""
        elapsed, busy, own = (now - before for now, before in zip(self._seconds(), self._start, strict=True))
        return max(busy - own, 0.0) / elapsed

    @staticmethod
    def _seconds() -> tuple[float, float, float]:
        """On the clock, of all processors in use, of this process and its children"""
        machine, process = psutil.cpu_times(), psutil.Process()
        busy = machine.user + machine.system + getattr(machine, "nice", 0.0)  # Windows has no nice
        return time.perf_counter(), busy, sum(map(_seconds_of, [process, *process.children(recursive=True)]))


def _seconds_of(process: psutil.Process) -> float:
    """Of a process and its children that have ended; 0 if it has ended just now, as its parent then counts them"""
    try:
        times = process.cpu_times()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


def _read(name: str) -> str:
    """The content of one of the container's files; empty without a container"""
    try:
        return (_CGROUP / name).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
