"""RL Zoo's ``-i`` restarts the count of steps: from a ResumableCheckpoint, the run continues instead."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import rl_zoo3.utils
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sb3_fpac.callbacks import latest_checkpoint, resume
from sb3_fpac.fpac.loading import are_same_arguments
from sb3_fpac.zoo.ours import is_ours


def load_pretrained_agent(
    manager: Any, load: Callable[[dict[str, Any], VecEnv], BaseAlgorithm], hyperparams: dict[str, Any], env: VecEnv
) -> BaseAlgorithm:
    """
    Load the agent of ``-i``.

    :param manager: RL Zoo's ExperimentManager
    :param load: Its own method
    :param hyperparams: Of the run
    :param env: The environment of training
    :return: The agent
    :raises ValueError: if ``-params`` has other ``policy_kwargs`` than the agent, which RL Zoo would drop
    """
    is_checked = "policy_kwargs" in (manager.custom_hyperparams or {}) and is_ours(manager, hyperparams)
    policy_kwargs = hyperparams.get("policy_kwargs")
    model = _resume(manager, hyperparams, env) if _is_from_checkpoint(manager) else load(hyperparams, env)
    if is_checked and not are_same_arguments(policy_kwargs, model.policy_kwargs):
        raise ValueError(
            f"-i continues an agent with the policy_kwargs of its training, {model.policy_kwargs}, and -params has "
            f"others, {policy_kwargs}: leave them out, or train a new agent."
        )
    return model


def learn_or_continue(manager: Any, learn: Callable[[Any], None], model: BaseAlgorithm) -> None:
    """
    Train an agent, or continue its run.

    :param manager: RL Zoo's ExperimentManager
    :param learn: Its own method
    :param model: The agent
    :raises ValueError: if the run has more steps already than ``-n``
    """
    learn(_ContinuedRun(model) if _is_from_checkpoint(manager) else model)


def _is_from_checkpoint(manager: Any) -> bool:
    folder = Path(manager.trained_agent).parent
    return manager.continue_training and latest_checkpoint(folder) == folder


def _resume(manager: Any, hyperparams: dict[str, Any], env: VecEnv) -> BaseAlgorithm:
    print("Loading pretrained agent")  # as RL Zoo says it
    return resume(
        Path(manager.trained_agent).parent,
        env,
        manager.device,
        cast(type[OffPolicyAlgorithm], rl_zoo3.utils.ALGOS[manager.algo]),
        trust=getattr(manager, "trust", True),  # rl_zoo3.train has no such option, and trusts all that it loads
        seed=manager.seed,
        tensorboard_log=manager.tensorboard_log,
        verbose=manager.verbose,
        **{name: value for name, value in hyperparams.items() if name not in ("policy", "policy_kwargs")},
    )


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
