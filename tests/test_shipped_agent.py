"""The agents that ship in examples/agents load, act and are watched with this version; the demo shows what came out."""

import runpy
import sys
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest

from sb3_fpac import load_weights
from sb3_fpac.__main__ import main

PROJECT = Path(__file__).parents[1]
AGENT = PROJECT / "examples" / "agents" / "pendulum.safetensors"
DEMO = PROJECT / "examples" / "demo.py"
PENDULUM = PROJECT / "examples" / "pendulum.py"
CAR = PROJECT / "examples" / "car_racing.py"


def test_the_agent_is_small_and_knows_its_task():
    assert AGENT.stat().st_size < 5_000_000
    with runpy.run_path(str(PENDULUM))["make_env"](seed=0) as env:
        model = load_weights(AGENT, env)
        extractor = model.policy.features_extractor
        assert extractor.encoder.geometry.anti_aliasing and extractor.normalization is not None
        observation, _ = env.reset(seed=0)
        rewards, truncated = [], False
        while not truncated:
            action, _ = model.predict(observation, deterministic=True)
            observation, reward, _, truncated, _ = env.step(action)
            rewards.append(float(reward))
    assert sum(rewards) > -500  # random actions and an untrained agent: about -1200
    assert min(rewards[-20:]) > -0.5  # it stands


def test_it_is_watched_by_the_command_of_the_readme(tmp_path, monkeypatch):
    command = "python -m sb3_fpac watch --model examples/agents/pendulum.safetensors --env examples.pendulum:make_env"
    assert command in (PROJECT / "README.md").read_text(encoding="utf-8")
    monkeypatch.chdir(PROJECT)
    monkeypatch.syspath_prepend(PROJECT)
    options = ["--max-steps", "3", "--quiet", "-o", str(tmp_path / "a.gif")]
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", *command.split()[3:], *options])
    main()
    assert len(imageio.mimread(tmp_path / "a.gif")) == 3


@pytest.mark.slow
def test_the_demo_shows_what_came_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demo.py", "--steps", "40", "--episodes", "1", "--out", str(tmp_path)])
    runpy.run_path(str(DEMO), run_name="__main__")
    out = capsys.readouterr().out
    for name in ("video.mp4", "points.png", "learning_curve.png", "model.zip"):
        assert (tmp_path / name).stat().st_size > 1000 and f"{tmp_path / name}" in out
    assert "of 1000, after 40 steps: " in out and len(np.load(tmp_path / "evaluations.npz")["timesteps"]) == 10


@pytest.mark.slow
def test_such_an_agent_is_made_by_the_example(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pendulum.py", "--steps", "30", "--out", str(tmp_path / "agent.safetensors")])
    namespace = runpy.run_path(str(PENDULUM), run_name="__main__")
    assert "Return after 30 steps: -" in capsys.readouterr().out
    with namespace["make_env"]() as env:
        load_weights(tmp_path / "agent.safetensors", env)


def test_the_car_stays_on_the_track():
    with runpy.run_path(str(CAR))["make_env"](seed=5) as env:
        model = load_weights(CAR.parent / "agents" / "car_racing.safetensors", env)
        observation, _ = env.reset(seed=5)
        rewards = []
        for _ in range(100):
            action, _ = model.predict(observation, deterministic=True)
            observation, reward, *_ = env.step(action)
            rewards.append(float(reward))
    assert sum(rewards) > 200  # random actions: about -5


@pytest.mark.slow
def test_such_a_car_is_made_by_the_example(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["car_racing.py", "--steps", "3", "--episodes", "1", "--out", str(tmp_path)])
    namespace = runpy.run_path(str(CAR), run_name="__main__")
    assert "Return of the best agent: " in capsys.readouterr().out
    assert len(np.load(tmp_path / "evaluations.npz")["timesteps"]) == 3
    with namespace["make_env"]() as env:
        load_weights(tmp_path / "car_racing.safetensors", env)
