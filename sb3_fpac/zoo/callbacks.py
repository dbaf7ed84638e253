"""Callbacks that write to the log folder of a run of RL Zoo."""

from pathlib import Path
from typing import Any

import rl_zoo3.utils

from sb3_fpac.callbacks import FeaturePointCallback, ResumableCheckpoint

_OF_A_RUN = (ResumableCheckpoint, FeaturePointCallback)


def join_log_folder(manager: Any) -> None:
    """
    Let the callbacks of a run write to its log folder, and FeaturePointCallback draw an environment with the wrappers of the
    run.

    :param manager: RL Zoo's ExperimentManager, which has created its callbacks
    """
    for callback in manager.callbacks:
        if isinstance(callback, _OF_A_RUN):
            callback.save_path = Path(manager.save_path, callback.save_path)
        if isinstance(callback, FeaturePointCallback) and callback.eval_env is None:
            callback.eval_env = manager.create_envs(1, eval_env=True)


def without_those_of_a_run(specified: Any) -> list[Any]:
    """
    Leave out the callbacks that need a log folder, which trials do not have.

    :param specified: The callbacks of a YAML file, or of ``-params``
    :return: Those for a trial
    """
    callbacks = specified if isinstance(specified, list) else [specified]
    kept = [each for each in callbacks if each is not None and not _is_of_a_run(each)]
    left_out = [each for each in callbacks if each is not None and each not in kept]
    if left_out:
        print("Left out of trials, which have no log folder:", left_out)
    return kept


def _is_of_a_run(callback: Any) -> bool:
    return any(isinstance(made, _OF_A_RUN) for made in rl_zoo3.utils.get_callback_list({"callback": callback}))
