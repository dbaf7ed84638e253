"""The settings with which a run was trained: what its files say, and the defaults of what they do not say."""

import ast
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import sb3_contrib
import stable_baselines3

from sb3_fpac.envs import TASKS, make_dmc
from sb3_fpac.evaluation.runs import Run
from sb3_fpac.features import FeaturePointExtractor
from sb3_fpac.fpac import FPAC
from sb3_fpac.hyperparams import fpac_kwargs
from sb3_fpac.policies import FPACPolicy, FPACTQCPolicy

_SB3 = ("A2C", "DDPG", "DQN", "PPO", "SAC", "TD3")
_CONTRIB = ("ARS", "CrossQ", "QRDQN", "TQC", "TRPO")
ALGORITHMS: dict[str, type] = {
    **{name.lower(): getattr(stable_baselines3, name) for name in _SB3},
    **{name.lower(): getattr(sb3_contrib, name) for name in _CONTRIB},
    "ppo_lstm": sb3_contrib.RecurrentPPO,
    "fpac": FPAC,
    "fpac_fast": FPAC,
}
"""The algorithms by their names in RL Zoo"""
NO_SETTINGS = (
    "n_timesteps",
    "env",
    "seed",
    "device",
    "verbose",
    "tensorboard_log",
    "stats_window_size",
    "_init_setup_model",
    "env_kwargs.render_mode",
    "env_kwargs.render_size",
)
"""What changes nothing in an agent after a number of steps: for how long, where and with which output it is trained"""
_EXTRACTOR = "policy_kwargs.features_extractor_kwargs."


class Setting(NamedTuple):
    """The value of a hyperparameter."""

    value: Any
    """As in the files of the run, or the default; a class is its name"""
    default: bool
    """Whether the files of the run do not have it"""

    @property
    def text(self) -> str:
        """The value as text"""
        return self.value if isinstance(self.value, str) else repr(self.value)

    @property
    def key(self) -> Any:
        """Equal for equal values: 1 and 1.0, (2,) and [2]"""
        return _key(self.value)


def effective_settings(run: Run) -> dict[str, Setting]:
    """
    Find the settings that were in effect: what RL Zoo saved and, for everything else, the defaults of the algorithm. Defaults
    of FPAC's policies, of their extractor and of this project's environments are known, too.

    :param run: The run
    :return: Settings by name; those in dicts are named like ``policy_kwargs.net_arch``. Settings that are the same for all
        agents, such as the number of steps, are included.
    """
    saved = flatten(run.hyperparameters)
    algorithm = ALGORITHMS.get(run.algorithm)
    policy = saved.get("policy")
    if algorithm is not None and isinstance(policy, str):
        policy = getattr(algorithm, "policy_aliases", {}).get(policy, policy)
        saved["policy"] = _name(policy)
    if saved.get("env_kwargs.action_repeat", ...) is None:
        del saved["env_kwargs.action_repeat"]  # None is that of the task
    if "pretrain.frozen" in saved:
        saved.pop(_EXTRACTOR + "pretrained", None)  # a file of each run
    defaults = _defaults(algorithm, run, saved)
    settings = {name: Setting(_plain(name, value), False) for name, value in saved.items()}
    return {name: Setting(_plain(name, value), True) for name, value in defaults.items()} | settings


def comparable_settings(run: Run) -> dict[str, Any]:
    """
    Describe the settings so that two runs of an algorithm can be averaged if the results are equal.

    :param run: The run
    :return: Hashable values by name; without the seed and what has no effect on the agent. The number of steps is included
        where a schedule depends on it.
    """
    settings = effective_settings(run)
    scheduled = any(str(setting.value).startswith("lin_") for setting in settings.values())
    left_out = set(NO_SETTINGS) - ({"n_timesteps"} if scheduled else set())
    return {name: setting.key for name, setting in settings.items() if name not in left_out}


def flatten(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """
    Name the entries of dicts by their paths, ``policy_kwargs.net_arch``.

    :param hyperparameters: As saved by RL Zoo, where a dict may also be a text such as ``"dict(net_arch=[16])"``
    :return: The entries
    """
    flat: dict[str, Any] = {}
    for name, value in hyperparameters.items():
        value = _parse_dict(value) if isinstance(value, str) and value.lstrip().startswith(("dict(", "{")) else value
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            flat |= {f"{name}.{inner}": entry for inner, entry in flatten(value).items()}
        elif value is not None or not name.endswith("_kwargs"):
            flat[name] = value
    return flat


def _parse_dict(text: str) -> Any:
    """The dict of ``dict(a=1, b=nn.ReLU)`` or ``{'a': 1}``, without executing anything; the text if it is something else"""

    def evaluate(node: ast.expr) -> Any:
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict" and not node.args:
            return {keyword.arg: evaluate(keyword.value) for keyword in node.keywords}
        if isinstance(node, ast.Dict) and None not in node.keys:
            return {evaluate(key): evaluate(value) for key, value in zip(node.keys, node.values, strict=True)}  # type: ignore[arg-type]
        if isinstance(node, (ast.Name, ast.Attribute)):
            return ast.unparse(node)
        return ast.literal_eval(node)

    try:
        parsed = evaluate(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError):
        return text
    return text if None in parsed else parsed  # dict(**other)


def _defaults(algorithm: type | None, run: Run, saved: Mapping[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {}
    if algorithm is not None:
        defaults |= {name: value for name, value in _signature(algorithm).items() if not name.endswith("_kwargs")}
    if run.env_id in TASKS:
        defaults |= {f"env_kwargs.{name}": value for name, value in _signature(make_dmc).items()}
        defaults["env_kwargs.action_repeat"] = TASKS[run.env_id].action_repeat
    if saved.get("policy") in (FPACPolicy.__name__, FPACTQCPolicy.__name__):
        defaults |= {"policy_kwargs.target_encoder": "online", "policy_kwargs.layer_norm": False}
        defaults |= {f"policy_kwargs.{name}": value for name, value in fpac_kwargs.items()}
        extractor = saved.get("policy_kwargs.features_extractor_class", FeaturePointExtractor)
        if _name(extractor) == FeaturePointExtractor.__name__:
            defaults |= {_EXTRACTOR + name: value for name, value in _signature(FeaturePointExtractor).items()}
    return defaults


def _signature(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}


def _plain(name: str, value: Any) -> Any:
    """Classes as their names, which is all that a file has of them"""
    if isinstance(value, type) or (isinstance(value, str) and name.endswith(("_class", "_fn"))):
        return _name(value)
    return value


def _name(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else str(value).rpartition(".")[2]


def _key(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(map(_key, value))
    if isinstance(value, Mapping):
        return tuple(sorted((str(name), _key(entry)) for name, entry in value.items()))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return (type(value).__name__, str(value))
