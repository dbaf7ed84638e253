"""Updates while the environments, in processes of their own, take a step."""

from collections.abc import Callable
from contextlib import suppress

from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn


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

    def step_wait(self) -> VecEnvStepReturn:
        job, self.job = self.job, None
        try:
            if job is not None:
                job()
        except BaseException:
            with suppress(EOFError, OSError):  # Ctrl-C ends the processes, too
                self.venv.step_wait()  # else these results would be taken for those of the next step
            raise
        return self.venv.step_wait()


def has_processes(venv: VecEnv) -> bool:
    """
    Check whether environments take their steps in processes of their own.

    :param venv: Vectorized environment, wrapped or not
    """
    return isinstance(venv.unwrapped, SubprocVecEnv)
