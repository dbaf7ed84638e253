"""RL Zoo's manager, for the runs of an experiment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from rl_zoo3.exp_manager import ExperimentManager
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv


class RunManager(ExperimentManager):
    """
    RL Zoo's ExperimentManager with two differences. SB3's Monitor is around the wrappers of ``env_wrapper``, not below them: a
    wrapper may repeat actions, and the lengths of episodes are then agent steps, as everything that SB3 counts. And models of
    environments with a dot in their id are saved as zip files, too.
    """

    trust = False
    """Whether the checkpoint from which the run continues may run code"""
    _innermost: Callable[[gym.Env], gym.Env] | None = None

    def _preprocess_hyperparams(
        self, hyperparams: dict[str, Any]
    ) -> tuple[dict[str, Any], Callable | None, list[BaseCallback], Callable | None]:
        hyperparams, self._innermost, callbacks, vec_env_wrapper = super()._preprocess_hyperparams(hyperparams)
        return hyperparams, None, callbacks, vec_env_wrapper

    def create_envs(self, *args: Any, **kwargs: Any) -> VecEnv:
        """
        Make the environment of training or evaluation.

        :param args: As RL Zoo has them
        :param kwargs: As RL Zoo has them
        :return: The vectorized environment
        """
        with _standing_for_wrapped(self.env_name.gym_id, self._innermost):
            return super().create_envs(*args, **kwargs)

    def save_trained_model(self, model: BaseAlgorithm) -> None:
        """
        Save the model as ``<environment>.zip``. SB3 itself adds the suffix only to names without a dot.

        :param model: The trained agent
        """
        name, self.env_name = self.env_name, f"{self.env_name}.zip"
        super().save_trained_model(model)
        self.env_name = name


@contextmanager
def _standing_for_wrapped(env_id: str, wrapper: Callable[[gym.Env], gym.Env] | None) -> Iterator[None]:
    """Lets an id stand for the wrapped environment, whose time limit counts the steps of the unwrapped one"""
    spec = gym.spec(env_id)
    if wrapper is not None:
        gym.registry[env_id] = EnvSpec(
            env_id, entry_point=lambda **kwargs: wrapper(spec.make(**kwargs)), disable_env_checker=True, order_enforce=False
        )
    try:
        yield
    finally:
        gym.registry[env_id] = spec
