"""Repeats actions."""

from collections.abc import Callable
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from sb3_fpac.arguments import whole_number
from sb3_fpac.observations import reward_of


class ActionRepeat(gym.Wrapper, RecordConstructorArgs):
    """
    Repeats every action for n steps of the environment and sums the rewards.

    Stops early when the episode ends. ``info["env_steps"]`` is the number of steps taken: n, or fewer at the end of an
    episode. If the environment reports ``env_steps`` itself, these are summed. Apply it below the wrapper that renders the
    observation, so that the frames in between are never drawn.

    For hindsight experience replay, ``compute_reward`` returns n times the reward that the environment gives for the goals:
    only the goals after the last step are known.

    >>> import gymnasium as gym
    >>> env = ActionRepeat(gym.make("CartPole-v1"), n=4)
    >>> _ = env.reset(seed=0)
    >>> _, reward, _, _, info = env.step(0)
    >>> reward, info["env_steps"]
    (4.0, 4)

    :param env: Any environment
    :param n: Steps for each action, at least 1
    :raises ValueError: if n is less than 1
    """

    def __init__(self, env: gym.Env, n: int) -> None:
        n = whole_number("n", n, at_least=1)
        RecordConstructorArgs.__init__(self, n=n)
        gym.Wrapper.__init__(self, env)
        self.n = n

    @property
    def compute_reward(self) -> Callable[[Any, Any, Any], Any]:
        """``compute_reward(achieved_goal, desired_goal, info)``, if the environment has it"""
        of_step = self.env.get_wrapper_attr("compute_reward")
        return lambda achieved_goal, desired_goal, info: self.n * of_step(achieved_goal, desired_goal, info)

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        total_reward, env_steps = 0.0, 0
        for _ in range(self.n):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total_reward, env_steps = total_reward + reward_of(reward), env_steps + env_steps_of(info)
            if terminated or truncated:
                break
        return observation, total_reward, terminated, truncated, {**info, "env_steps": env_steps}


def env_steps_of(info: dict[str, Any]) -> int:
    """
    Read how many steps of the environment a step was.

    :param info: Of the step
    :return: ``info["env_steps"]``; without it, or if it is no number, 1
    """
    env_steps = info.get("env_steps", 1)
    is_number = isinstance(env_steps, (int, float, np.number)) and np.isfinite(env_steps)
    return int(env_steps) if is_number else 1
