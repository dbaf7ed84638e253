"""Parallel runs on this machine."""

import os
import subprocess
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import torch as th

from sb3_fpac.experiment.process import RunResult, run_result, start, stop
from sb3_fpac.limits import usable_cores

CPUS_PER_JOB = 4
POLL = 0.2  # seconds


def default_jobs() -> int:
    """
    Choose the number of parallel runs: one for every four processors.

    :return: At least 1
    """
    return max(1, usable_cores() // CPUS_PER_JOB)


def run_locally(folders: Sequence[Path], jobs: int, trust: bool = False) -> Generator[RunResult | None, None, None]:
    """
    Train runs in parallel. The processors are divided among them unless ``OMP_NUM_THREADS`` is set; GPUs are assigned in
    turn. Closing the iterator stops the runs that have not ended.

    :param folders: Folders of the runs, with their configurations
    :param jobs: Number of parallel runs, at least 1
    :param trust: Whether the checkpoints from which they continue may run code
    :return: One entry for each run that has ended; None in between, several times a second
    """
    threads = threads_of_a_job(min(jobs, len(folders)))
    gpus = _gpus()
    waiting = list(folders)
    running: dict[int, tuple[Path, subprocess.Popen]] = {}  # by slot
    try:
        while waiting or running:
            for slot in range(jobs):
                if waiting and slot not in running:
                    gpu = {"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if gpus else {}
                    running[slot] = waiting[0], start(waiting.pop(0), threads, gpu, trust)
            for slot, (folder, process) in list(running.items()):
                status = process.poll()
                if status is not None:
                    del running[slot]
                    stop(process)
                    yield run_result(folder, status)
            yield None
            time.sleep(POLL)
    finally:
        for _, process in running.values():
            stop(process)


def threads_of_a_job(jobs: int) -> int:
    """
    Divide the processors among parallel runs.

    :param jobs: Number of parallel runs; 0 counts as 1
    :return: Threads of PyTorch for each of them: ``OMP_NUM_THREADS`` if it is set
    """
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # OpenMP takes a list, of nested levels
    return int(given) if given.isdecimal() and int(given) else max(1, usable_cores() // max(jobs, 1))


def _gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(index) for index in range(th.cuda.device_count())]
