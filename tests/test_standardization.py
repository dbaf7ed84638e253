"""Standardized and whitened features: whose statistics they are, and who shares them."""

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import StackedNoise
from helpers.models import filled, train
from stable_baselines3 import DQN, PPO

from sb3_fpac import FPAC, FeaturePointExtractor
from sb3_fpac.features.standardization import Standardization
from sb3_fpac.features.whitening import Whitening

KWARGS = dict(n_points=3, precision="float32")
either = pytest.mark.parametrize("normalization", [Standardization, Whitening])
by_either_keyword = pytest.mark.parametrize("keyword", ["standardize", "whiten"])


def batches(n, size=16, seed=0):
    generator = th.Generator().manual_seed(seed)
    scale = th.tensor([1e-4, 1.0, 50.0])
    return [3 * scale + scale * th.randn(size, 3, generator=generator) for _ in range(n)]


def test_statistics_are_those_of_all_batches_so_far():
    standardization = Standardization(3)
    for n, batch in enumerate(batches(20), start=1):
        standardized = standardization(batch)
        seen = th.cat(batches(n))
        expected = (batch - seen.mean(dim=0)) / seen.std(dim=0, correction=0)
        th.testing.assert_close(standardized, expected, atol=1e-4, rtol=1e-3)


def test_whitened_features_are_those_of_numpy():
    whitening, generator = Whitening(4), th.Generator().manual_seed(0)
    mixing = th.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 0.3, 0.0, 0.0], [0.0, 0.0, 0.1, 0.0], [0.0, 0.0, 0.0, 1e-3]])
    seen = [5 + th.randn(16, 4, generator=generator) @ mixing for _ in range(20)]
    for batch in seen:
        whitened = whitening(batch)
    features = th.cat(seen).double().numpy()
    z = (features - features.mean(axis=0)) / features.std(axis=0)
    correlations = z.T @ z / len(z)
    matrix = np.linalg.inv(np.linalg.cholesky(correlations + 0.05 * np.eye(4)))
    expected = z @ matrix.T / np.sqrt(np.mean((z @ matrix.T) ** 2))
    np.testing.assert_allclose(whitened.numpy(), expected[-16:], atol=5e-3)


def test_whitening_brings_out_small_differences_of_features_that_move_together():
    generator = th.Generator().manual_seed(0)
    common, difference = 100 * th.randn(1000, 1, generator=generator), th.randn(1000, 1, generator=generator)
    features = th.cat([common + 15 * difference, common - 15 * difference], dim=1)
    smallest = []
    for normalization in (Standardization(2), Whitening(2)):
        normalization(features)
        smallest.append(th.linalg.eigvalsh(th.cov(normalization.eval()(features).T))[0].item())
    assert smallest[0] < 0.05 and smallest[1] > 0.5


def test_whitening_does_not_amplify_noise_to_the_size_of_a_feature():
    generator = th.Generator().manual_seed(0)
    common, noise = th.randn(1000, 1, generator=generator), 1e-3 * th.randn(1000, 2, generator=generator)
    whitening = Whitening(2)
    whitening(common + noise)
    assert th.linalg.eigvalsh(th.cov(whitening.eval()(common + noise).T))[0] < 1e-3


@either
def test_old_batches_fade(normalization):
    standardization = normalization(1)
    for _ in range(1500):
        standardization(th.tensor([[-1.0], [1.0]]))
    for _ in range(1000):
        standardization(th.tensor([[9.0], [11.0]]))
    remembered = 0.999**1000
    assert standardization.running_mean.item() == pytest.approx(10 * (1 - remembered), rel=1e-3)


@either
def test_only_batches_that_train_count(normalization):
    standardization = normalization(3)
    batch = batches(1)[0]
    standardization(batch)
    before = {name: buffer.clone() for name, buffer in standardization.named_buffers()}
    with th.no_grad():
        standardization(batch + 7)
    standardization(batch[:1] + 7)  # a single one has no spread
    standardization.eval()
    expected = standardization(batch)
    for name, buffer in standardization.named_buffers():
        assert th.equal(buffer, before[name])
    assert th.equal(standardization(batch[:1]), expected[:1])  # acting sees what training saw


@either
def test_a_feature_that_never_changes_stays_finite(normalization):
    standardization = normalization(2)
    for _ in range(5):
        features = standardization(th.tensor([[0.3, 1.0], [0.3, 2.0]]))
    th.testing.assert_close(features[:, 0], th.zeros(2), atol=0.2, rtol=0)


@either
@pytest.mark.parametrize("training", [True, False])
def test_a_feature_that_changes_for_the_first_time_is_no_larger_than_others_may_be(normalization, training):
    standardization = normalization(2)
    for _ in range(100):
        standardization(th.tensor([[0.3, 1.0], [0.3, 2.0]]))
    features = standardization.train(training)(th.tensor([[0.9, 1.0], [0.1, 2.0]]))
    largest = 10 if normalization is Standardization else 10 * standardization.running_matrix.abs().sum(dim=1).max()
    assert features.abs().max() <= largest
    th.testing.assert_close(standardization.eval()(th.tensor([[0.3, 1.5]])), th.zeros(1, 2), atol=0.2, rtol=0)


def test_frames_that_never_change_can_be_whitened():
    whitening = Whitening(6).train()
    with th.enable_grad():
        for _ in range(3):
            assert whitening(th.full((8, 6), 0.3)).isfinite().all()
        assert whitening(th.randn(8, 6)).isfinite().all()


def test_features_are_those_without_it_standardized_and_points_are_the_same():
    space = spaces.Box(0, 255, (6, 40, 44), np.uint8)
    made = []
    for standardize in (False, True):
        th.manual_seed(0)
        made.append(FeaturePointExtractor(space, **KWARGS, standardize=standardize))
    plain, standardized = made
    obs = th.rand(8, *space.shape, generator=th.Generator().manual_seed(1))
    features = plain(obs)
    expected = (features - features.mean(dim=0)) / features.std(dim=0, correction=0)
    th.testing.assert_close(standardized(obs), expected, atol=2e-2, rtol=2e-2)
    assert th.equal(plain.points(obs), standardized.points(obs))
    assert plain.normalization is None


@by_either_keyword
@pytest.mark.parametrize("target_encoder", ["online", "polyak"])
def test_actor_critic_and_target_normalize_alike_and_saved_agents_go_on(target_encoder, keyword, tmp_path):
    extractor_kwargs = {**KWARGS, keyword: True}
    model = FPAC(
        "CnnPolicy",
        StackedNoise(),
        policy_kwargs=dict(net_arch=[16], target_encoder=target_encoder, features_extractor_kwargs=extractor_kwargs),
        **dict(buffer_size=200, batch_size=8, target_update_interval=1, seed=0),
    )
    train(filled(model, 40), 3)
    statistics = dict(model.policy.features_extractor.normalization.named_buffers())
    assert statistics["running_count"] == 3
    extractors = [each.features_extractor for each in (model.actor, model.critic, model.critic_target)]
    for extractor in extractors:
        for name, buffer in extractor.normalization.named_buffers():
            assert th.equal(buffer, statistics[name])
    model.save(tmp_path / "model")
    loaded = FPAC.load(tmp_path / "model")
    obs = model.env.reset()
    assert np.array_equal(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])
    for name, buffer in loaded.policy.features_extractor.normalization.named_buffers():
        assert th.equal(buffer, statistics[name])


class Steered(StackedNoise):
    def __init__(self):
        super().__init__()
        self.action_space = spaces.Discrete(2)

    def _reward(self, action):
        return float(action)


@by_either_keyword
def test_target_networks_of_sb3s_algorithms_follow(keyword):
    extractor_kwargs = {**KWARGS, keyword: True}
    kwargs = dict(features_extractor_class=FeaturePointExtractor, features_extractor_kwargs=extractor_kwargs, net_arch=[16])
    dqn = DQN(
        "CnnPolicy",
        Steered(),
        policy_kwargs=kwargs,
        **dict(buffer_size=100, learning_starts=8, batch_size=8, target_update_interval=1, seed=0),
    ).learn(24)
    online, target = (net.features_extractor.normalization for net in (dqn.q_net, dqn.q_net_target))
    assert 0 < target.running_count == online.running_count - 1  # copied before the last update
    ppo = PPO("CnnPolicy", StackedNoise(), policy_kwargs=kwargs, n_steps=16, batch_size=8, n_epochs=1, seed=0).learn(16)
    assert ppo.policy.features_extractor.normalization.running_count == 2
