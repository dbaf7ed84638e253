"""Notices that PyTorch's threads have no processors of their own."""

import time
import warnings

import torch as th

from sb3_fpac.limits import OtherPrograms, threads_beside, usable_cores

_SECONDS = 30.0  # of a measurement


class CrowdingCheck:
    """
    Warns once if PyTorch's threads share processors with other programs, or are more than a container may use. All threads
    then wait for the one that waits for a processor, and an update can take many times as long.
    """

    def __init__(self) -> None:
        self._warned = False
        self._start()

    def update(self) -> None:
        """Call this after updates on a CPU, however often. It measures every 30 seconds."""
        if self._warned or time.perf_counter() < self._end:
            return
        others, threads = self._others.processors(), th.get_num_threads()
        fewer = threads_beside(others)
        if threads > fewer:
            self._warned = True
            warnings.warn(
                f"PyTorch has {threads} threads for {usable_cores()} processors, and other programs, such as environments in "
                f"processes of their own, use {others:.1f}: the threads wait for each other, so updates are slow. Set "
                f"OMP_NUM_THREADS={fewer}, or call torch.set_num_threads({fewer}).",
                stacklevel=2,
            )
        self._start()

    def _start(self) -> None:
        self._others, self._end = OtherPrograms(), time.perf_counter() + _SECONDS
