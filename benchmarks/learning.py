"""
Train one agent with the paper's hyperparameters, evaluate it every 10k env steps, and write its curve.

Usage: python benchmarks/learning.py dmc-cartpole-swingup [--agent fpac|pixels] [--seed 0] [--env-steps 100000]
                                     [--episodes 10] [--out results]
"""

import argparse
import csv
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch as th
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor

from sb3_fpac import FPAC
from sb3_fpac.envs import TASKS
from sb3_fpac.pixels import PixelExtractor

EXTRACTORS = {"fpac": {}, "pixels": dict(features_extractor_class=PixelExtractor)}
COLUMNS = ("env_steps", "agent_steps", "mean", "std", "returns", "hours")


class WriteCurve(BaseCallback):
    """Evaluates with the mean action and appends a row to a CSV"""

    def __init__(self, path: Path, env: gym.Env, every: int, episodes: int, action_repeat: int) -> None:
        super().__init__()
        self.path, self.env, self.every, self.episodes, self.action_repeat = path, env, every, episodes, action_repeat
        self.start = time.monotonic()
        self.done = 0

    def _on_training_start(self) -> None:
        self.done = self.num_timesteps // self.every
        if self.num_timesteps == 0:
            with self.path.open("w", newline="") as file:
                csv.writer(file).writerow(COLUMNS)
            self._evaluate()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:  # here everything so far has been learned from
        if self.num_timesteps // self.every > self.done:
            self.done = self.num_timesteps // self.every
            self._evaluate()

    def _on_training_end(self) -> None:
        self._on_rollout_start()

    def _evaluate(self) -> None:
        random_state = th.random.get_rng_state()
        returns, _ = evaluate_policy(self.model, self.env, self.episodes, return_episode_rewards=True)
        th.random.set_rng_state(random_state)
        hours = (time.monotonic() - self.start) / 3600
        row = [self.num_timesteps * self.action_repeat, self.num_timesteps, np.mean(returns), np.std(returns)]
        row += [" ".join(f"{value:.1f}" for value in returns), hours]
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow([round(value, 3) if isinstance(value, float) else value for value in row])
        print(*row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("--agent", choices=EXTRACTORS, default="fpac")
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--env-steps", default=100_000, type=int)
    parser.add_argument("--episodes", default=10, type=int)
    parser.add_argument("--out", default="results", type=Path)
    args = parser.parse_args()

    action_repeat = TASKS[args.task].action_repeat
    env, evaluation_env = Monitor(gym.make(args.task)), Monitor(gym.make(args.task))
    evaluation_env.reset(seed=1000 + args.seed)
    model = FPAC("CnnPolicy", env, policy_kwargs=EXTRACTORS[args.agent], seed=args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"{args.task.removeprefix('dmc-')}_{args.agent}_seed{args.seed}.csv"
    curve = WriteCurve(path, evaluation_env, 10_000 // action_repeat, args.episodes, action_repeat)
    model.learn(args.env_steps // action_repeat, callback=curve)


if __name__ == "__main__":
    main()
