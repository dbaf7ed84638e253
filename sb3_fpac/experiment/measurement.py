"""Measures what a run costs, before it is trained."""

import inspect
import io
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch as th
from rl_zoo3 import ALGOS
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sb3_fpac.buffers import FrameReplayBuffer
from sb3_fpac.doctor.clock import FEW, N_STEPS, UpdateClock
from sb3_fpac.experiment.plan import RunConfig, file_entry
from sb3_fpac.experiment.worker import make_manager
from sb3_fpac.zoo.ours import NAMES

MAX_SECONDS = 20
"""When to stop measuring updates, and when to stop an episode"""


@dataclass(frozen=True)
class Cost:
    """What was measured of a variant on one task."""

    task: str
    training_seconds: float
    """Of an agent step with its update"""
    n_updates: int
    acting_seconds: float
    """Of an agent step of an evaluation"""
    episode_steps: int
    """Env steps of an episode of an evaluation"""
    episode_ended: bool
    """Whether the episode was played to its end"""
    model_bytes: int
    """Of the file of a model"""
    transition_bytes: float
    """Of a transition in the file of a replay buffer"""
    buffer_size: int
    """Transitions of a full replay buffer"""
    grows: bool
    """Whether the file has only the transitions stored so far"""


def measure(run: RunConfig, threads: int) -> Cost:
    """
    Train a run for 20 updates in a temporary folder, play an episode, and save the model and its replay buffer.

    :param run: The run
    :param threads: Number of CPU threads of PyTorch
    :return: What it took
    :raises ValueError: if the run cannot be set up
    """
    with tempfile.TemporaryDirectory() as folder, _as_in_a_run(run, threads):
        model, evaluation = _set_up(run, Path(folder))
        assert model.env is not None
        clock = UpdateClock(MAX_SECONDS)
        try:
            model.learn(N_STEPS, callback=clock)
            seconds, n_steps, ended = _play(model, evaluation.eval_env)
        finally:
            model.env.close()
            evaluation.eval_env.close()
        model.save(Path(folder, "model.zip"))
        model.save_replay_buffer(Path(folder, "buffer.pkl"))
        assert model.replay_buffer is not None
        grows = isinstance(model.replay_buffer, FrameReplayBuffer)
        n_saved = model.replay_buffer.size() if grows else model.replay_buffer.buffer_size
        return Cost(
            task=run.task,
            training_seconds=clock.seconds_per_step,
            n_updates=clock.n_updates,
            acting_seconds=seconds / n_steps,
            episode_steps=n_steps * run.action_repeat,
            episode_ended=ended,
            model_bytes=Path(folder, "model.zip").stat().st_size,
            transition_bytes=Path(folder, "buffer.pkl").stat().st_size / n_saved,
            buffer_size=_buffer_size(run),
            grows=grows,
        )


def check_set_up(run: RunConfig) -> None:
    """
    Make the agent and the environments of a run in a temporary folder, and train nothing.

    :param run: The run
    :raises ValueError: if that fails, such as for a hyperparameter that there is not
    """
    with tempfile.TemporaryDirectory() as folder, _as_in_a_run(run, th.get_num_threads()):
        model, evaluation = _set_up(run, Path(folder))
        assert model.env is not None
        model.env.close()
        evaluation.eval_env.close()


def _set_up(run: RunConfig, folder: Path) -> tuple[OffPolicyAlgorithm, EvalCallback]:
    """The agent with its environment, and the callback with that of the evaluations"""
    small = replace(
        run, folder=folder.joinpath(*run.folder.parts[-2:]), hyperparams=_few(run), pretrain=None, torso_height=False
    )
    try:
        manager = make_manager(small)
        made = manager.setup_experiment()
    except (AssertionError, AttributeError, ImportError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"{run.name} cannot be set up: {error}") from error
    assert made is not None  # it is None for hyperparameter optimization only
    model, _ = made
    assert isinstance(model, OffPolicyAlgorithm)
    (evaluation,) = (callback for callback in manager.callbacks if isinstance(callback, EvalCallback))
    return model, evaluation


def _few(run: RunConfig) -> dict[str, Any]:
    """The hyperparameters of a short run, in which nothing is pre-trained, and a frozen encoder is frozen all the same"""
    hyperparams = deepcopy(run.hyperparams) | FEW
    if run.algo in NAMES:
        hyperparams["compile"] = False  # which takes minutes
    if run.pretrain is not None and run.pretrain["frozen"]:
        extractor_kwargs = hyperparams.setdefault("policy_kwargs", {}).setdefault("features_extractor_kwargs", {})
        extractor_kwargs["frozen"] = True
    return hyperparams


def _buffer_size(run: RunConfig) -> int:
    hyperparams = file_entry(run.algo, run.task) | run.hyperparams
    return int(hyperparams.get("buffer_size", inspect.signature(ALGOS[run.algo]).parameters["buffer_size"].default))


def _play(model: BaseAlgorithm, env: VecEnv) -> tuple[float, int, bool]:
    """Seconds and agent steps of an episode, and whether it ended"""
    observations = env.reset()
    start, n_steps, ended = time.perf_counter(), 0, False
    while not ended and time.perf_counter() - start < MAX_SECONDS:
        actions, _ = model.predict(observations, deterministic=True)  # type: ignore[arg-type]
        observations, _, dones, _ = env.step(actions)
        n_steps, ended = n_steps + 1, bool(dones[0])
    return time.perf_counter() - start, n_steps, ended


@contextmanager
def _as_in_a_run(run: RunConfig, threads: int) -> Iterator[None]:
    """The settings of a run's process, without its output and warnings"""
    before = th.get_num_threads(), th.get_float32_matmul_precision()
    th.set_num_threads(threads)
    th.set_float32_matmul_precision(run.matmul_precision or before[1])
    try:
        with redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        th.set_num_threads(before[0])
        th.set_float32_matmul_precision(before[1])
