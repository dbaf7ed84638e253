"""
Experiments: what they are made of, how they run, stop, fail and go on, and what is drawn of them.

What is trained here is shrunk: images of 32×32 pixels, heads of one layer of 16, batches of 8, and episodes of a few steps.
"""

import argparse
import csv
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import gymnasium as gym
import numpy as np
import psutil
import pytest
import torch as th
import yaml
from filelock import FileLock
from helpers.runs import write_evaluations, write_monitor, write_settings
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.console import Console

from sb3_fpac.callbacks.checkpoint import latest_checkpoint
from sb3_fpac.cli.experiment import add_arguments
from sb3_fpac.commands.experiment import run as run_command
from sb3_fpac.envs.cameras import find_camera, follows, mujoco_model_and_data
from sb3_fpac.evaluation import read_episodes, read_evaluations, read_run, read_runs
from sb3_fpac.experiment import launch_local
from sb3_fpac.experiment import worker as train
from sb3_fpac.experiment.config import load_experiment
from sb3_fpac.experiment.evaluations import COLUMNS, all_evaluations
from sb3_fpac.experiment.figure import draw_figure
from sb3_fpac.experiment.options import RunOptions, experiment_names
from sb3_fpac.experiment.plan import Progress, RunConfig, plan_runs, read_config, read_progress
from sb3_fpac.experiment.process import RunResult
from sb3_fpac.experiment.progress import ProgressTable, duration
from sb3_fpac.experiment.resume import truncate_episodes, truncate_evaluations
from sb3_fpac.experiment.scores import comma_separated, markdown, read_curves
from sb3_fpac.fpac import FPAC
from sb3_fpac.zoo.settings import read_arguments, read_hyperparams

CARTPOLE, CHEETAH = "dmc-cartpole-swingup", "dmc-cheetah-run"
PLANET = {
    CARTPOLE,
    CHEETAH,
    "dmc-ball-in-cup-catch",
    "dmc-finger-spin",
    "dmc-reacher-easy",
    "dmc-walker-walk",
}
DREAMER = {
    "dmc-acrobot-swingup",
    "dmc-cartpole-balance",
    "dmc-cartpole-swingup-sparse",
    "dmc-finger-turn-easy",
    "dmc-hopper-hop",
    "dmc-hopper-stand",
    "dmc-pendulum-swingup",
    "dmc-walker-run",
}
TINY = dict(learning_starts=20, batch_size=4, buffer_size=600)
TINY_FPAC = dict(
    algo="fpac",
    hyperparams=dict(TINY, policy_kwargs=dict(net_arch=[16])),
    env_kwargs=dict(size=32, time_limit=0.8),  # 10 agent steps of Cartpole
)
TINY_STATE = dict(
    algo="sac",
    hyperparams=dict(TINY, policy="MlpPolicy", policy_kwargs=dict(net_arch=[16])),
    env_kwargs=dict(observation="state", time_limit=0.8),
)


def write_experiment(path: Path, **changes) -> Path:
    """A YAML of a user's own"""
    content = dict(title="Tiny", source="a test", tasks=[CARTPOLE], variants=dict(points=TINY_FPAC), seeds=1, env_steps=480)
    path.write_text(yaml.safe_dump({**content, **changes}))
    return path


def options(path: Path, folder: Path, *more: str) -> list[str]:
    return [str(path), "-f", str(folder), "--eval-freq", "160", "--eval-episodes", "2", "--save-freq", "160", *more]


def experiment(path: Path, folder: Path, *more: str) -> int:
    """The command, in this process; its exit status"""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    try:
        run_command(parser.parse_args(options(path, folder, *more)))
    except SystemExit as error:
        assert isinstance(error.code, int)
        return error.code
    return 0


def plan(path: Path, folder: Path, **changes) -> list[RunConfig]:
    shared = RunOptions(eval_freq=160, eval_episodes=2, save_freq=160)
    return [replace(run, **changes) for run in plan_runs(load_experiment(str(path)), folder, shared)]


def points_of(variant) -> dict:
    return variant.hyperparams.get("policy_kwargs", {}).get("features_extractor_kwargs", {})


# What experiments are


def test_there_is_one_for_every_figure():
    figures = ["fig2", "fig3", "fig4", "fig5", "fig8", "fig10", "fig11", "fig12", "fig13", "fig14"]
    others = {"minutes": (2, 100_000), "random_shift": (6, None)}
    assert experiment_names() == [*figures, *others]
    for name in experiment_names():
        described = load_experiment(name)
        assert (described.seeds, described.env_steps) == others.get(name, (6, None))
        assert name in others or f"Fig. {name.removeprefix('fig')}" in described.source


def test_figure_2_compares_five_agents():
    described = load_experiment("fig2")
    fpac, pixels, state, keypoints, pretrained = described.variants
    assert set(described.tasks) == PLANET
    assert (fpac.algo, fpac.hyperparams, fpac.env_kwargs) == ("fpac", {}, {})
    assert pixels.hyperparams == {"policy_kwargs": {"features_extractor_class": "sb3_fpac.PixelExtractor"}}
    for variant, observation in ((state, "state"), (keypoints, "keypoints")):
        assert variant.algo == "sac" and variant.env_kwargs["observation"] == observation
        assert variant.hyperparams["policy"] == "MlpPolicy" and variant.hyperparams["policy_kwargs"]["net_arch"] == [
            1024,
            1024,
        ]
    assert keypoints.env_kwargs["relative_keypoints"] is True
    assert pretrained.pretrain == {"frozen": True}


@pytest.mark.parametrize(
    "name, key, values",
    [
        ("fig8", "n_points", [8, 16, 24, 32, 64]),
        ("fig11", "presence", [None, False]),
        ("fig12", "velocity", [None, False]),
        ("fig13", "softmax", [None, "full"]),
        ("fig14", "relative", [None, True]),
    ],
)
def test_ablations_vary_one_thing(name, key, values):
    described = load_experiment(name)
    assert set(described.tasks) == PLANET
    assert [points_of(variant).get(key) for variant in described.variants] == values
    for variant in described.variants:
        assert points_of(variant).keys() <= {key} and not variant.env_kwargs and variant.algo == "fpac"


def test_the_other_figures():
    assert set(load_experiment("fig4").tasks) == PLANET and set(load_experiment("fig5").tasks) == DREAMER
    assert "this project's choice" in load_experiment("fig5").source
    fig10 = load_experiment("fig10")
    assert fig10.tasks == (CHEETAH,) and set(fig10.draw) == {"return", "torso_height"}
    assert [variant.pretrain for variant in fig10.variants] == [None, {"frozen": True}]
    assert [v.hyperparams.get("random_shift", 0) for v in load_experiment("random_shift").variants] == [0, 4, 0, 4]


def test_figure_3_has_the_tasks_whose_camera_moves():
    described = load_experiment("fig3")
    assert [variant.env_kwargs["camera_shift"] for variant in described.variants] == [True, False]
    moving = set()
    for task in PLANET | DREAMER:
        env = gym.make(task, observation="state")
        model, _ = mujoco_model_and_data(env)
        if follows(model, find_camera(model, 0)):
            moving.add(task)
        env.close()
    assert set(described.tasks) == moving


def test_runs_are_every_task_variant_and_seed_with_the_papers_steps(tmp_path):
    runs = plan_runs(load_experiment("fig2"), tmp_path, RunOptions())
    assert len({run.folder for run in runs}) == len(runs) == 6 * 5 * 6
    assert all(run.env_steps == (1_000_000 if run.task in (CHEETAH, "dmc-walker-walk") else 500_000) for run in runs)
    some = plan_runs(load_experiment("fig2"), tmp_path, RunOptions(), ["cheetah-run"], ["pixels"], seeds=2, env_steps=20_000)
    assert [run.folder for run in some] == [tmp_path / "fig2/pixels/fpac" / f"{CHEETAH}_{seed}" for seed in (1, 2)]
    assert some[0].agent_steps(some[0].env_steps) == 5000


@pytest.mark.parametrize(
    "changes, sentence",
    [
        (dict(seed=3), "has the key 'seed': choose from title"),
        (dict(title=None), "title must be a text, got None"),
        (dict(seeds=0), "seeds must be positive, got 0"),
        (
            dict(tasks=["cheeta-run"]),
            "there is no environment 'cheeta-run': write a task of DeepMind Control like dmc-cheetah-run",
        ),
        (dict(seeds=True), "seeds must be a positive whole number, got True"),
        (dict(tasks=[]), "tasks must be non-empty and contain no duplicates, got []"),
        (dict(tasks=[[CARTPOLE]]), "tasks.0 must be a text, got ['dmc-cartpole-swingup']"),
        (dict(draw=["speed"]), "draw.0 must be 'return', 'return_over_minutes' or 'torso_height', got 'speed'"),
        (dict(variants=["a"]), "variants must be a mapping, got ['a']"),
        (dict(variants={"a/b": dict(algo="fpac")}), "'a/b' cannot name a folder"),
        (dict(variants={"a": {}}), "variant a lacks 'algo'"),
        (dict(variants={"a": dict(algo="ppo")}), "sb3-fpac has hyperparameters for fpac, fpac_fast, sac and tqc, not for ppo"),
        (dict(variants={"a": dict(algo="fpac", params={})}), "variant a has the key 'params'"),
        (dict(variants={"a": dict(algo="fpac", name="b")}), "variant a has the key 'name': choose from label, algo"),
        (
            dict(variants={"a": dict(algo="fpac", matmul_precision="low")}),
            "matmul_precision must be 'highest', 'high' or 'medium', got 'low'",
        ),
        (dict(variants={"a": dict(algo="fpac", env_kwargs=dict(pixels=3))}), "env_kwargs has 'pixels': choose from"),
        (dict(variants={"a": dict(algo="fpac", hyperparams=dict(n_envs=2))}), "hyperparams must not have 'n_envs'"),
        (dict(variants={"a": dict(algo="fpac", pretrain=dict(frames=3))}), "variant a, pretrain lacks 'frozen'"),
        (
            dict(variants={"a": dict(algo="fpac", pretrain=dict(frozen=True, sigma=0.0))}),
            "variant a, pretrain: sigma must be positive, got 0.0",
        ),
        (
            dict(variants={"a": dict(algo="fpac", hyperparams=dict(policy_kwargs=dict(features_extractor_class="no.Such")))}),
            "features_extractor_class 'no.Such' cannot be imported",
        ),
        (
            dict(variants={name: dict(algo="fpac", label="x") for name in "ab"}),
            "labels of variants must be non-empty and contain no duplicates",
        ),
    ],
)
def test_a_wrong_description_is_refused_in_one_sentence(tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as error:
        load_experiment(str(write_experiment(tmp_path / "mine.yml", **changes)))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("learning_rate: 1e-4", "variant points: learning_rate is the text '1e-4': write the number 0.0001."),
        ("learning_rate: 3E-05", "learning_rate is the text '3E-05': write the number 3.0e-05."),
        ("buffer_size: 1e5", "buffer_size is the text '1e5': write the number 100000."),
        ("policy_kwargs: {net_arch: ['64']}", "policy_kwargs.net_arch is the text '64': write the number 64."),
        ("learning_rate: lin_1e-4\n      ent_coef: auto_0.1\n      gamma: 9.9e-1", None),
    ],
)
def test_a_number_that_yaml_takes_for_a_text_is_refused_with_the_number(tmp_path, line, sentence):
    path = tmp_path / "mine.yml"
    variants = f"variants:\n  points:\n    algo: fpac\n    hyperparams:\n      {line}\n"
    path.write_text(f"title: a\nsource: b\ntasks: [{CARTPOLE}]\nseeds: 1\n{variants}")
    if sentence is None:
        assert load_experiment(str(path)).variants[0].hyperparams["learning_rate"] == "lin_1e-4"
    else:
        with pytest.raises(ValueError, match=re.escape(sentence)):
            load_experiment(str(path))


@pytest.mark.parametrize("again", ["variants:\n  points: {algo: sac}", "seeds: 2"])
def test_a_key_that_is_there_twice_is_refused(tmp_path, again):
    path = write_experiment(tmp_path / "mine.yml")
    text = path.read_text()
    if again.startswith("variants"):
        text = text.replace("variants:\n", again + "\n")
    else:
        text += again
    path.write_text(text)
    with pytest.raises(ValueError, match=r"mine\.yml is not valid YAML: the key '(points|seeds)' is there twice"):
        load_experiment(str(path))


def test_a_wrong_command_is_refused(tmp_path, capsys):
    path = write_experiment(tmp_path / "mine.yml")
    for more, sentence in (
        (["--tasks", "walker-wolk"], "there is no environment 'walker-wolk': write"),
        (["--variants", "pixel"], "has no variant 'pixel': choose from points"),
        (["--env-steps", "100"], "would never be evaluated"),
        (["--gpus-per-run", "1"], "are for --ray"),
    ):
        with pytest.raises(ValueError, match=sentence):
            experiment(path, tmp_path / "logs", *more)
    for more, sentence in (
        (["--seeds", "0"], "--seeds: must be at least 1, got 0."),
        (["--jobs", "0"], "--jobs: must be at least 1, got 0."),
        (["--retries", "-1"], "--retries: must be at least 0, got -1."),
        (["--cpus-per-run", "0"], "--cpus-per-run: must be positive, got 0.0."),
        (["--eval-freq", "1.5"], "--eval-freq: must be a whole number, got '1.5'."),
    ):
        assert experiment(path, tmp_path / "logs", *more) == 2
        assert sentence in capsys.readouterr().err
    with pytest.raises(ValueError, match="There is no experiment 'fig1': choose from fig2"):
        experiment(Path("fig1"), tmp_path / "logs")
    assert not (tmp_path / "logs").exists()


def test_a_missing_ray_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "sb3_fpac.experiment.launch_ray", raising=False)
    with pytest.raises(ValueError, match=r'ray is missing: pip install "sb3-fpac\[ray\]"'):
        experiment(write_experiment(tmp_path / "mine.yml"), tmp_path / "logs", "--ray", "auto")


@pytest.mark.parametrize(("setting", "threads"), [(None, 5), ("3", 3), ("3,2", 3), ("", 5), ("0", 5), ("many", 5)])
def test_jobs_share_the_processors_that_a_container_has(monkeypatch, setting, threads):
    monkeypatch.setattr(launch_local, "usable_cores", lambda: 11)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if setting is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", setting)
    assert launch_local.default_jobs() == 2
    assert launch_local.threads_of_a_job(2) == threads


# Runs


def distinct_variants() -> list:
    """Of all experiments, each agent once"""
    found = {}
    for name in experiment_names():
        described = load_experiment(name)
        for variant in described.variants:
            key = yaml.safe_dump([variant.algo, variant.hyperparams, variant.env_kwargs, variant.pretrain])
            if key not in found:
                task = CHEETAH if CHEETAH in described.tasks else described.tasks[0]
                found[key] = pytest.param(variant, task, id=f"{name}-{variant.name}")
    return list(found.values())


def shrunk(variant, task: str, folder: Path, **changes) -> RunConfig:
    """Fifty agent steps of a variant"""
    hyperparams = {**variant.hyperparams, **TINY}
    hyperparams["policy_kwargs"] = {**hyperparams.get("policy_kwargs", {}), "net_arch": [16]}
    changed = dict(
        hyperparams=hyperparams,
        env_kwargs={**variant.env_kwargs, "size": 40, "time_limit": 0.4},  # NatureCNN needs 36
        pretrain=variant.pretrain and dict(variant.pretrain, frames=40, updates=2, sigma=0.2),
    )
    whole = load_experiment("fig10").model_copy(
        update=dict(tasks=(task,), variants=(variant.model_copy(update=changed),), seeds=1, draw=("return",))
    )
    (run,) = plan_runs(whole, folder, RunOptions(eval_freq=60, eval_episodes=1, save_freq=1000), env_steps=120)
    return replace(run, **changes)


@pytest.mark.slow
@pytest.mark.parametrize("variant, task", distinct_variants())
def test_every_agent_of_every_figure_is_trained(tmp_path, variant, task):
    run = shrunk(variant, task, tmp_path)
    run.write()
    train.train(run)
    assert read_progress(run).done
    read = read_run(run.folder)
    assert read.steps.tolist() == [60, 120] and read.algorithm == variant.algo
    saved = read.hyperparameters["policy_kwargs"].get("features_extractor_kwargs", {})
    assert saved.items() >= points_of(variant).items()
    assert all(read.hyperparameters[f"env_kwargs.{name}"] == value for name, value in variant.env_kwargs.items())
    assert run.points.is_file() == (variant.pretrain is not None)


def test_a_variant_of_the_preset_differs_in_what_it_says_alone(tmp_path):
    policy_kwargs = dict(net_arch=[16], features_extractor_kwargs=dict(n_points=4))
    fast = dict(
        algo="fpac_fast",
        hyperparams=dict(TINY, policy_kwargs=policy_kwargs),
        env_kwargs=dict(time_limit=0.8),
        pretrain=dict(frozen=True, frames=40, updates=2),
    )
    (run,) = plan(write_experiment(tmp_path / "mine.yml", variants=dict(fast=fast)), tmp_path, env_steps=160)
    run.write()
    train.train(run)
    model = FPAC.load(run.model)
    assert model.policy.features_extractor.summary == "2 RGB frames of 64×64, 4 points, 24 features, frozen"
    assert model.policy.layer_norm and model.policy.net_arch == [16]
    preset = dict(strides=[2], anti_aliasing=True, standardize=True)
    assert model.policy_kwargs["features_extractor_kwargs"].items() >= preset.items()
    env_kwargs = dict(size=64, fast_rendering=True, time_limit=0.8)
    assert read_hyperparams(run.folder / run.env_name)["env_kwargs"] == env_kwargs
    assert read_arguments(run.folder / run.env_name)["env_kwargs"] == env_kwargs


def test_the_torso_height_is_recorded_with_every_episode(tmp_path, monkeypatch):
    monkeypatch.setitem(gym.registry, CHEETAH, gym.spec(CHEETAH))
    state = dict(env_kwargs=dict(observation="state"), algo="sac", hyperparams=dict(policy="MlpPolicy"))
    variant = load_experiment("fig10").variants[0].model_copy(update=state)
    run = shrunk(variant, CHEETAH, tmp_path, torso_height=True)
    run.write()
    train.train(run)
    heights = [float(episode.values["torso_height"]) for episode in read_episodes(run.folder)]
    assert len(heights) == 3 and all(0.1 < height < 1.2 for height in heights) and len(set(heights)) == 3

    env = gym.make(CHEETAH, observation="state", time_limit=0.4)
    env.reset(seed=0)
    env.action_space.seed(0)
    expected = []
    for _ in range(3):
        *_, info = env.step(env.action_space.sample())
        expected.append(env.unwrapped.physics.named.data.xpos["torso"][2])
        assert info["torso_height"] == pytest.approx(np.mean(expected))


@pytest.mark.slow
def test_a_run_goes_on_when_more_steps_are_asked_for(tmp_path):
    (run,) = plan(write_experiment(tmp_path / "mine.yml"), tmp_path, env_steps=320)
    run.write()
    train.train(run)
    first = read_evaluations(run.folder)
    model = run.model.read_bytes()
    train.train(run)
    assert run.model.read_bytes() == model  # done is done

    longer = replace(run, env_steps=640)
    longer.write()
    assert read_progress(run).done and not read_progress(longer).done
    train.train(longer)
    evaluations = read_evaluations(run.folder)
    assert evaluations.steps == [20, 40, 60, 80] and evaluations.returns[:2] == first.returns
    assert [episode.step for episode in read_episodes(run.folder)] == list(range(10, 81, 10))
    assert (run.folder / "0.until_40.monitor.csv").is_file()
    assert read_progress(longer)._replace(score=None) == (640, 4, None, True)
    assert latest_checkpoint(run.folder / "checkpoint").name == "step_80"

    with pytest.raises(ValueError, match="was started with another seed, hyperparams: delete it"):
        replace(run, seed=5, hyperparams={}).write()


def test_a_dropped_checkpoint_ends_a_run_for_good(tmp_path):
    path = write_experiment(tmp_path / "mine.yml", variants=dict(state=TINY_STATE))
    (run,) = plan(path, tmp_path, keep_checkpoint=False)
    run.write()
    train.train(run)
    assert not (run.folder / "checkpoint").exists() and read_progress(run).done
    with pytest.raises(ValueError, match="was trained for 480 env steps and has no checkpoint to continue from"):
        train.train(replace(run, env_steps=960))


def test_two_processes_do_not_train_one_run(tmp_path, monkeypatch):
    (run,) = plan(write_experiment(tmp_path / "mine.yml"), tmp_path)
    run.write()
    monkeypatch.setattr(train, "LOCK_TIMEOUT", 0.1)
    with FileLock(run.folder / ".lock"), pytest.raises(ValueError, match="Another process trains in"):
        train.train(run)


def test_what_a_checkpoint_does_not_know_is_dropped(tmp_path):
    steps = [20, 40, 60]
    np.savez(tmp_path / "evaluations.npz", timesteps=steps, results=[[1.0], [2.0], [3.0]], ep_lengths=[[5], [5], [5]])
    assert truncate_evaluations(tmp_path, 40).returns == [[1.0], [2.0]] == read_evaluations(tmp_path).returns
    assert truncate_evaluations(tmp_path, 0).steps == [] and not (tmp_path / "evaluations.npz").exists()

    def write_episodes(*lengths: int) -> None:
        rows = "".join(f"1.0,{length},0.5\n" for length in lengths)
        (tmp_path / "0.monitor.csv").write_text(f'#{{"t_start": 1.0, "env_id": "x"}}\nr,l,t\n{rows}1.0,99')  # killed there

    write_episodes(10, 10, 10, 10)
    truncate_episodes(tmp_path, 35)
    truncate_episodes(tmp_path, 35)  # killed once more before an episode has ended
    write_episodes(10, 10)
    truncate_episodes(tmp_path, 35)  # and before a checkpoint
    assert [episode.step for episode in read_episodes(tmp_path, skip_unfinished=True)] == [10, 20, 30]
    write_episodes(10, 10)
    assert [episode.step for episode in read_episodes(tmp_path, skip_unfinished=True)] == [10, 20, 30, 45, 55]
    truncate_episodes(tmp_path, 45)
    assert [episode.step for episode in read_episodes(tmp_path, skip_unfinished=True)] == [10, 20, 30, 45]


# Processes


def wait_for(condition, process: subprocess.Popen | None = None, seconds: float = 400) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        assert process is None or process.poll() is None, "it has ended before"
        time.sleep(0.05)
    raise AssertionError("it takes too long")


def trained_by_now(run: RunConfig) -> int:
    checkpoint = latest_checkpoint(run.folder / "checkpoint")
    return 0 if checkpoint is None else int(checkpoint.name.removeprefix("step_"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_is_interrupted_and_killed_goes_on_to_the_same_set_of_results(tmp_path, capfd):
    path = write_experiment(tmp_path / "mine.yml", variants=dict(points=TINY_FPAC, state=TINY_STATE), env_steps=1920)
    first, second = plan(path, tmp_path / "logs")
    command = [sys.executable, "-m", "sb3_fpac", "experiment", *options(path, tmp_path / "logs", "--jobs", "1")]
    for stop_with, after in ((signal.SIGINT, 0), (signal.SIGKILL, 100)):
        # whoever runs the tests in the background may have told them to ignore Ctrl-C
        process = subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        wait_for(lambda after=after: trained_by_now(first) > after, process)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(stop_with)
        assert process.wait() == (130 if stop_with == signal.SIGINT else -signal.SIGKILL)
        assert children and not psutil.wait_procs(children, timeout=30)[1]  # they die with it
        assert not first.model.exists()
    assert "Stopped: 0 of 2 runs are done" in capfd.readouterr().out

    assert experiment(path, tmp_path / "logs", "--jobs", "1") == 0
    assert first.log.read_text().count("Loading pretrained agent") == 2
    for run in (first, second):
        assert read_evaluations(run.folder).steps == list(range(20, 241, 20))
        assert [episode.step for episode in read_episodes(run.folder)] == list(range(10, 241, 10))
        assert read_run(run.folder).steps.tolist() == list(range(160, 1921, 160))
    lines = (tmp_path / "logs" / "mine" / "mine.csv").read_text().splitlines()
    assert [line.split(",")[:4] for line in lines[1:]] == [
        ["cartpole-swingup", name, "1", "1920"] for name in ("points", "state")
    ]

    logs = [run.log.read_bytes() for run in (first, second)]
    assert experiment(path, tmp_path / "logs") == 0  # nothing is left to do
    assert [run.log.read_bytes() for run in (first, second)] == logs
    assert "2 of 2 runs are done" in capfd.readouterr().out


def test_a_variant_that_cannot_be_set_up_is_refused_before_another_is_trained(tmp_path):
    def write(**more):
        broken = dict(TINY_STATE, hyperparams=dict(TINY_STATE["hyperparams"], **more))
        return write_experiment(tmp_path / "mine.yml", variants=dict(state=TINY_STATE, broken=broken))

    for more, words in (
        (dict(learning_startz=1), "broken, cartpole-swingup, seed 1 cannot be set up: .*learning_startz"),
        (dict(env_wrapper="sb3_fpac.NoSuch"), "broken, .* cannot be set up: .*NoSuch"),
        (dict(learning_rate="fast"), "broken, .* cannot be set up: "),
        (dict(gamma=7, policy_kwargs=dict(net_arch="wide")), "broken, .* cannot be set up: "),
    ):
        with pytest.raises(ValueError, match=words):
            experiment(write(**more), tmp_path / "logs", "--jobs", "1")
        assert not any((tmp_path / "logs").iterdir())  # so that corrected settings are no others


@pytest.mark.slow
def test_a_run_that_fails_is_reported_and_stops_no_other(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sb3_fpac.commands.experiment.check_set_up", lambda run: None)
    broken = dict(TINY_STATE, hyperparams=dict(TINY_STATE["hyperparams"], no_such_argument=1))
    path = write_experiment(tmp_path / "mine.yml", variants=dict(broken=broken, state=TINY_STATE))
    failed, done = plan(path, tmp_path / "logs")
    assert experiment(path, tmp_path / "logs", "--jobs", "1") == 1
    output = capsys.readouterr()
    assert f"broken, cartpole-swingup, seed 1 has failed. It ended with status 1. The end of {failed.log}:" in output.err
    assert "no_such_argument" in output.err
    assert "1 of 2 runs are done, 1 failed" in output.out and read_progress(done).done
    assert "mine.png, .svg, .md and .csv, and curves.csv, of 1 of 2 runs that are done" in output.out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_ray_cluster_that_loses_a_node_finishes_all_runs(tmp_path, capfd):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    before = set(psutil.process_iter())
    path = write_experiment(tmp_path / "mine.yml", seeds=2, env_steps=1920)
    runs = plan(path, tmp_path / "logs")
    cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0, include_dashboard=False))
    try:
        lost, _ = (cluster.add_node(num_cpus=1) for _ in range(2))

        def lose_a_node() -> None:
            wait_for(lambda: all(trained_by_now(run) > 0 for run in runs))
            cluster.remove_node(lost, allow_graceful=False)

        loser = threading.Thread(target=lose_a_node)
        loser.start()
        status = experiment(path, tmp_path / "logs", "--ray", cluster.address, "--cpus-per-run", "1")
        loser.join()
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert status == 0, capfd.readouterr()
    for run in runs:
        assert read_evaluations(run.folder).steps == list(range(20, 241, 20))
        assert [episode.step for episode in read_episodes(run.folder)] == list(range(10, 241, 10))
    assert sorted(run.log.read_text().count("Loading pretrained agent") for run in runs) == [0, 1]
    ours = [process for process in psutil.process_iter() if process not in before and "ray" in process.name()]
    assert not psutil.wait_procs(ours, timeout=30)[1]


def test_no_cluster_is_said(tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(ValueError, match="There is no Ray cluster at"):
        experiment(write_experiment(tmp_path / "mine.yml"), tmp_path / "logs", "--ray", "not an address")


# What is shown


def finished(path: Path, folder: Path, level: dict[str, float], seeds: int = 3) -> list[RunConfig]:
    """Runs as they are when they are done, without training: seed s scores level + 10 s, its two episodes 1 less and more"""
    runs = plan_runs(load_experiment(str(path)), folder, RunOptions(eval_freq=160, eval_episodes=2), seeds=seeds)
    for run in runs:
        args = dict(algo=run.algo, seed=run.seed, env_kwargs=run.env_kwargs)
        write_settings(run.folder, dict(policy="CnnPolicy"), run.task, **args)
        steps = np.arange(20, 61, 20)
        score = (level[run.variant] + 10 * run.seed) * steps / steps[-1]
        write_evaluations(run.folder, steps, np.stack([score - 1, score + 1], axis=1), np.full((3, 2), 10))
        episodes = [(1.0, 10, time, 0.5 + time / 100) for time in range(6)]
        write_monitor(run.folder / "0.monitor.csv", episodes, extra=",torso_height")
    return runs


def test_the_table_has_what_the_runs_have(tmp_path):
    path = write_experiment(tmp_path / "mine.yml", variants=dict(a=dict(TINY_FPAC, label="Agent A"), b=TINY_STATE))
    runs = finished(path, tmp_path / "logs", dict(a=100, b=500))
    curves = read_curves(load_experiment(str(path)), runs)
    (header, *rows) = (line.split(",") for line in comma_separated(curves).splitlines())
    assert header == ["task", "variant", "seeds", "env steps", "mean", "std", "IQM", "IQM low", "IQM high"]
    for row, name, scores in zip(rows, ("Agent A", "b"), ([110, 120, 130], [510, 520, 530]), strict=True):
        assert row[:4] == ["cartpole-swingup", name, "3", "480"]
        mean, std, iqm, low, high = (float(number) for number in row[4:])
        assert mean == iqm == np.mean(scores) and std == pytest.approx(np.std(scores), abs=1e-3)
        assert min(scores) <= low < iqm < high <= max(scores)
    assert "| cartpole-swingup | Agent A | 3 | 480 | 120 ± 8 | 120 [" in markdown(curves)
    one = read_curves(load_experiment(str(path)), runs[:1])
    assert "| cartpole-swingup | Agent A | 1 (2 episodes) | 480 | 110 ± 1 | 110 [" in markdown(one)


def test_every_evaluation_is_written_with_its_returns_and_hours(tmp_path):
    (run,) = finished(write_experiment(tmp_path / "mine.yml"), tmp_path / "logs", dict(points=100), seeds=1)
    for name, hours in (("0.until_30.monitor.csv", (0.5, 1, 1.5)), ("0.monitor.csv", (0.1, 0.2, 0.3))):  # interrupted at 30
        rows = "".join(f"1.0,10,{3600 * hour}\n" for hour in hours)
        (run.folder / name).write_text(f'#{{"t_start": 1.0, "env_id": "x"}}\nr,l,t\n{rows}')
    assert all_evaluations([run]).splitlines() == [
        "task,variant,seed,env_steps,mean,std,returns,hours",
        "cartpole-swingup,points,1,160,36.67,1.00,35.7 37.7,1.000",
        "cartpole-swingup,points,1,320,73.33,1.00,72.3 74.3,1.600",
        "cartpole-swingup,points,1,480,110.00,1.00,109.0 111.0,1.800",
    ]


# folders of results whose evaluations have five episodes
OF_FIVE_EPISODES = ("fast", "fast-300k", "fast-bfloat16", "parts", "minutes", "minutes-bfloat16", "gpu")


def test_the_curves_in_results_have_the_form_of_the_command():
    files = sorted((Path(__file__).parents[1] / "results").glob("*/curves.csv"))
    assert len(files) >= 4
    for path in files:
        described = load_experiment(str(path.with_name(f"{path.parent.name}.yml")))
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert rows[0].keys() == set(COLUMNS)
        for row in rows:
            assert f"dmc-{row['task']}" in described.tasks and row["variant"] in {each.name for each in described.variants}
            returns = [float(value) for value in row["returns"].split()]
            assert len(returns) == (5 if path.parent.name in OF_FIVE_EPISODES else 10)
            assert float(row["mean"]) == pytest.approx(np.mean(returns), abs=0.06)


def test_the_precision_of_products_is_that_of_the_variant(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(th, "set_float32_matmul_precision", asked.append)
    variants = dict(plain=TINY_STATE, fast=dict(TINY_STATE, matmul_precision="medium"))
    for run in plan(write_experiment(tmp_path / "mine.yml", variants=variants), tmp_path, env_steps=160):
        run.write()
        train.train(read_config(run.folder))
    assert asked == ["medium"]


@pytest.mark.slow
def test_the_figure_shows_every_task_quantity_and_variant(tmp_path):
    tasks, variants = [CARTPOLE, CHEETAH], dict(a=dict(TINY_FPAC, label="Agent A"), b=TINY_STATE)
    path = write_experiment(tmp_path / "mine.yml", tasks=tasks, variants=variants, draw=["return", "torso_height"])
    runs = finished(path, tmp_path / "logs", dict(a=100, b=500))
    described = load_experiment(str(path))
    rows = {what: read_curves(described, runs, what) for what in described.draw}
    torso = rows["torso_height"][CHEETAH][0]
    assert torso.steps.tolist() == [60 * 4] and torso.mean == pytest.approx(np.mean([0.5 + time / 100 for time in range(6)]))
    pictures = [tmp_path / "mine.svg", tmp_path / "mine.png"]
    draw_figure(described, rows, "12 of 12 runs done", pictures)
    assert pictures[1].stat().st_size > 10_000
    svg = pictures[0].read_text()
    for text in ("Tiny", "12 of 12 runs done", "cartpole-swingup", "cheetah-run", "Agent A", "torso height"):
        assert f"<!-- {text}" in svg


def test_the_figure_shows_the_return_over_minutes_as_far_as_they_are_known(tmp_path, monkeypatch):
    path = write_experiment(
        tmp_path / "mine.yml",
        variants=dict(a=dict(TINY_FPAC, label="Agent A"), b=TINY_STATE),
        draw=["return_over_minutes"],
    )
    timed, untimed = finished(path, tmp_path / "logs", dict(a=100, b=500), seeds=1)
    rows = "".join(f"1.0,10,{60 * minute}\n" for minute in (1, 3, 4, 6, 7, 9))  # an episode of 10 agent steps each
    (timed.folder / "0.monitor.csv").write_text(f'#{{"t_start": 1.0, "env_id": "x"}}\nr,l,t\n{rows}')
    (untimed.folder / "0.monitor.csv").unlink()
    drawn = []
    monkeypatch.setattr(Axes, "plot", lambda axes, x, y, **style: drawn.append((style["label"], list(x), list(y))))
    described = load_experiment(str(path))
    curves = read_curves(described, [timed, untimed], "return_over_minutes")
    draw_figure(described, {"return_over_minutes": curves}, "", [tmp_path / "figure.svg"])
    ((label, minutes, returns),) = drawn
    assert label == "Agent A" and minutes == pytest.approx([3, 6, 9]) and returns == pytest.approx([110 / 3, 220 / 3, 110])
    words = (tmp_path / "figure.svg").read_text()
    assert "<!-- minutes -->" in words and "published" not in words and "<!-- return -->" in words


def test_the_figure_says_where_published_scores_are_of_another_task(tmp_path):
    pixels = dict(TINY_FPAC, label="Agent A", env_kwargs=dict(size=32))
    path = write_experiment(tmp_path / "mine.yml", tasks=[CARTPOLE, CHEETAH], variants=dict(a=pixels, b=TINY_STATE))
    described = load_experiment(str(path))

    def words_of_the_figure(variants, factor):
        runs = [run for run in finished(path, tmp_path / f"{variants}{factor}", dict(a=100, b=500)) if run.variant in variants]
        curves = read_curves(described, runs)
        longer = {task: [replace(curve, steps=factor * curve.steps) for curve in each] for task, each in curves.items()}
        draw_figure(described, {"return": longer}, "done", [tmp_path / "figure.svg"])
        return " ".join(re.findall("<!-- (.*) -->", (tmp_path / "figure.svg").read_text()))

    words = words_of_the_figure("ab", 500)
    of_b = "The published scores are of another task than those of b (observation=state, time_limit=0.8): they"
    assert f"cartpole-swingup: {of_b}" in words and f"cheetah-run: {of_b}" in words and "an action repeat of 4" in words
    assert "of another task" not in words_of_the_figure("a", 500)  # from pixels, over whole episodes
    assert "published" not in words_of_the_figure("ab", 1)  # too short for any of the scores


def test_nothing_in_a_narrow_figure_is_cut_off_or_covered(tmp_path, monkeypatch):
    pixels = dict(TINY_FPAC, label="Agent A", env_kwargs=dict(size=32))
    quantities = ["return_over_minutes", "return"]
    path = write_experiment(tmp_path / "mine.yml", variants=dict(a=pixels, b=TINY_STATE), title="long " * 30, draw=quantities)
    described = load_experiment(str(path))
    curves = read_curves(described, finished(path, tmp_path / "logs", dict(a=100, b=500)))
    longer = {task: [replace(curve, steps=500 * curve.steps) for curve in each] for task, each in curves.items()}
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **kwargs: figures.append(figure))

    def boxes(rows):
        draw_figure(described, rows, "done", [tmp_path / "figure.png"])
        figure = figures.pop()
        FigureCanvasAgg(figure).draw()
        body, footer = figure.subfigs
        (legend,), (remarks,) = footer.legends, footer.texts
        shown = [axes for axes in body.axes if axes.axison]
        assert legend.get_texts() and "another task" in remarks.get_text()
        for part in (body.texts[0], *(axes.title for axes in shown), legend, remarks):
            box = part.get_window_extent()
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
            assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
        assert not legend.get_window_extent().overlaps(remarks.get_window_extent())
        return [axes.get_window_extent() for axes in shown]

    boxes({"return": longer})
    over_minutes, over_steps = boxes({"return_over_minutes": curves, "return": longer})
    assert over_minutes.y0 == pytest.approx(over_steps.y0) and over_minutes.x1 < over_steps.x0


def test_only_draw_draws_what_there_is(tmp_path, capsys):
    path = write_experiment(tmp_path / "mine.yml")
    assert experiment(path, tmp_path / "logs", "--only-draw") == 0
    assert "There is nothing to draw yet" in capsys.readouterr().out
    finished(path, tmp_path / "logs", dict(points=100), seeds=2)
    assert experiment(path, tmp_path / "logs", "--only-draw", "--seeds", "3", "--eval-freq", "10000") == 0  # the default
    assert "mine.png, .svg, .md and .csv, and curves.csv, of 0 of 3 runs that are done" in capsys.readouterr().out
    written = {file.name for file in (tmp_path / "logs" / "mine").glob("*.*")}
    assert written == {"mine.png", "mine.svg", "mine.md", "mine.csv", "curves.csv"}


def test_the_report_reads_the_runs_of_an_experiment(tmp_path):
    runs = finished(write_experiment(tmp_path / "mine.yml"), tmp_path / "logs", dict(points=100))
    assert [run.seed for run in read_runs(run.folder for run in runs)] == [1, 2, 3]


def test_a_running_run_says_how_long_it_will_take(tmp_path, monkeypatch):
    (run, *_) = finished(write_experiment(tmp_path / "mine.yml"), tmp_path / "logs", dict(points=100))
    output, now, steps = StringIO(), iter(range(600, 10**6, 600)), iter([0, 0, 120, 240, 240])
    monkeypatch.setattr("sb3_fpac.experiment.progress.time.monotonic", lambda: next(now))
    monkeypatch.setattr(
        "sb3_fpac.experiment.progress.read_progress",
        lambda run: Progress(env_steps=(n := next(steps)), n_evaluations=n // 120, score=0.0 if n else None, done=False),
    )
    table = ProgressTable([run], Console(file=output, width=200))
    run.log.write_text("it has begun")
    for _ in range(4):
        table.update(None)
    first, second, third = output.getvalue().splitlines()  # a line for an evaluation, even if its return is that of the last
    assert "left" not in first  # nothing is known yet
    assert "120 of 480 env steps, return 0.0, about" in second and "240 of 480 env steps, return 0.0, about" in third


def test_durations_are_written_for_people():
    assert [duration(seconds) for seconds in (40, 725, 11_100)] == ["40 s", "12 min", "3 h 5 min"]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_read_from_the_folders(tmp_path, terminal):
    runs = finished(write_experiment(tmp_path / "mine.yml"), tmp_path / "logs", dict(points=100))
    output = StringIO()
    table = ProgressTable(runs, Console(file=output, force_terminal=terminal, width=120))
    with table:
        for run in runs[:2]:
            run.log.write_text("it has begun")
        table.update(None)
        table.update(RunResult(runs[1].folder, "It ended with status 1."))
    assert table.summary() == "0 of 3 runs are done, 1 running, 1 failed, 1 waiting"
    assert re.search(r"points, cartpole-swingup, seed 1.*480 (of 480 )?env steps.*110\.0", output.getvalue())
    assert "failed" in output.getvalue() and os.linesep in output.getvalue()
