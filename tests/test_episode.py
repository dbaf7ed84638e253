"""What is recorded of an episode is what the agent saw and did."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import SIZE, Noise
from sb3_contrib import TQC, RecurrentPPO
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from sb3_fpac import FPAC, CameraShift, CameraView, FeaturePointExtractor, FPACPolicy, FrameStack, PixelExtractor
from sb3_fpac.visualization.agents import encoder_input, find_extractor
from sb3_fpac.visualization.episode import record_episode

POINTS = dict(features_extractor_class=FeaturePointExtractor, net_arch=[8], features_extractor_kwargs=dict(n_points=3))
STACK = 2


def agent(env, algorithm=FPAC, **policy_kwargs):
    buffer = {} if issubclass(algorithm, (PPO, RecurrentPPO)) else dict(buffer_size=50)
    return algorithm("CnnPolicy", env, policy_kwargs={**POINTS, **policy_kwargs}, seed=0, **buffer)


def test_frames_points_and_positions_are_those_that_the_encoder_saw():
    env = FrameStack(Noise(), STACK)
    model = agent(env)
    episode = record_episode(model, env)
    assert episode.frames.shape == (10, SIZE, SIZE, 3) and episode.points.shape == (10, 3, 3)

    extractor = model.policy.features_extractor
    for t, observation in enumerate(episode.observations):
        image = preprocess_obs(th.as_tensor(observation)[None], model.observation_space)
        with th.no_grad():
            points = extractor.points(image)[0]
        th.testing.assert_close(th.as_tensor(episode.points[t]), points[-1])
        th.testing.assert_close(th.as_tensor(episode.positions[t]), extractor.to_pixels(points[-1]))
        th.testing.assert_close(th.as_tensor(episode.past_positions[t]), extractor.to_pixels(points[-2]))
        assert (episode.frames[t].transpose(2, 0, 1) == observation[-3:]).all()
        action, _ = model.predict(observation, deterministic=True)
        np.testing.assert_allclose(episode.actions[t], action, atol=1e-5)
    np.testing.assert_allclose(episode.rewards, episode.actions.sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(episode.speeds[1:], np.linalg.norm(np.diff(episode.positions, axis=0), axis=-1), atol=1e-4)


def test_a_reward_that_is_no_number_is_said():
    class Broken(Noise):
        def _reward(self, action):
            return float("nan") if self.steps == 3 else 0.0

    env = FrameStack(Broken(), STACK)
    with pytest.raises(ValueError, match="returned the reward nan at step 3 of the episode"):
        record_episode(agent(env), env)


def test_an_id_is_no_environment_to_record():
    model = agent(FrameStack(Noise(), STACK))
    with pytest.raises(ValueError, match=r"got 'dmc-cheetah-run': pass gymnasium.make\('dmc-cheetah-run'\)\."):
        record_episode(model, "dmc-cheetah-run")
    with pytest.raises(ValueError, match=r"got None: pass what gymnasium.make returns\."):
        record_episode(model, None)


def test_past_positions_are_where_the_current_camera_sees_them():
    """A camera that moves by 2 pixels a step over a world of noise"""
    env = CameraShift(FrameStack(Noise(), STACK), camera)
    model = agent(env)
    episode = record_episode(model, env)
    absolute = np.concatenate([episode.positions[:1], episode.positions[:-1]])  # each in the frame that was current then
    shifts = (episode.past_positions - absolute)[1:]
    np.testing.assert_allclose(shifts, np.broadcast_to([-2, 0], shifts.shape), atol=0.05)


def camera(env, height, width):
    at = 2.0 * env.unwrapped.steps
    return CameraView(anchor=np.array([at, 0.0]), project=lambda anchor: anchor - [at, 0.0])


class Choice(Noise):
    def __init__(self):
        super().__init__()
        self.action_space = spaces.Discrete(3)

    def step(self, action):
        return super().step(np.array([action]))


@pytest.mark.parametrize("algorithm", [SAC, TD3, TQC, DQN, PPO, RecurrentPPO])
def test_agents_of_every_kind(algorithm):
    env = FrameStack(Choice() if algorithm is DQN else Noise(), STACK)
    policy = "CnnLstmPolicy" if algorithm is RecurrentPPO else "CnnPolicy"
    kwargs = dict(n_steps=8, batch_size=8) if algorithm in (PPO, RecurrentPPO) else dict(buffer_size=50)
    model = algorithm(policy, env, policy_kwargs=dict(POINTS), **kwargs)
    episode = record_episode(model, env, max_steps=4)
    assert episode.positions.shape == (4, 3, 2) and len(episode.actions) == 4
    assert find_extractor(model).n_points == 3


class WithState(gym.ObservationWrapper):
    """A picture and numbers"""

    def __init__(self, env):
        super().__init__(env)
        self.observation_space = spaces.Dict(numbers=spaces.Box(-1, 1, (4,), np.float32), picture=env.observation_space)

    def observation(self, observation):
        return dict(numbers=np.zeros(4, np.float32), picture=observation)


def test_a_dict_space_shows_its_picture():
    env = WithState(FrameStack(Noise(), STACK))
    kwargs = dict(net_arch=[8], features_extractor_kwargs=dict(n_points=3))
    model = SAC(FPACPolicy, env, policy_kwargs=kwargs, buffer_size=50)
    episode = record_episode(model, env, max_steps=3)
    assert episode.observations["numbers"].shape == (3, 4)
    assert (episode.frames.transpose(0, 3, 1, 2) == episode.observations["picture"][:, -3:]).all()
    assert encoder_input(model, episode.observations)["picture"].shape == (3, 6, SIZE, SIZE)


def test_images_in_0_to_1_and_channels_last_and_vectorized_stacks():
    env = VecFrameStack(DummyVecEnv([Noise]), STACK)  # channel-last
    episode = record_episode(agent(env), env, max_steps=3)
    assert (episode.frames == episode.observations[..., -3:]).all()

    class Floats(Noise):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Box(0, 1, (3, SIZE, SIZE), np.float32)

        def _frame(self):
            return super()._frame() / np.float32(255)

    env = Floats()
    episode = record_episode(agent(env, SAC, normalize_images=False), env, max_steps=3)
    np.testing.assert_allclose(episode.frames.transpose(0, 3, 1, 2) / 255, episode.observations, atol=1e-6)
    np.testing.assert_array_equal(episode.past_positions, episode.positions)  # one frame has no past


def test_progress_is_told_and_an_episode_can_be_broken_off():
    env = FrameStack(Noise(), STACK)
    calls = []
    episode = record_episode(agent(env), env, max_steps=4, on_step=lambda: calls.append(1))
    assert len(episode.rewards) == len(calls) == 4


def test_agents_without_feature_points_and_several_environments_are_refused():
    env = FrameStack(Noise(), STACK)
    model = agent(env, features_extractor_class=PixelExtractor, features_extractor_kwargs=dict(n_maps=3))
    with pytest.raises(
        ValueError, match=r"FPAC agent has no feature points to show, its features extractor is PixelExtractor"
    ):
        record_episode(model, env)
    with pytest.raises(ValueError, match="FlattenExtractor"):
        find_extractor(SAC("MlpPolicy", "Pendulum-v1", buffer_size=10))
    with pytest.raises(ValueError, match="from one environment, got 2"):
        record_episode(agent(env), DummyVecEnv([lambda: FrameStack(Noise(), STACK)] * 2))
