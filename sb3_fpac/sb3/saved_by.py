"""Which algorithm saved an agent. SB3 does not save its name, but the attributes, of which some are those of one algorithm."""

import json
import zipfile
from collections.abc import Collection
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_fpac.arguments import either, keywords

_MARKS: tuple[tuple[tuple[str, ...], set[str]], ...] = (  # the first that fits
    (("FPAC",), {"policy_delay", "random_shift"}),
    (("TQC",), {"top_quantiles_to_drop_per_net"}),
    (("SAC",), {"target_entropy", "target_update_interval"}),
    (("CrossQ",), {"target_entropy", "policy_delay"}),
    (("TD3", "DDPG"), {"target_policy_noise"}),
    (("DQN", "QRDQN"), {"exploration_fraction"}),
    (("PPO", "MaskablePPO", "RecurrentPPO"), {"clip_range"}),
    (("TRPO",), {"cg_max_steps"}),
    (("A2C",), {"gae_lambda"}),
)
"""Algorithms with the same attributes, and those that tell them from the ones below"""


def algorithms_with(names: Collection[str]) -> tuple[str, ...]:
    """
    Find the algorithms with these attributes.

    :param names: Names of the attributes of an agent, or of the arguments of its class
    :return: Names of the algorithms, which are alike in this; empty if they are not known
    """
    return next((algorithms for algorithms, marks in _MARKS if marks <= set(names)), ())


def read_attributes(archive: Any) -> dict[str, Any]:
    """
    Read the attributes of a saved agent without unpickling any.

    :param archive: The zip file, or its path
    :return: JSON by name; empty if it is none of SB3's
    """
    with zipfile.ZipFile(archive) as file:
        return dict(json.loads(file.read("data"))) if "data" in file.namelist() else {}


def other_algorithms(algorithm: type[BaseAlgorithm], attributes: Collection[str]) -> tuple[str, ...]:
    """
    Find out whether another algorithm has saved an agent.

    :param algorithm: The algorithm that loads it
    :param attributes: Names of the agent's attributes
    :return: Names of the algorithms that may have saved it; empty if this one may have, or if it is not known
    """
    saved_by, own = algorithms_with(attributes), algorithms_with(keywords(algorithm))
    return saved_by if own and saved_by != own else ()


def check_saved_by(algorithm: type[BaseAlgorithm], attributes: Collection[str], name: str) -> None:
    """
    Check that the algorithm that loads an agent is the one that saved it.

    :param algorithm: The algorithm that loads it
    :param attributes: Names of the agent's attributes
    :param name: The file, for the error
    :raises ValueError: if it was saved by another
    """
    others = other_algorithms(algorithm, attributes)
    if others:
        loads = either([f"{other}.load" for other in others])
        raise ValueError(f"{name} was saved by {either(others)}, got {algorithm.__name__}: use {loads}.")
