"""Checkpoints: everything that is needed to continue interrupted training."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch as th
from filelock import BaseFileLock, FileLock, Timeout
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import load_from_zip_file

from sb3_fpac.arguments import whole_number
from sb3_fpac.buffers import is_mid_episode
from sb3_fpac.callbacks.random_states import random_states
from sb3_fpac.files import checksum, make_folder
from sb3_fpac.fpac.loss_tracker import check_finite

MODEL, BUFFER, STATES, NORMALIZATION = "model.zip", "replay_buffer.pkl", "random_states.pth", "vecnormalize.pkl"
_LOCK = ".lock"  # of the run that writes to the folder


class ResumableCheckpoint(BaseCallback):
    """
    Saves everything that is needed to continue training: the model, the replay buffer, the random states, and the statistics
    of VecNormalize if there are any. If :func:`~sb3_fpac.resume` continues a run from the start of an episode, the run differs
    from an uninterrupted one only in the initial states of its episodes. If these are fixed and the arithmetic is repeatable,
    as float32 on a CPU is, both runs are equal bit for bit.

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
    :raises ValueError: if ``save_freq`` is not positive, the algorithm has no replay buffer, nothing can be written to the
        folder, another run uses it, or training starts with fewer steps than a checkpoint in the folder has
    :raises FloatingPointError: instead of saving, if training has diverged
    """

    def __init__(self, save_freq: int, save_path: str | Path) -> None:
        super().__init__()
        self.save_freq = whole_number("save_freq", save_freq, at_least=1)
        self.save_path = Path(save_path)
        self._saved_at = 0  # agent steps
        self._lock: BaseFileLock | None = None

    def _init_callback(self) -> None:
        if not isinstance(self.model, OffPolicyAlgorithm):
            raise ValueError(
                "ResumableCheckpoint is for algorithms with a replay buffer, such as FPAC and SAC: "
                f"use SB3's CheckpointCallback with {type(self.model).__name__}."
            )

    def _on_training_start(self) -> None:
        self._saved_at = self.num_timesteps
        make_folder(self.save_path)
        try:
            self._lock = FileLock(self.save_path / _LOCK, timeout=0, is_singleton=True)
            self._lock.acquire()
        except Timeout as error:
            raise ValueError(f"{self.save_path} is used by another run: choose another save_path.") from error
        _check_is_furthest(self.save_path, self.num_timesteps)

    def _on_training_end(self) -> None:
        if self._lock is not None:  # RL Zoo calls this also if training did not start
            self._lock.release()

    def _on_rollout_start(self) -> None:  # all steps so far have been stored and learned from
        assert isinstance(self.model, OffPolicyAlgorithm) and self.model.replay_buffer is not None
        n_due = self.model.num_timesteps // self.save_freq - self._saved_at // self.save_freq
        if n_due > 1 or (n_due == 1 and not is_mid_episode(self.model.replay_buffer).any()):
            save_checkpoint(self.model, self.save_path)
            self._saved_at = self.model.num_timesteps

    def _on_step(self) -> bool:
        return True


def save_checkpoint(model: OffPolicyAlgorithm, folder: str | Path) -> Path:
    """
    Write a checkpoint, then delete older ones. If writing fails, the older ones are kept.

    :param model: Between two rollouts
    :param folder: Folder in which ``step_<n>`` is created
    :return: Its path; also if the agent is at its step already, as one is that has been resumed
    :raises FloatingPointError: if training has diverged
    :raises FileExistsError: if there is a checkpoint of this step with another agent
    :raises ValueError: if there is a checkpoint of a later step
    :raises OSError: if writing fails, such as on a full disk; what was written so far is deleted
    """
    check_finite(model.policy, f"agent step {model.num_timesteps}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob("step_*.tmp"):
        shutil.rmtree(leftover)
    older = _checkpoints(folder)
    _check_is_furthest(folder, model.num_timesteps)

    checkpoint = folder / f"step_{model.num_timesteps}"
    if checkpoint.exists():
        if _has_weights_of(model, checkpoint):  # a script that has ended is started again
            return checkpoint
        raise FileExistsError(f"{checkpoint} is of another agent: choose another folder, or delete it.")
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


def _has_weights_of(model: OffPolicyAlgorithm, checkpoint: Path) -> bool:
    _, parameters, _ = load_from_zip_file(checkpoint / MODEL, load_data=False, device="cpu")
    saved: Any = parameters["policy"]
    weights = model.policy.state_dict()
    return saved.keys() == weights.keys() and all(th.equal(saved[name], weight.cpu()) for name, weight in weights.items())


def _check_is_furthest(folder: Path, n_steps: int) -> None:
    further = [path for path in _checkpoints(folder) if _steps(path) > n_steps]
    if further:
        raise ValueError(
            f"{further[0]} has more steps than this run, which is at agent step {n_steps}: resume from it, delete it, or "
            "choose another folder."
        )


def _write(model: OffPolicyAlgorithm, folder: Path) -> None:
    model.save(folder / MODEL)
    model.save_replay_buffer(folder / BUFFER)
    vec_normalize = model.get_vec_normalize_env()
    if vec_normalize is not None:
        vec_normalize.save(str(folder / NORMALIZATION))
    pickles = {path.name: checksum(path) for path in folder.glob("*.pkl")}  # the other files contain checksums
    th.save({"trained_by": trained_by(type(model)), "checksums": pickles, **random_states(model)}, folder / STATES)
    for path in (*folder.iterdir(), folder):
        _sync(path)


def latest_checkpoint(folder: str | Path) -> Path | None:
    """
    Find the checkpoint from which :func:`~sb3_fpac.resume` continues.

    :param folder: ``save_path`` of :class:`ResumableCheckpoint`, or a checkpoint itself
    :return: The complete checkpoint with the most steps, ``step_<n>``; None if there is none
    """
    folder = Path(folder)
    if _is_whole(folder):
        return folder
    return max(_checkpoints(folder), key=_steps, default=None)


def trained_by(algorithm: type[OffPolicyAlgorithm]) -> str:
    """
    :param algorithm: The class of a model
    :return: The name of the class that defines its ``train``: a subclass that keeps it can continue the training
    """
    return algorithm.train.__qualname__.removesuffix(".train")


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
