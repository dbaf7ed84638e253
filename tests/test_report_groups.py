"""Which runs a report puts together, what it calls them, and what it says about their settings."""

import argparse
import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from helpers.runs import CARTPOLE, make_run, write_evaluations, write_monitor

from sb3_fpac.cli.report import add_arguments
from sb3_fpac.commands.report import run as run_command
from sb3_fpac.evaluation.curves import group_curves
from sb3_fpac.evaluation.parts import read_runs
from sb3_fpac.evaluation.progress import read_losses
from sb3_fpac.evaluation.published import published_remarks, published_scores
from sb3_fpac.evaluation.runs import checkpoint_step, read_run
from sb3_fpac.experiment.config import load_experiment
from sb3_fpac.experiment.options import RunOptions
from sb3_fpac.experiment.plan import plan_runs, read_config
from sb3_fpac.report.chart import draw_chart
from sb3_fpac.report.drawn import COLUMNS, drawn_csv
from sb3_fpac.report.groups import Label, group_runs
from sb3_fpac.report.hyperparameters import Cell, hyperparameter_rows
from sb3_fpac.report.losses import draw_losses
from sb3_fpac.report.page import render, write_report
from sb3_fpac.report.settings import flatten


def hot(temperature: float) -> dict:
    return {"features_extractor_kwargs": {"temperature": temperature}}


def names_and_seeds(folders, labels=()) -> dict[str, list[int]]:
    groups = group_runs(read_runs(folders), labels)
    assert all(run.label == name for name, runs in groups.items() for run in runs)
    return {name: [run.seed for run in runs] for name, runs in groups.items()}


# Groups and their names


def test_different_settings_are_different_groups_named_by_what_differs(tmp_path):
    folders = [make_run(tmp_path / f"a{seed}", seed=seed, policy_kwargs=hot(0.1)) for seed in (1, 2)]
    folders += [make_run(tmp_path / f"b{seed}", seed=seed, policy_kwargs=hot(0.5)) for seed in (1, 2)]
    folders.append(make_run(tmp_path / "c", algo="sac"))
    groups = {"fpac, temperature=0.1": [1, 2], "fpac, temperature=0.5": [1, 2], "sac": [1]}
    assert names_and_seeds(folders) == groups

    page = render(group_runs(read_runs(folders)))
    assert all(f"{name}: {len(seeds)} seed" in page for name, seeds in groups.items())
    assert page.count('<polyline class="mean"') == 3 and "4 seeds" not in page


def test_what_is_set_to_its_default_is_no_other_setting(tmp_path):
    folders = [
        make_run(tmp_path / "a"),
        make_run(tmp_path / "b", seed=2, policy_kwargs=hot(0.5), tau=0.01, batch_size=128.0, n_timesteps=70_000),
        make_run(tmp_path / "c", seed=3, policy_kwargs="dict(net_arch=(1024, 1024))", env_kwargs={"size": 84}),
        make_run(tmp_path / "d", seed=4, policy="sb3_fpac.FPACPolicy", env_kwargs={"action_repeat": None}),
    ]
    assert names_and_seeds(folders) == {"fpac": [1, 2, 3, 4]}
    folders.append(make_run(tmp_path / "e", seed=5, batch_size=256, gamma=0.9))
    assert list(names_and_seeds(folders)) == ["fpac, batch_size=128, gamma=0.99", "fpac, batch_size=256, gamma=0.9"]


def test_the_number_of_steps_is_a_setting_where_a_schedule_depends_on_it(tmp_path):
    def folders(rate):
        return [make_run(tmp_path / f"{rate}{n}", seed=n, learning_rate=rate, n_timesteps=1000 * n) for n in (1, 2)]

    assert list(names_and_seeds(folders(0.001))) == ["fpac"]
    assert list(names_and_seeds(folders("lin_0.001"))) == ["fpac, n_timesteps=1000", "fpac, n_timesteps=2000"]


def test_many_differences_do_not_make_long_or_equal_names(tmp_path):
    many = dict(batch_size=1, gamma=0.5, learning_rate=1, learning_starts=1)
    folders = [make_run(tmp_path / str(tau), tau=tau, **many) for tau in (0.2, 0.3)] + [make_run(tmp_path / "plain")]
    name = "fpac, batch_size=1, gamma=0.5, learning_rate=1, and 2 more"
    plain = "fpac, batch_size=128, gamma=0.99, learning_rate=0.0003, and 2 more"
    assert list(names_and_seeds(folders)) == [name, f"{name} (2)", plain]


def test_pretrained_weights_are_a_setting(tmp_path):
    other = make_run(tmp_path / "other", args=dict(trained_agent="logs/fpac/x_1/x.zip"))
    scratch = make_run(tmp_path / "scratch", seed=2, args=dict(trained_agent=""))
    assert list(names_and_seeds([scratch, other])) == ["fpac, trained_agent=none", "fpac, trained_agent=logs/fpac/x_1/x.zip"]


def in_experiment(folder: Path, variant: str, label: str | None, seed: int = 1, changes=(), **config) -> Path:
    make_run(folder, seed=seed, **config)
    (folder / "run.yml").write_text(yaml.safe_dump({"variant": variant, "label": label, **dict(changes)}))
    return folder


def test_runs_of_an_experiment_have_the_label_of_their_variant(tmp_path):
    folders = [
        in_experiment(tmp_path / "a", "hot", "a hot softmax", policy_kwargs=hot(1.0)),
        in_experiment(tmp_path / "b", "hot", "a hot softmax", 2, policy_kwargs=hot(1.0)),
        in_experiment(tmp_path / "c", "cold", None, policy_kwargs=hot(0.1)),  # written by an earlier version
    ]
    assert names_and_seeds(folders) == {"a hot softmax": [1, 2], "cold": [1]}
    folders.append(in_experiment(tmp_path / "d", "cold", "cold", policy_kwargs=hot(0.2)))  # of another experiment
    assert list(names_and_seeds(folders)) == ["a hot softmax", "cold, temperature=0.1", "cold, temperature=0.2"]


def test_an_experiment_writes_the_label_and_may_change_it(tmp_path):
    (run, _) = plan_runs(load_experiment("fig10"), tmp_path, RunOptions(), seeds=1)
    run.write()
    assert read_config(run.folder).label == "end to end"
    content = yaml.safe_load((run.folder / "run.yml").read_text())
    del content["label"]  # as an earlier version wrote it
    (run.folder / "run.yml").write_text(yaml.safe_dump(content))
    assert read_config(run.folder).label is None
    run.write()
    assert read_config(run.folder).label == "end to end"


def test_pretrained_points_of_an_experiment_differ_in_their_seeds_only(tmp_path):
    def run(seed: int, variant: str, frozen: bool) -> Path:
        folder = tmp_path / f"{variant}_{seed}"
        points = {"pretrained": str(folder / "pretraining" / "points.pt"), "frozen": frozen}
        changes = {"pretrain": {"frozen": frozen}}
        return in_experiment(folder, variant, None, seed, changes, policy_kwargs={"features_extractor_kwargs": points})

    folders = [run(seed, variant, variant == "frozen") for variant in ("frozen", "free") for seed in (1, 2)]
    assert names_and_seeds(folders) == {"frozen": [1, 2], "free": [1, 2]}


def test_products_in_bfloat16_are_a_setting(tmp_path):
    medium = in_experiment(tmp_path / "a", "x", None, changes={"matmul_precision": "medium"})
    folders = [medium, in_experiment(tmp_path / "b", "x", None, seed=2)]
    assert list(names_and_seeds(folders)) == ["x, matmul_precision=medium", "x, matmul_precision=none"]


def test_labels_by_hand_name_groups(tmp_path):
    hot_runs = [make_run(tmp_path / "hot" / f"run_{seed}", seed=seed, policy_kwargs=hot(1.0)) for seed in (1, 2)]
    cold = make_run(tmp_path / "cold" / "run_1")
    folders = [*hot_runs, cold]
    assert names_and_seeds(folders, [Label("warm", f"{tmp_path}/hot/*")]) == {"warm": [1, 2], "fpac": [1]}
    labels = [Label("warm", "*/hot/run_1"), Label("warm", "run_2"), Label("fpac", "*/hot/nothing*")]
    with pytest.raises(ValueError, match=re.escape("--label fpac=*/hot/nothing* fits none of the runs")):
        group_runs(read_runs(folders), labels)
    assert names_and_seeds(folders, labels[:2]) == {"warm": [1, 2], "fpac": [1]}
    assert list(names_and_seeds(folders, [Label("fpac", "*/hot/*")])) == ["fpac", "fpac, temperature=0.5"]


def test_a_label_for_different_settings_is_refused(tmp_path):
    folders = [make_run(tmp_path / "a", policy_kwargs=hot(1.0)), make_run(tmp_path / "b", seed=2)]
    with pytest.raises(ValueError, match=r"The label 'mine' fits runs that differ in .*temperature \(1.0 and 0.5\): give"):
        group_runs(read_runs(folders), [Label("mine", "*")])
    folders.append(make_run(tmp_path / "c", algo="sac"))
    with pytest.raises(ValueError, match=r"differ in algorithm \(fpac and sac\)"):
        group_runs(read_runs(folders[1:]), [Label("mine", "*")])
    with pytest.raises(ValueError, match=r"'mine' and 'yours' both fit .*a: give every run one label"):
        group_runs(read_runs(folders), [Label("mine", "a"), Label("yours", "*")])


def test_the_command_line_takes_labels_and_writes_the_numbers(tmp_path, capsys):
    first, second = make_run(tmp_path / "a", policy_kwargs=hot(1.0)), make_run(tmp_path / "b")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    page, numbers = tmp_path / "out" / "report.html", tmp_path / "numbers" / "curves.csv"
    options = ["--label", "<b>hot", "--no-agent", "-o", str(page), "--csv", str(numbers)]
    with pytest.raises(SystemExit):
        parser.parse_args([str(first), *options])
    assert "must be NAME=GLOB, such as \"hot=logs/hot/*\", got '<b>hot'" in capsys.readouterr().err
    options[1] = "<b>hot=*/a"
    run_command(parser.parse_args([str(first), str(second), *options, "--label", "cold=b"]))
    html = page.read_text()
    assert "&lt;b&gt;hot: 1 seed" in html and "cold: 1 seed" in html and "<b>hot" not in html
    assert {row["name"] for row in csv.DictReader(numbers.open())} == {"<b>hot", "cold"}


# Continued runs


def continued(folder: Path, step: int, of: Path, **options) -> Path:
    """The second folder of a run, as RL Zoo's -i makes it"""
    return make_run(folder, args=dict(trained_agent=f"logs/fpac/{of.name}/checkpoint/step_{step}/model.zip"), **options)


@pytest.mark.parametrize("seeds", [(1, 1), (7, 8)], ids=["with --seed", "without it, when RL Zoo draws one"])
def test_a_continued_run_is_one_curve_and_one_seed(tmp_path, seeds):
    first = make_run(tmp_path / "x_1", steps=[10, 20, 30], returns=[[1.0], [2.0], [3.0]], args=dict(trained_agent=""))
    second = continued(tmp_path / "x_2", 25, first, seed=seeds[0], steps=[35, 45], returns=[[4.0], [5.0]], n_timesteps=50)
    third = continued(tmp_path / "x_3", 40, second, seed=seeds[1], steps=[50], returns=[[6.0]], n_timesteps=60)
    other = make_run(tmp_path / "x_4", seed=2, steps=[10, 20, 35], returns=[[1.0], [4.0], [8.0]])
    runs = read_runs([third, other, first, second])
    assert [run.seed for run in runs] == [2, 1]
    run = runs[1]
    assert run.steps.tolist() == [80, 160, 280, 400]  # what the parts did after the checkpoints at 25 and 40 is left out
    assert run.returns.tolist() == [[1], [2], [4], [6]]
    assert run.folders == (first, second, third) and run.hyperparameters["n_timesteps"] == 60
    (curve,) = group_curves(group_runs(runs))
    assert curve.seeds == 2 and curve.steps.tolist() == [80, 160, 280] and curve.mean.tolist() == [1, 3, 6]
    page = render(group_runs(runs))
    assert "fpac, seed 1 was continued: its parts are x_1, x_2, x_3." in page
    assert "The mean of fpac ends at 280 env steps, the last at which all of its seeds were evaluated." in page
    assert write_report([first, second, third, other], tmp_path / "report.html", with_agent=False) == 2


def test_of_two_runs_with_the_name_of_the_checkpoint_the_one_with_the_seed_is_continued(tmp_path):
    runs = [make_run(tmp_path / folder / "x_1", seed=seed, steps=[10, 20]) for folder, seed in (("a", 1), ("b", 2))]
    second = continued(tmp_path / "b" / "x_2", 20, runs[1], seed=2, steps=[30])
    assert [run.folders for run in read_runs([*runs, second])] == [(runs[0],), (runs[1], second)]
    third = continued(tmp_path / "b" / "x_3", 20, runs[1], seed=3, steps=[30])  # it could be the continuation of either
    assert [run.folders for run in read_runs([*runs, third])] == [(runs[0],), (runs[1],), (third,)]


def test_evaluations_that_continue_are_one_run_where_the_checkpoint_is_not_known(tmp_path):
    first = make_run(tmp_path / "x_1", steps=[10, 20], returns=[[1.0], [2.0]])
    second = make_run(tmp_path / "x_2", steps=[30, 40], returns=[[3.0, 5.0], [4.0, 6.0]])
    write_monitor(first / "0.monitor.csv", [(1.0, 10, 3600.0), (2.0, 10, 7200.0)])
    write_monitor(second / "0.monitor.csv", [(1.0, 10, 1800.0), (2.0, 10, 3600.0)])
    (run,) = read_runs([first, second])
    assert run.steps.tolist() == [80, 160, 240, 320] and run.returns.tolist() == [[1], [2], [3], [4]]
    assert run.hours.tolist() == [1, 2, 2.5, 3]


@pytest.mark.parametrize(
    "changes", [dict(seed=2), dict(tau=0.5), dict(algo="sac"), dict(steps=[20, 30]), dict(args=dict(trained_agent=""))]
)
def test_other_runs_are_not_joined(tmp_path, changes):
    first = make_run(tmp_path / "x_1", steps=[10, 20])
    second = make_run(tmp_path / "x_2", **{"steps": [30, 40], **changes})
    assert [run.folders for run in read_runs([first, second])] == [(first,), (second,)]


def test_a_continued_run_without_its_beginning_is_at_its_true_steps(tmp_path):
    part = continued(tmp_path / "x_2", 100, tmp_path / "x_1", steps=None)
    write_monitor(part / "0.monitor.csv", [(1.0, 20, 1.0), (3.0, 30, 2.0)])
    (run,) = read_runs([part])
    assert run.steps.tolist() == [8 * 150] and run.start == 800


def test_training_episodes_of_both_parts_are_at_their_true_steps(tmp_path):
    first = make_run(tmp_path / "x_1", steps=None, args=dict(trained_agent=""))
    write_monitor(first / "0.monitor.csv", [(float(i), 10, 60.0 * i) for i in range(1, 9)])  # up to 80
    second = continued(tmp_path / "x_2", 55, first, steps=None)
    write_monitor(second / "0.monitor.csv", [(100.0 + i, 10, 30.0 * i) for i in range(1, 16)])
    (run,) = read_runs([first, second])
    assert not run.evaluated and run.steps.tolist() == [8 * (55 + 50), 8 * (55 + 150)]
    assert run.returns.tolist() == [[1, 2, 3, 4, 5, 101, 102, 103, 104, 105], list(range(106, 116))]
    np.testing.assert_allclose(run.hours, [(300 + 150) / 3600, (300 + 450) / 3600])


def test_an_incomplete_checkpoint_has_restarted_the_count(tmp_path):
    run = read_run(continued(tmp_path / "x_2", 100, tmp_path / "x_1", steps=[10, 20]))
    assert run.start == 0 and run.steps.tolist() == [80, 160]


def test_two_continuations_from_one_checkpoint_are_refused(tmp_path):
    first = make_run(tmp_path / "x_1", steps=[10, 20], args=dict(trained_agent=""))
    others = [continued(tmp_path / f"x_{n}", 20, first, seed=n, steps=[30, 40]) for n in (2, 3)]
    with pytest.raises(ValueError, match=r"x_2 and .*x_3 both continue .*step_20/model.zip: leave out the one"):
        read_runs([first, *others])


def test_the_run_of_an_experiment_continues_in_its_own_folder(tmp_path):
    folder = tmp_path / "x_1"
    make_run(folder, steps=None, args=dict(trained_agent=str(folder / "checkpoint" / "step_50" / "model.zip")))
    (folder / "run.yml").write_text("variant: x\n")
    write_monitor(folder / "0.until_50.monitor.csv", [(1.0, 20, 1.0)])
    write_monitor(folder / "0.monitor.csv", [(1.0, 20, 1.0)])
    run = read_run(folder)
    assert run.start == 0 and [episode.step for episode in run.episodes] == [20, 70]


def test_checkpoints_are_known_by_their_names():
    assert checkpoint_step("logs/fpac/x_1/checkpoint/step_10000/model.zip") == 10_000
    assert checkpoint_step(r"logs\fpac\x_1\checkpoint\step_7\model.zip") == 7
    assert checkpoint_step("logs/fpac/x_1/x.zip") is None and checkpoint_step("") is None


# Hyperparameters


def test_hyperparameters_are_compared_as_they_took_effect(tmp_path):
    sac = dict(ent_coef="auto_0.1", tau=0.01, buffer_size=100_000, train_freq=2, policy="sb3_fpac.FPACPolicy")
    folders = [
        make_run(tmp_path / "a", policy_kwargs={"net_arch": [1024, 1024]}, n_timesteps=10),
        make_run(tmp_path / "b", seed=2, n_timesteps=20),
        make_run(tmp_path / "c", algo="sac", n_timesteps=20, **sac),
    ]
    rows = {row.name: row for row in hyperparameter_rows(group_runs(read_runs(folders)))}
    assert rows["ent_coef"].cells == [Cell("auto_0.1", True), Cell("auto_0.1", False)] and not rows["ent_coef"].differs
    assert rows["train_freq"].cells == [Cell("1", True), Cell("2", False)] and rows["train_freq"].differs
    assert rows["batch_size"].cells == [Cell("128", True), Cell("256", True)] and rows["batch_size"].differs
    assert rows["policy"].cells == [Cell("FPACPolicy", False)] * 2 and not rows["policy"].differs
    assert rows["policy_kwargs.net_arch"].cells == [Cell("[1024, 1024]", False), Cell("[1024, 1024]", True)]
    assert rows["n_timesteps"].cells == [Cell("10 or 20", False), Cell("20", False)]
    differing = [row.differs for row in rows.values()]
    assert differing == sorted(differing, reverse=True)
    assert "policy_delay" not in rows and "replay_buffer_class" not in rows and "verbose" not in rows
    page = render(group_runs(read_runs(folders)))
    assert '<td class="default">128 <small>default</small></td>' in page


def test_what_only_one_algorithm_has_is_shown_where_it_is_set(tmp_path):
    folders = [make_run(tmp_path / "a", policy_delay=4), make_run(tmp_path / "b", algo="sac")]
    rows = {row.name: row for row in hyperparameter_rows(group_runs(read_runs(folders)))}
    assert rows["policy_delay"].cells == [Cell("4", False), Cell("–", True)] and rows["policy_delay"].differs


def test_algorithms_of_others_show_what_was_saved(tmp_path):
    rows = hyperparameter_rows(group_runs([read_run(make_run(tmp_path / "a", algo="their_own", env="Their-v0", tau=1))]))
    assert [(row.name, row.cells[0].text) for row in rows] == [("policy", "CnnPolicy"), ("tau", "1")]


def test_dicts_in_texts_are_read_and_not_executed(tmp_path):
    text = "dict(net_arch=[16, 2], activation_fn=nn.ReLU, kwargs=dict(a=-1))"
    literal = " {'net_arch': [16, 2], 'activation_fn': nn.ReLU, 'kwargs': {'a': -1}}"
    assert (
        flatten({"policy_kwargs": literal})
        == flatten({"policy_kwargs": text})
        == {
            "policy_kwargs.net_arch": [16, 2],
            "policy_kwargs.activation_fn": "nn.ReLU",
            "policy_kwargs.kwargs.a": -1,
        }
    )
    for text in (f"dict(a=open('{tmp_path}/x', 'w'))", "dict(**other)", "dict(", "dict([1])"):
        assert flatten({"x": text}) == {"x": text}
    assert not (tmp_path / "x").exists()


# Wall time, numbers and published scores


def timed(folder: Path, minutes: float, **options) -> Path:
    """Evaluations at 100 and 200 agent steps, an episode of 50 steps every few minutes"""
    make_run(folder, steps=[100, 200], returns=[[0.0, 2.0], [10.0, 30.0]], **options)
    write_monitor(folder / "0.monitor.csv", [(1.0, 50, 60 * minutes * i) for i in range(1, 5)])
    return folder


def test_curves_are_drawn_over_wall_time_where_it_is_known(tmp_path):
    folders = [timed(tmp_path / "a", 10.0), timed(tmp_path / "b", 20.0, seed=2), make_run(tmp_path / "c", algo="sac")]
    curves = group_curves(group_runs(read_runs(folders)))
    np.testing.assert_allclose(curves[0].hours, [0.5, 1])  # 20 and 40 minutes, 40 and 80
    chart = draw_chart(curves, [])
    steps, time = chart.axes
    assert (steps.unit, time.unit) == ("env steps", "minutes") and [tick.label for tick in time.ticks][-1] == "80"
    assert [hover["x"] for hover in time.lines[0].hover] == [37.5, 75]  # of 80 minutes
    assert [time.lines[0].hover[0][key] for key in ("at", "note")] == ["30.0 minutes", ", after 800 env steps"]
    assert time.lines[0].runs[1].startswith("50.0,") and time.lines[1].points == "" and time.lines[1].hover == []
    page = render(group_runs(read_runs(folders)))
    assert 'data-axis-switch="time"' in page and "It is unknown for sac." in page
    assert 'data-axis-switch="' not in render(group_runs(read_runs(folders[2:])))


def test_long_runs_are_drawn_in_hours_and_evaluations_before_the_first_episode_are_left_out(tmp_path):
    folder = timed(tmp_path / "a", 60.0)
    write_evaluations(folder, [20, 200], [[0.0], [1.0]])
    _, time = draw_chart(group_curves(group_runs([read_run(folder)])), []).axes
    assert time.unit == "hours" and [hover["at"] for hover in time.lines[0].hover] == ["4.00 hours"]


def test_a_damaged_monitor_file_only_costs_the_wall_time(tmp_path):
    folder = timed(tmp_path / "a", 1.0)
    (folder / "0.monitor.csv").write_text("nonsense\n")
    assert np.isnan(read_run(folder).hours).all()


def test_the_numbers_of_the_chart_are_in_the_csv(tmp_path):
    runs = read_runs([timed(tmp_path / "a", 60.0), timed(tmp_path / "b", 120.0, seed=2)])
    published = published_scores(CARTPOLE)
    curves = group_curves(group_runs(runs))
    rows = list(csv.DictReader(drawn_csv(curves, published).splitlines()))
    assert tuple(rows[0]) == COLUMNS and [row["kind"] for row in rows] == ["mean"] * 2 + ["seed"] * 4
    assert rows[1] == dict(zip(COLUMNS, ["fpac", "mean", "", "1600", "6", "20", "0", "20", "20", "20"], strict=True))
    assert [row["hours"] for row in rows[2:]] == ["2", "4", "4", "8"] and rows[3]["std"] == "10"
    long = group_curves(group_runs([read_run(make_run(tmp_path / "long", steps=[12_500], returns=[[1.0]]))]))
    last = list(csv.DictReader(drawn_csv(long, published).splitlines()))[2]
    assert (last["name"], last["kind"], last["steps"], last["return"]) == ("DrQ", "published", "100000", "759.0")
    assert last["hours"] == ""


def test_published_scores_of_another_task_are_shown_with_that_remark(tmp_path):
    same = make_run(tmp_path / "same", env="dmc-walker-walk", env_kwargs={"size": 64, "action_repeat": 2})
    assert published_remarks("dmc-walker-walk", [("fpac", {"size": 64, "action_repeat": 2})], ["DrQ", "DrQ-v2"]) == []
    short = dict(time_limit=1, observation="state", action_repeat=4)
    other = make_run(tmp_path / "other", algo="sac", env="dmc-walker-walk", env_kwargs=short)
    (remark,) = published_remarks("dmc-walker-walk", [("fpac", {}), ("sac", short), ("sac", short)], ["DrQ"])
    assert remark == (
        "The published scores are of another task than those of sac (observation=state, time_limit=1, action_repeat=4): they "
        "are from pixels, over whole episodes of 1,000 env steps, with an action repeat of 2."
    )
    assert published_remarks("dmc-walker-walk", [("sac", short)], []) == []
    assert published_remarks("dmc-cartpole-swingup", [("fpac", {})], ["DrQ-v2"]) == [
        "The published scores of DrQ-v2 are of an action repeat of 2 instead of 8."
    ]
    write_report([same, other], tmp_path / "report.html", with_agent=False)
    assert remark in (tmp_path / "report.html").read_text()


LOSSES = "time/total_timesteps,train/critic_loss,train/n_updates,rollout/loss"


def test_losses_are_drawn_where_sb3_has_logged_them(tmp_path):
    first = make_run(tmp_path / "x_1", steps=[10, 20], args=dict(trained_agent=""))
    second = continued(tmp_path / "x_2", 20, first, steps=[30])
    other = make_run(tmp_path / "y_1", algo="sac")
    folders = [first, second, other]
    assert '<h2 id="losses">' not in render(group_runs(read_runs(folders)))
    (first / "progress.csv").write_text(f"{LOSSES}\n10,1.0,5,6\n15,nan,5,6\n,2.0,,\n20,,5,6\n25,9.0,5,6\n")
    (second / "progress.csv").write_text(f"{LOSSES}\n21,3.0,5,6\n40,4.0,5,6\n50,1e")  # still being written
    assert {name: points.tolist() for name, points in read_losses(first).items()} == {"train/critic_loss": [[10, 1], [25, 9]]}
    (other / "progress.csv").write_text(f"{LOSSES.replace('critic_loss', 'ent_coef')}\n10,0.5,,\n20,0.25,,\n")
    groups = group_runs(read_runs(folders))
    critic, ent_coef = draw_losses(group_curves(groups))
    assert (critic.name, ent_coef.name) == ("critic_loss", "ent_coef")
    assert critic.lines == [(0, "25.00,100.0 52.50,33.33 100.00,0.0")]  # 80, 168 and 320 env steps, from 1 to 4
    assert [index for index, _ in ent_coef.lines] == [1] and ent_coef.y_ticks[0].label == "0.25"
    assert render(groups).count('<polyline class="loss-line"') == 2


def test_runs_can_be_copied_elsewhere(tmp_path):
    first = make_run(tmp_path / "logs" / "x_1", steps=[10, 20], args=dict(trained_agent=""))
    continued(tmp_path / "logs" / "x_2", 20, first, steps=[30])
    shutil.move(tmp_path / "logs", tmp_path / "moved")
    (run,) = read_runs(sorted((tmp_path / "moved").iterdir()))
    assert run.steps.tolist() == [80, 160, 240]
