"""
Adds this package's environments, their hyperparameters and the algorithms ``fpac`` and ``fpac_fast`` to RL Zoo. Import it
after rl_zoo3, or let rl_zoo3 import it.
"""

import copy
import inspect
import sys
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, cast

import optuna
import rl_zoo3.hyperparams_opt
import rl_zoo3.utils
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sb3_fpac.buffers import FrameReplayBuffer, HerFrameReplayBuffer
from sb3_fpac.callbacks import FeaturePointCallback, ResumableCheckpoint, latest_checkpoint, resume
from sb3_fpac.envs import TASKS
from sb3_fpac.fpac.fpac import FPAC, SelfFPAC
from sb3_fpac.fpac.loading import are_same_arguments
from sb3_fpac.hyperparams import fpac_fast
from sb3_fpac.zoo.sampler import convert_fpac_params, sample_fpac_params
from sb3_fpac.zoo.trials import SampledOnTop, as_mapping, merged


class ZooFPAC(FPAC):
    """FPAC, which RL Zoo loads with a replay buffer of a single transition where an agent is only watched."""

    @classmethod
    def load(cls: type[SelfFPAC], *args: Any, **kwargs: Any) -> SelfFPAC:
        """
        Load an agent. RL Zoo itself passes ``buffer_size=1``, but only to the off-policy algorithms that it knows.

        :param args: As in FPAC.load
        :param kwargs: As in FPAC.load. With ``tensorboard_log``, which RL Zoo passes to continue training, the replay buffer
            keeps its size.
        :return: The agent
        """
        if "tensorboard_log" not in kwargs:
            # Without storage_device, which may be a GPU of another machine
            kwargs = {"buffer_size": 1, "replay_buffer_kwargs": {}, **kwargs}
        return super().load(*args, **kwargs)


NAMES = ("fpac", "fpac_fast")
"""What RL Zoo calls FPAC with the hyperparameters of the paper, and with those of the preset"""

_OF_A_RUN = (ResumableCheckpoint, FeaturePointCallback)  # they write to its log folder

rl_zoo3.utils.ALGOS.update(dict.fromkeys(NAMES, ZooFPAC))
rl_zoo3.hyperparams_opt.HYPERPARAMS_SAMPLER.update(dict.fromkeys(NAMES, sample_fpac_params))
rl_zoo3.hyperparams_opt.HYPERPARAMS_CONVERTER.update(dict.fromkeys(NAMES, convert_fpac_params))


def config_file(algo: str) -> Path:
    """
    Find the YAML file with the hyperparameters of this package's environments.

    :param algo: RL Zoo's name of the algorithm, such as ``"sac"``
    :return: The path of the file
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
    """RL Zoo has no hooks for hyperparameters or for diverged trials"""
    from rl_zoo3 import exp_manager
    from rl_zoo3.exp_manager import ExperimentManager

    # RL Zoo evaluates what a YAML file says of the replay buffer
    buffers = dict(FrameReplayBuffer=FrameReplayBuffer, HerFrameReplayBuffer=HerFrameReplayBuffer)
    vars(exp_manager).update(sb3_fpac=sys.modules["sb3_fpac"], **buffers)
    read, objective = ExperimentManager.read_hyperparameters, ExperimentManager.objective

    @wraps(read)
    def read_ours(self: ExperimentManager) -> Any:
        """
        Use this package's file for its environments and for its algorithm, unless the user passes one with -conf. The preset
        lies below the file and below -params. Evaluate in the environment of training: RL Zoo itself takes the ``env_kwargs``
        of a YAML file for training only.
        """
        if (self.env_name.gym_id in TASKS or self.algo in NAMES) and _is_rl_zoos_own(self.config):
            self.config = str(config_file(self.algo))
        trial_id, self.trial_id = self.trial_id, None
        hyperparams, saved_hyperparams = read(self)
        self.trial_id = trial_id
        if self.algo == "fpac_fast":
            hyperparams = merged(copy.deepcopy(fpac_fast), hyperparams)
            saved_hyperparams = OrderedDict(sorted(hyperparams.items()))
            print("Merged with those of the preset:", {name: hyperparams[name] for name in fpac_fast})
        if self.storage and self.study_name and trial_id:
            study = self.load_trial(self.storage, self.study_name, trial_id)
            fixed = {name: hyperparams[name] for name in self.custom_hyperparams or {}}
            if _is_ours(self, hyperparams):
                hyperparams = merged(merged(hyperparams, study), fixed)
            else:
                hyperparams = {**hyperparams, **study, **fixed}  # as RL Zoo does
            saved_hyperparams = OrderedDict(sorted(hyperparams.items()))
            print(f"Hyperparameters of trial {trial_id}:", study)
        env_kwargs = hyperparams.get("env_kwargs") or self.env_kwargs
        if self._eval_env_kwargs_args is None:
            self.eval_env_kwargs = env_kwargs
        self.args.env_kwargs = env_kwargs  # saved in args.yml, from which alone record_video takes them
        if self.algo in NAMES:
            defaults = {name: value for name, value in _defaults().items() if name not in hyperparams}
            print("FPAC's defaults for all others:", defaults)
            saved_hyperparams = OrderedDict(sorted({**defaults, **saved_hyperparams}.items()))
        return hyperparams, saved_hyperparams

    @wraps(objective)
    def prune_diverged(self: ExperimentManager, trial: optuna.Trial) -> float:
        """
        RL Zoo prunes a diverged trial only if it raises a ValueError, and replaces ``policy_kwargs`` as a whole. A trial has
        no log folder: the checkpoint of the first would stop all others.
        """
        if _is_ours(self, self._hyperparams) and not isinstance(self._hyperparams, SampledOnTop):
            given = self.custom_hyperparams or {}
            fixed = {name: value for name, value in self._hyperparams.items() if name in given}
            self._hyperparams = SampledOnTop(self._hyperparams, fixed)
            if fixed:
                print("Fixed by -params, whatever a trial prints as sampled:", fixed)
        self.specified_callbacks = _without_those_of_a_run(self.specified_callbacks)
        try:
            return objective(self, trial)
        except FloatingPointError as error:
            print(error)
            raise optuna.TrialPruned() from error

    ExperimentManager.read_hyperparameters = read_ours  # type: ignore[method-assign]
    ExperimentManager.objective = prune_diverged  # type: ignore[method-assign]
    _resume_from_checkpoints(ExperimentManager)


def _resume_from_checkpoints(manager: Any) -> None:
    """RL Zoo's ``-i`` restarts the count of steps: from a ResumableCheckpoint, the run continues instead"""
    create_callbacks, load, learn = manager.create_callbacks, manager._load_pretrained_agent, manager.learn

    def is_checkpoint(self: Any) -> bool:
        folder = Path(self.trained_agent).parent
        return self.continue_training and latest_checkpoint(folder) == folder

    @wraps(create_callbacks)
    def create_callbacks_in_log_folder(self: Any) -> None:
        create_callbacks(self)
        for callback in self.callbacks:
            if isinstance(callback, _OF_A_RUN):
                callback.save_path = Path(self.save_path, callback.save_path)
            if isinstance(callback, FeaturePointCallback) and callback.eval_env is None:
                callback.eval_env = self.create_envs(1, eval_env=True)  # with the wrappers of the run

    @wraps(load)
    def load_agent(self: Any, hyperparams: dict[str, Any], env: VecEnv) -> BaseAlgorithm:
        is_checked = "policy_kwargs" in (self.custom_hyperparams or {}) and _is_ours(self, hyperparams)
        policy_kwargs = hyperparams.get("policy_kwargs")
        model = load_or_resume(self, hyperparams, env)
        if is_checked and not are_same_arguments(policy_kwargs, model.policy_kwargs):  # RL Zoo drops them
            raise ValueError(
                f"-i continues an agent with the policy_kwargs of its training, {model.policy_kwargs}, and -params has "
                f"others, {policy_kwargs}: leave them out, or train a new agent."
            )
        return model

    def load_or_resume(self: Any, hyperparams: dict[str, Any], env: VecEnv) -> BaseAlgorithm:
        if not is_checkpoint(self):
            return load(self, hyperparams, env)
        print("Loading pretrained agent")  # as RL Zoo says it
        return resume(
            Path(self.trained_agent).parent,
            env,
            self.device,
            cast(type[OffPolicyAlgorithm], rl_zoo3.utils.ALGOS[self.algo]),
            trust=getattr(self, "trust", True),  # rl_zoo3.train has no such option, and trusts all that it loads
            seed=self.seed,
            tensorboard_log=self.tensorboard_log,
            verbose=self.verbose,
            **{name: value for name, value in hyperparams.items() if name not in ("policy", "policy_kwargs")},
        )

    @wraps(learn)
    def continue_learning(self: Any, model: BaseAlgorithm) -> None:
        learn(self, _ContinuedRun(model) if is_checkpoint(self) else model)

    manager.create_callbacks = create_callbacks_in_log_folder
    manager._load_pretrained_agent = load_agent
    manager.learn = continue_learning


def _without_those_of_a_run(specified: Any) -> list[Any]:
    """The callbacks of a YAML file, or of ``-params``, for a trial"""
    callbacks = specified if isinstance(specified, list) else [specified]
    kept = [each for each in callbacks if each is not None and not _is_of_a_run(each)]
    left_out = [each for each in callbacks if each is not None and each not in kept]
    if left_out:
        print("Left out of trials, which have no log folder:", left_out)
    return kept


def _is_of_a_run(callback: Any) -> bool:
    return any(isinstance(made, _OF_A_RUN) for made in rl_zoo3.utils.get_callback_list({"callback": callback}))


class _ContinuedRun:
    """A model whose ``learn`` counts ``total_timesteps`` from the start of the run"""

    def __init__(self, model: BaseAlgorithm) -> None:
        self.model = model

    def learn(self, total_timesteps: int, **kwargs: Any) -> None:
        done = self.model.num_timesteps
        if total_timesteps < done:  # a run that was interrupted at its very end has all of them
            raise ValueError(
                f"The checkpoint has {done} agent steps already, and -n is {total_timesteps}: with a ResumableCheckpoint, -n "
                "counts the whole run, so pass a larger one."
            )
        self.model.learn(total_timesteps - done, reset_num_timesteps=False, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


def _defaults() -> dict[str, Any]:
    """The hyperparameters of FPAC that are numbers or texts"""
    parameters = inspect.signature(FPAC).parameters.values()
    left_out = ("verbose", "stats_window_size", "device")
    return {
        each.name: each.default
        for each in parameters
        if isinstance(each.default, (int, float, str)) and each.name not in left_out and not each.name.startswith("_")
    }


def _is_ours(manager: Any, hyperparams: dict[str, Any]) -> bool:
    """Whether a run has this package's algorithm, environment, policy or extractor"""
    policy_kwargs = as_mapping(hyperparams.get("policy_kwargs")) or {}
    classes = (hyperparams.get("policy"), policy_kwargs.get("features_extractor_class"))
    modules = (each if isinstance(each, str) else getattr(each, "__module__", "") for each in classes)
    is_used = any(module.split(".")[0] == "sb3_fpac" for module in modules)
    return is_used or manager.algo in NAMES or manager.env_name.gym_id in TASKS


def _is_rl_zoos_own(config: str) -> bool:
    package = Path(rl_zoo3.utils.__file__).parent
    return Path(config).parent in (package / "hyperparams", package.parent / "hyperparams")


def _run_before_first_call(function: Callable[..., Any], do: Callable[[], None]) -> Callable[..., Any]:
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
    # exp_manager is being imported and imports this module: wait for the first ExperimentManager, which calls this function to
    # get the number of its run
    rl_zoo3.utils.get_latest_run_id = _run_before_first_call(rl_zoo3.utils.get_latest_run_id, _adapt_experiments)
