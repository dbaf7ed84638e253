"""
What RL Zoo needs to know: this project's ids and their hyperparameters, and the algorithm ``fpac``. Import it after, or
through, rl_zoo3.
"""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import optuna
import rl_zoo3.hyperparams_opt
import rl_zoo3.utils
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sb3_fpac.callbacks import FeaturePointCallback, ResumableCheckpoint, latest_checkpoint, restore
from sb3_fpac.envs import TASKS
from sb3_fpac.fpac.fpac import FPAC, SelfFPAC
from sb3_fpac.zoo.sampler import convert_fpac_params, sample_fpac_params


class ZooFPAC(FPAC):
    """FPAC, which RL Zoo loads without a replay buffer to speak of where an agent is only watched."""

    @classmethod
    def load(cls: type[SelfFPAC], *args: Any, **kwargs: Any) -> SelfFPAC:
        """
        RL Zoo asks for ``buffer_size=1`` itself, but only for the off-policy algorithms that it knows.

        :param args: As in FPAC.load
        :param kwargs: As in FPAC.load. With ``tensorboard_log``, which RL Zoo passes where it goes on training, they are left
            as they are.
        :return: The agent
        """
        if "tensorboard_log" not in kwargs:
            # Not on its storage_device either, which may be a GPU of another machine
            kwargs = {"buffer_size": 1, "replay_buffer_kwargs": {}, **kwargs}
        return super().load(*args, **kwargs)


rl_zoo3.utils.ALGOS["fpac"] = ZooFPAC
rl_zoo3.hyperparams_opt.HYPERPARAMS_SAMPLER["fpac"] = sample_fpac_params
rl_zoo3.hyperparams_opt.HYPERPARAMS_CONVERTER["fpac"] = convert_fpac_params


def config_file(algo: str) -> Path:
    """
    The YAML with the hyperparameters of this project's ids.

    :param algo: RL Zoo's name of the algorithm, such as ``"sac"``
    :return: Its path
    :raises ValueError: if there is none for this algorithm
    """
    package = Path(__file__).parents[1]
    folder = package / "zoo_configs"  # where the wheel puts it
    if not folder.is_dir():
        folder = package.parent / "zoo_configs"  # a checkout
    algorithms = sorted(path.stem for path in folder.glob("*.yml"))
    if algo not in algorithms:
        raise ValueError(
            f"sb3-fpac has hyperparameters for {', '.join(algorithms[:-1])} and {algorithms[-1]}, not for {algo}: "
            f"choose one of them with --algo, or give your own YAML with -conf."
        )
    return folder / f"{algo}.yml"


def _adapt_experiments() -> None:
    """RL Zoo has no hook for hyperparameters, nor for what counts as diverged"""
    from rl_zoo3.exp_manager import ExperimentManager

    read, objective = ExperimentManager.read_hyperparameters, ExperimentManager.objective

    @wraps(read)
    def read_ours(self: ExperimentManager) -> Any:
        """Our file for our ids, and for our algorithm with any id, unless the user gave one with -conf"""
        if (self.env_name.gym_id in TASKS or self.algo == "fpac") and _is_rl_zoos_own(self.config):
            self.config = str(config_file(self.algo))
        return read(self)

    @wraps(objective)
    def prune_diverged(self: ExperimentManager, trial: optuna.Trial) -> float:
        """RL Zoo prunes a trial that diverges, but expects a ValueError of it"""
        try:
            return objective(self, trial)
        except FloatingPointError as error:
            print(error)
            raise optuna.TrialPruned() from error

    ExperimentManager.read_hyperparameters = read_ours  # type: ignore[method-assign]
    ExperimentManager.objective = prune_diverged  # type: ignore[method-assign]
    _resume_from_checkpoints(ExperimentManager)


def _resume_from_checkpoints(manager: Any) -> None:
    """RL Zoo's ``-i`` loads model and replay buffer and starts to count anew: from a checkpoint of ours, the run goes on"""
    create_callbacks, load, learn = manager.create_callbacks, manager._load_pretrained_agent, manager.learn

    def is_checkpoint(self: Any) -> bool:
        folder = Path(self.trained_agent).parent
        return self.continue_training and latest_checkpoint(folder) == folder

    @wraps(create_callbacks)
    def create_callbacks_in_log_folder(self: Any) -> None:
        create_callbacks(self)
        for callback in self.callbacks:
            if isinstance(callback, (ResumableCheckpoint, FeaturePointCallback)):
                callback.save_path = Path(self.save_path, callback.save_path)

    @wraps(load)
    def load_and_restore(self: Any, hyperparams: dict[str, Any], env: VecEnv) -> BaseAlgorithm:
        model = load(self, hyperparams, env)
        if is_checkpoint(self):
            restore(model, Path(self.trained_agent).parent)
        return model

    @wraps(learn)
    def go_on_learning(self: Any, model: BaseAlgorithm) -> None:
        learn(self, _ContinuedRun(model) if is_checkpoint(self) else model)

    manager.create_callbacks = create_callbacks_in_log_folder
    manager._load_pretrained_agent = load_and_restore
    manager.learn = go_on_learning


class _ContinuedRun:
    """A model that learns up to so many steps instead of so many more"""

    def __init__(self, model: BaseAlgorithm) -> None:
        self.model = model

    def learn(self, total_timesteps: int, **kwargs: Any) -> None:
        self.model.learn(total_timesteps - self.model.num_timesteps, reset_num_timesteps=False, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def _is_rl_zoos_own(config: str) -> bool:
    package = Path(rl_zoo3.utils.__file__).parent
    return Path(config).parent in (package / "hyperparams", package.parent / "hyperparams")


def _when_first_called(function: Callable[..., Any], do: Callable[[], None]) -> Callable[..., Any]:
    pending = [do]

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        while pending:
            pending.pop()()
        return function(*args, **kwargs)

    return wrapper


_exp_manager = sys.modules.get("rl_zoo3.exp_manager")
if _exp_manager is None or hasattr(_exp_manager, "ExperimentManager"):
    _adapt_experiments()
else:
    # That very module is being imported, and imports us: wait for the first ExperimentManager, which asks for its run's number
    # with this function (and imports it only after us)
    rl_zoo3.utils.get_latest_run_id = _when_first_called(rl_zoo3.utils.get_latest_run_id, _adapt_experiments)
