"""The YAML file of an experiment: tasks, variants of the agent, seeds, and what the figure shows."""

import inspect
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from rl_zoo3.utils import get_class_by_name
from typing_extensions import NotRequired, TypedDict

from sb3_fpac.envs import TASKS
from sb3_fpac.envs.dmc import make_dmc
from sb3_fpac.envs.torso_height import TORSO_HEIGHT
from sb3_fpac.experiment.options import CONFIGS, experiment_names
from sb3_fpac.experiment.tasks import find_task
from sb3_fpac.zoo import config_file

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)
_NAME = "<name>"  # stands for the name of the file or of the variant; no key of the YAML itself
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_RESERVED = ("n_timesteps", "env_kwargs", "n_envs", "monitor_kwargs")
_EXPECTED = {  # by the type of pydantic's error
    "string_type": "a text",
    "int_type": "a positive whole number",
    "float_type": "a positive number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "invalid_key": "a text",
    "greater_than": "positive",
}


def _check_distinct(what: str, entries: Sequence[str]) -> None:
    if not entries or len(set(entries)) < len(entries):
        raise ValueError(f"{what} must be non-empty and contain no duplicates, got {list(entries)!r}.")


def _check_numbers(value: Any, key: str = "") -> None:
    """To YAML, 1e-4 is a text: its numbers have a dot before the exponent"""
    if isinstance(value, dict):
        for name, each in value.items():
            _check_numbers(each, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for each in value:
            _check_numbers(each, key)
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        number = float(value)
        written = str(int(number)) if number.is_integer() else yaml.safe_dump(number).split()[0]
        raise ValueError(f"{key} is the text {value!r}: write the number {written}.")


def _check_folder_name(name: Any) -> Any:
    if not isinstance(name, str) or not re.fullmatch(r"[\w.+-]+", name):
        raise ValueError(f"{name!r} cannot name a folder: use letters, digits, '-', '_', '.' and '+'.")
    return name


FolderName = Annotated[str, BeforeValidator(_check_folder_name), Field(alias=_NAME)]


class PretrainingOptions(TypedDict):
    """Options of ``python -m sb3_fpac pretrain``, and whether the encoder stays ``frozen`` while the agent is trained."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]

    frozen: bool
    frames: NotRequired[PositiveInt]
    updates: NotRequired[PositiveInt]
    sigma: NotRequired[PositiveFloat]


class Variant(BaseModel):
    """One agent of an experiment."""

    model_config = _STRICT

    name: FolderName
    """Key of the variant in the YAML file; also the name of its folder"""
    label: str
    """Name in the figure and the table (default: the name)"""
    algo: str
    """As RL Zoo calls it: ``"fpac"``, ``"sac"``, ``"tqc"``"""
    hyperparams: dict[str, Any] = {}
    """What differs from the algorithm's file in ``zoo_configs``; a class by its name, such as ``sb3_fpac.PixelExtractor``"""
    env_kwargs: dict[str, Any] = {}
    """Keyword arguments of the environment; for ``dmc-*`` those of :func:`~sb3_fpac.envs.dmc.make_dmc`"""
    pretrain: PretrainingOptions | None = None
    """How the feature points are pre-trained; None: they are not"""
    matmul_precision: Literal["highest", "high", "medium"] | None = None
    """Argument of ``torch.set_float32_matmul_precision``, ``"medium"`` for bfloat16; None: PyTorch's default"""

    @field_validator("algo")
    @classmethod
    def _known_algo(cls, algo: str) -> str:
        config_file(algo)
        return algo

    @field_validator("hyperparams")
    @classmethod
    def _importable_hyperparams(cls, hyperparams: dict[str, Any]) -> dict[str, Any]:
        reserved = sorted(hyperparams.keys() & _RESERVED)
        if reserved:
            raise ValueError(
                f"hyperparams must not have {reserved[0]!r}: set the steps with env_steps and keywords of the environment "
                "with the variant's env_kwargs; a run has one environment."
            )
        if not isinstance(hyperparams.get("policy_kwargs", {}), dict):
            raise ValueError(f"policy_kwargs must be a mapping, got {hyperparams['policy_kwargs']!r}.")
        _check_numbers(hyperparams)
        resolve_classes(hyperparams)
        return hyperparams

    @model_validator(mode="after")
    def _pretrained_without_wrappers(self) -> "Variant":
        if self.pretrain is not None and "env_wrapper" in self.hyperparams:
            raise ValueError(
                f"variant {self.name} has pretrain and env_wrapper: pre-training sees no wrappers. Put the wrappers into a "
                "function and give it as task module:function."
            )
        return self


class Experiment(BaseModel):
    """Every variant on every task, with every seed."""

    model_config = _STRICT

    name: FolderName
    """Stem of the YAML file; also the name of the experiment's folder"""
    title: str
    source: str
    """Figure that it reproduces, and what is this project's choice"""
    tasks: Annotated[tuple[str, ...], Field(strict=False)]
    """Environments, as :func:`~sb3_fpac.experiment.tasks.find_task` finds them"""
    variants: Annotated[tuple[Variant, ...], Field(strict=False)]
    seeds: PositiveInt
    """Number of seeds; they count from 1"""
    env_steps: PositiveInt | None = None
    """Env steps of every run; None: as many as the algorithm's file in ``zoo_configs`` has for the task. For environments
    other than ``dmc-*``, steps as SB3 counts them, and they must be given here or on the command line"""
    draw: Annotated[tuple[Literal["return", "return_over_minutes", "torso_height"], ...], Field(strict=False)] = ("return",)
    """Quantities of the figure, one row each; ``return_over_minutes`` is the return over wall time instead of env steps"""

    @field_validator("tasks", "draw")
    @classmethod
    def _distinct(cls, entries: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        _check_distinct(str(info.field_name), entries)
        return entries

    @field_validator("variants", mode="before")
    @classmethod
    def _named(cls, variants: Any) -> Any:
        if not isinstance(variants, dict):
            raise ValueError(f"variants must be a mapping, got {variants!r}.")
        return [{_NAME: name, "label": name, **each} if isinstance(each, dict) else each for name, each in variants.items()]

    @field_validator("variants")
    @classmethod
    def _distinct_labels(cls, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        _check_distinct("labels of variants", [variant.label for variant in variants])
        return variants

    @model_validator(mode="after")
    def _fits_tasks(self) -> "Experiment":
        _check_fit(self)
        return self


def load_experiment(name: str) -> Experiment:
    """
    Read the YAML file of an experiment.

    :param name: Name of one of this project's experiments, such as ``"fig2"``, or the path of a YAML file
    :return: The experiment
    :raises ValueError: if there is no such file, or its content is wrong
    """
    path = Path(name)
    if path.suffix.lower() not in (".yml", ".yaml"):
        path = CONFIGS / f"{name}.yml"
    if not path.is_file():
        raise ValueError(
            f"There is no experiment {name!r}: choose from {', '.join(experiment_names())}, or give the path of a YAML file."
        )
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _DistinctKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    try:
        return Experiment.model_validate({_NAME: path.stem, **content} if isinstance(content, dict) else content)
    except ValidationError as error:
        raise ValueError(_sentence(path, content, error.errors()[0])) from error


class _DistinctKeys(yaml.SafeLoader):
    """Refuses a key that is written twice, of which YAML would take the last"""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if keys.count(key.value) > 1 and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} is there twice", key.start_mark)
        return super().construct_mapping(node, deep)


def with_tasks(experiment: Experiment, tasks: Sequence[str]) -> Experiment:
    """
    Choose other tasks.

    :param experiment: The experiment
    :param tasks: Some of its tasks or others, as :func:`~sb3_fpac.experiment.tasks.find_task` finds them
    :return: The experiment with these tasks
    :raises ValueError: if there is no such environment, or it does not fit the variants
    """
    chosen = experiment.model_copy(update=dict(tasks=tuple(tasks)))
    _check_fit(chosen)
    return chosen


def _check_fit(experiment: Experiment) -> None:
    env_ids = [find_task(task).env_id for task in experiment.tasks]
    _check_distinct("tasks", env_ids)
    others = [env_id for env_id in env_ids if env_id not in TASKS]
    if TORSO_HEIGHT in experiment.draw and others:
        raise ValueError(f"torso_height can be drawn for dmc-* tasks only, got {others[0]!r}.")
    known = inspect.signature(make_dmc).parameters.keys() - {"domain", "task"}
    for variant in experiment.variants if len(others) < len(env_ids) else ():
        unknown = sorted(variant.env_kwargs.keys() - known)
        if unknown:
            raise ValueError(f"variant {variant.name}: env_kwargs has {unknown[0]!r}: choose from {', '.join(sorted(known))}.")


def resolve_classes(hyperparams: Mapping[str, Any]) -> dict[str, Any]:
    """
    Import the classes of ``policy_kwargs``. RL Zoo imports ``policy`` by its name, but nothing in ``policy_kwargs``.

    :param hyperparams: Hyperparameters of a variant
    :return: A copy, in which the names under ``…_class`` and ``…_fn`` of ``policy_kwargs`` are replaced by what they name
    :raises ValueError: if a name cannot be imported
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


def _sentence(path: Path, content: Any, error: ErrorDetails) -> str:
    """What pydantic found, as one sentence that names the key, what it must be, and what was got"""
    kind, place = error["type"], [step for step in error["loc"] if step != _NAME]
    where, model = str(path), Experiment.__annotations__
    if place[:1] == ["variants"] and len(place) > 1:
        where, model = f"{where}, variant {list(content['variants'])[int(place[1])]}", Variant.__annotations__
        place = place[2:]
    if place[:1] == ["pretrain"] and len(place) > 1:
        where, model, place = f"{where}, pretrain", PretrainingOptions.__annotations__, place[1:]
    key = ".".join(map(str, place)) or "the content"
    if kind == "value_error":
        return f"{where}: {error['ctx']['error']}"
    if kind == "missing":
        return f"{where} lacks {key!r}."
    if kind == "extra_forbidden":
        return f"{where} has the key {key!r}: choose from {', '.join(name for name in model if name != 'name')}."
    expected = error["ctx"]["expected"] if kind == "literal_error" else _EXPECTED[kind]
    return f"{where}: {key} must be {expected}, got {error['input']!r}."
