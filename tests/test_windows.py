"""Windows and macOS, by substitution: other encodings of files and of standard output, and other cures."""

import ast
import io
import subprocess
import sys
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch as th
from helpers.environments import StackedNoise

from sb3_fpac import FPAC
from sb3_fpac.__main__ import main
from sb3_fpac.commands.doctor import _printable
from sb3_fpac.commands.report import _matching
from sb3_fpac.doctor import drawing, machine
from sb3_fpac.doctor.check import Check
from sb3_fpac.experiment import process

PROJECT = Path(__file__).parents[1]
CODE = [path for folder in ("sb3_fpac", "examples", "benchmarks") for path in sorted((PROJECT / folder).rglob("*.py"))]


@contextmanager
def cyrillic():
    """What is printed in the encoding of the Cyrillic Windows, which has neither × nor ✓"""
    printed = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(printed, encoding="cp1251", write_through=True)):
        yield printed


def test_every_text_file_is_opened_with_its_encoding():
    missing = []
    for path in CODE:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and _opens_text(call) and "encoding" not in {each.arg for each in call.keywords}:
                missing.append(f"{path.relative_to(PROJECT)}:{call.lineno}")
    assert not missing


def _opens_text(call):
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    owner = getattr(getattr(call.func, "value", None), "id", "")
    is_binary = any(isinstance(each, ast.Constant) and "b" in str(each.value) for each in call.args)
    return name in ("read_text", "write_text") or (name == "open" and owner != "os" and not is_binary)


def test_rl_zoo_reads_the_hyperparameters_in_any_encoding():
    """It opens them in the encoding of the machine"""
    for path in (PROJECT / "zoo_configs").glob("*.yml"):
        assert path.read_bytes().isascii(), path


def test_an_agent_says_what_it_sees_in_any_encoding():
    with cyrillic() as printed:
        FPAC("CnnPolicy", StackedNoise(), buffer_size=10, verbose=1)
        assert b"2 RGB frames of 17?17" in printed.getvalue()


def test_help_is_printed_in_any_encoding(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", "pretrain", "--help"])
    with cyrillic() as printed:
        with pytest.raises(SystemExit, match="0"):
            main()
        assert b"stride of every 3?3 convolution" in printed.getvalue()


def test_the_doctor_says_in_words_what_it_cannot_mark():
    with cyrillic():
        assert _printable(Check("threads", True, "2")) == "ok threads: 2"
        assert _printable(Check("threads", False, "64", "set 2")) == "NOT OK threads: 64: set 2"
    assert _printable(Check("threads", True, "2")) == "✓ threads: 2"


def test_the_log_of_a_run_has_one_encoding(monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, env, **_: started.append(env))
    process.start(tmp_path, threads=1)
    assert started[0]["PYTHONIOENCODING"] == "utf-8"
    with (tmp_path / "log.txt").open("ab") as log:
        log.write("2 RGB frames of 84×84".encode())
    assert process.last_lines(tmp_path / "log.txt").endswith("84×84")


@pytest.mark.parametrize(
    ("system", "words"), [("linux", "libegl1"), ("win32", "graphics driver"), ("darwin", "graphics driver")]
)
@pytest.mark.parametrize("given", [None, "egl"])
def test_the_cure_for_what_cannot_draw_is_that_of_the_system(monkeypatch, system, words, given):
    def fail():
        raise RuntimeError("it fails")

    monkeypatch.setattr(drawing, "_time_frames", fail)
    monkeypatch.setattr(drawing, "sys", SimpleNamespace(platform=system, modules=sys.modules))
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    if given:
        monkeypatch.setenv("MUJOCO_GL", given)
    cure = drawing.examine_drawing().cure
    assert cure == "unset it" if given and system != "linux" else words in cure


@pytest.mark.parametrize(
    ("system", "cure"), [("linux", "apt-get install g++"), ("win32", "install one, or pass compile=False")]
)
def test_the_cure_for_a_missing_compiler_is_that_of_the_system(monkeypatch, system, cure):
    monkeypatch.setattr(machine, "get_device", lambda _: th.device("cuda"))
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    monkeypatch.setattr(machine, "sys", SimpleNamespace(platform=system))
    assert machine.examine_compiler().cure == cure


def test_the_folders_of_a_report_may_be_patterns(tmp_path):
    """The shells of Windows do not replace them"""
    runs = [tmp_path / "sac" / name for name in ("task_1", "task_2", "task_[3]")]
    for run in runs:
        run.mkdir(parents=True)
    other = tmp_path / "nothing_*"
    assert _matching([tmp_path / "*" / "task_?", runs[2], other]) == [runs[0], runs[1], runs[2], other]
