"""Which hyperparameters a run of RL Zoo gets, and each of its trials."""

import copy
import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import optuna

from sb3_fpac.fpac.fpac import FPAC
from sb3_fpac.hyperparams import fpac_fast
from sb3_fpac.zoo.callbacks import without_those_of_a_run
from sb3_fpac.zoo.ours import NAMES, config_file, is_ours, uses_our_config
from sb3_fpac.zoo.trials import SampledOnTop, merged

_WITHOUT_EFFECT = ("verbose", "stats_window_size", "device")  # on what is learned


def read_hyperparameters(manager: Any, read: Callable[[], Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    Read the hyperparameters of a run: from this package's file for its environments and for its algorithms, unless the user
    passes another with ``-conf``. The preset lies below the file, a trial of a study above it, and ``-params`` on top.

    :param manager: RL Zoo's ExperimentManager
    :param read: Its own method
    :return: The hyperparameters, and those that are saved with the run
    """
    if uses_our_config(manager):
        manager.config = str(config_file(manager.algo))
    trial_id, manager.trial_id = manager.trial_id, None
    hyperparams, _ = read()
    manager.trial_id = trial_id
    if manager.algo == "fpac_fast":
        hyperparams = merged(copy.deepcopy(fpac_fast), hyperparams)
        print("Merged with those of the preset:", {name: hyperparams[name] for name in fpac_fast})
    if manager.storage and manager.study_name and trial_id:
        hyperparams = _with_trial(manager, hyperparams, trial_id)
    _evaluate_in_environment_of_training(manager, hyperparams)
    saved_hyperparams = dict(hyperparams)
    if manager.algo in NAMES:
        defaults = {name: value for name, value in _defaults().items() if name not in hyperparams}
        print("FPAC's defaults for all others:", defaults)
        saved_hyperparams.update(defaults)
    return hyperparams, OrderedDict(sorted(saved_hyperparams.items()))


def run_trial(manager: Any, objective: Callable[[optuna.Trial], float], trial: optuna.Trial) -> float:
    """
    Run a trial. RL Zoo prunes a diverged trial only if it raises a ValueError, and replaces ``policy_kwargs`` as a whole. A
    trial has no log folder: the checkpoint of the first would stop all others.

    :param manager: RL Zoo's ExperimentManager
    :param objective: Its own method
    :param trial: Of Optuna
    :return: The objective
    :raises optuna.TrialPruned: if training has diverged
    """
    hyperparams = manager._hyperparams
    if is_ours(manager, hyperparams) and not isinstance(hyperparams, SampledOnTop):
        fixed = _fixed(manager, hyperparams)
        manager._hyperparams = SampledOnTop(hyperparams, fixed)
        if fixed:
            print("Fixed by -params, whatever a trial prints as sampled:", fixed)
    manager.specified_callbacks = without_those_of_a_run(manager.specified_callbacks)
    try:
        return objective(trial)
    except FloatingPointError as error:
        print(error)
        raise optuna.TrialPruned() from error


def _with_trial(manager: Any, hyperparams: dict[str, Any], trial_id: int) -> dict[str, Any]:
    sampled = manager.load_trial(manager.storage, manager.study_name, trial_id)
    print(f"Hyperparameters of trial {trial_id}:", sampled)
    fixed = _fixed(manager, hyperparams)
    if is_ours(manager, hyperparams):
        return merged(merged(hyperparams, sampled), fixed)
    return {**hyperparams, **sampled, **fixed}  # as RL Zoo does


def _fixed(manager: Any, hyperparams: dict[str, Any]) -> dict[str, Any]:
    """By ``-params``"""
    given = manager.custom_hyperparams or {}
    return {name: value for name, value in hyperparams.items() if name in given}


def _evaluate_in_environment_of_training(manager: Any, hyperparams: dict[str, Any]) -> None:
    """RL Zoo itself takes the ``env_kwargs`` of a YAML file for training only"""
    env_kwargs = hyperparams.get("env_kwargs") or manager.env_kwargs
    if manager._eval_env_kwargs_args is None:
        manager.eval_env_kwargs = env_kwargs
    manager.args.env_kwargs = env_kwargs  # saved in args.yml, from which alone record_video takes them


def _defaults() -> dict[str, Any]:
    """The hyperparameters of FPAC that are numbers or texts"""
    return {
        each.name: each.default
        for each in inspect.signature(FPAC).parameters.values()
        if isinstance(each.default, (int, float, str)) and each.name not in _WITHOUT_EFFECT and not each.name.startswith("_")
    }
