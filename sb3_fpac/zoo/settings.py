"""The settings of a run of RL Zoo. Its own reader runs what they contain: objects in YAML, the text of ``normalize``."""

import ast
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import gymnasium as gym
import yaml
from rl_zoo3 import get_saved_hyperparams
from stable_baselines3.common.vec_env import VecEnvWrapper

from sb3_fpac.files import UntrustedFileError, reading
from sb3_fpac.trust import names

_PYTHON = "tag:yaml.org,2002:python/"
_WRAPPERS_OF = ("gymnasium", "rl_zoo3", "sb3_contrib", "sb3_fpac", "stable_baselines3")


def read_arguments(folder: Path, trust: bool = False) -> dict[str, Any]:
    """
    Read what was typed for a run.

    :param folder: The folder of its settings, ``<env_id>``
    :param trust: Whether the file may run code
    :return: The arguments of ``rl_zoo3.train`` by name; empty if there is no ``args.yml``
    :raises UntrustedFileError: if the file is more than data and ``trust`` is False
    :raises DamagedFileError: if it cannot be read
    """
    path = folder / "args.yml"
    if not path.is_file():
        return {}
    with reading(path):
        return _load(path, trust)


def read_hyperparams(folder: Path, trust: bool = False) -> dict[str, Any]:
    """
    Read the hyperparameters of a run, as RL Zoo does for its environment.

    :param folder: The folder of its settings, ``<env_id>``
    :param trust: Whether the file may run code
    :return: Hyperparameters by name
    :raises UntrustedFileError: if the file is more than data, or names a wrapper of others, and ``trust`` is False
    :raises DamagedFileError: if it cannot be read
    """
    path = folder / "config.yml"
    with reading(path):
        if trust or not path.is_file():
            return get_saved_hyperparams(str(folder), test_mode=True)[0]
        hyperparams = _load(path, trust)
        normalize = hyperparams.get("normalize")
        if isinstance(normalize, str) and not _is_literal(ast.parse(normalize.strip(), mode="eval").body):
            raise UntrustedFileError(path, normalize)
        for name in ("env_wrapper", "vec_env_wrapper"):
            given = hyperparams.get(name)
            for wrapper in given if isinstance(given, list) else [given]:
                wrapper = next(iter(wrapper)) if isinstance(wrapper, dict) else wrapper
                if wrapper is not None and not _is_wrapper(wrapper):
                    raise UntrustedFileError(path, str(wrapper))
        return hyperparams


def check_modules(modules: Sequence[str], path: Path) -> None:
    """
    Check that the modules which a run names are the user's: installed, or found from the folder in which Python was started,
    but none that came with the run.

    :param modules: Their names
    :param path: The file that names them, ``<run>/<env_id>/args.yml``
    :raises UntrustedFileError: if a module is among the run's files, or in a folder without ``__init__.py``
    """
    run = path.resolve().parents[1]
    for module in modules:
        search = None
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            spec = PathFinder.find_spec(".".join(parts[:end]), search)
            if spec is None:
                break  # not a file: importing it says so
            if spec.origin is None or run in Path(spec.origin).resolve().parents:
                raise UntrustedFileError(path, f"the module {module}")
            search = spec.submodule_search_locations


class _DataLoader(yaml.SafeLoader):
    """Knows the tags that RL Zoo writes beside plain data"""

    def python(self, suffix: str, node: yaml.Node) -> Any:
        if suffix == "tuple" and isinstance(node, yaml.SequenceNode):
            return tuple(self.construct_sequence(node, deep=True))
        if suffix == "object/apply:collections.OrderedDict" and isinstance(node, yaml.SequenceNode):
            return dict(*self.construct_sequence(node, deep=True))
        kind, _, name = suffix.partition(":")
        listed = names.find(*name.rpartition(".")[::2]) if kind == "name" else None
        if listed is None:
            raise UntrustedFileError(self.name, f"!!python/{suffix}")
        return listed[0]


_DataLoader.add_multi_constructor(_PYTHON, _DataLoader.python)


def _load(path: Path, trust: bool) -> dict[str, Any]:
    with path.open(encoding="utf-8") as file:
        return dict(yaml.load(file, yaml.UnsafeLoader if trust else _DataLoader))


def _is_literal(node: ast.expr) -> bool:
    """Whether it is a literal, or such as ``dict(norm_obs=True)``"""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict" and not node.args:
        return all(_is_literal(keyword.value) for keyword in node.keywords)
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True


def _is_wrapper(name: Any) -> bool:
    """Whether it is a wrapper of a package that this one needs in any case"""
    if not isinstance(name, str) or name.partition(".")[0] not in _WRAPPERS_OF:
        return False
    module, _, name = name.rpartition(".")
    wrapper = getattr(import_module(module), name, None)
    return isinstance(wrapper, type) and issubclass(wrapper, (gym.Wrapper, VecEnvWrapper))
