"""Measures how long an agent step takes in training."""

import time

from stable_baselines3.common.callbacks import BaseCallback

_N_UPDATES = 20  # in pairs, since the actor is updated on every second
_N_RANDOM, _N_WARM_UP = 10, 2  # agent steps
_START = _N_RANDOM + _N_WARM_UP + 1
N_STEPS = _START + _N_UPDATES
"""Agent steps of a training that is measured"""
FEW = {"buffer_size": N_STEPS, "learning_starts": _N_RANDOM}
"""Hyperparameters of a training that is measured: a small replay buffer, and updates that start early"""


class UpdateClock(BaseCallback):
    """
    Measures the time of the updates after a warm-up, with the agent steps between them. The agent has the hyperparameters
    :data:`FEW` and makes one update at each agent step on average.

    :param max_seconds: When to stop before 20 updates
    """

    n_updates = 0
    seconds = 0.0

    def __init__(self, max_seconds: float) -> None:
        super().__init__()
        self.max_seconds = max_seconds

    @property
    def seconds_per_step(self) -> float:
        """Seconds of an agent step with its update"""
        return self.seconds / self.n_updates

    def _on_step(self) -> bool:
        n_updates, now = self.num_timesteps - _START, time.perf_counter()
        if n_updates == 0:
            self._start_time = now
        elif n_updates > 0 and n_updates % 2 == 0:
            self.n_updates, self.seconds = n_updates, now - self._start_time
        return self.n_updates < _N_UPDATES and self.seconds < self.max_seconds
