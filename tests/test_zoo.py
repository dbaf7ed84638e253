"""RL Zoo as published, run from anywhere, with the installed wheel and not the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sb3_fpac import FPACPolicy, FPACTQCPolicy, fpac_hyperparams
from sb3_fpac.callbacks import LearningRateDrop
from sb3_fpac.envs import TASKS

PROJECT = Path(__file__).parents[1]
TINY = ["-params", "learning_starts:30", "batch_size:8", "buffer_size:200", "--env-kwargs", "time_limit:0.4", "size:32"]
CHEETAH = ["--env", "dmc-cheetah-run"]


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """A folder into which the wheel is installed"""
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, PROJECT], check=True)
    subprocess.run([*pip, "install", "--no-deps", "--target", site, *wheels.glob("*.whl")], check=True)
    return site


TRAIN = ["-m", "rl_zoo3.train", "--algo"]


def run(site: Path, folder: Path, *arguments: str, expect: int = 0) -> str:
    """What Python prints, started in a folder that knows nothing of the checkout"""
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    output = done.stdout + done.stderr
    assert done.returncode == expect, output
    return output


def test_the_wheel_is_what_runs(installed, tmp_path):
    program = "import sb3_fpac, custom_envs; print(sb3_fpac.__file__); print(custom_envs.__file__)"
    output = run(installed, tmp_path, "-c", program)
    assert [Path(line).parent for line in output.splitlines()[-2:]] == [installed / "sb3_fpac", installed]


def test_train_enjoy_and_record_video(installed, tmp_path):
    options = ["-n", "60", "--eval-freq", "30", "--eval-episodes", "1", "--save-freq", "30", "-tb", "tb", "-P", "--seed", "1"]
    output = run(installed, tmp_path, *TRAIN, "sac", *CHEETAH, *options, *TINY, "--vec-env", "subproc")
    logs = tmp_path / "logs" / "sac" / "dmc-cheetah-run_1"
    assert f"Loading hyperparameters from: {installed / 'sb3_fpac' / 'zoo_configs' / 'sac.yml'}" in output
    assert "Eval num_timesteps=60" in output and "n_updates" in output
    for file in ("dmc-cheetah-run.zip", "best_model.zip", "evaluations.npz", "rl_model_30_steps.zip", "0.monitor.csv"):
        assert (logs / file).stat().st_size > 0
    assert list((tmp_path / "tb").rglob("events*"))

    agent = ["--algo", "sac", *CHEETAH, "-f", "logs"]
    output = run(installed, tmp_path, "-m", "rl_zoo3.enjoy", *agent, "--no-render", "-n", "25")
    assert "2 Episodes" in output and "Mean reward" in output

    output = run(installed, tmp_path, "-m", "rl_zoo3.record_video", *agent, "-n", "10")
    assert "not available" not in output
    (video,) = (logs / "videos").glob("*.mp4")
    assert video.stat().st_size > 1000


def test_tqc_and_a_yaml_of_ones_own(installed, tmp_path):
    output = run(installed, tmp_path, *TRAIN, "tqc", *CHEETAH, "-n", "40", "--eval-freq", "-1", *TINY)
    assert str(installed / "sb3_fpac" / "zoo_configs" / "tqc.yml") in output

    own = dict(policy="CnnPolicy", n_timesteps=20, buffer_size=100, learning_starts=10, policy_kwargs="dict(net_arch=[16])")
    (tmp_path / "own.yml").write_text(yaml.safe_dump({"dmc-cheetah-run": own}))
    options = ["-conf", "own.yml", "--eval-freq", "-1", "--env-kwargs", "size:48", "time_limit:0.4"]
    output = run(installed, tmp_path, *TRAIN, "sac", *CHEETAH, *options)
    assert "Loading hyperparameters from: own.yml" in output and "('policy', 'CnnPolicy')" in output


def test_other_ids_are_not_affected(installed, tmp_path):
    output = run(installed, tmp_path, *TRAIN, "sac", "--env", "Pendulum-v1", "-n", "5", "--eval-freq", "-1")
    (line,) = [line for line in output.splitlines() if line.startswith("Loading hyperparameters from:")]
    assert line.endswith("rl_zoo3/hyperparams/sac.yml")


def test_an_algorithm_without_hyperparameters_is_refused(installed, tmp_path):
    output = run(installed, tmp_path, *TRAIN, "ppo", *CHEETAH, "-n", "5", expect=1)
    assert "sb3-fpac has hyperparameters for sac and tqc, not for ppo" in output
    assert not (tmp_path / "logs").exists()


def test_an_unknown_task_gets_the_nearest_suggested(installed, tmp_path):
    output = run(installed, tmp_path, *TRAIN, "sac", "--env", "dmc-cheeta-run", expect=1)
    assert "you maybe meant dmc-cheetah-run?" in output


def test_a_custom_envs_of_the_users_own_wins_and_gym_packages_does_it(installed, tmp_path):
    (tmp_path / "custom_envs.py").write_text("print('mine')\n")
    train = [*TRAIN, "sac", *CHEETAH, "-n", "10", "--eval-freq", "-1", *TINY]
    output = run(installed, tmp_path, *train, expect=1)
    assert "mine" in output and "dmc-cheetah-run not found" in output
    output = run(installed, tmp_path, *train, "--gym-packages", "sb3_fpac")
    assert "mine" in output and str(installed / "sb3_fpac" / "zoo_configs" / "sac.yml") in output


@pytest.mark.parametrize("first", ["rl_zoo3.exp_manager", "rl_zoo3.import_envs", "sb3_fpac.zoo", "rl_zoo3, sb3_fpac"])
def test_any_order_of_imports_brings_the_hyperparameters(installed, tmp_path, first):
    program = f"""
import {first}
import argparse
from rl_zoo3.exp_manager import ExperimentManager
manager = ExperimentManager(argparse.Namespace(), "sac", "dmc-cheetah-run", "logs")
manager.read_hyperparameters()
"""
    output = run(installed, tmp_path, "-W", "error::UserWarning:custom_envs", "-c", program)
    assert str(installed / "sb3_fpac" / "zoo_configs" / "sac.yml") in output


def test_a_missing_package_is_said_and_not_lost(installed, tmp_path):
    program = "import sys; sys.modules['sb3_contrib'] = None; import custom_envs; print('RL Zoo goes on')"
    output = run(installed, tmp_path, "-c", program)
    assert "dmc-* environments of sb3-fpac are not available" in output and "sb3_contrib" in output
    assert "RL Zoo goes on" in output


@pytest.mark.parametrize("algo, policy", [("sac", FPACPolicy), ("tqc", FPACTQCPolicy)])
def test_yaml_is_table_i_for_every_task(algo, policy):
    entries = yaml.safe_load((PROJECT / "zoo_configs" / f"{algo}.yml").read_text())
    assert set(entries) == {"default", *TASKS}
    for env_id, task in TASKS.items():
        entry = entries[env_id]
        env_steps = 1_000_000 if task.domain in ("cheetah", "walker") else 500_000
        assert entry.pop("n_timesteps") * task.action_repeat == env_steps
        assert entry.pop("policy") == f"sb3_fpac.{policy.__name__}"
        expected = dict(fpac_hyperparams)
        if task.domain == "reacher":
            ((name, kwargs),) = entry.pop("callback")[0].items()
            assert name == f"{LearningRateDrop.__module__}.{LearningRateDrop.__name__}"
            assert kwargs == {"after": 200_000 // task.action_repeat, "learning_rate": 3e-4}
            expected["learning_rate"] = 1e-3
        assert entry == expected
