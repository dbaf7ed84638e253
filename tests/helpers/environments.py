"""Environments that are cheap to step, for tests of what does not depend on what is seen."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from sb3_fpac import encode_camera_shift

SIZE = 17  # pixels, the fewest that carry camera shift


class Spaces(gym.Env):
    """Nothing but its spaces."""

    def __init__(self, observation_space: spaces.Space, action_space: spaces.Space | None = None) -> None:
        self.observation_space = observation_space
        self.action_space = spaces.Box(-1, 1, (2,), np.float32) if action_space is None else action_space


class Noise(gym.Env):
    """Single frames of noise, a reward for the action, episodes of one length."""

    length = 10

    def __init__(self, shape: tuple[int, ...] = (SIZE, SIZE, 3)) -> None:
        self.observation_space: spaces.Space = spaces.Box(0, 255, shape, np.uint8)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def _frame(self):
        return self.np_random.integers(0, 256, self.observation_space.shape, np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self._frame(), {}

    def step(self, action):
        self.steps += 1
        return self._frame(), self._reward(action), False, self.steps >= self.length, {}

    def _reward(self, action) -> float:
        return float(action.sum())


class StackedNoise(gym.Env):
    """Stacks of noise, a reward for the action, episodes that end one way or the other."""

    def __init__(self, n_frames: int = 2, camera_shift: bool = False, length: int = 10, rewards=None) -> None:
        self.n_frames, self.camera_shift, self.length = n_frames, camera_shift, length
        self.rewards = rewards or {}  # by agent step over all episodes
        self.observation_space = spaces.Box(0, 255, (camera_shift + 3 * n_frames, SIZE, SIZE), np.uint8)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)
        self.all_steps = 0

    def _frame(self):
        return self.np_random.integers(0, 256, (3, SIZE, SIZE), np.uint8)

    def _obs(self):
        if not self.camera_shift:
            return np.concatenate(self.frames)
        shift = self.np_random.uniform(-9, 9, (self.n_frames - 1, 2))
        return np.concatenate([encode_camera_shift(shift, SIZE, SIZE)[None], *self.frames])

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.frames, self.steps = [self._frame()] * self.n_frames, 0
        return self._obs(), {}

    def step(self, action):
        self.steps, self.all_steps = self.steps + 1, self.all_steps + 1
        self.frames = [*self.frames[1:], self._frame()]
        reward = self.rewards.get(self.all_steps, float(action.sum() + self.frames[-1].mean() / 255))
        terminated = bool(self.np_random.random() < 0.05)
        return self._obs(), reward, terminated, self.steps >= self.length, {}
