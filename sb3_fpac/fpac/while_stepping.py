"""Updates while the environments, in processes of their own, take a step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from stable_baselines3.common.type_aliases import TrainFrequencyUnit
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn
from stable_baselines3.her import HerReplayBuffer

_PATIENCE = 10.0  # seconds that an interrupted environment may take for its step
_N_SPACES = 2  # of observations and actions; the result of a step has five parts


class WhileStepping(VecEnvWrapper):
    """
    Does a job between sending actions to environments in other processes and waiting for what they return.

    :param venv: Vectorized environment for which :func:`has_processes` is True
    """

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self.job: Callable[[], None] | None = None
        """Done in the next step, once"""

    def reset(self) -> VecEnvObs:
        return self.venv.reset()

    def do_job(self) -> None:
        """Do the job now, if one waits for the next step"""
        job, self.job = self.job, None
        if job is not None:
            job()

    def step_async(self, actions: np.ndarray) -> None:
        with _processes_that_run():
            super().step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        try:
            self.do_job()
        except BaseException:
            with suppress(Exception):  # the job's error is the one to be seen; Ctrl-C ends the processes, too
                self.venv.step_wait()  # else these results would be taken for those of the next step
            raise
        try:
            with _processes_that_run():
                return self.venv.step_wait()
        except KeyboardInterrupt:
            with suppress(Exception):
                _discard_results(self.venv.unwrapped)
            raise


@contextmanager
def _processes_that_run() -> Iterator[None]:
    try:
        yield
    except (ConnectionError, EOFError) as error:
        raise ConnectionError(
            "The process of an environment has ended. Its own error is printed above, if there was one; Ctrl-C in a terminal "
            "ends it, too. To go on, make the environments again and pass them to the agent: model.set_env(SubprocVecEnv(…))."
        ) from error.with_traceback(None)  # its frames hold a memoryview, at which the garbage collector of 3.12.1 crashes


def _discard_results(venv: VecEnv) -> None:
    """Read what interrupted environments still send: up to their spaces, for which they are asked last"""
    assert isinstance(venv, SubprocVecEnv)
    for remote in venv.remotes:
        remote.send(("get_spaces", None))
    for remote in venv.remotes:
        while remote.poll(_PATIENCE) and len(remote.recv()) != _N_SPACES:
            pass
    venv.waiting = False


def has_processes(venv: VecEnv) -> bool:
    """
    Check whether environments take their steps in processes of their own, so that a step can be begun and waited for.

    :param venv: Vectorized environment, wrapped or not
    :return: False, too, if a wrapper replaces ``step``, which does both at once
    """
    layer: VecEnv = venv
    while isinstance(layer, VecEnvWrapper) and type(layer).step is VecEnv.step:
        layer = layer.venv
    return isinstance(layer, SubprocVecEnv)


def may_wait(model: Any, train: Callable[..., None]) -> bool:
    """
    Check whether updates may wait for the next step of the environments.

    :param model: The algorithm
    :param train: The ``train`` of its class. Whoever replaces it expects to be updated when it returns
    :return: False if it is replaced, if hindsight asks the environments for rewards, which they cannot give during a step, or
        if the agent is updated between episodes, when a robot stands still
    """
    is_replaced = type(model).train is not train or "train" in vars(model)
    between_episodes = model.train_freq.unit == TrainFrequencyUnit.EPISODE
    return not (is_replaced or between_episodes or isinstance(model.replay_buffer, HerReplayBuffer))
