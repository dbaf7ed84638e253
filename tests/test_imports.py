"""What is loaded when: the command line answers without PyTorch, and the package changes SB3 before it is needed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import sb3_fpac

HEAVY = {"torch", "stable_baselines3", "sb3_contrib", "rl_zoo3", "dm_control", "mujoco", "matplotlib", "pandas", "pydantic"}
COMMANDS = ("doctor", "watch", "export", "pretrain", "report", "experiment", "zoo")


def python(*arguments):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def loaded(*arguments):
    """The packages that a command has imported"""
    lines = re.findall(r"^import time:.*\|\s*(\S+)$", python("-X", "importtime", *arguments).stderr, re.MULTILINE)
    assert "argparse" in lines or "gymnasium" in lines
    return {name.split(".")[0] for name in lines}


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=lambda command: "".join(command) or "none")
def test_help_is_printed_before_anything_heavy_is_loaded(command):
    assert loaded("-m", "sb3_fpac", *command, "--help") & HEAVY == set()


def test_help_names_the_experiments():
    text = python("-m", "sb3_fpac", "experiment", "--help").stdout
    assert "fig2" in text and "minutes" in text


def test_importing_the_package_registers_its_environments_and_loads_nothing_heavy():
    code = "import sb3_fpac, gymnasium; assert gymnasium.spec('dmc-cheetah-run').entry_point == 'sb3_fpac.envs.dmc:make_dmc'"
    assert loaded("-c", code) & HEAVY == set()


def test_every_public_name_is_that_of_its_folder():
    assert [name for name in sb3_fpac.__all__ if not hasattr(sb3_fpac, name)] == []
    assert set(sb3_fpac.__all__) <= set(dir(sb3_fpac))
    assert sb3_fpac.FPAC is sb3_fpac.fpac.FPAC
    assert sb3_fpac.PixelFrames is sb3_fpac.envs.PixelFrames
    with pytest.raises(AttributeError, match="has no attribute 'PixelFrame'"):
        sb3_fpac.PixelFrame  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Pixels'"):
        from sb3_fpac import Pixels  # noqa: F401


@pytest.mark.parametrize(
    "statement",
    [
        "from sb3_fpac import FeaturePointExtractor",
        "from sb3_fpac import *",
        "from sb3_fpac.features import PixelExtractor",
        "from sb3_fpac.fpac.fpac import FPAC",
    ],
)
def test_whoever_has_an_extractor_has_the_policies_that_share_it(statement):
    code = (
        f"{statement}\nfrom sb3_contrib import TQC\nfrom stable_baselines3 import SAC\n"
        "from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm\n"
        "for algorithm in (SAC, TQC):\n"
        "    for name in ('CnnPolicy', 'MultiInputPolicy'):\n"
        "        assert algorithm.policy_aliases[name].__module__ == 'sb3_fpac.policies.policies', (algorithm, name)\n"
        "assert hasattr(OffPolicyAlgorithm._setup_model, '__wrapped__')\n"
    )
    python("-c", code)


def test_every_folder_can_be_the_first_that_is_imported():
    """SB3 is changed while features are loaded, so that a circle shows only from some folders"""
    code = (
        "import importlib, pkgutil, sys, sb3_fpac\n"
        "for folder in [module.name for module in pkgutil.iter_modules(sb3_fpac.__path__) if module.ispkg]:\n"
        "    for name in [name for name in sys.modules if name.split('.')[0] == 'sb3_fpac']:\n"
        "        del sys.modules[name]\n"
        "    importlib.import_module(f'sb3_fpac.{folder}')\n"
        "    print(folder)\n"
    )
    folders = python("-c", code).stdout.split()
    assert folders == sorted(path.parent.name for path in Path(sb3_fpac.__path__[0]).glob("*/__init__.py"))


def test_ctrl_c_ends_a_command_without_a_traceback(monkeypatch, capsys):
    from sb3_fpac.__main__ import main
    from sb3_fpac.commands import doctor

    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "run", interrupted)
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", "doctor"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 130 and capsys.readouterr().err == "interrupted\n"
