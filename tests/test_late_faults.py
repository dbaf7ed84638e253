"""What would show hours later, on another machine, or never, is said at once."""

from contextlib import nullcontext
from copy import deepcopy

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import Choices, Robot, StackedNoise
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_fpac import FPAC, FeaturePointExtractor, FrameReplayBuffer, HerFrameReplayBuffer, save_weights
from sb3_fpac.callbacks import save_checkpoint
from sb3_fpac.export import ExportedAgent

POINTS = dict(features_extractor_class=FeaturePointExtractor, features_extractor_kwargs=dict(n_points=4))
SMALL = dict(buffer_size=90, learning_starts=12, batch_size=4, seed=0, compile=False, policy_kwargs=dict(net_arch=[8]))
OF_ROBOT = dict(net_arch=[8], features_extractor_kwargs=dict(n_points=3, frame_channels=dict(wrist=1, front=3)))


def fpac(env=None, policy="CnnPolicy", **kwargs):
    return FPAC(policy, env or StackedNoise(), **{**SMALL, **kwargs})


def sac(env, **kwargs):
    kwargs = dict(replay_buffer_class=FrameReplayBuffer, buffer_size=90, learning_starts=12, batch_size=4, seed=0) | kwargs
    return SAC("CnnPolicy", env, policy_kwargs=POINTS | dict(net_arch=[8]), **kwargs)


# ------------------------------------------------------------------------------------------------------------ ends of episodes


class TimeOuts(gym.Env):
    """Episodes of five steps that time out, or terminate"""

    def __init__(self, terminates=False):
        self.env = StackedNoise(length=10**6)
        self.observation_space, self.action_space = self.env.observation_space, self.env.action_space
        self.terminates = terminates

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.n = 0
        return self.env.reset(seed=seed)

    def step(self, action):
        self.n += 1
        obs, reward, *_ = self.env.step(action)
        over = self.n == 5
        return obs, reward, over and self.terminates, over and not self.terminates, {}


def record(model, venv, n_steps, with_last_observations):
    obs = venv.reset()
    for _ in range(n_steps):
        action = np.stack([venv.action_space.sample() for _ in range(venv.num_envs)])
        next_obs, reward, done, infos = venv.step(action)
        stored = deepcopy(next_obs)
        for i in np.flatnonzero(done) if with_last_observations else ():
            last = infos[i]["terminal_observation"]
            for of_all, of_last in [(stored[key], last[key]) for key in last] if isinstance(last, dict) else [(stored, last)]:
                of_all[i] = of_last
        model.replay_buffer.add(obs, stored, action, reward, done, infos)
        obs = next_obs


@pytest.mark.parametrize("with_last_observations", [True, False])
@pytest.mark.parametrize("n_envs", [1, 2])
def test_demonstrations_of_several_cameras_need_the_last_observations(n_envs, with_last_observations):
    def robots():
        return DummyVecEnv([Robot] * n_envs)

    model = fpac(robots(), "MultiInputPolicy", policy_kwargs=OF_ROBOT)
    record(model, robots(), 20, with_last_observations)
    with nullcontext() if with_last_observations else pytest.raises(ValueError, match=r"Image .*that ends an episode"):
        model.train(2, batch_size=4)
    assert model._n_updates == 2 * with_last_observations


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("n_envs", [1, 2])
def test_demonstrations_with_the_first_observation_of_the_next_episode_are_refused(n_steps, n_envs):
    model = fpac(DummyVecEnv([TimeOuts] * n_envs), n_steps=n_steps)
    venv = DummyVecEnv([TimeOuts] * n_envs)
    record(model, venv, 7, with_last_observations=False)
    with pytest.raises(ValueError, match=r"that ends an episode does not continue.*infos\[i\]\['terminal_observation'\]"):
        model.train(2, batch_size=4)
    assert model._n_updates == 0


@pytest.mark.parametrize("n_steps", [1, 3])
def test_demonstrations_with_the_last_observations_are_learned_from(n_steps):
    model = fpac(DummyVecEnv([TimeOuts]), n_steps=n_steps)
    record(model, DummyVecEnv([TimeOuts]), 20, with_last_observations=True)
    model.train(2, batch_size=4)
    assert model.replay_buffer.size() == 20 and model._n_updates == 2


def test_after_a_failure_n_step_returns_have_no_use_for_what_a_camera_shows():
    model = fpac(DummyVecEnv([lambda: TimeOuts(terminates=True)]), n_steps=3)
    record(model, DummyVecEnv([lambda: TimeOuts(terminates=True)]), 20, with_last_observations=False)
    model.train(3, batch_size=8)
    assert model._n_updates == 3


# ---------------------------------------------------------------------------------------------------------------- black images


class Divided(StackedNoise):
    """Images of floats in [0, 1) under a space of bytes"""

    def _obs(self):
        return super()._obs() / 256


@pytest.mark.parametrize("algorithm", [PPO, DQN])
def test_images_that_sb3_has_made_black_are_named(algorithm):
    class DividedChoices(Choices, Divided):
        pass

    kwargs = dict(n_steps=8, batch_size=8) if algorithm is PPO else dict(learning_starts=0, exploration_fraction=1e-9)
    model = algorithm("CnnPolicy", DividedChoices(), policy_kwargs=POINTS, **kwargs)
    with pytest.warns(UserWarning, match="The first 20 images that the agent sees are black: return uint8 from 0 to 255"):
        model.learn(40)


def test_a_camera_that_is_off_at_first_is_not_named():
    extractor = FeaturePointExtractor(StackedNoise().observation_space, n_points=4).eval()
    black = th.zeros(1, 6, 17, 17)
    for i in range(30):
        extractor(black if i < 19 else black + 0.5)
    assert extractor.first_images.n_to_compare == 0


# ---------------------------------------------------------------------------------------------------------------- the next day


def normalized(**kwargs):
    return VecNormalize(DummyVecEnv([StackedNoise]), norm_obs=False, **kwargs)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (lambda: DummyVecEnv([StackedNoise]), "was trained with rewards that VecNormalize had normalized"),
        (normalized, "VecNormalize of the rewards that has seen nothing yet"),
        (lambda: normalized(norm_reward=False), "was trained with rewards that VecNormalize had normalized"),
    ],
)
def test_lost_statistics_of_rewards_are_named(env, words, tmp_path):
    model = fpac(normalized()).learn(20)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer")
    loaded = FPAC.load(tmp_path / "model", env=env())
    loaded.load_replay_buffer(tmp_path / "buffer")
    with pytest.warns(UserWarning, match=words):
        loaded.learn(5, reset_num_timesteps=False)


def test_statistics_of_rewards_that_are_there_are_not_named(tmp_path):
    model = fpac(normalized()).learn(20)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer")
    model.get_vec_normalize_env().save(tmp_path / "vecnormalize.pkl")
    env = VecNormalize.load(tmp_path / "vecnormalize.pkl", DummyVecEnv([StackedNoise]))
    loaded = FPAC.load(tmp_path / "model", env=env)
    loaded.load_replay_buffer(tmp_path / "buffer")
    assert loaded.learn(5, reset_num_timesteps=False).num_timesteps == 25


@pytest.mark.parametrize("make", [fpac, lambda: sac(StackedNoise())])
def test_training_that_goes_on_without_its_replay_buffer_is_named(make, tmp_path):
    model = make().learn(20)
    model.save(tmp_path / "model")
    loaded = type(model).load(tmp_path / "model", env=StackedNoise())
    with pytest.warns(UserWarning, match="its replay buffer is empty.*load_replay_buffer"):
        loaded.learn(5, reset_num_timesteps=False)


def test_a_script_that_has_ended_can_be_started_again(tmp_path):
    model = fpac().learn(20)
    checkpoint = save_checkpoint(model, tmp_path)
    assert save_checkpoint(model, tmp_path) == checkpoint == tmp_path / "step_20"
    with pytest.raises(FileExistsError, match="step_20 is of another agent: choose another folder"):
        save_checkpoint(fpac(seed=1).learn(20), tmp_path)


@pytest.mark.parametrize("store", [lambda model, path: save_weights(model, path), lambda model, path: ExportedAgent(model)])
@pytest.mark.parametrize("algorithm", [FPAC, PPO])
def test_agents_that_have_diverged_are_not_stored(store, algorithm, tmp_path):
    model = fpac() if algorithm is FPAC else PPO("CnnPolicy", Choices(), policy_kwargs=POINTS, n_steps=8, batch_size=8)
    next(model.policy.parameters()).data.fill_(th.nan)
    with pytest.raises(FloatingPointError, match="infinite or undefined weights"):
        store(model, tmp_path / "agent.safetensors")
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------------- hindsight and actions


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (10**6, "none has ended yet: raise learning_starts above the length of an episode"),
        (70, r"longer than 45 steps has overwritten all others: raise buffer_size above 2 \(environments\) times"),
    ],
)
def test_hindsight_without_a_complete_episode_says_why(length, words):
    class Long(Robot):
        pass

    Long.length = length
    model = fpac(
        DummyVecEnv([lambda: Long(goals=True)] * 2),
        "MultiInputPolicy",
        replay_buffer_class=HerFrameReplayBuffer,
        policy_kwargs=OF_ROBOT,
        learning_starts=20 if length > 100 else 130,
    )
    with pytest.raises(RuntimeError, match=words):
        model.learn(200)


@pytest.mark.parametrize("algorithm", [PPO, DQN])
def test_actions_that_are_not_numbered_from_0_are_refused(algorithm):
    class FromOne(Choices):
        def __init__(self):
            super().__init__()
            self.action_space = spaces.Discrete(3, start=1)

    with pytest.raises(ValueError, match=r"number discrete actions from 0, got Discrete\(3, start=1\).*TransformAction"):
        algorithm("CnnPolicy", FromOne(), policy_kwargs=POINTS)
