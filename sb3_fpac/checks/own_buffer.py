"""Whether a replay buffer was filled in the environments of its agent."""

import warnings
from typing import Any

from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm


def check_own_buffer(model: OffPolicyAlgorithm) -> None:
    """
    Check that the replay buffer is one of the agent's environments. SB3 does not, neither where it loads a buffer nor where a
    script sets ``model.replay_buffer``.

    :param model: Any off-policy algorithm with a buffer of frames
    """
    problem = problem_of_buffer(model.replay_buffer, model)
    if problem is not None:
        raise ValueError(
            f"The replay buffer does not fit this agent: {problem} Use a buffer that was filled in the same environment, and "
            "as many of it."
        )


def warn_of_empty_buffer(model: OffPolicyAlgorithm) -> None:
    """
    Warn if an agent that has been trained goes on with an empty replay buffer: its first updates see a few transitions only.

    :param model: Any off-policy algorithm
    """
    buffer = model.replay_buffer
    if buffer is not None and buffer.buffer_size > 1 and not buffer.size() and model.num_timesteps > model.learning_starts:
        warnings.warn(
            "This agent has been trained, and its replay buffer is empty, so that the next updates see the same few "
            "transitions again and again: load its own with load_replay_buffer, after save_replay_buffer, or raise "
            "learning_starts.",
            stacklevel=3,
        )


def problem_of_buffer(buffer: Any, expected: Any) -> str | None:
    """
    Say what differs between a replay buffer and what it is used with.

    :param buffer: The replay buffer
    :param expected: The agent, or another buffer
    :return: One sentence; None if spaces and number of environments are the same
    """
    for name in ("observation_space", "action_space", "n_envs"):
        theirs, ours = getattr(buffer, name, None), getattr(expected, name, None)
        if theirs != ours:
            return f"its {name} is {theirs}, that of the model is {ours}."
    return None
