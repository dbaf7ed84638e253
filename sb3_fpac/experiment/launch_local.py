"""Runs side by side on this machine."""

import os
import subprocess
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import torch as th

from sb3_fpac.experiment.process import RunResult, outcome, start, stop

CPUS_PER_JOB = 4
POLL = 0.2  # seconds


def default_jobs() -> int:
    """
    How many runs are trained side by side: one for every four processors.

    :return: At least 1
    """
    return max(1, _processors() // CPUS_PER_JOB)


def run_locally(folders: Sequence[Path], jobs: int) -> Generator[RunResult | None, None, None]:
    """
    Train runs, so many at a time. The processors are divided among them, unless ``OMP_NUM_THREADS`` says otherwise; GPUs are
    taken in turn. When the iterator is closed, all that still runs is stopped.

    :param folders: Of the runs, with their plans
    :param jobs: How many at a time, at least 1
    :return: One entry for each run that has ended; None in between, several times a second
    """
    threads = int(os.environ.get("OMP_NUM_THREADS", max(1, _processors() // min(jobs, len(folders) or 1))))
    gpus = _gpus()
    waiting = list(folders)
    running: dict[int, tuple[Path, subprocess.Popen]] = {}  # by their place
    try:
        while waiting or running:
            for place in range(jobs):
                if waiting and place not in running:
                    gpu = {"CUDA_VISIBLE_DEVICES": gpus[place % len(gpus)]} if gpus else {}
                    running[place] = waiting[0], start(waiting.pop(0), threads, gpu)
            for place, (folder, process) in list(running.items()):
                status = process.poll()
                if status is not None:
                    del running[place]
                    stop(process)
                    yield outcome(folder, status)
            yield None
            time.sleep(POLL)
    finally:
        for _, process in running.values():
            stop(process)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",") if visible else [str(index) for index in range(th.cuda.device_count())]
