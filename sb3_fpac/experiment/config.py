"""What an experiment is: a YAML with tasks, variants of the agent, seeds, and what to draw."""

import inspect
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rl_zoo3.utils import get_class_by_name

from sb3_fpac.envs import TASKS
from sb3_fpac.envs.dmc import make_dmc
from sb3_fpac.zoo import config_file

CONFIGS = Path(__file__).with_name("configs")
DRAWN = ("return", "torso_height")
_EXPERIMENT = dict(title=str, source=str, tasks=list, variants=dict, seeds=int, env_steps=int, draw=list)
_VARIANT = dict(label=str, algo=str, hyperparams=dict, env_kwargs=dict, pretrain=dict)
_PRETRAINING = dict(frames=int, updates=int, sigma=float, frozen=bool)
_KINDS = {
    str: "a text",
    int: "a positive whole number",
    float: "a positive number with a point",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
}
_NO_HYPERPARAMS = ("n_timesteps", "env_kwargs", "n_envs", "monitor_kwargs")


@dataclass(frozen=True)
class Variant:
    """One agent of an experiment."""

    name: str
    """Also that of its folder"""
    label: str
    """In the figure"""
    algo: str
    """As RL Zoo calls it: ``"fpac"``, ``"sac"``, ``"tqc"``"""
    hyperparams: dict[str, Any] = field(default_factory=dict)
    """What differs from the algorithm's file in ``zoo_configs``; a class by its name, such as ``sb3_fpac.PixelExtractor``"""
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    """For :func:`~sb3_fpac.envs.dmc.make_dmc`"""
    pretrain: dict[str, Any] | None = None
    """
    ``frames``, ``updates`` and ``sigma`` of ``python -m sb3_fpac pretrain``, and whether the points are ``frozen``; None: none
    """


@dataclass(frozen=True)
class Experiment:
    """Every variant on every task, with every seed."""

    name: str
    """Of its file, and of its folder"""
    title: str
    source: str
    """Where it is from, and what is this project's choice"""
    tasks: tuple[str, ...]
    variants: tuple[Variant, ...]
    seeds: int
    """How many: from 1 on"""
    env_steps: int | None
    """Of every run; None: as many as the algorithm's file in ``zoo_configs`` has for the task"""
    draw: tuple[str, ...]
    """What the figure shows, of :data:`DRAWN`: a row each"""


def load_experiment(name: str) -> Experiment:
    """
    Read the description of an experiment.

    :param name: That of one of this project's experiments, such as ``"fig2"``, or the path of a YAML file
    :return: The experiment
    :raises ValueError: if there is none, or its description is wrong
    """
    path = Path(name)
    if path.suffix not in (".yml", ".yaml"):
        path = CONFIGS / f"{name}.yml"
    if not path.is_file():
        raise ValueError(
            f"There is no experiment {name!r}: choose from {', '.join(experiment_names())}, or give the path of a YAML file."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    return _experiment(path, content)


def experiment_names() -> list[str]:
    """
    All experiments of this project.

    :return: Their names, ``["fig2", …]``
    """
    return sorted((path.stem for path in CONFIGS.glob("*.yml")), key=lambda name: (len(name), name))


def resolve_classes(hyperparams: Mapping[str, Any]) -> dict[str, Any]:
    """
    Hyperparameters as RL Zoo takes them: it imports ``policy`` by its name, but nothing in ``policy_kwargs``.

    :param hyperparams: Of a variant
    :return: A copy, in which ``…_class`` and ``…_fn`` of ``policy_kwargs`` are what their names stand for
    :raises ValueError: if there is nothing of such a name
    """
    copied = deepcopy(dict(hyperparams))
    policy_kwargs = copied.get("policy_kwargs", {})
    for key, name in policy_kwargs.items():
        if isinstance(name, str) and key.endswith(("_class", "_fn")):
            try:
                policy_kwargs[key] = get_class_by_name(name)
            except (AttributeError, ImportError, ValueError) as error:
                raise ValueError(f"{key} {name!r} cannot be imported: write it like sb3_fpac.PixelExtractor.") from error
    return copied


def _experiment(path: Path, content: Any) -> Experiment:
    _check(str(path), content, _EXPERIMENT, required=("title", "source", "tasks", "variants", "seeds"))
    for name in (path.stem, *content["variants"]):
        if not isinstance(name, str) or not re.fullmatch(r"[\w.+-]+", name):
            raise ValueError(f"{path}: {name!r} cannot name a folder: use letters, digits, '-', '_', '.' and '+'.")
    for task in content["tasks"]:
        if task not in TASKS:
            raise ValueError(f"{path}: there is no task {task!r}: write it like dmc-cheetah-run.")
    draw = content.get("draw", ["return"])
    for what in draw:
        if what not in DRAWN:
            raise ValueError(f"{path}: draw has {what!r}: choose from {', '.join(DRAWN)}.")
    variants = tuple(_variant(f"{path}, variant {name}", name, each) for name, each in content["variants"].items())
    labels = [variant.label for variant in variants]
    for what, entries in (("tasks", content["tasks"]), ("draw", draw), ("labels of variants", labels)):
        if not entries or len(set(entries)) < len(entries):
            raise ValueError(f"{path}: {what} must be there, each once, got {entries!r}.")
    return Experiment(
        name=path.stem,
        title=content["title"],
        source=content["source"],
        tasks=tuple(content["tasks"]),
        variants=variants,
        seeds=content["seeds"],
        env_steps=content.get("env_steps"),
        draw=tuple(draw),
    )


def _variant(where: str, name: str, content: Any) -> Variant:
    _check(where, content, _VARIANT, required=("algo",))
    variant = Variant(name, **{"label": name, **content})
    try:
        config_file(variant.algo)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    for key in variant.hyperparams.keys() & _NO_HYPERPARAMS:
        raise ValueError(
            f"{where}: hyperparams must not have {key!r}: steps are env_steps, keywords of the environment stand in the "
            "variant's env_kwargs, and a run has one environment."
        )
    if not isinstance(variant.hyperparams.get("policy_kwargs", {}), dict):
        raise ValueError(f"{where}: policy_kwargs must be a mapping, got {variant.hyperparams['policy_kwargs']!r}.")
    try:
        resolve_classes(variant.hyperparams)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    known = inspect.signature(make_dmc).parameters.keys() - {"domain", "task"}
    for key in variant.env_kwargs.keys() - known:
        raise ValueError(f"{where}: env_kwargs has {key!r}: choose from {', '.join(sorted(known))}.")
    if variant.pretrain is not None:
        _check(f"{where}, pretrain", variant.pretrain, _PRETRAINING, required=("frozen",))
    return variant


def _check(where: str, content: Any, kinds: Mapping[str, type], required: tuple[str, ...]) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"{where} must be a mapping with {', '.join(required)}, got {content!r}.")
    for key in required:
        if key not in content:
            raise ValueError(f"{where} lacks {key!r}.")
    for key, value in content.items():
        if key not in kinds:
            raise ValueError(f"{where} has the key {key!r}: choose from {', '.join(kinds)}.")
        if type(value) is not kinds[key] or (isinstance(value, (int, float)) and kinds[key] is not bool and not value > 0):
            raise ValueError(f"{where}: {key} must be {_KINDS[kinds[key]]}, got {value!r}.")
