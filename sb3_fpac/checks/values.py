"""Whether what an environment returns can be stored."""

from typing import Any

from gymnasium import spaces

from sb3_fpac.buffers import BaseFrameReplayBuffer
from sb3_fpac.observations import check_is_bytes, entry_of, naming, problem_of_values


def check_values(buffer: BaseFrameReplayBuffer, obs: Any, when: str) -> None:
    """
    Check that images are bytes, and that vectors of Dict observations are numbers that networks can take.

    :param buffer: The replay buffer, which knows the images of its observations
    :param obs: ``(n_envs, …)`` by key, or those of one environment
    :param when: The current step, for the error message
    :raises FloatingPointError: if a number of a vector is infinite or undefined in float32
    :raises ValueError: if a number of a Discrete or MultiDiscrete is outside its space, or an image is not uint8
    """
    for image_key in buffer.stores:
        image = entry_of(obs, image_key)
        with naming(image_key):
            check_is_bytes(image)
    if not isinstance(buffer.observation_space, spaces.Dict):
        return
    for key, space in buffer.observation_space.items():
        if key in buffer.stores:
            continue
        problem = problem_of_values(entry_of(obs, key), space)
        if problem is not None:
            kind = FloatingPointError if isinstance(space, spaces.Box) else ValueError
            raise kind(
                f"The environment returned {key!r} with {problem} at {when}: training was stopped before they were "
                "stored. Correct what it returns, or its space."
            )
