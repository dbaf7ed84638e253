"""Timing several things side by side in one run, and telling on which machine."""

import multiprocessing
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch as th

from sb3_fpac.features.encoder import has_native_bfloat16
from sb3_fpac.report.system import cpu_name


def interleaved_medians(things: dict[str, Callable[[], object]], rounds: int, device: th.device) -> dict[str, float]:
    """
    Median seconds of each thing, taking turns so that a busy moment of the machine hits all alike.

    :param things: What to time, by name; each is called once beforehand
    :param rounds: How often each is timed
    :param device: Waited for after each call
    :return: Seconds by name
    """
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for timed in range(rounds + 1):
        for name, thing in things.items():
            start = time.perf_counter()
            thing()
            if device.type == "cuda":
                th.cuda.synchronize(device)
            if timed:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


class OwnProcess:
    """
    A thing that lives in a process of its own, so that it cannot change what the others find: memory, threads, compilers.

    :param make: Makes the thing; a picklable callable. Calling an OwnProcess calls what it made.
    :param wait: Whether to wait until it is made. Without it, several are made at the same time.
    """

    def __init__(self, make: Callable[[], Callable[[], object]], wait: bool = True) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(make, theirs), daemon=True)
        self._process.start()
        if wait:
            self()

    def __call__(self) -> None:
        self._connection.send(None)
        self._connection.recv()


def _serve(make: Callable[[], Callable[[], object]], connection: Connection) -> None:
    warnings.filterwarnings("ignore", "PyTorch has .* and other programs use")  # the other candidates, which take turns
    thing = make()
    while True:
        try:
            connection.recv()
        except EOFError:  # the main process has what it wanted
            return
        thing()
        if th.cuda.is_available():
            th.cuda.synchronize()
        connection.send(None)


def print_table(title: str, seconds: dict[str, float], baseline: str) -> None:
    """A Markdown table of times, and of how many times faster than the baseline each is"""
    print(f"\n| {title} | ms | × faster than “{baseline}” |\n| --- | ---: | ---: |")
    for name, value in seconds.items():
        print(f"| {name} | {1000 * value:.1f} | {seconds[baseline] / value:.2f} |")


def describe_machine(device: th.device) -> str:
    """One line: processor or GPU, threads, Python, torch, and whether it multiplies bfloat16"""
    name = th.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()
    return (
        f"Machine: {name}, {th.get_num_threads()} threads, native bfloat16: {'yes' if has_native_bfloat16(device) else 'no'}; "
        f"Python {platform.python_version()}, torch {th.__version__}"
    )
