"""The agent that ships in examples/agents loads, acts and is watched with this version of the package."""

import sys
from pathlib import Path

import gymnasium as gym
import imageio.v2 as imageio

from sb3_fpac import FPAC
from sb3_fpac.__main__ import main

AGENT = Path(__file__).parents[1] / "examples" / "agents" / "cartpole-swingup.safetensors"
ENV = dict(size=64, fast_rendering=True)


def test_the_agent_is_small_and_knows_its_task():
    assert AGENT.stat().st_size < 5_000_000
    with gym.make("dmc-cartpole-swingup", **ENV) as env:
        model = FPAC.from_weights(AGENT, env)
        extractor = model.policy.features_extractor
        assert extractor.encoder.geometry.anti_aliasing and extractor.normalization is not None
        observation, _ = env.reset(seed=0)
        total, truncated = 0.0, False
        while not truncated:
            action, _ = model.predict(observation, deterministic=True)
            observation, reward, _, truncated, _ = env.step(action)
            total += float(reward)
    assert total > 150  # random actions and an untrained agent: below 50


def test_it_is_watched_by_the_command_of_the_readme(tmp_path, monkeypatch):
    readme = (AGENT.parents[2] / "README.md").read_text(encoding="utf-8")
    command = "python -m sb3_fpac watch --model examples/agents/cartpole-swingup.safetensors --env dmc-cartpole-swingup"
    assert command in readme
    monkeypatch.chdir(AGENT.parents[2])
    options = ["--env-kwargs", "size:64", "fast_rendering:True", "--max-steps", "3", "--quiet", "-o", str(tmp_path / "a.gif")]
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", *command.split()[3:], *options])
    main()
    assert len(imageio.mimread(tmp_path / "a.gif")) == 3
