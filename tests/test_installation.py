"""What ``pip install .`` brings without extras is enough for what the README promises of it."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from helpers.processes import run_python
from packaging.requirements import Requirement

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
TRAIN = """
import sys

sys.modules.update(dict.fromkeys({missing!r}))  # importing them fails
import gymnasium as gym
from sb3_fpac import FPAC, fpac_fast

env = gym.make("dmc-cartpole-swingup", size=32, fast_rendering=True, time_limit=0.4)
FPAC("CnnPolicy", env, **{{**fpac_fast, "learning_starts": 4}}, buffer_size=20, batch_size=4).learn(8)
"""


@pytest.mark.slow
def test_an_agent_is_trained_without_any_extra():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    needed = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    brought = _with_their_own(needed)
    owners = {module: {_key(each) for each in names} for module, names in packages_distributions().items()}
    there = {*brought, "sb3-fpac", "rl-zoo3", "dm-control"}  # the last by hand, on Python 3.13
    missing = {module for module, names in owners.items() if not names & there}
    assert {"matplotlib", "optuna"} <= missing  # of RL Zoo, which is looked for in sys.modules
    run_python("-c", TRAIN.format(missing=missing))


def _with_their_own(requirements):
    """The names of distributions, and of those that they require"""
    found, waiting = set(), [Requirement(each) for each in requirements]
    while waiting:
        each = waiting.pop()
        applies = each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in ("", *each.extras))
        if applies and _key(each.name) not in found:
            found.add(_key(each.name))
            with suppress(PackageNotFoundError):
                waiting += map(Requirement, requires(each.name) or ())
    return found


def _key(name):
    return name.lower().replace("_", "-")
