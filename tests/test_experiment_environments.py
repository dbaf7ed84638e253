"""Experiments on environments that are not of DeepMind Control: Gymnasium's, and those of a user's own module."""

import re
import sys

import numpy as np
import pytest
from test_experiment import experiment, plan, write_experiment

from sb3_fpac.__main__ import main
from sb3_fpac.evaluation import read_episodes, read_run
from sb3_fpac.evaluation.run_files import read_yaml
from sb3_fpac.experiment import worker
from sb3_fpac.experiment.config import load_experiment
from sb3_fpac.experiment.figure import draw_figure
from sb3_fpac.experiment.options import RunOptions
from sb3_fpac.experiment.plan import plan_runs, read_progress
from sb3_fpac.experiment.scores import markdown, read_curves
from sb3_fpac.zoo.environments import find_env

SMALL = dict(learning_starts=20, batch_size=4, buffer_size=600, compile=False, policy_kwargs=dict(net_arch=[16]))
PIXELS = [{"sb3_fpac.PixelFrames": dict(size=24, action_repeat=2)}]
MY_ENVS = """
import gymnasium as gym
import numpy as np


class Blink(gym.Env):
    observation_space = gym.spaces.Box(0, 255, (3, 24, 24), np.uint8)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    metadata = {"render_fps": 10, "render_modes": []}

    def __init__(self, bright=200, render_mode=None):
        self.bright = bright

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros((3, 24, 24), np.uint8), {}

    def step(self, action):
        self.t += 1
        frame = np.zeros((3, 24, 24), np.uint8)
        frame[:, self.t : self.t + 4, 4:8] = self.bright
        return frame, float(action[0]), False, self.t == 15, {}


def make(**kwargs):
    return Blink(**kwargs)
"""
REGISTERS = MY_ENVS + "\n\ngym.register('cheetah-run', entry_point=Blink)\n"
BLINK = dict(algo="fpac", hyperparams=SMALL)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a module of one's own, of a name that no other test has imported"""
    monkeypatch.chdir(tmp_path)
    stem = re.sub(r"\W", "_", tmp_path.name)
    (tmp_path / f"{stem}.py").write_text(MY_ENVS)
    (tmp_path / f"{stem}_registers.py").write_text(REGISTERS)
    return stem


def test_pendulum_from_pixels_is_trained_evaluated_continued_and_drawn(tmp_path, monkeypatch):
    variant = dict(algo="fpac", hyperparams=dict(SMALL, env_wrapper=PIXELS), env_kwargs=dict(render_mode="rgb_array"))
    path = write_experiment(tmp_path / "mine.yml", tasks=["Pendulum-v1"], variants=dict(points=variant), env_steps=220)
    (run,) = plan(path, tmp_path, eval_freq=110, eval_episodes=1, save_freq=100)
    assert run.folder == tmp_path / "mine/points/fpac/Pendulum-v1_1"
    run.write()
    learn = worker.ResumableCheckpoint._on_step
    monkeypatch.setattr(worker.ResumableCheckpoint, "_on_step", lambda self: self.num_timesteps < 150)
    worker.train(run)  # stops early, as if it had been killed
    monkeypatch.setattr(worker.ResumableCheckpoint, "_on_step", learn)
    assert not read_progress(run).done and read_progress(run).env_steps == 150
    worker.train(run)
    assert read_progress(run).done and read_progress(run).env_steps == 220
    assert {int(episode.values["l"]) for episode in read_episodes(run.folder)} == {100}, "agent steps, as SB3 counts them"
    read = read_run(run.folder)
    assert read.steps.tolist() == [110, 220] and read.step_unit == "steps" and read.env_id == "Pendulum-v1"
    assert (np.asarray(read.returns) < 0).all()
    table = markdown(read_curves(load_experiment(str(path)), [run]))
    assert "| Pendulum-v1 | points | 1 (1 episode) | 220 |" in table
    monkeypatch.setattr(
        "sys.argv", ["sb3_fpac", "watch", "--agent", str(run.folder), "-o", str(tmp_path / "a.png"), "--max-steps", "3"]
    )
    main()
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_a_function_of_ones_own_module_is_trained_by_the_command(tmp_path, here, capsys):
    variants = dict(bright=BLINK, dark=dict(BLINK, env_kwargs=dict(bright=90)))
    path = write_experiment(tmp_path / "mine.yml", tasks=[f"{here}:make"], variants=variants, env_steps=60)
    assert experiment(path, tmp_path / "logs", "--eval-freq", "30", "--jobs", "1") == 0, capsys.readouterr().err
    folder = tmp_path / "logs/mine/dark/fpac" / f"{here}.make_1"
    assert (folder / f"{here}.make.zip").is_file()
    assert read_yaml(folder / f"{here}.make" / "args.yml")["env"] == f"{here}.make"
    assert (tmp_path / "logs/mine/mine.png").is_file()


def test_an_environment_that_a_module_registers_is_no_task_with_published_scores(tmp_path, here):
    path = write_experiment(
        tmp_path / "mine.yml", tasks=[f"{here}_registers:cheetah-run"], variants=dict(a=BLINK), env_steps=60
    )
    (run,) = plan_runs(load_experiment(str(path)), tmp_path, RunOptions(eval_freq=30, eval_episodes=1))
    assert (run.task, run.gym_packages, run.action_repeat) == ("cheetah-run", [f"{here}_registers"], 1)
    run.write()
    worker.train(run)
    curves = read_curves(load_experiment(str(path)), [run])
    draw_figure(load_experiment(str(path)), {"return": curves}, "", [tmp_path / "figure.svg"])
    svg = (tmp_path / "figure.svg").read_text()
    assert "published" not in svg and "<!-- steps -->" in svg and "env steps" not in svg


def test_tasks_of_the_command_line_may_be_others_than_those_of_the_file(tmp_path, here):
    described = load_experiment("fig8")
    runs = plan_runs(
        described, tmp_path, RunOptions(), [f"{here}:make", "quadruped-walk", "cheetah-run"], ["k8"], seeds=1, env_steps=20_000
    )
    assert [run.task for run in runs] == [f"{here}.make", "dmc-quadruped-walk", "dmc-cheetah-run"]
    with pytest.raises(ValueError, match="there is no environment 'cheeta-run'"):
        plan_runs(described, tmp_path, RunOptions(), ["cheeta-run"])


def test_the_id_of_a_function_finds_it_in_another_process(here):
    before = list(sys.path)
    assert find_env(f"{here}.make") == find_env(f"{here}:make") == f"{here}.make"
    assert sys.path == before  # what is imported later is found where Python looks for it


WRAPPED = dict(algo="fpac", pretrain=dict(frozen=True), hyperparams=dict(env_wrapper=PIXELS))


@pytest.mark.parametrize(
    "changes, sentence",
    [
        (dict(tasks=["Pendulum"]), "there is no environment 'Pendulum': write"),
        (dict(tasks=["no_module:make"]), "The module no_module cannot be imported"),
        (dict(draw=["torso_height"]), "torso_height can be drawn for dmc-* tasks only, got 'Pendulum-v1'"),
        (dict(variants=dict(a=WRAPPED)), "variant a has pretrain and env_wrapper: pre-training sees no wrappers. Put the"),
        (
            dict(tasks=["Pendulum-v1", "dmc-cheetah-run"], variants=dict(a=dict(algo="fpac", env_kwargs=dict(g=9)))),
            "variant a: env_kwargs has 'g': choose from",
        ),
    ],
)
def test_what_does_not_fit_an_environment_is_refused(tmp_path, changes, sentence):
    content = dict(tasks=["Pendulum-v1"], variants=dict(a=dict(algo="fpac"))) | changes
    with pytest.raises(ValueError, match=re.escape(sentence)):
        load_experiment(str(write_experiment(tmp_path / "mine.yml", **content)))


def test_the_steps_of_an_unknown_environment_must_be_given(tmp_path):
    path = write_experiment(tmp_path / "mine.yml", tasks=["Pendulum-v1"], env_steps=None, variants=dict(a=dict(algo="fpac")))
    with pytest.raises(ValueError, match=r"Pendulum-v1 has no number of steps of its own: set env_steps, or pass --env-steps"):
        plan(path, tmp_path)
