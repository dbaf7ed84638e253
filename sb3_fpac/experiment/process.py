"""The process that trains a run. It never outlives the process that started it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

LAST_LINES = 15
_SECONDS_PER_LINE = "10"  # how often the progress bar is written to the log


class RunResult(NamedTuple):
    """Result of a run that has ended."""

    folder: Path
    problem: str | None
    """Why it failed, in one sentence; None: it has not failed"""


def start(folder: Path, threads: int, environment: Mapping[str, str] | None = None, trust: bool = False) -> subprocess.Popen:
    """
    Start to train a run, with its output in ``log.txt``. It is killed by :func:`stop`, or when this process exits.

    :param folder: Folder of the run, with its configuration
    :param threads: Number of CPU threads of PyTorch
    :param environment: Environment variables in addition to those of this process
    :param trust: Whether the checkpoint from which it continues may run code
    :return: The process
    """
    options = ["--exit-with-parent", *(["--trust"] if trust else [])]
    with (folder / "log.txt").open("ab") as log:
        log.write(f"--- {datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S} UTC\n".encode())
        log.flush()
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "sb3_fpac.experiment.worker", str(folder.resolve()), *options],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "OMP_NUM_THREADS": str(threads),
                "TQDM_MININTERVAL": _SECONDS_PER_LINE,
                "PYTHONIOENCODING": "utf-8",  # of the log, where Windows would choose another
                **(environment or {}),
            },
            start_new_session=True,
        )


def threads_for(cpus: float) -> int:
    """
    Choose the number of threads of a run on a cluster.

    :param cpus: Processors that it has, possibly a fraction of one
    :return: Threads of PyTorch, at least 1
    """
    return max(int(cpus), 1)


def stop(process: subprocess.Popen) -> None:
    """
    Kill a run and its child processes. It can be continued from its checkpoint.

    :param process: As returned by :func:`start`
    """
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
    assert process.stdin is not None
    process.stdin.close()


def run_result(folder: Path, status: int) -> RunResult:
    """
    Interpret the exit status of a run.

    :param folder: Folder of the run
    :param status: Exit status of its process
    :return: The result
    """
    return RunResult(folder, None if status == 0 else f"It ended with status {status}.")


def last_lines(log: Path) -> str:
    """
    Read the end of a log.

    :param log: Log of a run
    :return: Its last lines
    """
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]) if log.is_file() else ""
