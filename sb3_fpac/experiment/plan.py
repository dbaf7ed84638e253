"""The runs of an experiment: the configuration of each, its folder, and its progress."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from sb3_fpac.envs.torso_height import TORSO_HEIGHT
from sb3_fpac.evaluation.run_files import CONFIG_FILE, read_episodes, read_evaluations, trained_steps
from sb3_fpac.evaluation.steps import action_repeat
from sb3_fpac.experiment.config import Experiment, Variant, with_tasks
from sb3_fpac.experiment.options import RunOptions
from sb3_fpac.experiment.tasks import find_task
from sb3_fpac.files import writing
from sb3_fpac.zoo import config_file

_CHANGEABLE = ("label", "env_steps", "save_freq", "keep_checkpoint", "device")  # between two starts of a run


@dataclass(frozen=True)
class RunConfig:
    """One training run: a variant on a task with a seed."""

    folder: Path
    """Where RL Zoo would put run number ``seed``: ``<experiment>/<variant>/<algo>/<task>_<seed>``"""
    variant: str
    algo: str
    task: str
    """Registered id of the environment"""
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
    matmul_precision: str | None
    torso_height: bool
    """Whether the torso height is recorded with every training episode"""
    label: str | None = None
    """Name of the variant in figures, tables and reports; None: that of its folder"""
    gym_packages: list[str] = field(default_factory=list)
    """Modules that register the environment"""

    @property
    def name(self) -> str:
        """Name for messages: ``"fpac, cheetah-run, seed 1"``"""
        return f"{self.variant}, {self.task.removeprefix('dmc-')}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """Path of the log of its output"""
        return self.folder / "log.txt"

    @property
    def points(self) -> Path:
        """Path of its pre-trained feature points"""
        return self.folder / "pretraining" / "points.pt"

    @property
    def model(self) -> Path:
        """Path of the trained agent"""
        return self.folder / f"{self.env_name}.zip"

    @property
    def env_name(self) -> str:
        """Name of the environment in names of files, as RL Zoo writes it"""
        return self.task.replace("/", "-")

    @property
    def action_repeat(self) -> int:
        """Env steps of an agent step; 1 where steps are counted as SB3 counts them"""
        return action_repeat(self.task, self.env_kwargs)

    def agent_steps(self, env_steps: int) -> int:
        """
        Convert env steps to agent steps.

        :param env_steps: Number of env steps
        :return: Number of agent steps, which SB3 counts; at least 1
        """
        return max(1, env_steps // self.action_repeat)

    def write(self) -> None:
        """
        Write the configuration into the folder, where :func:`read_config` reads it.

        :raises ValueError: if the folder holds a run with other settings
        """
        content = _content(self)
        path = self.folder / CONFIG_FILE
        if path.is_file():
            before = _content(read_config(self.folder))
            differing = [key for key in content if content[key] != before[key] and key not in _CHANGEABLE]
            if differing:
                raise ValueError(
                    f"{self.folder} was started with another {', '.join(differing)}: delete it, or choose another with -f."
                )
        with writing(path) as unfinished:
            unfinished.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


class Progress(NamedTuple):
    """Progress of a run."""

    env_steps: int
    n_evaluations: int
    score: float | None
    """Mean return of the latest evaluation; None: there is no evaluation yet"""
    done: bool


def plan_runs(
    experiment: Experiment,
    folder: Path,
    options: RunOptions,
    tasks: Sequence[str] | None = None,
    variants: Sequence[str] | None = None,
    seeds: int | None = None,
    env_steps: int | None = None,
) -> list[RunConfig]:
    """
    Combine every task with every variant and every seed.

    :param experiment: The experiment
    :param folder: Folder that holds one folder for each experiment
    :param options: Options that all runs share
    :param tasks: Some of the tasks, with or without ``dmc-``, or other environments; None: all
    :param variants: Names of some of the variants; None: all
    :param seeds: Number of seeds, which count from 1; None: as many as the experiment has
    :param env_steps: Env steps of every run; None: as many as the experiment has
    :return: The runs, ordered by seed, so that variants can be compared early
    :raises ValueError: if there is no such task or variant
    """
    names = [variant.name for variant in experiment.variants]
    for name in variants or ():
        if name not in names:
            raise ValueError(f"The experiment has no variant {name!r}: choose from {', '.join(names)}.")
    chosen = experiment if tasks is None else with_tasks(experiment, tasks)
    return [
        _make_config(chosen, variant, task, seed, folder, options, env_steps)
        for seed in range(1, (seeds or chosen.seeds) + 1)
        for task in chosen.tasks
        for variant in chosen.variants
        if variant.name in (variants or names)
    ]


def check_evaluated(runs: Sequence[RunConfig]) -> None:
    """
    Check that runs that are going to be trained are long enough for an evaluation.

    :param runs: The runs
    :raises ValueError: if one is not
    """
    for run in runs:
        if run.env_steps < run.eval_freq:
            raise ValueError(
                f"{run.name} has {run.env_steps:,} env steps and would never be evaluated: "
                f"lower --eval-freq, which is {run.eval_freq:,}."
            )


def read_config(folder: Path) -> RunConfig:
    """
    Read the configuration of a run.

    :param folder: Folder of the run
    :return: What :meth:`RunConfig.write` has written there
    :raises ValueError: if the folder holds no configuration
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ValueError(f"{folder} is not the folder of an experiment's run: it holds no {CONFIG_FILE}.")
    return RunConfig(folder=folder, **yaml.safe_load(path.read_text(encoding="utf-8")))


def read_progress(run: RunConfig) -> Progress:
    """
    Read the progress of a run from the files in its folder.

    :param run: The run
    :return: Its progress
    """
    steps, returns, _ = read_evaluations(run.folder)
    trained = trained_steps(run.model)
    episodes = read_episodes(run.folder, skip_unfinished=True)
    reached = max([*steps[-1:], *(episode.step for episode in episodes[-1:]), trained or 0])
    score = sum(returns[-1]) / len(returns[-1]) if returns else None
    done = trained is not None and trained >= run.agent_steps(run.env_steps)
    return Progress(reached * run.action_repeat, len(steps), score, done)


def file_entry(algo: str, task: str) -> dict[str, Any]:
    """
    Read the hyperparameters that a run has without those of its variant.

    :param algo: RL Zoo's name of the algorithm
    :param task: Id of the environment
    :return: The entry of the algorithm's file in ``zoo_configs`` for the task, or its ``default``
    """
    entries = yaml.safe_load(config_file(algo).read_text(encoding="utf-8"))
    return entries.get(task, entries["default"])


def _make_config(
    experiment: Experiment,
    variant: Variant,
    task: str,
    seed: int,
    folder: Path,
    options: RunOptions,
    env_steps: int | None,
) -> RunConfig:
    env_id, gym_packages = find_task(task)
    return RunConfig(
        folder=folder / experiment.name / variant.name / variant.algo / f"{env_id.replace('/', '-')}_{seed}",
        variant=variant.name,
        algo=variant.algo,
        task=env_id,
        gym_packages=gym_packages,
        seed=seed,
        env_steps=env_steps or experiment.env_steps or _default_env_steps(variant.algo, env_id),
        hyperparams=variant.hyperparams,
        env_kwargs=variant.env_kwargs,
        pretrain=variant.pretrain and dict(variant.pretrain),
        matmul_precision=variant.matmul_precision,
        torso_height=TORSO_HEIGHT in experiment.draw,
        label=variant.label,
        **asdict(options),
    )


def _default_env_steps(algo: str, task: str) -> int:
    entries = yaml.safe_load(config_file(algo).read_text(encoding="utf-8"))
    if task not in entries:
        raise ValueError(f"{task} has no number of steps of its own: set env_steps, or pass --env-steps.")
    return entries[task]["n_timesteps"] * action_repeat(task, {})


def _content(run: RunConfig) -> dict[str, Any]:
    plan = asdict(run)
    del plan["folder"]
    return plan
