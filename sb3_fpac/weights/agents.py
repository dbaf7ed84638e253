"""Agents as files that contain nothing but numbers and JSON, so that opening a stranger's file runs none of their code."""

import inspect
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from sb3_contrib import QRDQN, TQC
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import GymEnv, TrainFreq
from stable_baselines3.common.utils import check_for_correct_spaces

from sb3_fpac.checks.environments import check_spaces, warn_of_new_statistics
from sb3_fpac.files import DamagedFileError, writing
from sb3_fpac.fpac import FPAC
from sb3_fpac.fpac.loss_tracker import check_finite
from sb3_fpac.version import __version__
from sb3_fpac.weights.json_values import CLASSES, decode, encode

METADATA = "sb3_fpac"
_FORMAT = 1
ALGORITHMS: dict[str, type[BaseAlgorithm]] = {
    each.__name__: each for each in (FPAC, SAC, TQC, PPO, A2C, TD3, DDPG, DQN, QRDQN)
}
"""All algorithms that a file can name"""
_NOT_OF_THE_AGENT = {
    *("policy", "policy_kwargs", "replay_buffer_kwargs", "rollout_buffer_kwargs"),
    *("buffer_size", "optimize_memory_usage", "device", "compile", "seed", "verbose", "tensorboard_log"),
}


def save_weights(model: BaseAlgorithm, path: str | Path) -> Path:
    """
    Save the networks of an agent, and the arguments that make them, as a safetensors file. It contains neither the replay
    buffer nor the optimizers, and nothing in it is unpickled or evaluated when it is loaded.

    >>> import sb3_fpac
    >>> model = sb3_fpac.FPAC.load("fpac-cheetah")  # doctest: +SKIP
    >>> sb3_fpac.save_weights(model, "agent.safetensors")  # doctest: +SKIP

    :param model: FPAC, SAC, TQC, PPO, A2C, TD3, DDPG, DQN or QRDQN
    :param path: The file, ``agent.safetensors``
    :return: The path
    :raises FloatingPointError: if a weight is infinite or undefined
    :raises ValueError: if the agent was made with a class of your own, or another argument that is not data
    """
    path = Path(path)
    check_finite(model.policy, f"agent step {model.num_timesteps}")
    contents = dict(
        format=_FORMAT,
        version=__version__,
        algorithm=(algorithm := _algorithm(model)),
        policy=_policy_name(model),
        policy_kwargs=encode(_without_pretrained(model.policy_kwargs), "policy_kwargs"),
        settings=encode(_settings(model, ALGORITHMS[algorithm]), "settings"),
        observation_space=encode(model.observation_space, "observation_space"),
        action_space=encode(model.action_space, "action_space"),
        normalized_keys=list(getattr(model, "normalized_keys", [])),
    )
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in model.policy.state_dict().items()}
    contents["checksum"] = _checksum(contents, tensors)
    with writing(path) as unfinished:
        unfinished.write_bytes(save(tensors, {METADATA: json.dumps(contents)}))
    return path


def load_weights(path: str | Path, env: GymEnv | None = None, **kwargs: Any) -> BaseAlgorithm:
    """
    Make an agent from a file of :func:`save_weights`. It can act, and learn on with new optimizers and an empty replay buffer.

    :param path: The file
    :param env: Its environment; None: the agent can only act
    :param kwargs: Keyword arguments of the algorithm, which replace those of the file: ``device``, ``buffer_size``, … The file
        has the hyperparameters that are numbers or texts. Others, such as a schedule of the learning rate, have their defaults
        unless they are passed.
    :return: The agent
    :raises ValueError: if the file is damaged or not of :func:`save_weights`, the environment has other spaces,
        ``policy_kwargs`` are given, which are those of the file, or ``use_sde`` differs from the file's
    """
    contents, tensors = read_weights(path)
    algorithm = ALGORITHMS.get(contents["algorithm"])
    if algorithm is None:
        raise ValueError(f"{path} is an agent of {contents['algorithm']!r}; the known ones are {', '.join(ALGORITHMS)}.")
    if "policy_kwargs" in kwargs:
        raise ValueError(f"The policy_kwargs of {path} are those of its weights: leave them out.")
    observation_space, action_space = (decode(contents[name], path) for name in ("observation_space", "action_space"))
    settings = decode(contents["settings"], path)
    if "use_sde" in settings and kwargs.get("use_sde", settings["use_sde"]) != settings["use_sde"]:  # other networks
        raise ValueError(
            f"{path} is an agent that was trained with use_sde={settings['use_sde']}: leave use_sde out, or train a new agent."
        )
    arguments: dict[str, Any] = {**settings, **kwargs}
    arguments["policy_kwargs"] = decode(contents["policy_kwargs"], path)
    if env is None and issubclass(algorithm, OffPolicyAlgorithm):
        arguments.setdefault("buffer_size", 1)
    policy = CLASSES.get(contents["policy"], contents["policy"])
    make: Any = algorithm
    model: BaseAlgorithm = make(policy, env, _init_setup_model=False, **arguments)
    if env is None:
        model.observation_space, model.action_space, model.n_envs = observation_space, action_space, 1
    else:
        try:
            check_spaces(model.get_env(), observation_space)
            check_for_correct_spaces(model.get_env(), observation_space, action_space)  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"{path} is the agent of another environment: {error}") from error
    model._setup_model()
    if contents.get("normalized_keys"):
        model.normalized_keys = list(contents["normalized_keys"])  # type: ignore[attr-defined]
        warn_of_new_statistics(model)
    try:
        model.policy.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{path} is damaged, or was written by another version ({contents['version']}): {error}") from error
    return model


def read_weights(path: str | Path) -> tuple[dict[str, Any], dict[str, th.Tensor]]:
    """
    Read a file of :func:`save_weights`, without making anything of it.

    :param path: The file
    :return: The arguments of the agent, as JSON, and its weights by name
    :raises ValueError: if the file is damaged or no such file
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no file {path}: check the path.")
    if path.suffix == ".zip":
        raise ValueError(f"{path} is a file of model.save: use FPAC.load, or load of its algorithm.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            contents = json.loads((file.metadata() or {})[METADATA])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"{path} is damaged, or no file of save_weights: {error}") from error
    if contents.get("format") != _FORMAT:
        raise ValueError(
            f"{path} has the format {contents.get('format')!r}, this version reads {_FORMAT}: save it again with this version."
        )
    if contents.pop("checksum", None) != _checksum(contents, tensors):
        raise DamagedFileError(path, "its checksum is wrong")
    return contents, tensors


def _checksum(contents: dict[str, Any], tensors: dict[str, th.Tensor]) -> int:
    """Of all that a file contains: safetensors itself notices no changed byte in a tensor"""
    checksum = zlib.crc32(json.dumps(contents, sort_keys=True).encode())
    for name in sorted(tensors):
        checksum = zlib.crc32(tensors[name].reshape(-1).view(th.uint8).numpy().tobytes(), zlib.crc32(name.encode(), checksum))
    return checksum


def _algorithm(model: BaseAlgorithm) -> str:
    """Its name, or that of the class that it extends, such as RL Zoo's"""
    for each in type(model).__mro__:
        if ALGORITHMS.get(each.__name__) is each:
            return each.__name__
    raise ValueError(f"{type(model).__name__} is none of {', '.join(ALGORITHMS)}: use model.save.")


def _settings(model: BaseAlgorithm, algorithm: type[BaseAlgorithm]) -> dict[str, Any]:
    """The arguments that are data, without those of the policy and of the machine"""
    names = inspect.signature(algorithm).parameters.keys() - _NOT_OF_THE_AGENT
    values = {name: getattr(model, name) for name in sorted(names) if hasattr(model, name)}
    if isinstance(values.get("train_freq"), TrainFreq):
        values["train_freq"] = (model.train_freq.frequency, model.train_freq.unit.value)  # type: ignore[attr-defined]
    data = (bool, int, float, str, tuple, dict, np.number)
    return {name: value for name, value in values.items() if isinstance(value, data)}


def _policy_name(model: BaseAlgorithm) -> str:
    """That of its class, or ``"CnnPolicy"`` if that is what the algorithm calls it"""
    policy = type(model.policy)
    if CLASSES.get(policy.__name__) is policy:
        return policy.__name__
    for name, known in model.policy_aliases.items():
        if known is policy:
            return name
    raise ValueError(f"The policy {policy.__name__} is not one of SB3 or this package: use model.save.")


def _without_pretrained(policy_kwargs: dict[str, Any]) -> dict[str, Any]:
    """Pre-trained weights are in the state of the policy"""
    extractor_kwargs = policy_kwargs.get("features_extractor_kwargs") or {}
    kept = {name: value for name, value in extractor_kwargs.items() if name != "pretrained"}
    return {**policy_kwargs, "features_extractor_kwargs": kept} if "pretrained" in extractor_kwargs else policy_kwargs
