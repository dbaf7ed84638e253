"""
A whole training loop on dmc-cheetah-run with Table I's hyperparameters: agent steps per second, where the time goes, and the
peak memory of the process with a full replay buffer of 100k transitions. One update per agent step, whatever the number of
environments; several environments run in processes of their own. With --processes, a single one is also measured so. Frames
have 84×84 pixels, or 64×64 where an agent's name says so.

Usage: python benchmarks/training.py [--device cuda] [--steps 50] [--n-envs 1 2 4] [--agents "FPAC, auto, compiled" …]
    [--processes] [--threads 1]
"""

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import wraps
from itertools import product
from typing import Any

import numpy as np
import psutil
import torch as th
from agents import AGENTS, PLAIN_SWAP
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv
from timing import describe_machine

TASK = "dmc-cheetah-run"
WARM_UP = 4
DEFAULT_AGENTS = (PLAIN_SWAP, "SAC, FPACPolicy, auto", "FPAC, auto, not compiled")
STAGES = ("simulation", "rendering", "acting", "replay", "update")


class Stopwatch:
    """Seconds spent in wrapped methods, each without those that it calls"""

    def __init__(self, device: th.device) -> None:
        self.device = device
        self.seconds: Counter[str] = Counter()
        self._running: list[float] = []  # seconds spent in wrapped callees, of each method under way

    def wrap(self, owner: Any, method: str, stage: str) -> None:
        function: Callable[..., Any] = getattr(owner, method)

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._running.append(0.0)
            start = time.perf_counter()
            result = function(*args, **kwargs)
            if stage == "update" and self.device.type == "cuda":
                th.cuda.synchronize(self.device)
            spent = time.perf_counter() - start
            self.seconds[stage] += spent - self._running.pop()
            if self._running:
                self._running[-1] += spent
            return result

        setattr(owner, method, timed)


def make_model(name: str, n_envs: int, device: th.device, processes: bool) -> OffPolicyAlgorithm:
    env_kwargs = dict(size=64, fast_rendering=True) if "64×64" in name else {}
    vec_env_cls = SubprocVecEnv if processes else DummyVecEnv
    env = make_vec_env(TASK, n_envs, seed=0, vec_env_cls=vec_env_cls, env_kwargs=env_kwargs)
    return AGENTS[name](env, learning_starts=128, train_freq=1, gradient_steps=-1, device=device, seed=0)


def measure_speed(
    name: str, n_envs: int, device: th.device, steps: int, processes: bool, threads: int
) -> tuple[float, dict[str, float]]:
    """Agent steps per second, and the share of each stage"""
    th.set_num_threads(threads)
    model = make_model(name, n_envs, device, processes)
    from dm_control import mujoco  # after the environment, which chooses what draws

    model.learn(128 + WARM_UP)
    stopwatch = Stopwatch(device)
    assert model.env is not None
    stopwatch.wrap(mujoco.Physics, "render", "rendering")
    stopwatch.wrap(model.env, "step_wait", "simulation")  # FPAC updates before it waits
    stopwatch.wrap(model, "predict", "acting")
    stopwatch.wrap(model.replay_buffer, "add", "replay")
    stopwatch.wrap(model.replay_buffer, "sample_frames" if name.startswith("FPAC") else "sample", "replay")
    stopwatch.wrap(model, "train", "update")
    model._last_obs, start, before = model.env.reset(), time.perf_counter(), model.num_timesteps
    model.learn(steps, reset_num_timesteps=False)
    seconds = time.perf_counter() - start
    model.env.close()
    shares = {stage: stopwatch.seconds[stage] / seconds for stage in STAGES}
    return (model.num_timesteps - before) / seconds, {**shares, "other": 1 - sum(shares.values())}


def measure_memory(name: str, n_envs: int, device: th.device) -> float:
    """Peak gigabytes of the process, after 100k transitions in episodes of 250 and two updates"""
    model = make_model(name, n_envs, device, processes=n_envs > 1)
    assert model.env is not None and model.replay_buffer is not None
    model.env.close()
    rng = np.random.default_rng(0)
    n_planes, size, _ = model.observation_space.shape  # type: ignore[misc]
    past = rng.integers(0, 256, (n_envs, 3, size, size), np.uint8)
    header = np.zeros((n_envs, n_planes % 3, size, size), np.uint8)
    observation = np.concatenate([header, past, past], axis=1)
    for step in range(1, 100_000 // n_envs + 1):
        past, now = observation[:, -3:], rng.integers(0, 256, (n_envs, 3, size, size), np.uint8)
        next_observation = np.concatenate([header, past, now], axis=1)
        ends = np.full(n_envs, step % 250 == 0)
        model.replay_buffer.add(observation, next_observation, np.zeros((n_envs, 6)), np.zeros(n_envs), ends, [{}] * n_envs)
        observation = np.concatenate([header, now, now], axis=1) if ends[0] else next_observation
    model.set_logger(Logger(None, []))
    model.train(2, 128)
    return peak_memory() / 1e9


def peak_memory() -> int:
    """The most bytes that this process has had"""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def in_own_process(function: Callable[..., Any], *args: Any) -> Any:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu", type=th.device)
    parser.add_argument("--steps", default=50, type=int)
    parser.add_argument("--n-envs", default=[1, 2, 4], type=int, nargs="+")
    parser.add_argument("--agents", default=DEFAULT_AGENTS, nargs="+", choices=AGENTS)
    parser.add_argument("--processes", action="store_true", help="measure a single environment in a process of its own, too")
    parser.add_argument("--threads", default=th.get_num_threads(), type=int, help="of PyTorch")
    args = parser.parse_args()

    print(describe_machine(args.device))
    print(f"\n| {TASK} | environments | agent steps/s | × | {' | '.join(STAGES)} | other | peak memory |")
    print(f"| --- | ---: | ---: | ---: |{' ---: |' * (len(STAGES) + 2)}")
    baseline = 0.0
    for n_envs, name in product(args.n_envs, args.agents):
        for processes in (False, True) if args.processes and n_envs == 1 else (n_envs > 1,):
            speed, shares = in_own_process(measure_speed, name, n_envs, args.device, args.steps, processes, args.threads)
            baseline = baseline or speed
            with_memory = n_envs == args.n_envs[0] and processes == (n_envs > 1)
            memory = f"{in_own_process(measure_memory, name, n_envs, args.device):.1f} GB" if with_memory else ""
            environments = f"{n_envs}, in {'processes' if processes else 'the process of the agent'}"
            columns = [name, environments, f"{speed:.2f}", f"{speed / baseline:.2f}", *(f"{x:.0%}" for x in shares.values())]
            print(f"| {' | '.join([*columns, memory])} |", flush=True)


if __name__ == "__main__":
    main()
