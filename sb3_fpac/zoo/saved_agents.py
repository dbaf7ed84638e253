"""Loads agents that RL Zoo or ``model.save`` saved, together with their environments."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import gymnasium as gym
from huggingface_sb3 import EnvironmentName
from rl_zoo3 import ALGOS, create_test_env
from rl_zoo3.utils import get_model_path
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, unwrap_vec_normalize

import sb3_fpac.zoo  # noqa: F401  the algorithm fpac
from sb3_fpac.arguments import either, keywords
from sb3_fpac.callbacks.checkpoint import NORMALIZATION
from sb3_fpac.checks.environments import check_normalized
from sb3_fpac.files import DamagedFileError, UntrustedFileError, reading
from sb3_fpac.sb3.saved_by import algorithms_with, other_algorithms, read_attributes
from sb3_fpac.trust import load_model, load_normalization
from sb3_fpac.weights import load_weights
from sb3_fpac.zoo.environments import find_env
from sb3_fpac.zoo.settings import check_modules, read_arguments, read_hyperparams


def find_model(folder: Path, algo: str, env_id: str, exp_id: int = 0, best: bool = False) -> Path:
    """
    Find the model that a run of RL Zoo saved.

    :param folder: RL Zoo's log folder, its ``-f``
    :param algo: RL Zoo's name of the algorithm
    :param env_id: The environment
    :param exp_id: Number of the run; 0: the latest run
    :param best: Whether to return the best model of the evaluations instead of the last one
    :return: The zip file
    :raises ValueError: if there is no such run or it has not saved a model yet
    """
    try:
        _, path, _ = get_model_path(exp_id, str(folder), algo, EnvironmentName(env_id), load_best=best)
    except (AssertionError, ValueError) as error:
        raise ValueError(
            f"No {'best ' if best else ''}agent of {algo} on {env_id} in {folder}: {error}. Check --algo, --env, --folder and "
            f"--exp-id, or name the file with --model."
        ) from error
    return Path(path)


def find_agent(run: Path, best: bool = False, trust: bool = False) -> tuple[str, str, Path]:
    """
    Find the agent in the folder of a run of RL Zoo, wherever the folder is.

    :param run: Such as ``logs/fpac/dmc-cheetah-run_1``
    :param best: Whether to return the best model of the evaluations instead of the last one
    :param trust: Whether the run's ``args.yml`` may run code
    :return: RL Zoo's name of the algorithm, the environment, and the zip file
    :raises ValueError: if it is no such folder, or has no model yet
    """
    settings = sorted(run.glob("*/args.yml"))
    if len(settings) != 1:
        raise ValueError(f"{run} is not the folder of a run of RL Zoo, which contains one <env>/args.yml.")
    arguments = read_arguments(settings[0].parent, trust)
    last, best_one = run / f"{EnvironmentName(arguments['env'])}.zip", run / "best_model.zip"
    path, other = (best_one, last) if best else (last, best_one)
    if not path.is_file():
        cure = f"{'leave out' if best else 'pass'} --load-best"
        if not other.is_file():
            cure = "name a checkpoint with --model, --algo and --env instead of --agent"
        raise ValueError(f"There is no {path.name} in {run}: train longer, or {cure}.")
    return arguments["algo"], arguments["env"], path


def load_agent(
    path: Path,
    algo: str,
    env_id: str,
    env_kwargs: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    gym_packages: Sequence[str] = (),
    trust: bool = False,
    named_by_run: bool = False,
) -> tuple[BaseAlgorithm, VecEnv]:
    """
    Load an agent and make the environment on which it was trained.

    :param path: The model's zip file. If RL Zoo's ``<env_id>/config.yml`` is in the same folder, the environment gets the
        wrappers and keyword arguments of the run, and the packages of its ``--gym-packages`` are imported. Or a file of
        :func:`~sb3_fpac.save_weights`, of which no code is run: then nothing else in its folder is read.
    :param algo: RL Zoo's name of the algorithm that saved it: ``"fpac"``, ``"sac"``, …; a file of weights knows its own
    :param env_id: The environment, as :func:`~sb3_fpac.zoo.environments.find_env` takes it
    :param env_kwargs: Keyword arguments of the environment, which override those of the run
    :param seed: Seed of the environment
    :param device: PyTorch device
    :param gym_packages: Modules that register environments
    :param trust: Whether the files of the run may run code of whoever wrote them
    :param named_by_run: Whether ``env_id`` is what the run's files say; they name no module and no function without trust
    :return: The agent, with a replay buffer of a single transition, and its vectorized environment
    :raises ValueError: if the file or the environment does not exist, the algorithm is another, or the environment's spaces
        are not the agent's
    """
    if algo not in ALGOS:
        raise ValueError(f"There is no algorithm {algo!r}: choose from {', '.join(sorted(ALGOS))}.")
    if not path.is_file():
        raise ValueError(f"There is no model {path}.")
    is_safe = path.suffix == ".safetensors"
    settings = None if is_safe else path.parent / EnvironmentName(env_id)
    if settings is not None and named_by_run and not (settings / "config.yml").is_file():
        raise ValueError(f"{settings / 'config.yml'} is missing: was the run copied without it?")
    arguments = {} if settings is None else read_arguments(settings, trust)
    of_run = arguments.get("gym_packages") or ()
    if settings is not None and not trust:
        check_modules(of_run, settings / "args.yml")
        module = env_id.rpartition(":" if ":" in env_id else ".")[0]
        if named_by_run and module and env_id not in gym.registry and module not in gym_packages:
            raise UntrustedFileError(settings / "args.yml", env_id)
    found = find_env(env_id, [*of_run, *gym_packages])
    model = load_weights(path, device=device) if is_safe else _load_zip(path, algo, device, trust)
    kwargs = {**(arguments.get("env_kwargs") or {}), **(env_kwargs or {})}
    with ExitStack() as if_refused:
        env = _make_env(settings, found, kwargs, seed, trust, if_refused)
        joined = _join(model, env, path, env_id, trust)
        if_refused.pop_all()
    return model, joined


def _join(model: BaseAlgorithm, env: VecEnv, path: Path, env_id: str, trust: bool) -> VecEnv:
    """Give an agent its environment; returns it as SB3 wraps it"""
    statistics = path.with_name(NORMALIZATION)
    if getattr(model, "normalized_keys", []) and unwrap_vec_normalize(env) is None and statistics.is_file():
        env = _normalized(env, statistics, trust)
    model.n_envs = env.num_envs  # the number in training may be another
    try:
        model.set_env(env)
    except ValueError as error:
        raise ValueError(
            f"{path} was trained on other observations or actions than those of {env_id}: {error}. Pass the keyword "
            "arguments of its training environment with --env-kwargs, or name a function that makes it, with all wrappers, as "
            "--env module:function."
        ) from error
    check_normalized(model, path)
    wrapped = model.get_env()
    assert wrapped is not None
    return wrapped


def _load_zip(path: Path, algo: str, device: str, trust: bool) -> BaseAlgorithm:
    algorithm = ALGOS[algo]
    with reading(path):
        saved_by = other_algorithms(algorithm, read_attributes(path))
    if saved_by:
        names = {each: name for name, each in reversed(ALGOS.items()) if algorithms_with(keywords(each)) == saved_by}.values()
        raise ValueError(
            f"{path} was saved by {either(saved_by)}, got the algorithm {algo!r}: pass --algo {either(sorted(names))}."
        )
    dummy_buffer: dict[str, Any] = dict(buffer_size=1) if issubclass(algorithm, OffPolicyAlgorithm) else {}
    try:
        return load_model(algorithm, path, trust, device=device, **dummy_buffer)
    except (DamagedFileError, UntrustedFileError):
        raise
    except (
        AssertionError,
        AttributeError,
        EOFError,
        ImportError,
        LookupError,
        RuntimeError,
        TypeError,
        UnpicklingError,
        ValueError,
    ) as error:
        raise ValueError(f"{path} does not load as an agent of {algo!r}: {error}") from error


def _make_env(
    settings: Path | None, env_id: str, env_kwargs: Mapping[str, Any], seed: int, trust: bool, if_refused: ExitStack
) -> VecEnv:
    """The environment of the run, which ``if_refused`` closes"""
    hyperparams = {} if settings is None else read_hyperparams(settings, trust)
    kwargs = {**(hyperparams.pop("env_kwargs", None) or {}), **env_kwargs}
    try:
        env = create_test_env(env_id, seed=seed, should_render=False, hyperparams=hyperparams, env_kwargs=kwargs)
    except (TypeError, RuntimeError) as error:  # an unknown keyword; nothing to draw with
        raise ValueError(f"{env_id} cannot be made with {kwargs}: {error}") from error
    if_refused.callback(env.close)
    if settings is not None and hyperparams.get("normalize"):
        env = _normalized(env, settings / NORMALIZATION, trust)
    n_stack = hyperparams.get("frame_stack") or 0
    return VecFrameStack(env, n_stack) if n_stack else env


def _normalized(env: VecEnv, path: Path, trust: bool) -> VecEnv:
    """With the statistics of the run, which ``create_test_env`` would unpickle"""
    if not path.is_file():
        raise ValueError(f"{path} is missing: was the run copied without it?")
    normalized = load_normalization(path, trust)
    normalized.set_venv(env)
    normalized.training = normalized.norm_reward = False
    return normalized
