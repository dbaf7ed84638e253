"""Fresh interpreters, and things that are made once for all processes of pytest-xdist."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from pytest import TempPathFactory

TESTS = Path(__file__).parents[1]
DISPLAY = ("MUJOCO_GL", "PYOPENGL_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY")


def run_python(
    *arguments: str | Path, cwd: Path | None = None, expect: int | None = 0, display: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """
    Run a fresh interpreter that finds this package and these helpers.

    :param arguments: as after ``python``
    :param cwd: the folder to run in
    :param expect: the exit status that it must have; None: any
    :param display: whether it is told of the display and of the backend chosen here
    :param environment: variables that it sees beside those of this process
    """
    variables = {name: value for name, value in os.environ.items() if display or name not in DISPLAY}
    variables["PYTHONPATH"] = python_path(TESTS.parent, TESTS)
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=variables | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
    )
    assert expect is None or done.returncode == expect, done.stdout + done.stderr
    return done


def python_path(*folders: Path) -> str:
    """A ``PYTHONPATH`` with these folders before those of this process"""
    return os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])])


def make_once(tmp_path_factory: TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that the first process fills with ``make`` and the others wait for and read"""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder, made = base / name, base / f"{name}.made"
    with FileLock(base / f"{name}.lock"):
        if not made.exists():
            folder.mkdir()
            make(folder)
            made.touch()
    return folder
