"""Hyperparameters of Optuna's trials, on top of those of a YAML file and below those of ``-params``."""

from collections.abc import Mapping
from typing import Any

import rl_zoo3.exp_manager


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """
    Merge hyperparameters. RL Zoo replaces ``policy_kwargs`` as a whole, and with them what describes the images.

    :param below: Hyperparameters
    :param above: Those that replace them; dicts are merged key by key
    :return: The merged hyperparameters
    """
    result = dict(below)
    for name, value in above.items():
        old = as_mapping(result.get(name))
        new = as_mapping(value)
        result[name] = merged(old, new) if old is not None and new is not None else value
    return result


def as_mapping(value: Any) -> Mapping[str, Any] | None:
    """
    Read keyword arguments, which a YAML of RL Zoo may give as a string such as ``dict(net_arch=[64])``.

    :param value: A mapping, a string that RL Zoo would evaluate, or anything else
    :return: The mapping; None if it is anything else
    """
    if isinstance(value, str) and value.lstrip().startswith(("dict(", "{")):
        value = eval(value, vars(rl_zoo3.exp_manager))  # as RL Zoo does
    return value if isinstance(value, Mapping) else None


class SampledOnTop(dict[str, Any]):
    """
    Hyperparameters that RL Zoo copies for every trial and updates with the sampled ones: the update merges them.

    :param hyperparams: Those of the YAML file and of ``-params``
    :param fixed: Those of ``-params``, which sampled ones do not replace
    """

    def __init__(self, hyperparams: Mapping[str, Any], fixed: Mapping[str, Any]) -> None:
        super().__init__(hyperparams)
        self.fixed = fixed

    def copy(self) -> "SampledOnTop":
        return SampledOnTop(self, self.fixed)

    def update(self, sampled: Mapping[str, Any]) -> None:  # type: ignore[override]
        super().update(merged(merged(self, sampled), self.fixed))
