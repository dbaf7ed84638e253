"""What an experiment will take: measured of each variant, and extrapolated to all runs."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch as th
from test_experiment import CARTPOLE, TINY, TINY_FPAC, TINY_STATE, experiment, plan, write_experiment

from sb3_fpac.experiment.estimate import estimate, parallel_hours, table
from sb3_fpac.experiment.measurement import Cost, measure
from sb3_fpac.experiment.plan import Progress
from sb3_fpac.limits import OtherPrograms

COST = Cost(
    task=CARTPOLE,
    training_seconds=0.5,
    n_updates=20,
    acting_seconds=0.02,
    episode_steps=1000,
    episode_ended=True,
    model_bytes=3_000_000,
    transition_bytes=21_168,
    buffer_size=100_000,
    grows=True,
)


@pytest.fixture
def run(tmp_path):
    """500,000 env steps of cartpole, whose action repeat is 8"""
    (run,) = plan(write_experiment(tmp_path / "mine.yml"), tmp_path / "logs")
    return replace(run, env_steps=500_000, eval_freq=10_000, eval_episodes=10)


def test_time_is_that_of_training_and_evaluations(run):
    hours = (62_500 * 0.5 + 50 * 10 * 125 * 0.02) / 3600
    assert estimate(run, COST).hours == pytest.approx(hours)
    assert estimate(replace(run, eval_freq=600_000), COST).hours == pytest.approx(62_500 * 0.5 / 3600)


def test_the_time_of_a_run_that_has_begun_is_what_is_left(run):
    run.folder.mkdir(parents=True)
    np.savez(run.folder / "evaluations.npz", timesteps=[31_250], results=[[1.0]], ep_lengths=[[125]])
    left = estimate(run, COST)
    assert left.env_steps == 250_000
    assert left.hours == pytest.approx((31_250 * 0.5 + 25 * 10 * 125 * 0.02) / 3600)


def test_disk_is_that_of_models_and_checkpoint(run):
    full, part = estimate(run, COST), estimate(run, replace(COST, grows=False))
    assert full.checkpoint_bytes == 3_000_000 + 62_500 * 21_168
    assert part.checkpoint_bytes == 3_000_000 + 100_000 * 21_168
    assert full.final_bytes == full.checkpoint_bytes + 2 * 3_000_000
    assert estimate(replace(run, keep_checkpoint=False), COST).final_bytes == 2 * 3_000_000


@pytest.mark.parametrize("jobs, hours", [(1, 15), (2, 8), (3, 6), (9, 5)])
def test_parallel_runs_begin_as_soon_as_there_is_a_place(jobs, hours):
    assert parallel_hours([5, 1, 4, 2, 3], jobs) == hours


def test_the_table_has_a_line_for_each_variant_and_one_for_all(run):
    runs = [run, replace(run, env_steps=1_000_000), replace(run, variant="other", pretrain=dict(frozen=True))]
    costs = {"points": COST, "other": replace(COST, n_updates=14, episode_ended=False)}
    header, points, other, whole, empty, measured, extrapolated, more, missing, episode = table(runs, costs, 2).splitlines()
    assert header.split() == ["variant", "runs", "env", "steps", "a", "run", "hours", "a", "run", "hours", "disk"]
    assert points.split() == ["points", "2", "500,000", "to", "1,000,000", "9", "to", "18", "27", "3.5", "GB"]
    assert other.split() == ["other", "1", "500,000", "9", "9", "1.3", "GB"]
    assert whole.split() == ["all,", "with", "--jobs", "2", "3", "18", "4.8", "GB"]
    assert len({len(line) for line in (header, points, other, whole)}) == 1 and empty == ""
    assert "14 to 20 updates" in measured and "on cartpole-swingup" in measured and extrapolated.startswith("Extrapolated")
    assert more == "While checkpoints are written, 3.4 GB more are needed."
    assert missing == "Not included: pre-training of points."
    assert episode.startswith("An episode of other had not ended after 1,000 env steps")


def test_a_variant_from_pixels_is_measured(tmp_path):
    (run,) = plan(write_experiment(tmp_path / "mine.yml"), tmp_path / "logs")
    threads = th.get_num_threads()
    cost = measure(run, 1)
    assert (cost.n_updates, cost.buffer_size, cost.grows) == (20, TINY["buffer_size"], True)
    assert (cost.episode_steps, cost.episode_ended) == (80, True)
    assert 3 * 32 * 32 < cost.transition_bytes < 2 * 3 * 32 * 32
    assert 0 < cost.acting_seconds < 1 and 0 < cost.training_seconds < 1 and cost.model_bytes > 10_000
    assert not (tmp_path / "logs").exists() and th.get_num_threads() == threads


def test_a_frozen_encoder_is_measured_frozen_and_nothing_is_pretrained(tmp_path, monkeypatch):
    frozen = dict(TINY_FPAC, pretrain=dict(frozen=True))
    (run,) = plan(write_experiment(tmp_path / "mine.yml", variants=dict(a=frozen)), tmp_path / "logs")
    seen = []
    monkeypatch.setattr(
        "sb3_fpac.experiment.measurement._play",
        lambda model, env: seen.append(model.policy.features_extractor) or (1.0, 5, True),
    )
    measure(run, 1)
    assert not any(parameter.requires_grad for parameter in seen[0].encoder.parameters())


def test_what_cannot_be_set_up_is_said_in_one_sentence(tmp_path):
    variant = dict(algo="fpac", hyperparams=dict(TINY, no_such=3))
    (run,) = plan(write_experiment(tmp_path / "mine.yml", variants=dict(a=variant)), tmp_path / "logs")
    with pytest.raises(ValueError, match=r"a, cartpole-swingup, seed 1 cannot be set up: .*no_such"):
        measure(run, 1)


def test_a_dry_run_estimates_what_is_not_done_and_leaves_nothing(tmp_path, capsys):
    path = write_experiment(tmp_path / "mine.yml", seeds=2, variants=dict(points=TINY_FPAC, state=TINY_STATE))
    assert experiment(path, tmp_path / "logs", "--dry-run", "--jobs", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"{tmp_path}/logs/mine/state/sac/{CARTPOLE}_1: 480 env steps"
    assert lines[4] == "Tiny: 4 runs, 0 of them done"
    assert [line.split()[:3] for line in lines[7:10]] == [
        ["points", "2", "480"],
        ["state", "2", "480"],
        ["all,", "with", "--jobs"],
    ]
    assert not (tmp_path / "logs").exists()


def test_a_dry_run_of_what_is_done_measures_nothing(tmp_path, capsys, monkeypatch):
    path = write_experiment(tmp_path / "mine.yml")
    monkeypatch.setattr("sb3_fpac.commands.experiment.read_progress", lambda run: Progress(480, 1, 1.0, True))
    assert experiment(path, tmp_path / "logs", "--dry-run") == 0
    out = capsys.readouterr()
    assert out.out.splitlines()[-1] == "Tiny: 1 run, 1 of them done" and out.err == ""


def test_a_dry_run_for_a_cluster_counts_the_hours_one_by_one(tmp_path, capsys, monkeypatch):
    threads = []
    cost = Cost(f"dmc-{CARTPOLE}", 3600, 20, 0, 80, True, 1, 1, 1, True)
    monkeypatch.setattr("sb3_fpac.commands.experiment.measure", lambda run, n: threads.append(n) or cost)
    monkeypatch.setattr("sb3_fpac.commands.experiment.OtherPrograms.processors", lambda self: 0.1)
    path = write_experiment(tmp_path / "mine.yml", seeds=2)
    assert experiment(path, tmp_path / "logs", "--dry-run", "--ray", "auto", "--cpus-per-run", "3") == 0
    (run, _) = plan(path, tmp_path / "logs")
    out = capsys.readouterr().out
    (line,) = [line.split() for line in out.splitlines() if line.startswith("all, one by one")]
    assert line[4:6] == ["2", str(2 * run.agent_steps(480))] and threads == [3]
    assert "divided by the number that it trains at once" in out and "Other programs" not in out


def test_programs_beside_the_measurement_are_named(tmp_path):
    runs = plan(write_experiment(tmp_path / "mine.yml"), tmp_path / "logs")
    costs = {runs[0].variant: Cost(f"dmc-{CARTPOLE}", 1, 20, 0, 80, True, 1, 1, 1, True)}
    assert "Other programs used 1.5 processors meanwhile" in table(runs, costs, jobs=1, busy=1.5)
    assert "Other programs" not in table(runs, costs, jobs=1, busy=0.4)


def test_other_programs_are_measured_without_this_process_and_its_children(monkeypatch):
    def ended():
        raise psutil.NoSuchProcess(1)

    machine = SimpleNamespace(user=10.0, system=5.0, nice=1.0)
    own = SimpleNamespace(user=2.0, system=1.0, children_user=0.0, children_system=0.0)
    worker = SimpleNamespace(user=1.0, system=0.0, children_user=0.0, children_system=0.0)
    children = [SimpleNamespace(cpu_times=lambda: worker), SimpleNamespace(cpu_times=ended)]
    process = SimpleNamespace(cpu_times=lambda: own, children=lambda recursive: children)
    clock = iter([100.0, 110.0])
    monkeypatch.setattr("sb3_fpac.limits.psutil.cpu_times", lambda: machine)
    monkeypatch.setattr("sb3_fpac.limits.psutil.Process", lambda: process)
    monkeypatch.setattr("sb3_fpac.limits.time.perf_counter", lambda: next(clock))
    others = OtherPrograms()
    machine.user, own.children_user, worker.user = 30.0, 4.0, 2.0  # of 20 seconds, 5 are those of children
    assert others.processors() == 1.5
