"""Reports: what is read of runs, what is computed, and the page in a browser."""

import argparse
import csv
import itertools
import re
import shutil
import sys
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import yaml
from helpers.processes import make_once, run_python
from helpers.runs import CARTPOLE, make_run, write_monitor
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from sb3_fpac import FPAC, save_weights
from sb3_fpac.cli.report import add_arguments
from sb3_fpac.commands.report import run as run_command
from sb3_fpac.envs import TASKS
from sb3_fpac.evaluation.curves import Curve, group_curves
from sb3_fpac.evaluation.parts import read_runs
from sb3_fpac.evaluation.published import METHODS, published_marks, published_scores
from sb3_fpac.evaluation.run_files import read_episodes
from sb3_fpac.evaluation.runs import Run, read_run
from sb3_fpac.evaluation.tables import number, score_rows, significant, step_label
from sb3_fpac.report.agent import AgentSection, show_agent, sprite
from sb3_fpac.report.chart import draw_chart, nice_ticks
from sb3_fpac.report.groups import group_runs
from sb3_fpac.report.page import render, write_agent_report, write_report
from sb3_fpac.version import __version__
from sb3_fpac.visualization.episode import Episode, View

TRAIN = "import sb3_fpac.zoo; from rl_zoo3.train import train; train()"


def learning_curves(runs: list[Run], seed: int = 0) -> list[Curve]:
    return group_curves(group_runs(runs), seed)


@pytest.fixture(scope="session")
def zoo_run(tmp_path_factory) -> Path:
    """A run that RL Zoo has really trained"""
    options = f"--algo fpac --env {CARTPOLE} -n 60 --eval-freq 30 --eval-episodes 2 --seed 1"
    params = "--env-kwargs time_limit:0.4 size:32 -params learning_starts:50 batch_size:8 buffer_size:200 compile:False"

    def train(folder: Path) -> None:
        run_python("-c", TRAIN, *options.split(), *params.split(), "policy_kwargs:dict(net_arch=[16])", cwd=folder)

    return make_once(tmp_path_factory, "zoo", train) / "logs" / "fpac" / f"{CARTPOLE}_1"


def test_a_run_of_rl_zoo_is_read(zoo_run):
    run = read_run(zoo_run)
    with np.load(zoo_run / "evaluations.npz") as saved:
        np.testing.assert_array_equal(run.returns, saved["results"])
    assert run.steps.tolist() == [30 * 8, 60 * 8] and run.evaluated
    assert (run.algorithm, run.env_id, run.seed, run.name) == ("fpac", CARTPOLE, 1, "fpac, seed 1")
    assert run.hyperparameters["policy_kwargs"] == {"net_arch": [16]}
    assert run.hyperparameters["n_timesteps"] == 60  # the YAML has 62500, which -n overrules
    assert run.hyperparameters["env_kwargs.size"] == 32
    assert run.model == zoo_run / "best_model.zip"
    assert run.system["Python"] == sys.version.split()[0]


@pytest.mark.parametrize(
    "env, env_kwargs, repeat, unit",
    [
        (CARTPOLE, None, 8, "env steps"),
        (CARTPOLE, {"action_repeat": 3}, 3, "env steps"),
        ("dmc-walker-run", {"size": 32}, 2, "env steps"),
        ("CarRacing-v3", {"action_repeat": 3}, 1, "steps"),
    ],
)
def test_steps_are_env_steps_where_the_action_repeat_is_known(tmp_path, env, env_kwargs, repeat, unit):
    run = read_run(make_run(tmp_path / "run", env=env, env_kwargs=env_kwargs))
    assert run.steps.tolist() == [1250 * repeat, 2500 * repeat] and run.step_unit == unit


def test_the_best_model_goes_before_the_last(tmp_path):
    folder = make_run(tmp_path / "run")
    assert read_run(folder).model is None
    for name in (f"{CARTPOLE}.zip", "best_model.zip"):
        (folder / name).write_bytes(b"")
        assert read_run(folder).model == folder / name


def test_training_episodes_stand_in_for_evaluations(tmp_path):
    folder = make_run(tmp_path / "run", steps=None)
    write_monitor(folder / "0.monitor.csv", [(float(i), 5, i + 0.0) for i in range(12)], start=100.0)
    write_monitor(folder / "1.monitor.csv", [(100.0 + i, 7, i + 0.0) for i in range(12)], start=100.5)  # in between
    run = read_run(folder)
    assert not run.evaluated
    assert run.steps.tolist() == [8 * 60, 8 * 120]  # 5 episodes of each: 5 · 5 + 5 · 7; the last 4 fill no window
    np.testing.assert_array_equal(run.returns[:, ::2], [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]])
    np.testing.assert_array_equal(run.returns[:, 1::2] - 100, run.returns[:, ::2])

    write_monitor(folder / "0.monitor.csv", [(2.0, 5, 1.0)], start=100.0)
    (folder / "1.monitor.csv").unlink()
    assert read_run(folder).returns.tolist() == [[2.0]]


def test_training_episodes_before_an_interruption_count_at_their_steps(tmp_path):
    folder = make_run(tmp_path / "run", steps=None)
    write_monitor(folder / "0.monitor.csv", [(3.0, 20, 2.0)], start=900.0)
    write_monitor(folder / "0.until_50.monitor.csv", [(2.0, 10, 1.0), (2.5, 5, 2.0)], start=500.0)
    write_monitor(folder / "0.until_100.monitor.csv", [(4.0, 30, 4.0)], start=100.0)  # the clock was put back
    episodes = read_episodes(folder)
    assert [(episode.step, episode.seconds) for episode in episodes] == [(10, 1.0), (15, 2.0), (80, 6.0), (120, 8.0)]
    run = read_run(folder)
    assert run.steps.tolist() == [8 * 120] and run.returns.tolist() == [[2.0, 2.5, 4.0, 3.0]]

    with (folder / "0.monitor.csv").open("a") as file:
        file.write("1.5,20")
    assert read_episodes(folder, skip_unfinished=True) == episodes
    with pytest.raises(ValueError, match="half written"):
        read_episodes(folder)


def test_python_objects_in_a_yaml_are_named_and_not_made(tmp_path):
    folder = make_run(tmp_path / "run")
    with (folder / CARTPOLE / "config.yml").open("a") as file:
        file.write(f"  - - evil\n    - !!python/object/apply:pathlib.Path.touch [{tmp_path / 'touched'}]\n")
        file.write("  - - activation_fn\n    - !!python/name:torch.nn.modules.activation.ReLU ''\n")
        file.write("  - - betas\n    - !!python/tuple [0.9, 0.99]\n")
    hyperparameters = read_run(folder).hyperparameters
    assert hyperparameters["evil"] == "pathlib.Path.touch" and not (tmp_path / "touched").exists()
    assert hyperparameters["activation_fn"] == "torch.nn.modules.activation.ReLU" and hyperparameters["betas"] == (0.9, 0.99)


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _no_evaluation(folder: Path) -> None:
    np.savez(folder / "evaluations.npz", timesteps=[], results=np.zeros((0, 5)), ep_lengths=np.zeros((0, 5)))


def _half_a_line(folder: Path) -> None:
    (folder / "evaluations.npz").unlink()
    write_monitor(folder / "0.monitor.csv", [(1.5, 5, 1.0)], start=0.0)
    with (folder / "0.monitor.csv").open("a") as file:
        file.write("0.25,5")


@pytest.mark.parametrize(
    "damage, sentence",
    [
        (shutil.rmtree, "There is no folder {run}: name that of a run"),
        (lambda run: shutil.rmtree(run / CARTPOLE), "{run} is not the folder of a run of RL Zoo"),
        (lambda run: (run / CARTPOLE / "config.yml").unlink(), "config.yml is missing: was the run copied without it?"),
        (lambda run: (run / CARTPOLE / "args.yml").write_text("a: ["), "args.yml is damaged: copy the run again."),
        (lambda run: (run / CARTPOLE / "args.yml").write_text("algo: sac"), "args.yml lacks 'env': was it written by RL Zoo?"),
        (
            lambda run: (run / CARTPOLE / "args.yml").write_text("algo: sac\nenv: a\nseed: 1\nn_timesteps: '60'"),
            "args.yml must be a whole number, got '60'.",
        ),
        (
            lambda run: _half(run / "evaluations.npz"),
            "{run}/evaluations.npz is damaged or half written: wait until it is complete",
        ),
        (lambda run: (run / "evaluations.npz").write_bytes(b""), "{run}/evaluations.npz is damaged or half written"),
        (lambda run: np.savez(run / "evaluations.npz", results=np.ones((1, 2))), "evaluations.npz is damaged or half written"),
        (
            lambda run: np.savez(run / "evaluations.npz", timesteps=[1], results=[[np.nan]], ep_lengths=[[125]]),
            "{run}/evaluations.npz holds returns that are not finite: leave this run out.",
        ),
        (_no_evaluation, "{run}/evaluations.npz holds no evaluation yet: wait for the first one."),
        (
            lambda run: [(run / "0.monitor.csv").write_bytes(b"\xd4\xff\n"), (run / "evaluations.npz").unlink()],
            "{run}/0.monitor.csv is damaged or half written",
        ),
        (
            lambda run: [
                (run / "0.monitor.csv").write_text('#{"t_start": 0.0}\nr,l,t\nnan,10,1.5\n'),
                (run / "evaluations.npz").unlink(),
            ],
            "The training episodes of {run} have returns that are not finite: leave this run out.",
        ),
        (_half_a_line, "{run}/0.monitor.csv is damaged or half written: wait until its last line is complete"),
        (
            lambda run: (run / "evaluations.npz").unlink(),
            "{run} has neither an evaluation nor a finished training episode yet",
        ),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(tmp_path, damage, sentence):
    folder = make_run(tmp_path / "run")
    damage(folder)
    with pytest.raises(ValueError, match=re.escape(sentence.format(run=folder))):
        read_run(folder)


def test_a_report_is_about_different_runs_of_one_task(tmp_path):
    first, other = make_run(tmp_path / "first"), make_run(tmp_path / "other", env="dmc-cheetah-run")
    with pytest.raises(ValueError, match=f"{first} is a run of {CARTPOLE} and {other} one of dmc-cheetah-run"):
        read_runs([first, other])
    with pytest.raises(ValueError, match="given twice"):
        read_runs([first, tmp_path / "other" / ".." / "first"])
    with pytest.raises(ValueError, match="at least one run"):
        read_runs([])


def make_seeds(folder: Path, n_seeds: int) -> list[Run]:
    """Runs with three evaluations of four episodes"""
    returns = np.random.default_rng(0).normal(500, 100, (n_seeds, 3, 4))
    steps = [1250, 2500, 3750]
    return [read_run(make_run(folder / str(i), seed=i, steps=steps, returns=returns[i])) for i in range(n_seeds)]


def test_statistics_are_those_of_every_resampling_of_the_seeds(tmp_path):
    runs = make_seeds(tmp_path, n_seeds=5)
    (curve,) = learning_curves(runs)
    scores = np.array([[sum(evaluation) / 4 for evaluation in run.returns.tolist()] for run in runs])  # (seeds, T)
    assert curve.steps.tolist() == [10_000, 20_000, 30_000] and curve.seeds == 5 and curve.label == "fpac"
    np.testing.assert_allclose(curve.mean, scores.sum(axis=0) / 5)
    np.testing.assert_allclose(curve.std, np.sqrt(((scores - scores.mean(axis=0)) ** 2).sum(axis=0) / 5))
    np.testing.assert_allclose(curve.iqm, np.sort(scores, axis=0)[1:4].mean(axis=0))

    everything = np.array(list(itertools.product(range(5), repeat=5)))  # all 3125 draws, equally probable
    low, high = np.percentile(scores[everything].mean(axis=1), [2.5, 97.5], axis=0)
    spread = (scores.max(axis=0) - scores.min(axis=0)) / 20
    assert (np.abs(curve.low - low) < spread).all() and (np.abs(curve.high - high) < spread).all()
    iqms = np.sort(scores[everything, -1], axis=1)[:, 1:4].mean(axis=1)
    np.testing.assert_allclose(curve.final_iqm_interval, np.percentile(iqms, [2.5, 97.5]), atol=spread[-1])


def test_the_bootstrap_is_reproducible_and_leaves_numpys_generator_alone(tmp_path):
    runs = make_seeds(tmp_path, n_seeds=5)
    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    (first,), (again,), (other,) = learning_curves(runs), learning_curves(runs), learning_curves(runs, seed=1)
    assert np.random.rand() == expected
    np.testing.assert_array_equal([first.low, first.high], [again.low, again.high])
    assert (first.low != other.low).any()


def test_the_band_of_a_single_seed_is_that_of_its_episodes(tmp_path):
    run = read_run(make_run(tmp_path / "run", returns=[[1.0, 2.0, 3.0, 10.0], [4.0, 8.0, 6.0, 6.0]]))
    (curve,) = learning_curves([run])
    assert (curve.mean.tolist(), curve.low.tolist(), curve.high.tolist()) == ([4, 6], [1, 4], [10, 8])
    assert curve.iqm.tolist() == [2.5, 6]


def test_only_steps_that_all_seeds_have_are_averaged(tmp_path):
    long = make_run(tmp_path / "long", steps=[10, 20, 30, 40], returns=[[1.0], [2.0], [3.0], [4.0]])
    sparse = make_run(tmp_path / "sparse", seed=2, steps=[20, 40, 60], returns=[[20.0], [40.0], [60.0]])
    (curve,) = learning_curves(read_runs([long, sparse]))
    assert curve.steps.tolist() == [160, 320] and curve.mean.tolist() == [11, 22]

    odd = make_run(tmp_path / "odd", seed=3, steps=[7], returns=[[7.0]])
    curves = learning_curves(read_runs([long, sparse, odd]))
    assert [curve.label for curve in curves] == ["fpac, seed 1", "fpac, seed 2", "fpac, seed 3"]
    assert curves[0].mean.tolist() == [1, 2, 3, 4]


def test_scores_stand_beside_published_ones(tmp_path):
    near = read_run(make_run(tmp_path / "near", steps=[12_400, 62_400], returns=[[90.0, 110.0], [800.0, 900.0]]))
    far = read_run(make_run(tmp_path / "far", algo="sac", steps=[12_000], returns=[[100.0, 300.0]]))
    rows = score_rows(learning_curves([near, far]), published_scores(CARTPOLE))
    assert rows[0][:4] == ("fpac", "1 (2 episodes)", "499,200", "850 ± 50")
    assert rows[0].checkpoints == ("100 ± 10", "850 ± 50")  # 99,200 is within 2 % of 100k, 96,000 is not
    assert rows[1].checkpoints == ("–", "–")
    assert {row.method: row.checkpoints for row in rows[2:]} == {
        "DrQ": ("759 ± 92", "868 ± 10"),
        "CURL": ("582 ± 146", "841 ± 45"),
        "DrQ-v2": ("626 ± 254", "846 ± 17"),
    }
    assert published_scores("dmc-fish-swim") == []


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0, 1000, [0, 200, 400, 600, 800, 1000]),
        (-3, 12, [-5, 0, 5, 10, 15]),
        (0, 0, [0]),
        (0, 0.07, [0, 0.02, 0.04, 0.06, 0.08]),
        (-0.2, 4e5, [-100_000, 0, 100_000, 200_000, 300_000, 400_000]),
    ],
)
def test_ticks_are_round_and_reach_around_the_values(low, high, expected):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low and ticks[-1] >= high and ticks[0] < ticks[-1] and len(ticks) <= 7
    assert ticks == expected or expected == [0]


def test_numbers_have_three_figures():
    assert [number(value) for value in (1203.6, 173.2, 17.32, 0.168, -5.0, 99.97)] == [
        "1,204",
        "173",
        "17.3",
        "0.17",
        "−5.00",
        "100",
    ]
    assert number(1.234, like=500) == "1" and number(0) == "0.00"
    assert [number(value) for value in (0.00417, -0.0995, 1.2e-5)] == ["0.0042", "−0.10", "0.000012"]


def test_numbers_of_any_size_have_three_significant_digits():
    values = (0, 0.4071, 0.00031249, -0.00031249, 1.2e-7, 9.999, 1203.6, 1.5e9, 99.96)
    expected = ["0", "0.407", "0.000312", "−0.000312", "1.20e−7", "10.0", "1,200", "1.50e9", "100"]
    assert [significant(value) for value in values] == expected


def test_a_chart_shows_published_scores_that_the_runs_reach(tmp_path):
    run = read_run(make_run(tmp_path / "run", steps=[12_500, 25_000], returns=[[500.0], [750.0]]))
    chart = draw_chart(learning_curves([run]), published_scores(CARTPOLE))
    assert [(mark.method, mark.x, mark.place) for mark in chart.marks] == [("DrQ", 50, 0), ("CURL", 50, 1), ("DrQ-v2", 50, 2)]
    assert chart.marks[0].y == pytest.approx(100 - 75.9) and chart.marks[0].low == pytest.approx(100 - (75.9 - 9.2))
    assert chart.lines[0].points == "50.0,50.0 100.0,25.0"
    assert [tick.label for tick in chart.axes[0].ticks] == ["0", "50k", "100k", "150k", "200k"]
    early = read_run(make_run(tmp_path / "early"))
    assert draw_chart(learning_curves([early]), published_scores(CARTPOLE)).marks == []


def test_a_method_has_one_shape_and_scores_at_one_step_are_side_by_side():
    marks = published_marks(published_scores(CARTPOLE), last_step=500_000)
    shapes = {"DrQ": 0, "CURL": 1, "DrQ-v2": 2}
    assert all(mark.shape == shapes[mark.score.method] and mark.score.env_steps <= 500_000 for mark in marks)
    for step in (100_000, 500_000):
        assert [mark.place for mark in marks if mark.score.env_steps == step] == [0, 1, 2]
    assert {score.method for task in TASKS for score in published_scores(task)} == set(METHODS)
    assert [step_label(steps) for steps in (0, 500, 100_000, 1_500_000)] == ["0", "500", "100k", "1.5M"]


def test_frames_lie_row_by_row_in_the_sprite():
    frames = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 1), np.uint8)
    picture = np.asarray(Image.open(BytesIO(sprite(frames, columns=3))))
    assert picture.shape == (8, 18, 3)
    np.testing.assert_array_equal(picture[4:8, 6:12], np.repeat(frames[4], 3, axis=2))


def test_agents_that_cannot_be_shown_are_said(tmp_path, zoo_run):
    without, broken = make_run(tmp_path / "without", algo="sac"), make_run(tmp_path / "broken", algo="sac", seed=2)
    (broken / "best_model.zip").write_bytes(b"no zip")
    write_report([without, broken], tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "Not shown: sac, seed 1. No model has been saved." in html and "Not shown: sac, seed 2." in html
    assert "best_model.zip is damaged or half written" in html
    assert "<video" not in html


def test_a_machine_that_cannot_draw_gets_its_curves(tmp_path, monkeypatch, zoo_run):
    def make_nothing(*args, **kwargs):
        raise RuntimeError("There is no display: install EGL.")

    monkeypatch.setattr("sb3_fpac.zoo.saved_agents.create_test_env", make_nothing)
    write_report([zoo_run], tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert "Not shown: fpac, seed" in html and "There is no display: install EGL." in html
    assert '<polyline class="mean"' in html


@pytest.mark.slow
def test_the_command_line_writes_one_file_that_refers_to_nothing_else(tmp_path, zoo_run, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    second = make_run(tmp_path / "<b>evil & co", algo="sac")
    report = tmp_path / "reports" / "cartpole.html"
    run_command(parser.parse_args([str(zoo_run), str(second), "-o", str(report)]))
    assert re.fullmatch(rf"{report}: 2 runs, \d+ kB", capsys.readouterr().out.splitlines()[-1])
    html = report.read_text()
    assert "://" not in html
    assert all(source.startswith("data:") for source in re.findall(r"""\b(?:src|href)=["']?([^"'\s>]+)""", html))
    assert "url(" not in html and "@import" not in html
    assert "&lt;b&gt;evil &amp; co" in html and "<b>evil" not in html
    assert "fpac, seed 1 (best_model.zip): one episode" in html and "Not shown: sac, seed 1." in html

    run_command(parser.parse_args([str(zoo_run), "-o", str(report), "--no-agent", "--force"]))
    assert "What the agent looks at" not in report.read_text()


def test_an_agent_of_rl_zoo_is_shown(zoo_run):
    agent = show_agent(read_run(zoo_run))
    assert agent.episode.frames.shape == (5, 32, 32, 3) and agent.fps == pytest.approx(12.5)
    assert sorted(agent.order) == list(range(32)) and agent.colours.shape == (32, 3)
    assert agent.video_mp4[4:8] == b"ftyp" and agent.maps_png.startswith(b"\x89PNG")


# In a browser

N_FRAMES, N_POINTS, SIZE = 30, 4, 24


@pytest.fixture(scope="module")
def agent(zoo_run) -> AgentSection:
    """Four points whose places are known: x = 4 + 5k, y = 10, and a pixel to the right every ten steps"""
    rng = np.random.default_rng(0)
    positions = np.zeros((N_FRAMES, N_POINTS, 2))
    positions[..., 0] = 4 + 5 * np.arange(N_POINTS) + (np.arange(N_FRAMES) // 10)[:, None]
    positions[..., 1] = 10
    real = show_agent(read_run(zoo_run))
    view = View(
        frames=rng.integers(0, 60, (N_FRAMES, SIZE, SIZE, 3), np.uint8),
        points=np.concatenate([positions / SIZE, np.full((N_FRAMES, N_POINTS, 1), 0.5)], axis=-1),
        positions=positions,
        past_positions=positions - 1,
    )
    episode = Episode(
        observations=np.zeros((N_FRAMES, 6, SIZE, SIZE), np.uint8),
        views={None: view},
        actions=np.zeros((N_FRAMES, 1)),
        rewards=np.ones(N_FRAMES),
    )
    colours = np.array([[255, 0, 0], [0, 255, 0], [255, 255, 0], [0, 255, 255]], np.uint8)
    ranking = np.array([0.1, 0.4, 0.2, 0.3])
    order = np.argsort(-ranking)
    ranked = dict(ranking_action=ranking, ranking_value=None, names=["0", "1", "2", "3"], order=order)
    return replace(real, episode=episode, colours=colours, **ranked)


@pytest.fixture(scope="module")
def report(tmp_path_factory, agent) -> Path:
    folder = tmp_path_factory.mktemp("report")
    steps = 1250 * np.arange(1, 21)
    rng = np.random.default_rng(1)
    runs = []
    for algo, seed, final in (("fpac", 1, 800), ("fpac", 2, 850), ("sac", 1, 400)):
        returns = np.linspace(0, final, 20)[:, None] + rng.normal(0, 20, (20, 3))
        run = make_run(folder / f"{algo}_{seed}", algo=algo, seed=seed, steps=steps, returns=returns, tau=0.01)
        write_monitor(run / "0.monitor.csv", [(1.0, 1250, 6.0 * i * seed) for i in range(1, 21)])
        runs.append(read_run(run))
    path = folder / "report.html"
    path.write_text(render(group_runs(runs), agent, ["Not shown: sac, seed 1. No model has been saved."]))
    return path


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("The page of a report is tested in Chromium, which is missing: apt-get install chromium")
    quiet = ["quic", "first-run", "background-networking", "component-update", "sync"]
    switches = ["--no-sandbox", "--disable-gpu", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=switches)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, report: Path):
    """Opens the page; in the end, nothing may have gone wrong in it"""
    problems: list[str] = []
    contexts = []

    def open_page(width: int = 1100, height: int = 900, **options) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("requestfailed", lambda request: problems.append(f"failed: {request.url[:80]}"))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or problems.append(request.url[:80]))
        page.goto(report.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert problems == []


def hover_step(page: Page, fraction: float) -> str:
    box = page.locator(".plot").bounding_box()
    page.mouse.move(box["x"] + fraction * box["width"], box["y"] + box["height"] / 2)
    return page.locator(".tooltip").inner_text()


def test_hovering_tells_the_numbers_of_the_evaluation(open_page, report):
    page = open_page()
    page.locator(".plot").scroll_into_view_if_needed()
    assert page.locator(".tooltip").is_hidden()
    text = hover_step(page, 0.51)  # 200,000 env steps are the whole width: 100,000 is the nearest evaluation
    curves = learning_curves(read_runs(sorted(folder.parent for folder in report.parent.glob("*/evaluations.npz"))))
    expected = ["100,000 env steps: mean [band], IQM"]
    for curve in curves:
        mean, low, high, iqm = (values[9] for values in (curve.mean, curve.low, curve.high, curve.iqm))
        expected.append(f"{curve.label} {mean:.0f} [{low:.0f}, {high:.0f}], IQM {iqm:.0f}")
    assert re.split(r"\n+", text) == expected

    page.locator("[data-toggles=line-1]").click()
    assert page.locator("polyline.mean").nth(1).is_hidden() and "sac" not in hover_step(page, 0.51)
    page.locator(".plot").focus()
    page.keyboard.press("End")
    assert page.locator(".tooltip").inner_text().startswith("200,000 env steps")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".tooltip").inner_text().startswith("190,000 env steps")
    page.keyboard.press("Escape")
    assert page.locator(".tooltip").is_hidden()


def test_the_tooltip_stays_beside_the_pointer_and_inside_the_page(open_page):
    page = open_page(width=360, height=740)
    for fraction in (0.01, 0.5, 0.99):
        hover_step(page, fraction)
        box = page.locator(".tooltip").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360


def test_the_numbers_stay_after_a_tap_until_the_next_one_elsewhere(open_page):
    page = open_page(width=390, height=740, has_touch=True)
    page.locator(".plot").scroll_into_view_if_needed()
    page.locator(".plot").tap()
    page.wait_for_timeout(200)  # for the events of a mouse that follow a tap
    assert page.locator(".tooltip").inner_text().startswith("100,000 env steps")
    page.locator("h1").tap()
    page.wait_for_function("document.querySelector('.tooltip').hidden")


def test_the_switch_shows_the_curves_over_wall_time(open_page):
    page = open_page()
    page.locator(".plot").scroll_into_view_if_needed()
    time, steps = page.get_by_role("button", name="Wall time"), page.get_by_role("button", name="Env steps")
    means = page.locator("polyline.mean")
    assert means.count() == 4 and means.nth(0).is_visible() and means.nth(2).is_hidden()
    time.click()
    assert (time.get_attribute("aria-pressed"), steps.get_attribute("aria-pressed")) == ("true", "false")
    assert means.nth(0).is_hidden() and means.nth(2).is_visible() and means.nth(3).is_visible()
    assert page.locator(".axis.end:visible").inner_text() == "minutes"
    assert page.locator("g.mark").first.is_hidden()  # nobody has published the wall time
    text = hover_step(page, 0.75)  # of 4 minutes: the mean of 2 and 4, in which the seeds have trained to their ends
    assert text.startswith("3.00 minutes: mean") and text.endswith(", after 200,000 env steps")
    page.locator("[data-toggles=line-0]").click()
    assert means.nth(2).is_hidden() and hover_step(page, 0.99).startswith("2.00 minutes: mean")
    steps.click()
    assert means.nth(0).is_hidden() and means.nth(1).is_visible() and page.locator("g.mark").first.is_visible()


def test_the_numbers_can_be_downloaded(open_page):
    page = open_page()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the numbers as CSV").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert download.value.suggested_filename == f"{CARTPOLE}-curves.csv"
    assert lines[0].startswith("name,kind,seed,steps,hours,return") and len(lines) == 1 + 2 * 20 + 3 * 20 + 3


def test_the_legend_hides_published_scores(open_page):
    page = open_page()
    marks = page.locator(".plot [data-part^=mark]")
    assert marks.count() == 3 and marks.nth(0).is_visible()
    button = page.get_by_role("button", name="DrQ", exact=True)
    button.click()
    assert button.get_attribute("aria-pressed") == "false" and marks.nth(0).is_hidden() and marks.nth(1).is_visible()
    button.click()
    assert marks.nth(0).is_visible()


def stepper_of(page: Page):
    page.wait_for_selector(".stepper:not([hidden]) canvas[data-step]")
    return page.locator(".stepper canvas")


def step_of(page: Page) -> int:
    return int(page.locator(".stepper canvas").get_attribute("data-step"))


def pixel(page: Page, x: float, y: float) -> list[int]:
    """Of the canvas, at a place in pixels of the frame"""
    return page.locator(".stepper canvas").evaluate(
        f"(c, [x, y]) => {{ const s = c.width / {SIZE}; return"
        " [...c.getContext('2d').getImageData(Math.floor((x + 0.5) * s), Math.floor((y + 0.5) * s), 1, 1).data].slice(0, 3) }",
        [x, y],
    )


def test_slider_buttons_and_keys_step_through_the_frames(open_page, agent):
    page = open_page()
    stepper_of(page)
    assert step_of(page) == 1 and page.locator("output").inner_text() == f"Step 1 of {N_FRAMES}, return so far 1.0"
    slider = page.get_by_role("slider")
    slider.fill("12")
    assert step_of(page) == 13
    assert pixel(page, 3, 20) == agent.episode.frames[12, 20, 3].tolist()  # frame 12 is what is drawn, pixel by pixel
    page.get_by_role("button", name="Next step").click()
    page.get_by_role("button", name="Next step").click()
    page.get_by_role("button", name="Previous step").click()
    assert step_of(page) == 14 and slider.input_value() == "13"
    for key, expected in (("ArrowRight", 15), ("ArrowLeft", 14), ("End", N_FRAMES), ("ArrowRight", N_FRAMES), ("Home", 1)):
        page.locator("canvas").press(key)
        assert step_of(page) == expected
        slider.fill(str(expected - 1))
    slider.press("ArrowRight")
    assert step_of(page) == 2
    slider.fill(str(N_FRAMES - 1))
    assert pixel(page, 20, 3) == agent.episode.frames[-1, 3, 20].tolist()  # the second row of the sprite


def test_a_point_that_is_clicked_is_followed_through_all_frames(open_page, agent):
    page = open_page()
    canvas = stepper_of(page)
    ring = 1.5 * 0.875 + 0.9  # m = 0.5: radius of the disc, and how far the ring is from it
    beside = pixel(page, 4 + 5 * 2, 10 - ring)
    assert max(beside) < 200
    box = canvas.bounding_box()
    place = {"x": (4 + 5 * 2 + 0.5 + 0.6) / SIZE * box["width"], "y": 10.5 / SIZE * box["height"]}
    canvas.click(position=place)
    for step in (0, 9, 10, N_FRAMES - 1):
        page.get_by_role("slider").fill(str(step))
        assert canvas.get_attribute("data-chosen") == "2"
        x, y = agent.episode.positions[step, 2]
        assert pixel(page, x, y - ring) == [255, 255, 255] and pixel(page, x, y) == [255, 255, 0]
        assert pixel(page, *(agent.episode.positions[step, 1] - [0, ring])) != [255, 255, 255]
    entries = page.locator("[data-point]")
    assert [entry.get_attribute("data-point") for entry in entries.all()] == ["1", "3", "2", "0"]
    assert [entry.get_attribute("aria-pressed") for entry in entries.all()] == ["false", "false", "true", "false"]

    entries.nth(0).click()
    assert canvas.get_attribute("data-chosen") == "1, 2" and "points 1, 2" in page.locator("output").inner_text()
    entries.nth(2).click()
    assert canvas.get_attribute("data-chosen") == "1"
    page.keyboard.press("Home")
    assert step_of(page) == 1
    page.keyboard.press("Escape")
    assert canvas.get_attribute("data-chosen") == ""
    canvas.click(position={"x": 5, "y": 5})  # far from any point
    assert canvas.get_attribute("data-chosen") == ""


def test_every_camera_has_a_canvas_and_its_points_are_followed(open_page, agent, tmp_path):
    front = agent.episode.view
    wrist = replace(front, frames=front.frames[:, :18, :, :1])
    names = [*(f"{key}:{k}" for key in ("front", "wrist") for k in range(N_POINTS)), "joints[0]"]
    ranked = dict(names=names, ranking_action=np.arange(1.0, 10.0), order=np.arange(9)[::-1])
    episode = replace(agent.episode, views=dict(front=front, wrist=wrist))
    two_cameras = replace(agent, episode=episode, colours=np.concatenate([agent.colours] * 2), **ranked)
    path = tmp_path / "report.html"
    path.write_text(render(group_runs([read_run(make_run(tmp_path / "run"))]), two_cameras))
    page = open_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".stepper:not([hidden]) canvas[data-step]")
    canvases = page.locator(".stepper canvas").all()
    boxes = [canvas.bounding_box() for canvas in canvases]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["height"] == pytest.approx(boxes[1]["height"], abs=1)
    canvases[1].click(position={"x": (4 + 5 * 2 + 0.5) / SIZE * boxes[1]["width"], "y": 10.5 / 18 * boxes[1]["height"]})
    assert [canvas.get_attribute("data-chosen") for canvas in canvases] == ["wrist:2"] * 2
    assert canvases[1].get_attribute("aria-label").startswith("Frame of step 1 of the camera wrist with")
    assert page.locator("[data-point][aria-pressed=true]").inner_text().split()[0] == "wrist:2"
    page.get_by_role("button", name="front:3").click()
    assert "points front:3, wrist:2" in page.locator("output").inner_text()
    assert page.locator(".ranking li").count() == 9 and page.get_by_role("button", name="joints[0]").count() == 0
    for width in (360, 768):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_the_video_plays(open_page):
    page = open_page()
    video = page.locator("video")
    page.wait_for_function("document.querySelector('video').readyState >= 2 || document.querySelector('video').error")
    assert video.evaluate("video => video.error") is None
    assert video.evaluate("video => video.muted && video.playsInline && video.controls && video.videoWidth > 0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1100])
def test_it_fits_every_screen(open_page, tmp_path, width, scheme):
    page = open_page(width=width, height=800, color_scheme=scheme)
    stepper_of(page)
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    page.screenshot(path=tmp_path / f"{width}-{scheme}.png", full_page=True)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_print_shows_curves_tables_and_the_frame_on_white(open_page):
    page = open_page(width=718, color_scheme="dark")
    stepper_of(page)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    for selector in ("polyline.mean", "polygon.band", ".scores", ".hyperparameters", "canvas", ".ranking", ".maps"):
        assert page.locator(selector).first.is_visible(), selector
    for selector in ("video", ".controls", "#stepper-help"):
        assert page.locator(selector).is_hidden(), selector


def test_without_javascript_curves_and_tables_are_there(open_page):
    page = open_page(java_script_enabled=False)
    assert page.locator("polyline.mean").nth(1).is_visible() and page.locator(".scores").is_visible()
    assert page.locator("video").is_visible() and page.locator(".stepper").is_hidden()
    assert page.get_by_text("Not shown: sac, seed 1. No model has been saved.").is_visible()


def test_everything_to_be_used_has_a_name(open_page):
    page = open_page()
    stepper_of(page)
    nameless = """[...document.querySelectorAll("button, input, canvas, img, video, [role=img], [tabindex]")]
        .filter((element) => !(element.ariaLabel || element.alt || element.textContent.trim()))
        .map((element) => element.outerHTML)"""
    assert page.evaluate(nameless) == []
    assert page.evaluate("document.documentElement.lang") == "en" and page.title() == CARTPOLE


HOSTILE = (
    '<script>window.ran = 1</script>"><img src=x onerror="window.ran = 1">'
    "' onfocus='window.ran = 1' </title></style>{{ 7 * 7 }}"
)


def hostile_run(folder: Path, name: str, number: int) -> Run:
    """A run whose files have this text wherever a text can be"""
    text = f"{name}{HOSTILE}"
    run = make_run(folder / f"{number}{text.replace('/', '')}", env="task", **{f"key{text}": f"value{text}"})
    args = dict(env=f"task{HOSTILE}", algo=f"algo{text}", seed=f"seed{text}", trained_agent=f"trained_agent{text}")
    (run / "task" / "args.yml").write_text(yaml.safe_dump(args))
    if number == 1:  # of an experiment
        (run / "run.yml").write_text(yaml.safe_dump(dict(label=f"label{text}", variant=text)))
    steps = "time/total_timesteps"
    with (run / "progress.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[steps, f"train/{name}{HOSTILE}_loss"], [1250, 0.5], [2500, 0.25]])
    with zipfile.ZipFile(run / "best_model.zip", "w") as archive:
        archive.writestr("system_info.txt", f"- version{text}: number{text}")
    write_monitor(run / "0.monitor.csv", [(1.0, 1250, 60.0), (1.0, 1250, 120.0)])
    return read_run(run)


def test_no_text_of_a_run_becomes_part_of_the_page(open_page, agent, tmp_path):
    runs = [hostile_run(tmp_path, f"({number})", number) for number in (1, 2)]
    key = f"camera{HOSTILE}"
    names = [f"{key}:{k}" for k in range(N_POINTS)]
    episode = replace(agent.episode, views={key: agent.episode.view})
    shown = replace(agent, name=f"agent{HOSTILE}", episode=episode, names=names)
    path = tmp_path / "report.html"
    path.write_text(render(group_runs(runs), shown, [f"Not shown: {HOSTILE}."]), encoding="utf-8")
    page = open_page()
    page.goto(path.as_uri())
    page.wait_for_selector(".stepper:not([hidden]) canvas[data-step]")
    hover_step(page, 0.5)
    page.locator("[data-point]").first.click()
    for button in page.get_by_role("button").all():
        if button.is_visible():
            button.click()
    assert page.evaluate("window.ran") is None and page.title() == f"task{HOSTILE}"
    text = page.locator("body").text_content()
    both = [f"{what}({number})" for what in ("key", "value", "seed", "version", "number", "") for number in (1, 2)]
    for name in ("label(1)", "algo(2)", "trained_agent(2)", *both):
        assert f"{name}{HOSTILE}" in text, name
    for whole in (f"task{HOSTILE}", f"agent{HOSTILE}", f"camera{HOSTILE}:0", f"Not shown: {HOSTILE}."):
        assert whole in text
    assert page.locator("script").count() == 2 and page.locator("img").count() == 1 and page.locator("[onfocus]").count() == 0


def test_the_agent_of_a_file_of_weights_has_a_page_of_its_own(open_page, tmp_path):
    model = FPAC("CnnPolicy", gym.make(CARTPOLE, size=24, time_limit=0.4), buffer_size=1, policy_kwargs=dict(net_arch=[8]))
    save_weights(model, tmp_path / "agent.safetensors")
    options = dict(env_kwargs=dict(size=24, time_limit=0.4), quiet=True)
    write_agent_report(tmp_path / "agent.safetensors", tmp_path / "report.html", CARTPOLE, **options)
    page = open_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.wait_for_selector(".stepper:not([hidden]) canvas[data-step]")
    headings = [each.inner_text() for each in page.locator("h1, h2").all()]
    assert headings == [CARTPOLE, "What the agent looks at", "Versions and machine"]
    assert page.locator("[data-point]").count() == 32
    assert page.get_by_text("agent.safetensors: one episode with a return of").is_visible()
    assert f"sb3-fpac{__version__}" in page.locator("dl").first.text_content()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--model", "a.safetensors"], "Name the agent's environment with --env."),
        (["run", "--model", "a.safetensors", "--env", CARTPOLE], "--model is one agent without runs"),
        (["run", "--env", CARTPOLE], "are for --model: a run has its own environment"),
        ([], "A report needs the folder of at least one run."),
        (["--model", "a.safetensors", "--env", CARTPOLE], "There is no model a.safetensors."),
    ],
)
def test_a_report_is_about_runs_or_about_a_file_of_weights(monkeypatch, tmp_path, options, sentence):
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        run_command(parser.parse_args(options))


WITHOUT = """
import sys
import sb3_fpac
print([name for name in ("jinja2", "rliable", "matplotlib", "imageio") if name in sys.modules])
for missing, module in (("rliable", "evaluation.curves"), ("jinja2", "report.page")):
    sys.modules[missing] = None
    try:
        __import__(f"sb3_fpac.{module}")
    except ImportError as error:
        print(error)
    del sys.modules[missing]
"""


@pytest.mark.slow
def test_the_package_itself_needs_none_of_it_and_a_missing_package_is_named():
    done = run_python("-c", WITHOUT)
    expected = [f'{name} is missing: pip install "sb3-fpac[viz]"' for name in ("rliable", "jinja2")]
    assert done.stdout.splitlines() == ["[]", *expected]
