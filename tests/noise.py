"""An environment that shows noise, for tests of what does not depend on what is seen."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces

SIZE = 17  # pixels, the fewest that carry camera shift


class Noise(gym.Env):
    length = 10

    def __init__(self, shape=(SIZE, SIZE, 3)):
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)
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

    def _reward(self, action):
        return float(action.sum())
