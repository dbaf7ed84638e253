"""
Train one run of an experiment with RL Zoo, from its checkpoint if there is one:
``python -m sb3_fpac.experiment.worker FOLDER``, where ``python -m sb3_fpac experiment`` has written its configuration.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from filelock import FileLock, Timeout
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.utils import set_random_seed

from sb3_fpac.callbacks.checkpoint import ResumableCheckpoint, latest_checkpoint, save_checkpoint
from sb3_fpac.envs.torso_height import TORSO_HEIGHT, make_dmc_with_torso_height
from sb3_fpac.evaluation.run_files import EVALUATIONS, Evaluations, trained_steps
from sb3_fpac.experiment.config import resolve_classes
from sb3_fpac.experiment.manager import RunManager
from sb3_fpac.experiment.plan import RunConfig, file_entry, read_config, read_progress
from sb3_fpac.experiment.resume import truncate_episodes, truncate_evaluations
from sb3_fpac.zoo import config_file
from sb3_fpac.zoo.environments import find_env
from sb3_fpac.zoo.trials import merged

CHECKPOINT = "checkpoint"
_MERGED = ("policy_kwargs", "env_kwargs")  # with those of the YAML file, of which RL Zoo would keep nothing
LOCK_TIMEOUT = 60  # seconds to wait for another process in the same folder, which may be about to end


def train(run: RunConfig, trust: bool = False) -> None:
    """
    Train a run to its end, from its checkpoint if there is one. A finished run is left as it is.

    :param run: The run
    :param trust: Whether its checkpoint may run code of whoever wrote it
    :raises ValueError: if another process trains it, or it was trained for fewer steps and has no checkpoint
    """
    try:
        with FileLock(run.folder / ".lock", timeout=LOCK_TIMEOUT):
            if not read_progress(run).done:
                _train(run, trust)
    except Timeout as error:
        raise ValueError(f"Another process trains in {run.folder}: wait until it has finished, or stop it.") from error


def _train(run: RunConfig, trust: bool) -> None:
    checkpoint = latest_checkpoint(run.folder / CHECKPOINT)
    steps = 0 if checkpoint is None else int(checkpoint.name.removeprefix("step_"))
    if checkpoint is None and trained_steps(run.model) is not None:
        raise ValueError(
            f"{run.folder} was trained for {read_progress(run).env_steps:,} env steps and has no checkpoint to continue from: "
            "delete it to train it again, or choose another folder with -f."
        )
    set_random_seed(run.seed)
    if run.matmul_precision is not None:
        th.set_float32_matmul_precision(run.matmul_precision)
    evaluations = truncate_evaluations(run.folder, steps)
    truncate_episodes(run.folder, steps)
    manager = make_manager(run, "" if checkpoint is None else str(checkpoint / "model.zip"))
    manager.trust = trust
    made = manager.setup_experiment()
    assert made is not None  # it is None for hyperparameter optimization only
    model, _ = made
    (callback,) = (callback for callback in manager.callbacks if isinstance(callback, EvalCallback))
    _restore_evaluations(callback, evaluations, steps, run)
    manager.callbacks.append(ResumableCheckpoint(run.agent_steps(run.save_freq), run.folder / CHECKPOINT))
    manager.learn(model)

    if not run.keep_checkpoint:
        manager.save_trained_model(model)
        shutil.rmtree(run.folder / CHECKPOINT, ignore_errors=True)
    else:
        if not (run.folder / CHECKPOINT / f"step_{model.num_timesteps}").exists():
            save_checkpoint(model, run.folder / CHECKPOINT)  # type: ignore[arg-type]
        manager.save_trained_model(model)


def make_manager(run: RunConfig, trained_agent: str = "") -> RunManager:
    """
    Prepare RL Zoo for a run; pre-train its points if it has any.

    :param run: The run
    :param trained_agent: The model of a checkpoint from which training continues
    :return: The manager, which makes model and environment
    """
    preset = {name: kwargs for name, kwargs in file_entry(run.algo, run.task).items() if name in _MERGED}
    env_kwargs = merged(preset.pop("env_kwargs", {}), run.env_kwargs)
    hyperparams = merged(preset, resolve_classes(run.hyperparams))
    if run.pretrain is not None:
        extractor_kwargs = hyperparams.setdefault("policy_kwargs", {}).setdefault("features_extractor_kwargs", {})
        _pretrain(run, extractor_kwargs, env_kwargs)
        extractor_kwargs.update(pretrained=str(run.points.resolve()), frozen=run.pretrain["frozen"])
    find_env(run.task, run.gym_packages)
    if run.torso_height:
        gym.registry[run.task] = replace(gym.spec(run.task), entry_point=make_dmc_with_torso_height)
    n_timesteps, log_folder = run.agent_steps(run.env_steps), str(run.folder.parents[1])
    args = argparse.Namespace(  # what other commands of RL Zoo read from the folder of a run
        algo=run.algo,
        env=run.task,
        seed=run.seed,
        n_timesteps=n_timesteps,
        env_kwargs=env_kwargs,
        gym_packages=run.gym_packages,
        log_folder=log_folder,
        trained_agent=trained_agent,
        device=run.device,
    )
    manager = RunManager(
        args,
        run.algo,
        run.task,
        log_folder,
        n_timesteps=n_timesteps,
        eval_freq=run.agent_steps(run.eval_freq),
        n_eval_episodes=run.eval_episodes,
        hyperparams=hyperparams,
        env_kwargs=env_kwargs,
        trained_agent=trained_agent,
        seed=run.seed,
        log_interval=-1,
        device=run.device,
        config=str(config_file(run.algo)),
    )
    # the number of the seed, not the next free one
    manager.save_path, manager.params_path = str(run.folder), str(run.folder / run.env_name)
    if run.torso_height:
        manager.monitor_kwargs = dict(info_keywords=(TORSO_HEIGHT,))
    return manager


def _pretrain(run: RunConfig, extractor_kwargs: dict[str, Any], env_kwargs: dict[str, Any]) -> None:
    """Write the file of points unless it exists; the folder gets its name once the file is complete"""
    assert run.pretrain is not None
    if run.points.is_file():
        return
    finished = run.points.parent
    unfinished = finished.with_suffix(".part")
    unfinished.mkdir(exist_ok=True)
    options = {name: number for name, number in run.pretrain.items() if name != "frozen"}
    for name in ("n_points", "temperature", "softmax", "frame_channels", "strides"):  # which must be the same
        if name in extractor_kwargs:
            options[name] = extractor_kwargs[name]
    command: list[Any] = [
        "pretrain",
        "--env",
        run.task,
        "-o",
        unfinished / run.points.name,
        "--seed",
        run.seed,
        "--device",
        run.device,
    ]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", *(value if isinstance(value, (list, tuple)) else [value])]
    if extractor_kwargs.get("anti_aliasing"):
        command.append("--anti-aliasing")
    if env_kwargs:
        command += ["--env-kwargs", *(f"{name}:{value!r}" for name, value in env_kwargs.items())]
    subprocess.run([sys.executable, "-m", "sb3_fpac", *map(str, command)], check=True, stdin=subprocess.DEVNULL)
    unfinished.rename(finished)


class _PublishEvaluations(BaseCallback):
    """Moves the complete file of evaluations to the path where it is read"""

    def __init__(self, written: Path, path: Path) -> None:
        super().__init__()
        self.written, self.path = written, path

    def _on_step(self) -> bool:
        os.replace(self.written, self.path)
        return True


def _restore_evaluations(callback: EvalCallback, evaluations: Evaluations, steps: int, run: RunConfig) -> None:
    """Continue after earlier evaluations; write to another file first, since SB3 writes in place and may be interrupted"""
    callback.evaluations_timesteps, callback.evaluations_results, callback.evaluations_length = evaluations
    callback.best_mean_reward = max((float(np.mean(returns)) for returns in evaluations.returns), default=-np.inf)
    callback.n_calls = steps
    callback.eval_env.seed(run.seed + steps)  # other episodes than the first evaluations had
    callback.log_path = str(run.folder / "evaluations.part")
    publish = _PublishEvaluations(run.folder / "evaluations.part.npz", run.folder / EVALUATIONS)
    callback.callback, publish.parent = publish, callback


def _exit_with_parent() -> None:
    """Kill this process and its children when standard input closes, that is when the parent has exited"""

    def wait() -> None:
        while os.read(0, 1024):  # sys.stdin has a lock, which the interpreter needs at exit
            pass
        if hasattr(os, "killpg"):
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Parse the command line and train; every run has its own process."""
    parser = argparse.ArgumentParser(prog="python -m sb3_fpac.experiment.worker", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the run")
    parser.add_argument("--exit-with-parent", action="store_true", help="exit when standard input is closed")
    parser.add_argument("--trust", action="store_true", help="run the code in the checkpoint")
    args = parser.parse_args()
    if args.exit_with_parent:
        _exit_with_parent()
    try:
        train(read_config(args.folder), args.trust)
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
