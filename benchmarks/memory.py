"""
Memory of full replay buffers: 100,000 transitions of stacks of two 84×84×3 frames of one camera, and of two cameras beside a
vector of 32 numbers. FrameReplayBuffer is filled, each in a process of its own, and its memory is what the process has grown
by; SB3's buffers have the size of their arrays, which most machines cannot fill.

Usage: python benchmarks/memory.py [--transitions 100000]
"""

import argparse
import gc
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import psutil
from agents import Noise, TwoCameras
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_fpac import FrameReplayBuffer

ENVS = {"one camera": Noise, "two cameras, vector": TwoCameras}


def measure(name: str, n_transitions: int) -> float:
    """Bytes of a full FrameReplayBuffer"""
    env = DummyVecEnv([ENVS[name]])
    obs = env.reset()
    before = psutil.Process().memory_info().rss
    buffer = FrameReplayBuffer(n_transitions, env.observation_space, env.action_space, device="cpu")
    for _ in range(n_transitions):
        action = np.zeros((1, 6), np.float32)
        next_obs, rewards, dones, infos = env.step(action)
        last = infos[0]["terminal_observation"] if dones[0] else None
        of_episode = next_obs if last is None else _batched(last)
        buffer.add(obs, of_episode, action, rewards, dones, infos)
        obs = next_obs
    gc.collect()
    return psutil.Process().memory_info().rss - before


def _batched(obs: np.ndarray | dict[str, np.ndarray]) -> np.ndarray | dict[str, np.ndarray]:
    return {key: part[None] for key, part in obs.items()} if isinstance(obs, dict) else obs[None]


def of_sb3(name: str, n_transitions: int) -> int:
    """Bytes of the arrays of SB3's buffer for the same observations"""
    env = ENVS[name]()
    buffer_class = ReplayBuffer if name == "one camera" else DictReplayBuffer
    buffer = buffer_class(100, env.observation_space, env.action_space, device="cpu")
    arrays = [buffer.actions, buffer.rewards, buffer.dones, buffer.timeouts]
    for observations in (buffer.observations, buffer.next_observations):
        arrays += list(observations.values()) if isinstance(observations, dict) else [observations]
    return sum(array.nbytes for array in arrays) * n_transitions // 100


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--transitions", default=100_000, type=int)
    n_transitions = parser.parse_args().transitions
    print(f"| {n_transitions:,} transitions | SB3, GB | FrameReplayBuffer, GB | × smaller |\n| --- | ---: | ---: | ---: |")
    for name in ENVS:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            ours = pool.submit(measure, name, n_transitions).result()
        theirs = of_sb3(name, n_transitions)
        print(f"| {name} | {theirs / 1e9:.1f} | {ours / 1e9:.2f} | {theirs / ours:.1f} |")


if __name__ == "__main__":
    main()
