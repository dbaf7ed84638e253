"""rank_points: changes that are those of the heads themselves, for every algorithm, and an agent that stays as it was."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import Spaces
from sb3_contrib import QRDQN, TQC, RecurrentPPO
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from sb3_fpac import FPAC, FeaturePointCombinedExtractor, FeaturePointExtractor, FPACPolicy, FPACTQCPolicy, encode_camera_shift
from sb3_fpac.visualization.agents import encoder_input, find_extractor
from sb3_fpac.visualization.ranking import PointRanking, rank_points

SIZE = 24  # pixels
N_POINTS = 4
CONTINUOUS = spaces.Box(-1, 1, (2,), np.float32)
POLICY = dict(
    features_extractor_class=FeaturePointExtractor,
    features_extractor_kwargs=dict(n_points=N_POINTS, precision="float32", temperature=0.01),
    net_arch=[16, 16],
)
SHORT = dict(buffer_size=10, learning_starts=1)


def image_space(channels: int = 6) -> spaces.Box:
    return spaces.Box(0, 255, (channels, SIZE, SIZE), np.uint8)


def make(algorithm, policy="CnnPolicy", env: gym.Env | None = None, kwargs=None, points=None, **policy_kwargs):
    extractor_kwargs = {**POLICY["features_extractor_kwargs"], **(points or {})}
    policy_kwargs = {**POLICY, "features_extractor_kwargs": extractor_kwargs, **policy_kwargs}
    return algorithm(policy, env or Spaces(image_space()), policy_kwargs=policy_kwargs, seed=0, device="cpu", **(kwargs or {}))


def linear_ppo(env: gym.Env | None = None, policy="CnnPolicy", **kwargs) -> PPO:
    """A policy whose action and value are linear in the features, and whose actions are hardly ever clipped"""
    env = env or Spaces(image_space(), spaces.Box(-1e6, 1e6, (2,), np.float32))
    model = make(PPO, policy, env, dict(n_steps=2, batch_size=2), net_arch=[], **kwargs)
    model.policy.action_net.weight.data.mul_(100)
    return model


def images(n: int = 5, channels: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, channels, SIZE, SIZE), dtype=np.uint8)


DISCRETE, SEVERAL, SWITCHES = (
    Spaces(image_space(), space) for space in (spaces.Discrete(3), spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3))
)
ON_POLICY = dict(n_steps=2, batch_size=2)
AGENTS = {
    "FPAC": lambda: make(FPAC, kwargs={**SHORT, "compile": False}),
    "SAC": lambda: make(SAC, FPACPolicy, kwargs=SHORT),
    "TQC": lambda: make(TQC, FPACTQCPolicy, kwargs=SHORT),
    "TD3": lambda: make(TD3, kwargs=SHORT, share_features_extractor=True),
    "DQN": lambda: make(DQN, env=DISCRETE, kwargs=SHORT),
    "QRDQN": lambda: make(QRDQN, env=DISCRETE, kwargs=SHORT),
    "PPO": lambda: make(PPO, kwargs=ON_POLICY),
    "PPO, discrete": lambda: make(PPO, env=DISCRETE, kwargs=ON_POLICY),
    "PPO, several discrete": lambda: make(PPO, env=SEVERAL, kwargs=ON_POLICY),
    "PPO, switches": lambda: make(PPO, env=SWITCHES, kwargs=ON_POLICY),
}
ALL_AGENTS = pytest.mark.parametrize("name", AGENTS)


def columns_of(k: int, extractor: FeaturePointExtractor) -> list[int]:
    """[block of all points] · S, each point's numbers together"""
    numbers = 3 if extractor.presence else 2
    return [
        (block * extractor.n_points + k) * numbers + number for block in range(extractor.n_frames) for number in range(numbers)
    ]


def heads(name: str, policy, features: th.Tensor, held: th.Tensor | None) -> tuple[th.Tensor, th.Tensor]:
    """What the agent does and the value of that, straight from its layers"""
    if name in ("DQN", "QRDQN"):
        q = policy.q_net.q_net(features) if name == "DQN" else policy.quantile_net.quantile_net(features)
        q = q.reshape(len(q), -1, 3).mean(dim=1)
        advantages = q - (q[:, :1] + q[:, 1:2] + q[:, 2:]) / 3
        best = (advantages if held is None else held).max(dim=1).indices
        return advantages, th.stack([row[i] for row, i in zip(q, best, strict=True)])
    if name.startswith("PPO"):
        latent, latent_value = policy.mlp_extractor(features)
        action, value = policy.action_net(latent), policy.value_net(latent_value)[:, 0]
        outputs = {
            "PPO": action.clip(-1, 1),
            "PPO, discrete": action.softmax(dim=1),
            "PPO, several discrete": th.cat([action[:, :2].softmax(dim=1), action[:, 2:].softmax(dim=1)], dim=1),
            "PPO, switches": action.sigmoid(),
        }
        return outputs[name], value
    actor = policy.actor
    action = actor.mu(features) if name == "TD3" else actor.mu(actor.latent_pi(features)).tanh()
    seen = th.cat([features, action if held is None else held], dim=1)
    q_values = [network(seen) for network in policy.critic.q_networks]
    value = sum(q.mean(dim=1) for q in q_values) / len(q_values) if name == "TQC" else th.minimum(*q_values)[:, 0]
    return action, value


@ALL_AGENTS
def test_changes_are_those_of_the_heads_with_one_point_at_its_mean(name):
    model = AGENTS[name]()
    model.policy.set_training_mode(False)
    extractor = find_extractor(model)
    for layer in model.policy.modules():  # untrained heads of PPO hardly say a thing
        if isinstance(layer, th.nn.Linear):
            layer.weight.data.mul_(5)
    ranking = rank_points(model, images())
    with th.no_grad():
        features = extractor(encoder_input(model, images()))
        action, value = heads(name, model.policy, features, None)
        for k in range(N_POINTS):
            ablated = features.clone()
            for column in columns_of(k, extractor):
                ablated[:, column] = sum(features[:, column]) / len(features)
            action_without, value_without = heads(name, model.policy, ablated, action)
            expected = np.sqrt(np.mean([float(sum(change**2)) for change in action_without - action]))
            assert ranking.action[k] == pytest.approx(expected, rel=1e-3) and expected > 1e-4
            expected = np.sqrt(np.mean([float(change) ** 2 for change in value_without - value]))
            assert ranking.value[k] == pytest.approx(expected, rel=1e-3) and expected > 1e-4


@ALL_AGENTS
@pytest.mark.parametrize("point", [0, 2])
def test_the_only_point_that_an_agent_reads_is_the_only_one_that_matters(name, point):
    model = AGENTS[name]()
    extractor = find_extractor(model)
    others = [column for k in range(N_POINTS) if k != point for column in columns_of(k, extractor)]
    first_layers = [
        layer
        for layer in model.policy.modules()
        if isinstance(layer, th.nn.Linear) and layer.in_features >= extractor.features_dim
    ]
    for layer in first_layers:
        layer.weight.data[:, others] = 0
    ranking = rank_points(model, images())
    assert ranking.order[0] == point
    for change in (ranking.action, ranking.value):
        assert change[point] > 0 and not np.delete(change, point).any()


@pytest.mark.parametrize(
    "channels, points",
    [
        (6, {}),
        (3, {}),
        (9, {}),
        (6, dict(presence=False)),
        (6, dict(velocity=False)),
        (6, dict(relative=True)),
        (7, {}),
        (6, dict(frame_channels=1, n_points=3)),
    ],
    ids=["stack", "single frame", "three frames", "no presence", "no velocity", "relative", "camera shift", "six grey frames"],
)
def test_whatever_the_features_are_made_of(channels, points):
    action_space = spaces.Box(-1e6, 1e6, (2,), np.float32)
    model = linear_ppo(Spaces(image_space(channels), action_space), points=points)
    extractor = find_extractor(model)
    obs = images(channels=channels)
    if extractor.camera_shift:
        obs[:, 0] = [encode_camera_shift(np.array([[3.0 * i, -i]]), SIZE, SIZE) for i in range(len(obs))]
    ranking = rank_points(model, obs)
    features = extractor(encoder_input(model, obs)).detach().double()
    deviations = features - features.mean(dim=0)
    for changes, layer in ((ranking.action, model.policy.action_net), (ranking.value, model.policy.value_net)):
        assert changes.shape == (extractor.n_points,)
        for k, change in enumerate(changes):
            columns = columns_of(k, extractor)
            expected = (deviations[:, columns] @ layer.weight.detach().double()[:, columns].T).pow(2).sum(dim=1).mean().sqrt()
            assert change == pytest.approx(float(expected), rel=1e-3)


@pytest.mark.parametrize("normalization", ["standardize", "whiten"])
def test_a_point_is_held_before_the_features_are_normalized(normalization):
    model = linear_ppo(points={normalization: True})
    extractor, obs = find_extractor(model), images(n=9)
    model.policy.set_training_mode(True)
    for _ in range(3):
        extractor(encoder_input(model, obs))  # fills the running statistics
    ranking = rank_points(model, obs)
    model.policy.set_training_mode(False)
    points = extractor.points(encoder_input(model, obs))  # (9, 2, K, 3)
    for k, change in enumerate(ranking.action):
        held = points.clone()
        held[:, :, k] = points[:, :, k].mean(dim=0)
        differences = (extractor.state(points) - extractor.state(held)).detach().double()
        expected = (differences @ model.policy.action_net.weight.detach().double().T).pow(2).sum(dim=1).mean().sqrt()
        assert change == pytest.approx(float(expected), rel=1e-3)
    assert extractor.normalization is not None


class PointsAndBrightness(BaseFeaturesExtractor):
    def __init__(self, observation_space: spaces.Box, **kwargs) -> None:
        points = FeaturePointExtractor(observation_space, **kwargs)
        super().__init__(observation_space, points.features_dim + 1)
        self.points = points

    def forward(self, observations: th.Tensor) -> th.Tensor:
        return th.cat([self.points(observations), observations.mean(dim=(1, 2, 3))[:, None]], dim=1)


def test_an_extractor_around_the_points_goes_on_seeing_the_images():
    plain, wrapped = linear_ppo(), linear_ppo(features_extractor_class=PointsAndBrightness)
    wrapped.policy.features_extractor.points.load_state_dict(plain.policy.features_extractor.state_dict())
    wrapped.policy.action_net.weight.data[:, :-1] = plain.policy.action_net.weight.data
    wrapped.policy.value_net.weight.data[:, :-1] = plain.policy.value_net.weight.data
    ours, expected = rank_points(wrapped, images()), rank_points(plain, images())
    np.testing.assert_allclose(ours.action, expected.action, rtol=1e-3)
    np.testing.assert_allclose(ours.value, expected.value, rtol=1e-3)


@pytest.mark.parametrize("algorithm", [TD3, PPO])
def test_a_critic_with_points_of_its_own_has_no_say(algorithm):
    kwargs = SHORT if algorithm is TD3 else ON_POLICY
    ranking = rank_points(make(algorithm, kwargs=kwargs, share_features_extractor=False), images())
    assert ranking.value is None and ranking.action.shape == (N_POINTS,)
    assert ranking.order.tolist() == np.argsort(-ranking.action).tolist()


def test_actions_beyond_the_action_space_do_not_count():
    model = linear_ppo(Spaces(image_space()))
    model.policy.action_net.bias.data.fill_(1e4)
    ranking = rank_points(model, images())
    assert not ranking.action.any() and ranking.value.all()


@ALL_AGENTS
@pytest.mark.parametrize("training", [True, False])
def test_the_agent_stays_as_it_is(name, training):
    model = AGENTS[name]()
    before = model.predict(images(), deterministic=True)[0]
    model.policy.set_training_mode(training)
    weights = {key: value.clone() for key, value in model.policy.state_dict().items()}
    modes = [module.training for module in model.policy.modules()]
    rank_points(model, images())
    assert [module.training for module in model.policy.modules()] == modes
    assert not any("forward" in vars(module) for module in model.policy.modules())
    for key, value in model.policy.state_dict().items():
        assert th.equal(value, weights[key])
    np.testing.assert_array_equal(model.predict(images(), deterministic=True)[0], before)


def test_the_agent_stays_as_it_is_even_when_a_head_fails(monkeypatch):
    model = linear_ppo()
    model.policy.set_training_mode(True)
    monkeypatch.setattr(model.policy, "predict_values", lambda obs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        rank_points(model, images())
    assert model.policy.training and "forward" not in vars(find_extractor(model))


def test_images_are_encoded_once(monkeypatch):
    model = AGENTS["FPAC"]()
    extractor, encoded = find_extractor(model), []
    encode_frames = extractor.encode_frames
    monkeypatch.setattr(extractor, "encode_frames", lambda frames: encoded.append(len(frames)) or encode_frames(frames))
    rank_points(model, images(n=70))
    assert sum(encoded) == 140 and max(encoded) < 140  # a part at a time


@pytest.mark.parametrize(
    "action, value, order",
    [
        ([1, 0, 3], [0, 2, 0], [1, 2, 0]),  # shares 0.25 + 0, 0 + 1, 0.75 + 0
        ([1, 0, 3], [0, 0, 0], [2, 0, 1]),
        ([0, 0, 0], [1, 0, 3], [2, 0, 1]),
        ([0, 0, 0], [0, 0, 0], [0, 1, 2]),
        ([1, 0, 3], None, [2, 0, 1]),
    ],
)
def test_order_is_by_shares_of_both_changes(action, value, order):
    value = None if value is None else np.array(value, float)
    ranking = PointRanking(np.array(action, float), value, names=["0", "1", "joints"], n_points=2)
    assert ranking.order.tolist() == order
    assert ranking.points.tolist() == [index for index in order if index < 2]


def dict_agent():
    space = spaces.Dict(eye=image_space(), joints=spaces.Box(-1, 1, (4,), np.float32))
    extractor = dict(features_extractor_class=FeaturePointCombinedExtractor)
    return make(PPO, "MultiInputPolicy", Spaces(space), ON_POLICY, **extractor)


@pytest.mark.parametrize(
    "agent, obs, message",
    [
        (linear_ppo, images(n=1), "at least two"),
        (linear_ppo, images()[0], "at least two"),
        (linear_ppo, dict(eye=images()), "got dict"),
        (dict_agent, images(), "got ndarray"),
        (linear_ppo, images(channels=3), "images of shape"),
        (
            lambda: PPO("CnnPolicy", Spaces(spaces.Box(0, 255, (3, 36, 36), np.uint8)), **ON_POLICY),
            images(),
            "no feature points",
        ),
        (lambda: make(RecurrentPPO, "CnnLstmPolicy", kwargs=ON_POLICY, lstm_hidden_size=4), images(), "RecurrentPPO"),
    ],
)
def test_what_cannot_be_ranked_is_refused(agent, obs, message):
    with pytest.raises(ValueError, match=message):
        rank_points(agent(), obs)
