"""It learns: FPAC steers a dot to a goal from pixels, and without the bottleneck it does not in the same time."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from sb3_fpac import FPAC, FrameStack
from sb3_fpac.features.pixel_extractor import PixelExtractor


class Dot(gym.Env):
    """A green dot, to be steered to where the red one is; the reward is 1 minus their distance"""

    size, length, speed = 32, 20, 0.25  # pixels, steps, and half widths of the picture a step

    def __init__(self):
        self.observation_space = spaces.Box(0, 255, (self.size, self.size, 3), np.uint8)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def _frame(self):
        frame = np.zeros(self.observation_space.shape, np.uint8)
        for channel, position in enumerate((self.goal, self.dot)):
            x, y = np.rint(6 + (position + 1) / 2 * (self.size - 13)).astype(int)
            frame[y - 2 : y + 3, x - 2 : x + 3, channel] = 255
        return frame

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal, self.dot = self.np_random.uniform(-1, 1, (2, 2))
        self.steps = 0
        return self._frame(), {}

    def step(self, action):
        self.dot, self.steps = np.clip(self.dot + self.speed * action, -1, 1), self.steps + 1
        return self._frame(), float(1 - np.linalg.norm(self.dot - self.goal)), False, self.steps >= self.length, {}


def mean_return(act, episodes=50):
    """Of the same episodes for everyone; act: from the environment and its observation to an action"""
    env, total = FrameStack(Dot(), 2), 0.0
    env.action_space.seed(0)
    for episode in range(episodes):
        obs, _ = env.reset(seed=1000 + episode)
        over = False
        while not over:
            obs, reward, _, over, _ = env.step(act(env, obs))
            total += reward
    return total / episodes


def straight_to_the_goal(env, obs):
    dot = env.unwrapped
    return np.clip((dot.goal - dot.dot) / dot.speed, -1, 1)


def return_after_training(seed, **policy_kwargs):
    points = dict(n_points=8, precision="float32")
    model = FPAC(
        "CnnPolicy",
        FrameStack(Dot(), 2),
        learning_rate=1e-3,
        buffer_size=4000,
        learning_starts=200,
        batch_size=32,
        compile=False,
        seed=seed,
        policy_kwargs=dict(net_arch=[64, 64], features_extractor_kwargs=points, **policy_kwargs),
    )
    model.learn(2000)
    return mean_return(lambda env, obs: model.predict(obs, deterministic=True)[0])


@pytest.fixture
def one_thread():
    """Another number of threads adds in another order, and learning tells"""
    n_threads = th.get_num_threads()
    th.set_num_threads(1)
    yield
    th.set_num_threads(n_threads)


def test_fpac_learns_from_pixels_what_the_same_network_without_feature_points_does_not(one_thread):
    by_chance = mean_return(lambda env, obs: env.action_space.sample())
    at_best = mean_return(straight_to_the_goal)

    def score(returned):  # 0: by chance, 1: straight to the goal
        return (returned - by_chance) / (at_best - by_chance)

    points = [score(return_after_training(seed)) for seed in (0, 1, 2)]
    pixels = [score(return_after_training(seed, features_extractor_class=PixelExtractor)) for seed in (0, 1)]
    print(f"by chance {by_chance:.2f}, at best {at_best:.2f}; scores with points {points}, without {pixels}")
    assert min(points) > 0.5, points
    assert np.mean(points) > np.mean(pixels) + 0.2, (points, pixels)
