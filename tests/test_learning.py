"""It learns: FPAC steers a dot to a goal from pixels, and without the bottleneck it does not in the same time."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from sb3_fpac import FPAC, FeaturePointExtractor, FrameStack, PixelExtractor


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


def return_after_training(seed, extractor, **extractor_kwargs):
    model = FPAC(
        "CnnPolicy",
        FrameStack(Dot(), 2),
        learning_rate=1e-3,
        buffer_size=4000,
        learning_starts=200,
        batch_size=32,
        compile=False,
        seed=seed,
        policy_kwargs=dict(
            net_arch=[64, 64],
            features_extractor_class=extractor,
            features_extractor_kwargs=dict(precision="float32", **extractor_kwargs),
        ),
    )
    model.learn(1500)
    return mean_return(lambda env, obs: model.predict(obs, deterministic=True)[0])


@pytest.fixture
def one_thread():
    """Another number of threads adds in another order, and learning tells"""
    n_threads = th.get_num_threads()
    th.set_num_threads(1)
    yield
    th.set_num_threads(n_threads)


def score(returned):
    """0: by chance, 1: straight to the goal"""
    by_chance = mean_return(lambda env, obs: env.action_space.sample())
    return (returned - by_chance) / (mean_return(straight_to_the_goal) - by_chance)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_fpac_learns_from_pixels(one_thread, seed):
    assert score(return_after_training(seed, FeaturePointExtractor, n_points=8)) > 0.5


@pytest.mark.slow
def test_the_same_network_without_feature_points_does_not(one_thread):
    assert score(return_after_training(0, PixelExtractor, n_maps=8)) < 0.25
