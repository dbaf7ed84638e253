"""A run in a process of its own, which does not outlive the one that started it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

LAST_LINES = 15
_SECONDS_PER_LINE = "10"  # of a progress bar, which a log does not need ten times a second


class RunResult(NamedTuple):
    """What became of a run."""

    folder: Path
    problem: str | None
    """One sentence; None: it is done"""


def start(folder: Path, threads: int, environment: Mapping[str, str] | None = None) -> subprocess.Popen:
    """
    Train a run, with its output in ``log.txt``. It ends when :func:`stop` is called, or this process is gone, however it ends.

    :param folder: Of the run, with its plan
    :param threads: How many PyTorch uses on the CPU
    :param environment: Variables besides those of this process
    :return: The process
    """
    with (folder / "log.txt").open("ab") as log:
        log.write(f"--- {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC\n".encode())
        log.flush()
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "sb3_fpac.experiment.worker", str(folder.resolve()), "--with-parent"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(threads),
                "TQDM_MININTERVAL": _SECONDS_PER_LINE,
                **(environment or {}),
            },
            start_new_session=True,
        )


def stop(process: subprocess.Popen) -> None:
    """
    End a run at once, with all that it has started: it goes on from its checkpoint.

    :param process: As :func:`start` gave it
    """
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
    assert process.stdin is not None
    process.stdin.close()


def outcome(folder: Path, status: int) -> RunResult:
    """
    :param folder: Of the run
    :param status: Its exit status
    :return: What became of it
    """
    return RunResult(folder, None if status == 0 else f"It ended with status {status}.")


def last_lines(log: Path) -> str:
    """
    :param log: The log of a run
    :return: Its last lines
    """
    return "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:]) if log.is_file() else ""
