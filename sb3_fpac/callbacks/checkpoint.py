"""Checkpoints that continue interrupted training exactly where they were saved."""

import os
import re
import shutil
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.base_class import maybe_make_env
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import GymEnv
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.her import HerReplayBuffer

from sb3_fpac.arguments import whole_number
from sb3_fpac.callbacks.random_states import random_states, restore_random_states
from sb3_fpac.files import UntrustedFileError, check_zip, reading
from sb3_fpac.fpac import FPAC
from sb3_fpac.fpac.checks import check_loaded_buffer
from sb3_fpac.fpac.loss_tracker import check_finite
from sb3_fpac.trust import load_model, load_pickle

MODEL, BUFFER, STATES, NORMALIZATION = "model.zip", "replay_buffer.pkl", "random_states.pth", "vecnormalize.pkl"


class ResumableCheckpoint(BaseCallback):
    """
    Saves everything that is needed to continue training: the model, the replay buffer, the random states, and the statistics
    of VecNormalize if there are any. If :func:`resume` continues a run from the start of an episode, the run differs from an
    uninterrupted one only in the initial states of its episodes. If these are fixed and the arithmetic is repeatable, as
    float32 on a CPU is, both runs are equal bit for bit.

    >>> from sb3_fpac import FPAC
    >>> checkpoint = ResumableCheckpoint(10_000, "cheetah")
    >>> model = FPAC("CnnPolicy", "dmc-cheetah-run").learn(250_000, callback=checkpoint)  # doctest: +SKIP

    After an interruption:

    >>> model = resume("cheetah", "dmc-cheetah-run")  # doctest: +SKIP
    >>> model.learn(250_000 - model.num_timesteps, callback=checkpoint, reset_num_timesteps=False)  # doctest: +SKIP

    In a YAML of RL Zoo, where a relative path starts at the run's log folder::

        callback:
          - sb3_fpac.callbacks.ResumableCheckpoint:
              save_freq: 10000
              save_path: checkpoint

    After an interruption, where ``-n`` and ``n_timesteps`` count the steps of the whole run::

        python -m rl_zoo3.train --algo sac --env dmc-cheetah-run -i logs/sac/dmc-cheetah-run_1/checkpoint/step_10000/model.zip

    A checkpoint is due at every multiple of ``save_freq``. It is saved as soon as all environments start an episode at the
    same time, and at the latest after another ``save_freq`` steps. It is written to ``step_<n>.tmp`` and renamed when it is
    complete. Only then is the previous one deleted, so that a complete checkpoint remains whenever the process is killed. The
    disk must have space for two. The end of training is not saved automatically: call :func:`save_checkpoint` to continue
    training later.

    :param save_freq: Agent steps, as SB3 counts them (over all environments), between checkpoints. To make a
        resumed run equal to an uninterrupted one, use at least the length of an episode times the number of environments.
    :param save_path: Folder for ``step_<n>``, used by this run only
    :raises ValueError: if ``save_freq`` is not positive, the algorithm has no replay buffer, or training starts with fewer
        steps than a checkpoint in the folder has
    :raises FloatingPointError: instead of saving, if training has diverged
    """

    def __init__(self, save_freq: int, save_path: str | Path) -> None:
        super().__init__()
        self.save_freq = whole_number("save_freq", save_freq, at_least=1)
        self.save_path = Path(save_path)
        self._saved_at = 0  # agent steps

    def _init_callback(self) -> None:
        if not isinstance(self.model, OffPolicyAlgorithm):
            raise ValueError(
                "ResumableCheckpoint is for algorithms with a replay buffer, such as FPAC and SAC: "
                f"use SB3's CheckpointCallback with {type(self.model).__name__}."
            )

    def _on_training_start(self) -> None:
        self._saved_at = self.num_timesteps
        further = [path for path in _checkpoints(self.save_path) if _steps(path) > self.num_timesteps]
        if further:
            raise ValueError(
                f"{further[0]} has more steps than this run, which starts at agent step {self.num_timesteps}: "
                "resume from it, delete it, or choose another save_path."
            )

    def _on_rollout_start(self) -> None:  # all steps so far have been stored and learned from
        assert isinstance(self.model, OffPolicyAlgorithm) and self.model.replay_buffer is not None
        n_due = self.model.num_timesteps // self.save_freq - self._saved_at // self.save_freq
        if n_due > 1 or (n_due == 1 and not _is_mid_episode(self.model.replay_buffer).any()):
            save_checkpoint(self.model, self.save_path)
            self._saved_at = self.model.num_timesteps

    def _on_step(self) -> bool:
        return True


def save_checkpoint(model: OffPolicyAlgorithm, folder: str | Path) -> Path:
    """
    Write a checkpoint, then delete older ones. If writing fails, the older ones are kept.

    :param model: Between two rollouts
    :param folder: Folder in which ``step_<n>`` is created
    :return: Its path
    :raises FloatingPointError: if training has diverged
    :raises FileExistsError: if there is a checkpoint of this step
    :raises OSError: if writing fails, such as on a full disk; what was written so far is deleted
    """
    check_finite(model.policy, f"agent step {model.num_timesteps}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob("step_*.tmp"):
        shutil.rmtree(leftover)
    older = _checkpoints(folder)

    checkpoint = folder / f"step_{model.num_timesteps}"
    if checkpoint.exists():
        raise FileExistsError(f"{checkpoint} exists already.")
    unfinished = checkpoint.with_suffix(".tmp")
    try:
        unfinished.mkdir()
        _write(model, unfinished)
    except (OSError, RuntimeError) as error:  # RuntimeError: PyTorch's, on a full disk
        free = shutil.disk_usage(folder).free
        shutil.rmtree(unfinished, ignore_errors=True)
        raise OSError(
            f"The checkpoint {checkpoint} could not be written, and {free / 1e9:.2f} GB were free: {error}. Older checkpoints "
            "are kept. Make space for one more."
        ) from error
    unfinished.rename(checkpoint)
    _sync(folder)
    for path in older:
        shutil.rmtree(path.rename(path.with_suffix(".tmp")))  # a half-deleted checkpoint must not look complete
    return checkpoint


def _write(model: OffPolicyAlgorithm, folder: Path) -> None:
    model.save(folder / MODEL)
    model.save_replay_buffer(folder / BUFFER)
    vec_normalize = model.get_vec_normalize_env()
    if vec_normalize is not None:
        vec_normalize.save(str(folder / NORMALIZATION))
    th.save({"trained_by": _trained_by(type(model)), **random_states(model)}, folder / STATES)
    for path in (*folder.iterdir(), folder):
        _sync(path)


def latest_checkpoint(folder: str | Path) -> Path | None:
    """
    Find the checkpoint from which :func:`resume` continues.

    :param folder: ``save_path`` of :class:`ResumableCheckpoint`, or a checkpoint itself
    :return: The complete checkpoint with the most steps, ``step_<n>``; None if there is none
    """
    folder = Path(folder)
    if _is_whole(folder):
        return folder
    return max(_checkpoints(folder), key=_steps, default=None)


def resume(
    folder: str | Path,
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

    :param folder: ``save_path`` of :class:`ResumableCheckpoint`, or one of its ``step_<n>``
    :param env: Environment, wrapped as it was (VecNormalize gets its statistics back), or its id
    :param device: For the networks
    :param algorithm: The class that was trained
    :param trust: Whether the files of the checkpoint may run code of whoever wrote them. A model with classes or functions of
        your own needs it.
    :param load_kwargs: For its ``load``, such as ``tensorboard_log`` and ``custom_objects``
    :return: A model of the class ``algorithm``
    :raises FileNotFoundError: if there is no complete checkpoint
    :raises UntrustedFileError: if a file is more than data and ``trust`` is False
    :raises ValueError: if another algorithm was trained, or in another environment, or a file is damaged
    """
    checkpoint = latest_checkpoint(folder)
    if checkpoint is None:
        raise FileNotFoundError(f"There is no complete checkpoint in {folder}: it needs a folder step_<n> with {MODEL}.")
    states = _load_states(checkpoint, algorithm, trust)
    model = load_model(algorithm, checkpoint / MODEL, trust, env=maybe_make_env(env, verbose=0), device=device, **load_kwargs)
    _load_buffer(model, checkpoint / BUFFER, trust)
    _continue_from(model, checkpoint, trust)
    restore_random_states(model, states)
    return model


def _load_buffer(model: OffPolicyAlgorithm, path: Path, trust: bool) -> None:
    """As SB3's ``load_replay_buffer``, which would run what is in the file"""
    buffer = load_pickle(path, trust)
    try:
        if not isinstance(buffer, ReplayBuffer):
            raise ValueError(f"it contains no replay buffer, but a {type(buffer).__name__}.")
        if isinstance(model, FPAC):
            check_loaded_buffer(buffer, model.replay_buffer)
    except ValueError as error:
        raise ValueError(f"{path} does not fit: {error}") from error
    if isinstance(buffer, HerReplayBuffer):
        assert model.env is not None
        buffer.set_env(model.env)
        buffer.truncate_last_trajectory()
    buffer.device = model.device
    model.replay_buffer = buffer


def _continue_from(model: OffPolicyAlgorithm, checkpoint: Path, trust: bool) -> None:
    """Check that the environment is that of the checkpoint, and start an episode in it"""
    assert model.env is not None and model.replay_buffer is not None
    buffer = model.replay_buffer
    if buffer.n_envs != model.env.num_envs:
        raise ValueError(f"{checkpoint} was saved with {buffer.n_envs} environment(s), got {model.env.num_envs}.")
    if buffer.observation_space != model.observation_space or buffer.action_space != model.action_space:
        raise ValueError(
            f"The replay buffer of {checkpoint} has the spaces {buffer.observation_space} and {buffer.action_space}, got an "
            f"environment with {model.observation_space} and {model.action_space}."
        )
    unfinished_episodes = _is_mid_episode(buffer)
    buffer.dones[buffer.pos - 1, unfinished_episodes] = 1
    if not buffer.optimize_memory_usage:  # with it, the next observation is about to be overwritten
        buffer.timeouts[buffer.pos - 1, unfinished_episodes] = 1
    _restore_normalization(model, checkpoint / NORMALIZATION, trust)
    _start_episode(model)


def _trained_by(algorithm: type[OffPolicyAlgorithm]) -> str:
    """The class that defines ``train``: a subclass that keeps it can continue the training"""
    return algorithm.train.__qualname__.removesuffix(".train")


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
        saved = load_pickle(path, trust)
        if not isinstance(saved, VecNormalize):
            raise ValueError(f"{path} contains no statistics of VecNormalize, but a {type(saved).__name__}.")
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
    if states["trained_by"] != _trained_by(algorithm):
        raise ValueError(f"{checkpoint} was trained by {states['trained_by']}, got the algorithm {algorithm.__name__}.")
    return states


def _is_mid_episode(buffer: ReplayBuffer) -> np.ndarray:
    """(n_envs,) bool: whether the latest transition was followed by another one in its episode"""
    is_empty = buffer.pos == 0 and not buffer.full
    return (buffer.dones[buffer.pos - 1] == 0) & (not is_empty)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob("step_*") if re.fullmatch(r"step_\d+", path.name) and _is_whole(path)]


def _is_whole(checkpoint: Path) -> bool:
    return checkpoint.suffix != ".tmp" and all((checkpoint / name).is_file() for name in (MODEL, BUFFER, STATES))


def _steps(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step_"))


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk"""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
