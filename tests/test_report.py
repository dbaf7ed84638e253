"""Reports: what is read of runs, and what is computed."""

import argparse
import itertools
import re
import shutil
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import run_python
from helpers.runs import CARTPOLE, make_run, write_monitor
from PIL import Image

from sb3_fpac.cli.report import add_arguments
from sb3_fpac.commands.report import run as run_command
from sb3_fpac.envs import TASKS
from sb3_fpac.evaluation.curves import Curve, group_curves
from sb3_fpac.evaluation.parts import read_runs
from sb3_fpac.evaluation.published import METHODS, published_marks, published_scores
from sb3_fpac.evaluation.run_files import read_episodes
from sb3_fpac.evaluation.runs import Run, read_run
from sb3_fpac.evaluation.tables import format_return, score_rows, significant, step_label
from sb3_fpac.report.agent import show_agent, sprite
from sb3_fpac.report.chart import draw_chart, nice_ticks
from sb3_fpac.report.groups import group_runs
from sb3_fpac.report.page import write_report


def learning_curves(runs: list[Run], seed: int = 0) -> list[Curve]:
    return group_curves(group_runs(runs), seed)


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
    assert [format_return(value) for value in (1203.6, 173.2, 17.32, 0.168, -5.0, 99.97)] == [
        "1,204",
        "173",
        "17.3",
        "0.17",
        "−5.00",
        "100",
    ]
    assert format_return(1.234, like=500) == "1" and format_return(0) == "0.00"
    assert [format_return(value) for value in (0.00417, -0.0995, 1.2e-5)] == ["0.0042", "−0.10", "0.000012"]


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
