"""Whether a replay buffer was filled in the environments of its agent."""

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
