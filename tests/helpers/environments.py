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


class Choices(StackedNoise):
    """Stacked noise with three discrete actions"""

    def __init__(self):
        super().__init__()
        self.action_space = spaces.Discrete(3)

    def step(self, action):
        return super().step(np.ones(2))


class Robot(gym.Env):
    """Two cameras of different sizes and channels, and vectors of every kind; goals to reach for hindsight."""

    length = 9

    def __init__(self, keys: tuple[str, ...] = (), goals: bool = False, seed: int | None = None) -> None:
        parts: dict[str, spaces.Space] = {
            "wrist": spaces.Box(0, 255, (2, 18, 16), np.uint8),
            "front": spaces.Box(0, 255, (7, SIZE, 19), np.uint8),
            "joints": spaces.Box(-3, 3, (2, 2), np.float64),
            "mode": spaces.Discrete(3),
            "gears": spaces.MultiDiscrete([2, 3]),
            "buttons": spaces.MultiBinary(2),
        }
        if goals:
            parts |= {key: spaces.Box(-9, 9, (2,), np.float32) for key in ("achieved_goal", "desired_goal")}
        keys = keys or tuple(parts)
        self.observation_space = spaces.Dict([(key, parts[key]) for key in keys])
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)
        self.goals = goals
        self.rng = None if seed is None else np.random.default_rng(seed)

    def _new(self, key):
        """A frame, or a vector, that depends on the key and the step alone"""
        frame = {"wrist": (1, 18, 16), "front": (3, SIZE, 19)}.get(key)
        rng = np.random.default_rng([self.episode_seed, self.steps, *key.encode()])
        if frame is not None:
            return rng.integers(0, 256, frame, np.uint8)
        space = self.observation_space[key]
        space.seed(int(rng.integers(2**31)))
        return space.sample()

    def _obs(self):
        obs = {}
        for key in self.observation_space:
            new = self._new(key)
            if key in ("wrist", "front"):
                self.stacks[key] = [*self.stacks.get(key, [new]), new][-2:]
                shift = [encode_camera_shift(np.array([[self.steps, -0.5]]), SIZE, 19)[None]] if key == "front" else []
                new = np.concatenate([*shift, *self.stacks[key]])
            obs[key] = new
        return obs

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        rng = self.np_random if self.rng is None else self.rng
        self.episode_seed, self.steps, self.stacks = int(rng.integers(10**6)), 0, {}
        return self._obs(), {}

    def step(self, action):
        self.steps += 1
        obs = self._obs()
        terminated = self.episode_seed % 3 == 0 and self.steps >= 4
        reward = float(np.sum(action) + obs["joints"].sum())
        if self.goals:
            reward = float(self.compute_reward(obs["achieved_goal"], obs["desired_goal"], {}))
        return obs, reward, terminated, self.steps >= self.length, {}

    def compute_reward(self, achieved_goal, desired_goal, info):
        return -np.linalg.norm(achieved_goal - desired_goal, axis=-1)
