"""The mean height of a robot's torso: the second row of Fig. 10."""

from typing import Any

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from sb3_fpac.envs.dmc import make_dmc

TORSO_HEIGHT = "torso_height"


class TorsoHeight(gym.Wrapper, RecordConstructorArgs):
    """
    Adds ``info["torso_height"]``: the mean height of the torso over the agent steps of the episode so far, in metres.

    :param env: A dm_control environment under Shimmy's adapter, whose robot has a body named ``torso``
    :raises ValueError: if the robot has no such body
    """

    def __init__(self, env: gym.Env) -> None:
        RecordConstructorArgs.__init__(self)
        gym.Wrapper.__init__(self, env)
        self._physics = env.unwrapped.physics  # type: ignore[attr-defined]
        self._sum, self._steps = 0.0, 0
        try:
            self._height()
        except KeyError as error:
            raise ValueError(f"{env.spec and env.spec.id} has no body named torso.") from error

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self._sum, self._steps = 0.0, 0
        return self.env.reset(**kwargs)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._sum += self._height()
        self._steps += 1
        return observation, reward, terminated, truncated, {**info, TORSO_HEIGHT: self._sum / self._steps}

    def _height(self) -> float:
        return float(self._physics.named.data.xpos["torso", "z"])


def make_dmc_with_torso_height(**kwargs: Any) -> gym.Env:
    """
    Make a task with its torso height, as an entry point for Gymnasium. SB3's Monitor does not see what RL Zoo's wrappers add.

    :param kwargs: As for :func:`~sb3_fpac.envs.dmc.make_dmc`
    :return: The environment
    """
    return TorsoHeight(make_dmc(**kwargs))
