"""The runs of an experiment: what each is, where it lies, and how far it is."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from sb3_fpac.envs import TASKS
from sb3_fpac.envs.torso_height import TORSO_HEIGHT
from sb3_fpac.experiment.config import Experiment, Variant
from sb3_fpac.experiment.resume import read_episodes, read_evaluations, trained_steps
from sb3_fpac.zoo import config_file

PLAN = "run.yml"
_MAY_CHANGE = ("env_steps", "save_freq", "keep_checkpoint", "device")  # when a run goes on


@dataclass(frozen=True)
class Schedule:
    """What is the same for all runs of an experiment; in env steps."""

    eval_freq: int = 10_000
    """Env steps between evaluations with the mean action"""
    eval_episodes: int = 10
    save_freq: int = 50_000
    """Env steps between checkpoints"""
    keep_checkpoint: bool = True
    """Whether a run that is done keeps its last one, from which it can go on"""
    device: str = "auto"
    """PyTorch's"""


@dataclass(frozen=True)
class RunConfig:
    """One training run: a variant on a task with a seed."""

    folder: Path
    """Where RL Zoo would put run number ``seed``: ``<experiment>/<variant>/<algo>/<task>_<seed>``"""
    variant: str
    algo: str
    task: str
    seed: int
    env_steps: int
    eval_freq: int
    eval_episodes: int
    save_freq: int
    keep_checkpoint: bool
    device: str
    hyperparams: dict[str, Any]
    env_kwargs: dict[str, Any]
    pretrain: dict[str, Any] | None
    torso_height: bool
    """Whether it is recorded with every training episode"""

    @property
    def name(self) -> str:
        """Short, for people: ``"fpac, cheetah-run, seed 1"``"""
        return f"{self.variant}, {self.task.removeprefix('dmc-')}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """What it has printed"""
        return self.folder / "log.txt"

    @property
    def points(self) -> Path:
        """Its pre-trained feature points"""
        return self.folder / "pretraining" / "points.pt"

    @property
    def model(self) -> Path:
        """The agent, when it is done"""
        return self.folder / f"{self.task}.zip"

    @property
    def action_repeat(self) -> int:
        """Env steps for each agent step"""
        return self.env_kwargs.get("action_repeat") or TASKS[self.task].action_repeat

    def agent_steps(self, env_steps: int) -> int:
        """
        :param env_steps: So many env steps
        :return: As SB3 counts them, at least 1
        """
        return max(1, env_steps // self.action_repeat)

    def write(self) -> None:
        """
        Write the plan into the folder, from which :func:`read_plan` reads it.

        :raises ValueError: if the folder holds a run of other settings
        """
        plan = _plan(self)
        path = self.folder / PLAN
        if path.is_file():
            before = _plan(read_plan(self.folder))
            differing = [key for key in plan if plan[key] != before[key] and key not in _MAY_CHANGE]
            if differing:
                raise ValueError(
                    f"{self.folder} was begun with another {', '.join(differing)}: delete it, or choose another with -f."
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
        os.replace(unfinished, path)


class Progress(NamedTuple):
    """How far a run is."""

    env_steps: int
    score: float | None
    """Mean return of the latest evaluation"""
    done: bool


def plan_runs(
    experiment: Experiment,
    folder: Path,
    schedule: Schedule,
    tasks: Sequence[str] | None = None,
    variants: Sequence[str] | None = None,
    seeds: int | None = None,
    env_steps: int | None = None,
) -> list[RunConfig]:
    """
    Every task with every variant and every seed.

    :param experiment: The experiment
    :param folder: In which it has a folder of its own
    :param schedule: When runs are evaluated and saved
    :param tasks: Some of the tasks, with or without ``dmc-``; None: all
    :param variants: Names of some of the variants; None: all
    :param seeds: How many seeds, from 1 on; None: as many as the experiment has
    :param env_steps: Env steps of every run; None: as many as the experiment has
    :return: The runs, seed by seed, so that there is something to compare early
    :raises ValueError: if there is no such task or variant, or a number is out of range
    """
    names = [variant.name for variant in experiment.variants]
    env_ids = [f"dmc-{task.removeprefix('dmc-')}" for task in tasks or experiment.tasks]
    wanted_tasks = _choose("task", env_ids, experiment.tasks)
    wanted_variants = _choose("variant", variants or names, names)
    for name, number in dict(seeds=seeds, env_steps=env_steps, **asdict(replace(schedule, device=""))).items():
        if isinstance(number, int) and not isinstance(number, bool) and number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}.")
    runs = [
        _planned_run(experiment, variant, task, seed, folder, schedule, env_steps)
        for seed in range(1, (seeds or experiment.seeds) + 1)
        for task in experiment.tasks
        for variant in experiment.variants
        if task in wanted_tasks and variant.name in wanted_variants
    ]
    for run in runs:
        if run.env_steps < run.eval_freq:
            raise ValueError(
                f"{run.name} has {run.env_steps:,} env steps and would never be evaluated: "
                f"lower --eval-freq, which is {run.eval_freq:,}."
            )
    return runs


def read_plan(folder: Path) -> RunConfig:
    """
    :param folder: Of a run
    :return: What :meth:`RunConfig.write` has written there
    :raises ValueError: if there is no plan
    """
    path = folder / PLAN
    if not path.is_file():
        raise ValueError(f"{folder} is not the folder of an experiment's run: it holds no {PLAN}.")
    return RunConfig(folder=folder, **yaml.safe_load(path.read_text(encoding="utf-8")))


def read_progress(run: RunConfig) -> Progress:
    """
    How far a run is, by the files in its folder.

    :param run: The run
    :return: Its progress
    """
    steps, returns, _ = read_evaluations(run.folder)
    trained = trained_steps(run.model)
    episodes = read_episodes(run.folder)
    reached = max([*steps[-1:], *(episode.step for episode in episodes[-1:]), trained or 0])
    score = sum(returns[-1]) / len(returns[-1]) if returns else None
    done = trained is not None and trained >= run.agent_steps(run.env_steps)
    return Progress(reached * run.action_repeat, score, done)


def _planned_run(
    experiment: Experiment,
    variant: Variant,
    task: str,
    seed: int,
    folder: Path,
    schedule: Schedule,
    env_steps: int | None,
) -> RunConfig:
    return RunConfig(
        folder=folder / experiment.name / variant.name / variant.algo / f"{task}_{seed}",
        variant=variant.name,
        algo=variant.algo,
        task=task,
        seed=seed,
        env_steps=env_steps or experiment.env_steps or _usual_env_steps(variant.algo, task),
        hyperparams=variant.hyperparams,
        env_kwargs=variant.env_kwargs,
        pretrain=variant.pretrain,
        torso_height=TORSO_HEIGHT in experiment.draw,
        **asdict(schedule),
    )


def _usual_env_steps(algo: str, task: str) -> int:
    entries = yaml.safe_load(config_file(algo).read_text(encoding="utf-8"))
    return entries[task]["n_timesteps"] * TASKS[task].action_repeat


def _choose(what: str, wanted: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    for name in wanted:
        if name not in known:
            raise ValueError(f"The experiment has no {what} {name!r}: choose from {', '.join(known)}.")
    return wanted


def _plan(run: RunConfig) -> dict[str, Any]:
    plan = asdict(run)
    del plan["folder"]
    return plan
