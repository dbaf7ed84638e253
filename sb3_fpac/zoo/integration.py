"""
Adds this package's environments, their hyperparameters and the algorithms ``fpac`` and ``fpac_fast`` to RL Zoo. Import it
after rl_zoo3, or let rl_zoo3 import it.
"""

import sys
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import rl_zoo3.hyperparams_opt
import rl_zoo3.utils

from sb3_fpac.buffers import FrameReplayBuffer, HerFrameReplayBuffer
from sb3_fpac.fpac.fpac import FPAC, SelfFPAC
from sb3_fpac.zoo import continuation, hyperparameters
from sb3_fpac.zoo.callbacks import join_log_folder
from sb3_fpac.zoo.ours import NAMES
from sb3_fpac.zoo.sampler import convert_fpac_params, sample_fpac_params


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


rl_zoo3.utils.ALGOS.update(dict.fromkeys(NAMES, ZooFPAC))
rl_zoo3.hyperparams_opt.HYPERPARAMS_SAMPLER.update(dict.fromkeys(NAMES, sample_fpac_params))
rl_zoo3.hyperparams_opt.HYPERPARAMS_CONVERTER.update(dict.fromkeys(NAMES, convert_fpac_params))


def _adapt_experiments() -> None:
    """RL Zoo has no hooks for hyperparameters, diverged trials, callbacks and checkpoints"""
    from rl_zoo3 import exp_manager
    from rl_zoo3.exp_manager import ExperimentManager

    # RL Zoo evaluates what a YAML file says of the replay buffer
    buffers = dict(FrameReplayBuffer=FrameReplayBuffer, HerFrameReplayBuffer=HerFrameReplayBuffer)
    vars(exp_manager).update(sb3_fpac=sys.modules["sb3_fpac"], **buffers)
    _wrap(ExperimentManager, "read_hyperparameters", hyperparameters.read_hyperparameters)
    _wrap(ExperimentManager, "objective", hyperparameters.run_trial)
    _wrap(ExperimentManager, "create_callbacks", _create_callbacks)
    _wrap(ExperimentManager, "_load_pretrained_agent", continuation.load_pretrained_agent)
    _wrap(ExperimentManager, "learn", continuation.learn_or_continue)


def _wrap(owner: type, name: str, function: Callable[..., Any]) -> None:
    """Let a method call a function, with the object, what the method did before, and its arguments"""
    method = getattr(owner, name)

    @wraps(method)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, partial(method, self), *args, **kwargs)

    setattr(owner, name, wrapper)


def _create_callbacks(manager: Any, create: Callable[[], None]) -> None:
    create()
    join_log_folder(manager)


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
