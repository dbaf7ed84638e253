"""The blocks of README.md and docs, run as a reader would: each Python block alone, and two pages from first to last."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import make_once, python_path, run_python

PROJECT = Path(__file__).parents[1]
PAGES = {page.name: page for page in (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))}


def blocks(text: str, languages: str = r"\w+") -> list[tuple[str, str]]:
    """Language and text of every block, in the order of the page"""
    return re.findall(rf"^```({languages})\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


PYTHON = {name: [block for _, block in blocks(page.read_text(encoding="utf-8"), "python")] for name, page in PAGES.items()}


@pytest.mark.parametrize("page", [page for page in PYTHON if PYTHON[page]])
def test_no_python_block_has_an_undefined_name(page, tmp_path):
    for number, block in enumerate(PYTHON[page]):
        (tmp_path / f"block_{number}.py").write_text(block, encoding="utf-8")
    done = run_python("-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F821", tmp_path, expect=None)
    assert done.returncode == 0, done.stdout + done.stderr


FEWER_ALONE = {  # page: its text: what the test has instead, beside steps of learn that are written with an underscore
    "environments.md": {"n_envs=4": "n_envs=1"},
    "fpac.md": {"features_extractor_class=PixelExtractor": "features_extractor_class=PixelExtractor, net_arch=[8]"},
    "other_algorithms.md": {'PPO("CnnPolicy", env, ': 'PPO("CnnPolicy", env, n_steps=4, batch_size=4, '},
    "pretraining.md": {"10_000, ": "20, ", "pretrain(episodes, ": "pretrain(episodes, n_updates=2, batch_size=2, "},
    "quick_start.md": {'make("dmc-cheetah-run")': 'make("dmc-cheetah-run", time_limit=0.4)', "episodes=10": "episodes=1"},
    "reproducibility.md": {"dict(compile=True), ": "", ', dict(precision="bfloat16", compile=True)': ""},
    "visualization.md": {
        'make("dmc-cheetah-run"))': 'make("dmc-cheetah-run", time_limit=0.4))',
        'save_path="points"': 'save_path="points", freq=10, max_steps=4',
    },
}
CALLS = {  # how the test calls the function of a block
    "def export(path_of_model, env)": 'import gymnasium; export("cheetah", gymnasium.make("dmc-cheetah-run"))',
    "def share(model)": """
import gymnasium
from sb3_fpac import FPAC
share(FPAC.load("cheetah"))
use(gymnasium.make("dmc-cheetah-run"))
""",
    "def train(goal_env)": """
import gymnasium
from sb3_fpac import AddPixels
from sb3_fpac.envs import register_robots
register_robots()
train(AddPixels(gymnasium.make("FetchReachDense-v4"), cameras=["gripper_camera_rgb"], size=32))
""",
    "def make_agent(env)": """
from gymnasium import Env, spaces
class Robot(Env):
    images = dict(front=spaces.Box(0, 255, (6, 32, 32), "uint8"), depth=spaces.Box(0, 255, (2, 32, 32), "uint8"))
    observation_space = spaces.Dict(images)
    action_space = spaces.Box(-1, 1, (2,))
make_agent(Robot())
""",
    "def look(model, env)": """
import gymnasium
from sb3_fpac import AddPixels, FPAC
env = AddPixels(gymnasium.make("Hopper-v5", max_episode_steps=4), cameras=dict(front="track"), size=32)
look(FPAC("MultiInputPolicy", env), env)
""",
}
NOT_ALONE = {"your_environment.md": "its blocks are run below, from the first to the last"}
ONLY_WITH_A_GPU = ['storage_device="cuda"']
MAKE_FILES = """
import gymnasium
from sb3_fpac import FPAC, collect_frames, pretrain
FPAC("CnnPolicy", "dmc-cheetah-run", policy_kwargs=dict(net_arch=[8])).save("cheetah")
pretrain(collect_frames(gymnasium.make("dmc-cheetah-run"), 20), n_updates=1, batch_size=2).save("points.pt")
"""
RUN_ALONE = """
import os, runpy, signal, sys
import matplotlib.pyplot, mujoco, sb3_contrib, scipy.ndimage, stable_baselines3, torch._dynamo  # slow, and only once
for line in sys.stdin:
    if (child := os.fork()) == 0:
        signal.alarm(500)
        block = line.strip()
        os.chdir(os.path.dirname(block))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.dup2(os.open("log.txt", os.O_WRONLY | os.O_CREAT), 1), 2)
        runpy.run_path(block, run_name="__main__")
        sys.exit()
    print(os.waitpid(child, 0)[1], flush=True)
"""


def test_what_is_replaced_called_or_left_out_is_on_a_page():
    pages = {page: "".join(python) for page, python in PYTHON.items()}
    assert not [long for page, fewer in FEWER_ALONE.items() for long in fewer if long not in pages[page]]
    assert all(pages[page] for page in NOT_ALONE)
    text = "".join(pages.values())
    assert {line: text.count(line) for line in (*CALLS, *ONLY_WITH_A_GPU)} == dict.fromkeys((*CALLS, *ONLY_WITH_A_GPU), 1)


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """What other blocks and commands of the pages have written: an agent, and pre-trained points"""
    return make_once(tmp_path_factory, "files", lambda folder: run_python("-c", MAKE_FILES, cwd=folder, OMP_NUM_THREADS="1"))


@pytest.fixture(scope="session")
def run_alone() -> Iterator[Callable[[Path], int]]:
    """Runs a file in a process that has loaded SB3 and has not loaded this package, and returns its exit status"""
    environment = os.environ | {"PYTHONPATH": python_path(PROJECT), "OMP_NUM_THREADS": "1"}
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with subprocess.Popen([sys.executable, "-c", RUN_ALONE], env=environment, **pipes) as process:

        def run(file: Path) -> int:
            print(file, file=process.stdin, flush=True)
            return int(process.stdout.readline())

        yield run


def alone() -> Iterator[Any]:
    """Page and number of every Python block; those for a GPU are marked"""
    for page in PYTHON.keys() - NOT_ALONE.keys():
        for number, block in enumerate(PYTHON[page]):
            needs_gpu = any(line in block for line in ONLY_WITH_A_GPU)
            yield pytest.param(page, number, marks=[pytest.mark.gpu] if needs_gpu else [])


@pytest.mark.slow
@pytest.mark.parametrize("page, number", sorted(alone(), key=lambda each: each.values))
def test_every_python_block_runs_alone(page, number, files, run_alone, tmp_path):
    block = PYTHON[page][number]
    calls = [call for line, call in CALLS.items() if line in block]
    for long, short in FEWER_ALONE.get(page, {}).items():
        block = block.replace(long, short)
    block = re.sub(r"learn\(\d+_[\d_]+", "learn(20", block)
    folder = shutil.copytree(files, tmp_path / "alone")
    (folder / "block.py").write_text("\n".join([block, *calls]), encoding="utf-8")
    assert run_alone(folder / "block.py") == 0, (folder / "log.txt").read_text(encoding="utf-8")


IN_ORDER = {  # page: its text and what the test has instead, and the files that its blocks write
    "your_environment.md": (
        {
            "learn(6_000,": "learn(20,",
            "learn(20_000,": "learn(20,",
            "**fpac_fast,": "**fpac_fast, learning_starts=16, batch_size=4, buffer_size=200, compile=False,",
            "n_eval_episodes=10": "n_eval_episodes=1",
            "n_timesteps: 10000": "n_timesteps: 20\n  learning_starts: 16\n  batch_size: 4\n  compile: false",
            "--eval-freq 2000": "--eval-freq 20 --eval-episodes 1",
            "-o pendulum.mp4": "-o pendulum.mp4 --max-steps 3",
            "-o script.mp4": "-o script.mp4 --max-steps 3",
            "--no-render -n 200": "--no-render -n 3",
            "-o report.html": "-o report.html --no-agent",
        },
        ("seen.png", "pendulum.zip", "pendulum.mp4", "script.mp4", "report.html", "race.zip"),
    ),
    "plots.md": (
        {
            "--eval-freq 1250 --eval-episodes 10": "-n 60 --eval-freq 20 --eval-episodes 2 "
            "--env-kwargs size:32 time_limit:0.8 -params learning_starts:40 batch_size:4 compile:False",
            "-w 10": "-w 2",
        },
        ("training.png", "curves.pkl", "bars.png"),
    ),
}


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("page", IN_ORDER)
def test_blocks_run_in_the_order_of_the_page(page, tmp_path):
    fewer, files = IN_ORDER[page]
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": python_path(PROJECT),
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "Agg",  # no window that waits to be closed
    }
    text = PAGES[page].read_text(encoding="utf-8")
    for long, short in fewer.items():
        assert long in text, f"{long} is not on the page"
        text = text.replace(long, short)
    for language, block in blocks(text):
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
    assert all((tmp_path / file).stat().st_size > 0 for file in files)
