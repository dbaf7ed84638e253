"""Frozen encoders: every frame is encoded once, and nothing else is different."""

import gc
import pickle

import numpy as np
import pytest
import torch as th
from helpers.environments import Robot, StackedNoise
from helpers.models import filled, same, snapshot, train

from sb3_fpac import FPAC, FeaturePointExtractor, HerFrameReplayBuffer
from sb3_fpac.fpac import fpac

POINTS = dict(n_points=3, precision="float32", strides=(2,))
SHORT = dict(buffer_size=60, learning_starts=10, batch_size=8, compile=False, seed=0)
CASES = {
    "one step": (StackedNoise, "CnnPolicy", dict()),
    "n steps": (StackedNoise, "CnnPolicy", dict(n_steps=3)),
    "camera shift": (lambda: StackedNoise(camera_shift=True), "CnnPolicy", dict()),
    "three frames": (lambda: StackedNoise(n_frames=3), "CnnPolicy", dict()),
    "standardized": (StackedNoise, "CnnPolicy", dict(standardize=True)),
    "full softmax": (StackedNoise, "CnnPolicy", dict(softmax="full", temperature=0.1)),
    "several images": (Robot, "MultiInputPolicy", dict(frame_channels=dict(front=3, wrist=1))),
    "one of them": (Robot, "MultiInputPolicy", dict(frame_channels=dict(front=3, wrist=1), frozen=dict(wrist=True))),
    "shared": (
        lambda: Robot(("front", "joints")),
        "MultiInputPolicy",
        dict(frame_channels=dict(front=3), share_encoder=True),
    ),
    "goals": (lambda: Robot(goals=True), "MultiInputPolicy", dict(frame_channels=dict(front=3, wrist=1))),
}


def make(case="one step", frozen=True, target_encoder="online", **kwargs):
    env, policy, options = CASES[case]
    n_steps = options.get("n_steps", 1)
    extractor_kwargs = dict(POINTS, frozen=frozen) | {name: value for name, value in options.items() if name != "n_steps"}
    if case == "goals":
        kwargs["replay_buffer_class"] = HerFrameReplayBuffer
    policy_kwargs = dict(net_arch=[8, 8], target_encoder=target_encoder, features_extractor_kwargs=extractor_kwargs)
    return FPAC(policy, env(), n_steps=n_steps, policy_kwargs=policy_kwargs, **{**SHORT, **kwargs})


def images(model):
    return model.policy.features_extractor.images


def sampled(buffer, encoders):
    """The same batch as pixels and encoded"""
    np.random.seed(0)
    pixels = buffer.sample_frames(8)
    np.random.seed(0)
    return pixels, buffer.sample_frames(8, None, encoders)


def check_points(extractor, pixels, points):
    with th.no_grad():
        expected = extractor.encode_frames(pixels.flatten(0, 1)).unflatten(0, pixels.shape[:2])
    th.testing.assert_close(points, expected)


def count_encoded(model, monkeypatch):
    """Numbers of frames, one for each call of an encoder in training"""
    counts = []
    encode = FeaturePointExtractor.encode_frames

    def encode_frames(self, frames):
        if self.training:
            counts.append(len(frames))
        return encode(self, frames)

    monkeypatch.setattr(FeaturePointExtractor, "encode_frames", encode_frames)
    return counts


@pytest.mark.parametrize("case", CASES)
def test_the_agent_is_the_one_that_encodes_frames_in_every_update(case, monkeypatch):
    """Also after the buffer has overwritten its first frames"""
    model = make(case).learn(100)
    assert model.replay_buffer.full and model._encoders_of_frames()
    with monkeypatch.context() as patch:
        patch.setattr(fpac, "fixed_encoders", lambda *images: {})
        other = make(case).learn(100)
        assert not other._encoders_of_frames()
    assert not same(snapshot(model.actor), snapshot(make(case).actor))
    for mine, its in zip(model.policy.state_dict().values(), other.policy.state_dict().values(), strict=True):
        th.testing.assert_close(mine, its, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_encoded_frames_are_the_encodings_of_the_frames(case):
    model = make(case).learn(100)
    encoders = model._encoders_of_frames()
    frames, encoded = sampled(model.replay_buffer, encoders)
    assert encoders.keys() == ({"wrist"} if case == "one of them" else set(images(model)))
    for key, extractor in images(model).items():
        pixels, points = frames.image(key)[0], encoded.image(key)[0]
        if key in encoders:
            check_points(extractor, pixels, points)
        else:
            assert th.equal(pixels, points)


def test_every_frame_is_encoded_once(monkeypatch):
    model = filled(make(), 30)
    counts = count_encoded(model, monkeypatch)
    train(model, 50)
    n_frames = model.replay_buffer.stores[None].pool.n_frames
    assert 0.9 * n_frames < sum(counts) <= n_frames
    train(model, 50)
    assert sum(counts) <= n_frames
    model.learn(10, reset_num_timesteps=False)
    assert n_frames < sum(counts) <= model.replay_buffer.stores[None].pool.n_frames


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.policy.load_state_dict(make(seed=1).policy.state_dict()),
        lambda model: model.set_parameters(make(seed=1).get_parameters()),
        lambda model: images(model)[None].encoder.load_state_dict(images(make(seed=1))[None].encoder.state_dict()),
        lambda model: model.policy.load_from_vector(make(seed=1).policy.parameters_to_vector()),
        lambda model: images(model)[None].encoder.to_maps.weight.data.mul_(-1),
        lambda model: setattr(images(model)[None], "temperature", 0.01),
    ],
)
def test_another_encoder_encodes_the_frames_anew(change):
    model = filled(make(), 30)
    train(model, 3)
    change(model)
    pixels, points = sampled(model.replay_buffer, model._encoders_of_frames())
    check_points(images(model)[None], pixels.frames, points.frames)


def test_a_buffer_that_changes_hands_is_encoded_anew():
    """Also if the new agent lies where the old one lay in memory"""
    for seed in range(5):
        old = filled(make(seed=seed), 30)
        train(old, 3)
        buffer = old.replay_buffer
        del old
        gc.collect()
        new = make(seed=seed + 10)
        pixels, points = sampled(buffer, new._encoders_of_frames())
        check_points(images(new)[None], pixels.frames, points.frames)


def test_a_trained_encoder_and_shifted_frames_are_encoded_in_every_update(monkeypatch):
    for kwargs in (dict(frozen=False), dict(random_shift=2)):
        model = filled(make(**kwargs), 30)
        assert not model._encoders_of_frames()
        counts = count_encoded(model, monkeypatch)
        train(model, 2)
        assert sum(counts) == 2 * 8 * 3


def test_what_may_be_encoded_once_can_change_in_training():
    model = filled(make(frozen=False), 30)
    encoder = images(model)[None].encoder
    train(model, 2)
    encoder.requires_grad_(False)
    frozen = snapshot(encoder)
    train(model, 2)
    assert model._encoders_of_frames() and same(snapshot(encoder), frozen)
    encoder.requires_grad_(True)
    train(model, 2)
    assert not model._encoders_of_frames() and not same(snapshot(encoder), frozen)


def test_frames_are_encoded_for_both_encoders_if_the_target_critic_has_another():
    model = filled(make(frozen=False, target_encoder="polyak"), 30)
    train(model, 2)
    images(model)[None].requires_grad_(False)
    assert not model._encoders_of_frames()
    target = model.critic_target.features_extractor
    target.load_state_dict(model.policy.features_extractor.state_dict())
    assert model._encoders_of_frames()


@pytest.mark.parametrize("random_shift", [0, 2])
def test_an_encoder_that_is_unfrozen_after_the_optimizer_was_made_is_refused(random_shift):
    model = filled(make(random_shift=random_shift), 30)
    train(model, 3)
    images(model)[None].requires_grad_(True)
    with pytest.raises(
        ValueError, match=r"make a new agent with frozen=False, and copy the networks: new\.policy\.load_state"
    ):
        train(model, 1)


def test_a_frozen_agent_goes_on_with_a_trained_encoder():
    frozen, trained = filled(make(), 30), filled(make(frozen=False, seed=1), 30)
    train(frozen, 3)
    before = snapshot(trained.policy)
    with pytest.raises(ValueError, match=r"left as it was: .*model\.policy\.load_state_dict\(other\.policy\.state_dict\(\)\)"):
        trained.set_parameters(frozen.get_parameters())
    assert same(snapshot(trained.policy), before)
    trained.policy.load_state_dict(frozen.policy.state_dict())
    weights = snapshot(images(trained)[None])
    assert same(snapshot(images(frozen)[None]), weights)
    train(trained, 3)
    assert not same(snapshot(images(trained)[None]), weights)


def test_files_contain_no_encoded_frames(tmp_path):
    model = filled(make(), 30)
    before = len(pickle.dumps(model.replay_buffer))
    train(model, 5)
    assert len(pickle.dumps(model.replay_buffer)) == before
    model.save_replay_buffer(tmp_path / "buffer")
    model.save(tmp_path / "model")
    loaded = FPAC.load(tmp_path / "model", StackedNoise())
    loaded.load_replay_buffer(tmp_path / "buffer")
    loaded.set_logger(model.logger)
    for each in (model, loaded):
        train(each, 5)
    assert same(snapshot(model.policy), snapshot(loaded.policy))


@pytest.mark.slow
def test_compiled_updates_take_encoded_frames():
    models = [filled(make("n steps", compile=compile), 30) for compile in (False, True)]
    for model in models:
        train(model, 5)
    for plain, compiled in zip(*(snapshot(model.policy) for model in models), strict=True):
        th.testing.assert_close(plain, compiled, rtol=1e-3, atol=1e-4)
