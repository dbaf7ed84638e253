"""The learning-rate drop of the paper's Reacher, and pictures of an agent that learns."""

import gymnasium as gym
import imageio.v2 as imageio
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import Noise
from sb3_contrib import MaskablePPO, RecurrentPPO
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecCheckNan, VecFrameStack, VecNormalize
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import sb3_fpac
from sb3_fpac import FPAC, FeaturePointExtractor, FrameStack
from sb3_fpac.callbacks import FeaturePointCallback, LearningRateDrop, ResumableCheckpoint


def rates(model: SAC) -> set[float]:
    optimizers = (model.actor.optimizer, model.critic.optimizer, model.ent_coef_optimizer)
    return {group["lr"] for optimizer in optimizers for group in optimizer.param_groups}


def test_all_learning_rates_drop_after_so_many_steps():
    model = SAC("MlpPolicy", "Pendulum-v1", learning_rate=1e-3, learning_starts=5, policy_kwargs=dict(net_arch=[8]))
    drop = LearningRateDrop(after=20, learning_rate=3e-4)
    model.learn(19, callback=drop)
    assert rates(model) == {1e-3}
    model.learn(3, callback=drop, reset_num_timesteps=False)
    assert rates(model) == {3e-4}


def test_one_callback_serves_two_runs():
    drop = LearningRateDrop(after=10, learning_rate=3e-4)
    for _ in range(2):
        model = SAC("MlpPolicy", "Pendulum-v1", learning_rate=1e-3, learning_starts=5, policy_kwargs=dict(net_arch=[8]))
        assert rates(model.learn(8, callback=drop)) == {1e-3}
        assert rates(model.learn(8, callback=drop, reset_num_timesteps=False)) == {3e-4}


@pytest.mark.parametrize("kwargs", [dict(after=-1, learning_rate=1e-3), dict(after=5, learning_rate=0.0)])
def test_bad_values_are_refused(kwargs):
    with pytest.raises(ValueError, match=r"must be (at least|greater than) 0"):
        LearningRateDrop(**kwargs)


def small_fpac(env, **kwargs):
    points = dict(n_points=4, precision="float32")
    policy_kwargs = dict(net_arch=[8], features_extractor_kwargs=points)
    kwargs = {**dict(buffer_size=100, learning_starts=5, batch_size=4, compile=False, seed=0), **kwargs}
    return FPAC("CnnPolicy", env, policy_kwargs=policy_kwargs, **kwargs)


def noise():
    return FrameStack(Noise(), 2)


@pytest.mark.slow
def test_points_are_shown_every_so_many_steps(tmp_path):
    model = small_fpac(noise())
    model.set_logger(configure(str(tmp_path / "tb"), ["tensorboard", "csv", "stdout", "json"]))
    model.learn(25, callback=FeaturePointCallback(10, tmp_path / "points", noise(), max_steps=6))
    assert {path.name for path in (tmp_path / "points").iterdir()} == {
        f"{what}_{steps}.{suffix}" for steps in (10, 20) for what, suffix in (("points", "mp4"), ("maps", "png"))
    }
    with imageio.get_reader(tmp_path / "points" / "points_20.mp4") as video:
        assert len(list(video.iter_data())) == 6
    assert np.ptp(imageio.imread(tmp_path / "points" / "maps_20.png")) > 100

    events = EventAccumulator(str(tmp_path / "tb"), size_guidance=dict(images=0, histograms=0)).Reload()
    for tag in ("feature_points/video", "feature_points/maps"):
        images = events.Images(tag)
        assert [image.step for image in images] == [10, 20]
    video = events.Images("feature_points/video")[0]
    frames = imageio.mimread(video.encoded_image_string, format="GIF")
    assert len(frames) == 6 and frames[0].shape[:2] == (video.height, video.width)  # which others than TensorBoard read
    for tag in ("feature_points/presence", "feature_points/speed"):
        assert [(event.step, event.histogram_value.num) for event in events.Histograms(tag)] == [(10, 24), (20, 24)]


def test_training_is_the_same_with_and_without(tmp_path):
    def weights(callback):
        model = small_fpac(noise()).learn(22, callback=callback)
        return model.policy.state_dict(), model.replay_buffer.rewards

    without, rewards = weights(None)
    shown, rewards_shown = weights(FeaturePointCallback(10, tmp_path, noise(), max_steps=3))
    assert all(th.equal(without[name], shown[name]) for name in without)
    np.testing.assert_array_equal(rewards, rewards_shown)


def test_the_environment_is_made_again_by_itself_and_closed(tmp_path, monkeypatch):
    env = gym.make("dmc-cartpole-swingup", size=24)
    model, callback = small_fpac(env), FeaturePointCallback(10, tmp_path, max_steps=3)
    closed = []
    monkeypatch.setattr(type(env.unwrapped), "close", lambda env: closed.append(env))
    model.learn(12, callback=callback)
    assert (tmp_path / "points_10.mp4").stat().st_size > 0
    assert len(closed) == 1 and closed[0] is not env.unwrapped
    monkeypatch.undo()
    env.close()
    closed[0].close()


def test_on_policy_algorithms_and_training_that_goes_on(tmp_path):
    policy_kwargs = dict(features_extractor_class=FeaturePointExtractor, net_arch=[8])
    model = PPO("CnnPolicy", noise(), n_steps=8, batch_size=8, n_epochs=1, policy_kwargs=policy_kwargs)
    callback = FeaturePointCallback(10, tmp_path, noise(), max_steps=3)
    model.learn(16, callback=callback)
    model.learn(8, callback=callback, reset_num_timesteps=False)
    assert {path.name for path in tmp_path.glob("*.mp4")} == {"points_16.mp4", "points_24.mp4"}


class Brighter(gym.ObservationWrapper):
    """A wrapper that does not record its arguments"""

    def observation(self, observation):
        return observation


def cartpole(**kwargs):
    return gym.make("dmc-cartpole-swingup", size=24, **kwargs)


def test_a_wrapper_that_cannot_be_applied_again_is_named_before_training(tmp_path):
    def first_step(env):
        model = small_fpac(env)
        model.learn(10, callback=FeaturePointCallback(5, tmp_path))
        return model

    with pytest.raises(ValueError, match=r"has the wrapper Brighter.*pass an environment .* as eval_env"):
        first_step(Brighter(cartpole()))
    with pytest.raises(ValueError, match="has the wrapper VecCheckNan"):
        first_step(VecCheckNan(DummyVecEnv([cartpole])))
    assert list(tmp_path.iterdir()) == []


def test_wrappers_of_training_are_applied_again(tmp_path):
    def env():
        return Monitor(sb3_fpac.ActionRepeat(cartpole(frame_stack=1), n=np.int64(3)))

    def played(training_env):
        callback = FeaturePointCallback(10, tmp_path, max_steps=3)
        small_fpac(training_env).learn(12, callback=callback)
        return callback._env

    stacked = played(VecNormalize(VecFrameStack(DummyVecEnv([env] * 2), 2), norm_obs=False))
    assert isinstance(stacked, VecFrameStack) and stacked.observation_space.shape == (6, 24, 24) and stacked.num_envs == 1
    repeated = played(FrameStack(env(), 2))
    assert repeated.observation_space.shape == (6, 24, 24) and isinstance(repeated.env, sb3_fpac.ActionRepeat)
    assert repeated.env.n == 3
    assert {path.suffix for path in tmp_path.iterdir()} == {".mp4", ".png"}


@pytest.mark.parametrize("is_given", [False, True])
def test_observations_are_normalized_as_in_training(is_given, tmp_path):
    def normalized():
        with_state = DummyVecEnv([lambda: cartpole(observation="pixels+state")])
        return VecNormalize(with_state, norm_obs_keys=["state"], clip_obs=5)

    env = normalized()
    callback = FeaturePointCallback(10, tmp_path, normalized() if is_given else None, max_steps=3)
    settings = dict(buffer_size=50, learning_starts=5, batch_size=4, compile=False, policy_kwargs=dict(net_arch=[8]))
    FPAC("MultiInputPolicy", env, **settings).learn(12, callback=callback)
    played = callback._env
    assert isinstance(played, VecNormalize) and played.clip_obs == 5
    steps_of_training = pytest.approx(13, abs=0.01)  # and the first observation; none of those that were played
    assert played.obs_rms["state"].count == env.obs_rms["state"].count == steps_of_training
    assert (tmp_path / "points_10.mp4").is_file()


def test_what_fails_later_fails_before_the_first_step(tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("cannot draw")

    monkeypatch.setattr("sb3_fpac.visualization.video.render_maps", broken)
    model = small_fpac(noise())
    with pytest.raises(RuntimeError, match="cannot draw"):
        model.learn(10, callback=FeaturePointCallback(5, tmp_path, noise()))
    assert model.num_timesteps == 0


class Masked(Noise):
    """Only the second action is allowed"""

    def __init__(self):
        super().__init__()
        self.action_space = spaces.Discrete(3)

    def action_masks(self):
        return np.array([False, True, False])

    def _reward(self, action):
        assert action == 1
        return 1.0


@pytest.mark.parametrize(
    ("algorithm", "policy", "env"),
    [
        (RecurrentPPO, "CnnLstmPolicy", Noise),
        (MaskablePPO, "CnnPolicy", Masked),
        (PPO, "CnnPolicy", lambda: Noise((17, 17, 4))),
    ],
)
def test_agents_of_other_algorithms_are_shown(algorithm, policy, env, tmp_path):
    channels = env().observation_space.shape[2]
    kwargs = dict(frame_channels=channels, n_points=4, velocity=False)
    policy_kwargs = dict(features_extractor_class=FeaturePointExtractor, features_extractor_kwargs=kwargs, net_arch=[8])
    model = algorithm(policy, env(), n_steps=8, batch_size=8, n_epochs=1, policy_kwargs=policy_kwargs)
    model.learn(16, callback=FeaturePointCallback(8, tmp_path, env(), max_steps=3))
    assert (tmp_path / "points_16.mp4").is_file() and (tmp_path / "maps_16.png").is_file()


@pytest.mark.parametrize("callback", [ResumableCheckpoint, FeaturePointCallback])
def test_a_folder_that_cannot_be_written_to_is_refused_when_training_starts(callback, tmp_path):
    (tmp_path / "file").touch()
    steps = []

    class Counted(Noise):
        def step(self, action):
            steps.append(action)
            return super().step(action)

    env = dict(eval_env=FrameStack(Noise())) if callback is FeaturePointCallback else {}
    with pytest.raises(ValueError, match=r"Nothing can be written to the folder .*file/points: .*Choose another one"):
        small_fpac(FrameStack(Counted())).learn(10, callback=callback(5, save_path=tmp_path / "file" / "points", **env))
    assert not steps


def test_what_cannot_be_shown_is_refused_when_training_starts(tmp_path):
    with pytest.raises(ValueError, match=r"eval_env must be an environment, got 'Pendulum-v1': make it with gym\.make"):
        FeaturePointCallback(5, tmp_path, "Pendulum-v1")
    for name in ("freq", "max_steps", "n_maps", "scale"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            FeaturePointCallback(**{name: 0})
    with pytest.raises(ValueError, match=r"not made by gym\.make"):
        small_fpac(noise()).learn(10, callback=FeaturePointCallback(5, tmp_path))
    with pytest.raises(ValueError, match="pass one as eval_env"):
        small_fpac(noise()).learn(10, callback=FeaturePointCallback(5, tmp_path, FrameStack(Noise(), 3)))
    with pytest.raises(ValueError, match="no feature points"):
        SAC("MlpPolicy", "Pendulum-v1", buffer_size=20).learn(10, callback=FeaturePointCallback(5, tmp_path))
