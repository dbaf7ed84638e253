"""Agents as files that contain nothing but numbers and JSON, so that opening a stranger's file runs none of their code."""

import inspect
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from sb3_contrib import QRDQN, TQC
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.utils import check_for_correct_spaces
from torch import nn

from sb3_fpac.features import FeaturePointCombinedExtractor, FeaturePointExtractor, PixelExtractor
from sb3_fpac.files import DamagedFileError, writing
from sb3_fpac.fpac.policies import FPACPolicy, FPACTQCPolicy
from sb3_fpac.version import __version__

METADATA = "sb3_fpac"
_FORMAT = 1
_CLASSES: dict[str, type] = {
    each.__name__: each
    for each in (
        *(FeaturePointExtractor, FeaturePointCombinedExtractor, PixelExtractor, FPACPolicy, FPACTQCPolicy),
        *(nn.SiLU, nn.ReLU, nn.Tanh, nn.ELU, nn.GELU, nn.LeakyReLU, th.optim.Adam, th.optim.AdamW),
    )
}
"""All classes that a file can name"""
ALGORITHMS: dict[str, type[BaseAlgorithm]] = {each.__name__: each for each in (SAC, TQC, PPO, A2C, TD3, DDPG, DQN, QRDQN)}
"""All algorithms that a file can name; FPAC adds itself"""
_SETTINGS = {"gamma", "n_steps", "policy_delay", "random_shift", "target_entropy", "use_sde"}
_SPACES = {each.__name__: each for each in (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)}


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
    :raises ValueError: if the agent was made with a class of your own, or another argument that is not data
    """
    path = Path(path)
    settings = sorted(_SETTINGS & inspect.signature(type(model)).parameters.keys())
    contents = dict(
        format=_FORMAT,
        version=__version__,
        algorithm=_algorithm(model),
        policy=_policy_name(model),
        policy_kwargs=_encoded(_without_pretrained(model.policy_kwargs), "policy_kwargs"),
        settings=_encoded({name: getattr(model, name) for name in settings}, "settings"),
        observation_space=_encoded(model.observation_space, "observation_space"),
        action_space=_encoded(model.action_space, "action_space"),
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
        has no ``learning_rate``, ``batch_size`` or ``tau``: they have their defaults unless they are passed.
    :return: The agent
    :raises ValueError: if the file is damaged or not of :func:`save_weights`, the environment has other spaces,
        ``policy_kwargs`` are given, which are those of the file, or ``use_sde`` differs from the file's
    """
    contents, tensors = read_weights(path)
    if contents["algorithm"] not in ALGORITHMS:
        raise ValueError(f"{path} is an agent of {contents['algorithm']!r}; the known ones are {', '.join(ALGORITHMS)}.")
    return make_agent(ALGORITHMS[contents["algorithm"]], contents, tensors, path, env, kwargs)


def make_agent(
    algorithm: type[BaseAlgorithm],
    contents: dict[str, Any],
    tensors: dict[str, th.Tensor],
    path: str | Path,
    env: GymEnv | None,
    kwargs: dict[str, Any],
) -> Any:
    """
    Make an agent of what :func:`read_weights` returns.

    :param algorithm: That of the file, or a class that extends it
    :param contents: The arguments of the agent
    :param tensors: Its weights
    :param path: The file, for error messages
    :param env: As in :func:`load_weights`
    :param kwargs: As in :func:`load_weights`
    :return: The agent
    :raises ValueError: as :func:`load_weights`
    """
    if "policy_kwargs" in kwargs:
        raise ValueError(f"The policy_kwargs of {path} are those of its weights: leave them out.")
    observation_space, action_space = (_decoded(contents[name], path) for name in ("observation_space", "action_space"))
    settings = _decoded(contents["settings"], path)
    if "use_sde" in settings and kwargs.get("use_sde", settings["use_sde"]) != settings["use_sde"]:  # other networks
        raise ValueError(
            f"{path} is an agent that was trained with use_sde={settings['use_sde']}: leave use_sde out, or train a new agent."
        )
    arguments: dict[str, Any] = {**settings, **kwargs}
    arguments["policy_kwargs"] = _decoded(contents["policy_kwargs"], path)
    if env is None and issubclass(algorithm, OffPolicyAlgorithm):
        arguments.setdefault("buffer_size", 1)
    policy = _CLASSES.get(contents["policy"], contents["policy"])
    make: Any = algorithm
    model: BaseAlgorithm = make(policy, env, _init_setup_model=False, **arguments)
    if env is None:
        model.observation_space, model.action_space, model.n_envs = observation_space, action_space, 1
    else:
        try:
            check_for_correct_spaces(model.get_env(), observation_space, action_space)  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(f"{path} is the agent of another environment: {error}") from error
    model._setup_model()
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
        raise ValueError(f"There is no file {path}.")
    if path.suffix == ".zip":
        raise ValueError(f"{path} is a file of model.save: use FPAC.load, or load of its algorithm.")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            contents = json.loads((file.metadata() or {})[METADATA])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"{path} is damaged, or no file of save_weights: {error}") from error
    if contents.get("format") != _FORMAT:
        raise ValueError(f"{path} has the format {contents.get('format')!r}, this version reads {_FORMAT}.")
    if contents.pop("checksum", None) not in (None, _checksum(contents, tensors)):  # the first files have none
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


def _policy_name(model: BaseAlgorithm) -> str:
    """That of its class, or ``"CnnPolicy"`` if that is what the algorithm calls it"""
    policy = type(model.policy)
    if _CLASSES.get(policy.__name__) is policy:
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


def _encoded(value: Any, name: str) -> Any:
    """JSON of a value; objects that are no JSON become dicts with the single key of their kind"""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (np.integer, np.floating, np.bool_)):
        return value.item()
    if isinstance(value, (list, tuple)):
        return {type(value).__name__: [_encoded(part, name) for part in value]}
    if isinstance(value, Mapping) and not isinstance(value, spaces.Space):
        return {"dict": {str(key): _encoded(part, f"{name}[{key!r}]") for key, part in value.items()}}
    if isinstance(value, type) and _CLASSES.get(value.__name__) is value:
        return {"class": value.__name__}
    if isinstance(value, spaces.Dict):
        return {"Dict": {key: _encoded(part, name) for key, part in value.items()}}
    if type(value).__name__ in _SPACES:
        return {type(value).__name__: _encoded_space(value)}
    hint = " It is code, which such a file does not contain: use model.save." if callable(value) else ""
    raise ValueError(f"{name} is {value!r}, which is no data.{hint}")


def _encoded_space(space: Any) -> dict[str, Any]:
    if isinstance(space, spaces.Box):
        bounds = {name: [str(bound) for bound in np.asarray(getattr(space, name)).ravel()] for name in ("low", "high")}
        bounds = {name: values[:1] if len(set(values)) == 1 else values for name, values in bounds.items()}
        return dict(shape=list(space.shape), dtype=str(space.dtype), **bounds)
    if isinstance(space, spaces.Discrete):
        return dict(n=int(space.n), start=int(space.start))
    return dict(nvec=np.asarray(space.nvec).tolist()) if isinstance(space, spaces.MultiDiscrete) else dict(n=space.n)


def _decoded(value: Any, path: str | Path) -> Any:
    """The inverse of :func:`_encoded`"""
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError(f"{path} is damaged: {value} is nothing that save_weights writes.")
    ((kind, content),) = value.items()
    if kind in ("list", "tuple"):
        return (list if kind == "list" else tuple)(_decoded(part, path) for part in content)
    if kind in ("dict", "Dict"):
        parts = {key: _decoded(part, path) for key, part in content.items()}
        return parts if kind == "dict" else spaces.Dict(list(parts.items()))
    if kind == "class" and content in _CLASSES:
        return _CLASSES[content]
    if kind == "Box":
        dtype = np.dtype(content["dtype"])
        parse: Any = {"b": "True".__eq__, "i": int, "u": int}.get(dtype.kind, float)
        low, high = (np.array([parse(bound) for bound in content[name]], dtype) for name in ("low", "high"))
        shape = tuple(content["shape"])
        low, high = (bound.reshape(shape) if bound.size > 1 else np.full(shape, bound[0]) for bound in (low, high))
        return spaces.Box(low, high, shape, dtype)
    if kind in _SPACES:
        return _SPACES[kind](**content)
    raise ValueError(f"{path} names {kind} {content!r}, which is not on the list of what it may contain.")
