"""Training continues from a checkpoint exactly where it was saved."""

import re
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.base_class import maybe_make_env
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.her import HerReplayBuffer

from sb3_fpac.buffers import end_episodes
from sb3_fpac.callbacks.checkpoint import BUFFER, MODEL, NORMALIZATION, STATES, latest_checkpoint, trained_by
from sb3_fpac.callbacks.random_states import restore_random_states
from sb3_fpac.files import UntrustedFileError, check_bytes, check_zip, reading
from sb3_fpac.fpac import FPAC
from sb3_fpac.trust import load_model, load_normalization, load_pickle


def resume(
    folder: str | Path | None,
    env: GymEnv,
    device: th.device | str = "auto",
    algorithm: type[OffPolicyAlgorithm] = FPAC,
    trust: bool = False,
    **load_kwargs: Any,
) -> Any:
    """
    Load a model that continues where its checkpoint was saved. Call ``learn`` directly afterwards: random numbers that are
    drawn in between change the run::

        model.learn(total - model.num_timesteps, callback=…, reset_num_timesteps=False)

    The environment starts a new episode. If the model has a seed, the environment gets another one, so that it does not repeat
    the first episodes. The state of callbacks is not saved.

    :param folder: ``save_path`` of :class:`~sb3_fpac.callbacks.ResumableCheckpoint`, or one of its ``step_<n>``; None, as
        :func:`~sb3_fpac.latest_checkpoint` returns it if there is none, is an error
    :param env: Environment, wrapped as it was (VecNormalize gets its statistics back), or its id
    :param device: For the networks
    :param algorithm: The class that was trained
    :param trust: Whether the files of the checkpoint may run code of whoever wrote them. A model with classes or functions of
        your own needs it.
    :param load_kwargs: For its ``load``, such as ``tensorboard_log`` and ``custom_objects``
    :return: A model of the class ``algorithm``
    :raises FileNotFoundError: if there is no complete checkpoint
    :raises UntrustedFileError: if a file is more than data and ``trust`` is False
    :raises ValueError: if another algorithm was trained, or in another environment, or by another version of this package, or
        a file is damaged
    """
    if folder is not None and Path(folder).is_file():
        raise FileNotFoundError(f"{folder} is a file: pass the folder of the checkpoint, such as {Path(folder).parent}.")
    checkpoint = None if folder is None else latest_checkpoint(folder)
    if checkpoint is None:
        raise FileNotFoundError(
            f"There is no complete checkpoint in {folder or 'the folder'}: it needs a folder step_<n> with {MODEL}."
        )
    if env is None:
        raise ValueError("resume needs the environment of the training: pass env.")
    states = _load_states(checkpoint, algorithm, trust)
    for name, expected in states["checksums"].items():
        check_bytes(checkpoint / name, expected)
    model = load_model(algorithm, checkpoint / MODEL, trust, env=maybe_make_env(env, verbose=0), device=device, **load_kwargs)
    _load_buffer(model, checkpoint / BUFFER, trust)
    _continue_from(model, checkpoint, trust)
    restore_random_states(model, states)
    return model


def _load_buffer(model: OffPolicyAlgorithm, path: Path, trust: bool) -> None:
    """As SB3's ``load_replay_buffer``, which would run what is in the file"""
    buffer = load_pickle(path, trust)
    if not isinstance(buffer, ReplayBuffer):
        raise ValueError(f"{path} does not fit: it contains no replay buffer, but a {type(buffer).__name__}.")
    if isinstance(buffer, HerReplayBuffer):
        assert model.env is not None
        buffer.set_env(model.env)
    buffer.device = model.device
    if isinstance(model, FPAC):
        model.use_replay_buffer(buffer, path)
    else:
        model.replay_buffer = buffer


def _continue_from(model: OffPolicyAlgorithm, checkpoint: Path, trust: bool) -> None:
    """Check that the environment is that of the checkpoint, and start an episode in it"""
    assert model.env is not None and model.replay_buffer is not None
    buffer = model.replay_buffer
    if buffer.n_envs != model.env.num_envs:
        raise ValueError(
            f"{checkpoint} was saved with {buffer.n_envs} environment(s), got {model.env.num_envs}: pass env with "
            f"{buffer.n_envs}."
        )
    if buffer.observation_space != model.observation_space or buffer.action_space != model.action_space:
        raise ValueError(
            f"The replay buffer of {checkpoint} has the spaces {buffer.observation_space} and {buffer.action_space}, got an "
            f"environment with {model.observation_space} and {model.action_space}: pass the environment of training."
        )
    end_episodes(buffer)
    _restore_normalization(model, checkpoint / NORMALIZATION, trust)
    _start_episode(model)


def _start_episode(model: OffPolicyAlgorithm) -> None:
    """``learn`` would count the first observation in VecNormalize's statistics a second time"""
    assert model.env is not None
    if model.seed is not None:
        model.env.seed((model.seed + model.num_timesteps) % 2**31)
    vec_normalize = model.get_vec_normalize_env()
    if vec_normalize is None:
        model._last_obs = model.env.reset()  # type: ignore[assignment]
    else:
        training, vec_normalize.training = vec_normalize.training, False
        model._last_obs = model.env.reset()  # type: ignore[assignment]
        vec_normalize.training = training
        model._last_original_obs = vec_normalize.get_original_obs()
    model._last_episode_starts = np.ones(model.env.num_envs, dtype=bool)


def _restore_normalization(model: OffPolicyAlgorithm, path: Path, trust: bool) -> None:
    vec_normalize = model.get_vec_normalize_env()
    if (vec_normalize is not None) != path.exists():
        was, is_now = ("with", "without") if path.exists() else ("without", "with")
        raise ValueError(f"{path.parent} was saved {was} VecNormalize, got an environment {is_now} it: wrap it as before.")
    if vec_normalize is not None:
        saved = load_normalization(path, trust)
        vec_normalize.ret_rms = saved.ret_rms
        if saved.norm_obs:
            vec_normalize.obs_rms = saved.obs_rms


def _load_states(checkpoint: Path, algorithm: type[OffPolicyAlgorithm], trust: bool) -> dict[str, Any]:
    """The random states, if the algorithm is the one that was trained"""
    path = checkpoint / STATES
    check_zip(path)
    with reading(path):
        try:
            states = th.load(path, map_location="cpu", weights_only=not trust)
        except UnpicklingError as error:  # a sound file, but more than data
            named = re.search(r"GLOBAL ([\w.]+)", str(error))
            raise UntrustedFileError(path, named[1] if named else "code") from error
    if "checksums" not in states:
        raise ValueError(f"{checkpoint} was saved by another version of sb3-fpac: resume with that version, or train again.")
    if states["trained_by"] != trained_by(algorithm):
        trained = states["trained_by"]
        raise ValueError(
            f"{checkpoint} was trained by {trained}, got the algorithm {algorithm.__name__}: pass algorithm={trained}."
        )
    return states
