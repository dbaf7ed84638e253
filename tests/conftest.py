"""Tests marked gpu run where there is a CUDA GPU, and say so where there is none; slow tests come first."""

from pathlib import Path

import pytest
import torch as th
from helpers.processes import make_once, run_python
from helpers.runs import CARTPOLE

TRAIN = "import sb3_fpac.zoo; from rl_zoo3.train import train; train()"


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)  # so that no process waits for one of them at the end
    if not th.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA GPU"))


@pytest.fixture(scope="session")
def zoo_run(tmp_path_factory) -> Path:
    """A run that RL Zoo has really trained"""
    options = f"--algo fpac --env {CARTPOLE} -n 60 --eval-freq 30 --eval-episodes 2 --seed 1"
    params = "--env-kwargs time_limit:0.4 size:32 -params learning_starts:50 batch_size:8 buffer_size:200 compile:False"

    def train(folder: Path) -> None:
        run_python("-c", TRAIN, *options.split(), *params.split(), "policy_kwargs:dict(net_arch=[16])", cwd=folder)

    return make_once(tmp_path_factory, "zoo", train) / "logs" / "fpac" / f"{CARTPOLE}_1"
