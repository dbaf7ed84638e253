"""The blocks of docs/your_environment.md, run from the first to the last with few steps, as a reader would."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "your_environment.md"
FEWER = {  # text of the page: what the test has instead
    "learn(10_000,": "learn(20,",
    "learn(100_000,": "learn(20,",
    "**fpac_fast,": "**fpac_fast, learning_starts=16, batch_size=4, buffer_size=200, compile=False,",
    "n_eval_episodes=10": "n_eval_episodes=1",
    "n_timesteps: 10000": "n_timesteps: 20\n  learning_starts: 16\n  batch_size: 4\n  compile: false",
    "--eval-freq 2000": "--eval-freq 20 --eval-episodes 1",
    "-o pendulum.mp4": "-o pendulum.mp4 --max-steps 3",
    "-o script.mp4": "-o script.mp4 --max-steps 3",
    "--no-render -n 200": "--no-render -n 3",
    "-o report.html": "-o report.html --no-agent",
}


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_blocks_run_in_the_order_of_the_page(tmp_path):
    text = PAGE.read_text(encoding="utf-8")
    for long, short in FEWER.items():
        assert long in text, f"{long} is not on the page"
        text = text.replace(long, short)
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(PROJECT),
        "OMP_NUM_THREADS": "1",
    }
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if language in ("python", "yaml"):
            name = re.match(r"# (\w+\.\w+)\n", block)
            assert name, f"the first line must name the file:\n{block}"
            (tmp_path / name[1]).write_text(block)
            continue
        assert language == "bash"
        if block.startswith("pip install"):
            continue
        done = subprocess.run(
            ["bash", "-e", "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400
        )
        assert done.returncode == 0, block + done.stdout + done.stderr
    files = ("seen.png", "pendulum.zip", "pendulum.mp4", "script.mp4", "report.html", "race.zip")
    assert all((tmp_path / file).stat().st_size > 0 for file in files)
