"""The learning-rate drop of the paper's Reacher, and pictures of an agent that learns."""

import gymnasium as gym
import imageio.v2 as imageio
import numpy as np
import pytest
import torch as th
from helpers.environments import Noise
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.logger import configure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sb3_fpac import FPAC, FeaturePointExtractor, FrameStack
from sb3_fpac.callbacks import FeaturePointCallback, LearningRateDrop


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
    assert len(imageio.mimread(events.Images("feature_points/video")[0].encoded_image_string, format="GIF")) == 6
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


def test_what_cannot_be_shown_is_refused_when_training_starts(tmp_path):
    for name in ("freq", "max_steps", "n_maps", "scale"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            FeaturePointCallback(**{name: 0})
    with pytest.raises(ValueError, match=r"not made by gym\.make"):
        small_fpac(noise()).learn(10, callback=FeaturePointCallback(5, tmp_path))
    with pytest.raises(ValueError, match="pass one as eval_env"):
        small_fpac(noise()).learn(10, callback=FeaturePointCallback(5, tmp_path, FrameStack(Noise(), 3)))
    with pytest.raises(ValueError, match="no feature points"):
        SAC("MlpPolicy", "Pendulum-v1", buffer_size=20).learn(10, callback=FeaturePointCallback(5, tmp_path))
