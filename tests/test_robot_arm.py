"""The example of the Fetch arm runs from the first line to the last."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import run_python

EXAMPLE = Path(__file__).parents[1] / "examples" / "robot_arm.py"
pytest.importorskip("gymnasium_robotics")


@pytest.fixture(scope="module")
def example():
    return runpy.run_path(str(EXAMPLE))


def test_the_agent_sees_the_target_and_is_not_told_where_it_is(example):
    example["register_robots"]()
    env = example["make_env"](seed=0)
    assert set(env.observation_space) == {"front", "side", "observation"}
    seen, states = [], []
    for _ in range(30):
        observation, _ = env.reset()
        frames = [observation[key][3:].astype(int) for key in ("front", "side")]
        seen.append([((red > 150) & (green < 70) & (blue < 70)).sum() >= 2 for red, green, blue in frames])
        states.append(observation["observation"])
    assert np.any(seen, axis=1).mean() > 0.8  # by one camera at least
    assert np.ptp(states, axis=0).max() < 1e-6  # every episode starts alike, whatever the target
    env.close()


@pytest.mark.slow
def test_the_example_runs(tmp_path):
    out = tmp_path / "arm"
    done = run_python(EXAMPLE, "--steps", "520", "--episodes", "1", "--out", out)
    assert "Success rate: random actions" in done.stdout
    for file in ("model.zip", "success.png", "points.png", "arm.mp4"):
        assert (out / file).stat().st_size > 0
