"""One encoder, moved by the critic's loss and by nothing else, under SB3's stock ``train``."""

import copy
import functools
import pickle

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import Noise
from helpers.models import filled, same, snapshot
from helpers.processes import run_python
from sb3_contrib import TQC
from sb3_contrib.tqc import policies as stock_tqc
from stable_baselines3 import SAC
from stable_baselines3.common.envs import FakeImageEnv
from stable_baselines3.sac import policies as stock_sac

from sb3_fpac import (
    FeaturePointCombinedExtractor,
    FeaturePointExtractor,
    FPACPolicy,
    FPACTQCPolicy,
    fpac_hyperparams,
    fpac_kwargs,
)
from sb3_fpac.sb3.setup import _wrap

BOTH = pytest.mark.parametrize("algorithm, policy", [(SAC, FPACPolicy), (TQC, FPACTQCPolicy)])
TARGETS = pytest.mark.parametrize("target_encoder", ["online", "polyak"])


class PixelEnv(Noise):
    """Noise to look at, a reward that depends on the action"""

    length = 20

    def __init__(self, shape: tuple[int, ...] = (6, 24, 24)) -> None:
        super().__init__(shape)

    def _reward(self, action):
        return float(1 - (action**2).sum())


class DictPixelEnv(PixelEnv):
    def __init__(self) -> None:
        super().__init__()
        self.observation_space = spaces.Dict(
            image=spaces.Box(0, 255, (6, 24, 24), np.uint8), position=spaces.Box(-1, 1, (3,), np.float32)
        )

    def _frame(self):
        self.observation_space.seed(int(self.np_random.integers(2**31)))
        return self.observation_space.sample()


SMALL = dict(net_arch=[16, 16], features_extractor_kwargs=dict(n_points=4, precision="float32"))
SHORT = {**fpac_hyperparams, "buffer_size": 200, "learning_starts": 10, "batch_size": 8}


def make(algorithm=SAC, policy=FPACPolicy, env=None, seed=0, hyperparams=None, **policy_kwargs):
    """A model with 30 transitions in its buffer and no update done"""
    hyperparams = {**SHORT, **(hyperparams or {})}
    return filled(algorithm(policy, env or PixelEnv(), policy_kwargs={**SMALL, **policy_kwargs}, seed=seed, **hyperparams), 30)


def freeze(optimizer: th.optim.Optimizer, model: SAC) -> None:
    """A learning rate of zero that survives SB3's schedule"""
    optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: optimizer.param_groups[0].update(lr=0.0))


@BOTH
@TARGETS
def test_critic_alone_moves_the_encoder(algorithm, policy, target_encoder):
    for frozen, encoder_moves in (("critic", False), ("actor", True)):
        model = make(algorithm, policy, target_encoder=target_encoder, actor_update_interval=1)
        freeze(getattr(model, frozen).optimizer, model)
        encoder, actor = model.policy.features_extractor, model.actor
        encoder_before, actor_before = snapshot(encoder), snapshot(actor)
        model.train(gradient_steps=1, batch_size=8)
        assert same(encoder_before, snapshot(encoder)) is not encoder_moves
        assert same(actor_before, snapshot(actor)) is encoder_moves


@BOTH
@TARGETS
def test_one_encoder_is_in_the_optimizers_once(algorithm, policy, target_encoder):
    model = make(algorithm, policy, target_encoder=target_encoder)
    encoder = list(model.policy.features_extractor.parameters())
    in_critic = [p for group in model.critic.optimizer.param_groups for p in group["params"]]
    in_actor = [p for group in model.actor.optimizer.param_groups for p in group["params"]]
    assert all(sum(p is q for q in in_critic) == 1 for p in encoder)
    assert not any(p is q for p in encoder for q in in_actor)
    assert (
        len(in_critic)
        == len(set(map(id, in_critic)))
        == len(encoder) + sum(1 for q_network in model.critic.q_networks for _ in q_network.parameters())
    )
    assert model.actor.features_extractor is model.critic.features_extractor is model.policy.features_extractor
    n_extractors = sum(isinstance(module, FeaturePointExtractor) for module in model.policy.modules())
    assert n_extractors == {"online": 1, "polyak": 2}[target_encoder]


@BOTH
def test_encoder_gradient_is_that_of_the_critics_loss(algorithm, policy):
    """Against the critic's loss computed by hand, with the features taken from the extractor itself"""
    model = make(algorithm, policy)
    model.policy.set_training_mode(True)
    batch = model.replay_buffer.sample(8)
    encoder = model.policy.features_extractor

    def gradients(outputs) -> list[th.Tensor]:
        flat = th.cat([output.flatten() for output in outputs])
        return th.autograd.grad((flat**2).sum(), list(encoder.parameters()))

    model.actor.action_log_prob(batch.observations)  # SAC asks the actor first
    from_policy = gradients(model.critic(batch.observations, batch.actions))
    inputs = th.cat([encoder(batch.observations.float() / 255), batch.actions], dim=1)
    by_hand = gradients([q_network(inputs) for q_network in model.critic.q_networks])
    for ours, expected in zip(from_policy, by_hand, strict=True):
        th.testing.assert_close(ours, expected)


@BOTH
def test_actor_moves_on_every_second_update(algorithm, policy):
    model = make(algorithm, policy)
    moves = []
    for _ in range(6):
        before = snapshot(model.actor)
        model.train(gradient_steps=1, batch_size=8)
        moves.append(not same(before, snapshot(model.actor)))
    assert moves == [False, True, False, True, False, True]


def test_actor_counts_across_calls_of_train_and_any_interval():
    model = make(actor_update_interval=3)
    moves = []
    for gradient_steps in (2, 2, 1, 1):
        before = snapshot(model.actor)
        model.train(gradient_steps=gradient_steps, batch_size=8)
        moves.append(not same(before, snapshot(model.actor)))
    assert moves == [False, True, False, True]


@BOTH
def test_target_heads_move_as_tau_and_interval_say_and_the_encoder_is_not_scaled(algorithm, policy):
    model = make(algorithm, policy, hyperparams=dict(learning_rate=0.0, tau=0.25))
    for parameter in model.critic_target.parameters():
        parameter.data += 1.0
    encoder_before = snapshot(model.policy.features_extractor)
    distances = []
    for gradient_steps in (1, 2, 3):  # SB3 updates at steps 0, 2, … of each call: 1, 1 and 2 times
        model.train(gradient_steps=gradient_steps, batch_size=8)
        pairs = zip(snapshot(model.critic_target), snapshot(model.critic), strict=True)
        distances.append({round((target - online).mean().item(), 5) for target, online in pairs})
    assert distances == [{0.75}, {round(0.75**2, 5)}, {round(0.75**4, 5)}]
    assert same(encoder_before, snapshot(model.policy.features_extractor))


def test_polyak_target_averages_the_encoder_too():
    model = make(target_encoder="polyak", hyperparams=dict(tau=0.25))
    online, target = model.policy.features_extractor, model.critic_target.features_extractor
    assert target is not online and same(snapshot(online), snapshot(target))
    assert not (model.critic_target.training or target.training)
    target_before = snapshot(target)
    model.train(gradient_steps=1, batch_size=8)
    for before, now, source in zip(target_before, snapshot(target), snapshot(online), strict=True):
        th.testing.assert_close(now, 0.75 * before + 0.25 * source)
    assert not same(snapshot(online), snapshot(target))


@BOTH
def test_target_critic_uses_the_online_encoder_by_default(algorithm, policy):
    model = make(algorithm, policy)
    assert model.critic_target.features_extractor is model.policy.features_extractor
    assert not any("features_extractor" in name for name, _ in model.critic_target.named_parameters())
    assert all(a is not b for a, b in zip(model.critic_target.parameters(), model.critic.parameters(), strict=True))


@BOTH
@pytest.mark.parametrize("target_encoder, encodings", [("online", 2), ("polyak", 3)])
def test_every_batch_is_encoded_once_per_update(algorithm, policy, target_encoder, encodings):
    model = make(algorithm, policy, target_encoder=target_encoder)
    calls = []
    for module in model.policy.modules():
        if isinstance(module, FeaturePointExtractor):
            module.register_forward_hook(lambda module, args, output: calls.append(output.requires_grad))
    for update in range(1, 4):
        model.train(gradient_steps=1, batch_size=8)
        assert len(calls) == update * encodings
        assert calls.count(True) == update  # a graph is built for the critic's loss alone
        assert len(model.policy.feature_cache._batches) <= 2


def test_another_batch_is_encoded_and_the_cache_holds_the_last_two():
    model = make()
    model.policy.set_training_mode(True)
    actions = model.replay_buffer.sample(8).actions
    first, second, third = (model.replay_buffer.sample(8).observations for _ in range(3))
    q_values = [model.critic(obs, actions)[0].detach() for obs in (first, second, third)]
    assert not th.equal(q_values[0], q_values[1]) and not th.equal(q_values[1], q_values[2])
    (latest, _), (before, _) = model.policy.feature_cache._batches
    assert latest is third and before is second
    assert th.equal(model.critic(first.clone(), actions)[0], q_values[0])
    model.policy.set_training_mode(False)
    assert model.policy.feature_cache._batches == []


def test_the_graph_of_the_critics_loss_is_freed_by_the_optimizers_step():
    model = make()
    model.policy.set_training_mode(True)
    batch = model.replay_buffer.sample(8)
    loss = model.critic(batch.observations, batch.actions)[0].sum()
    ((_, features),) = model.policy.feature_cache._batches
    assert features.requires_grad
    loss.backward()
    model.critic.optimizer.step()
    ((_, features),) = model.policy.feature_cache._batches
    assert not features.requires_grad


@pytest.mark.parametrize("fused", [False, True])
def test_a_batch_can_be_trained_on_again_and_again(fused):
    """Not what SAC does, but a critic fitted to one batch must keep its gradient into the encoder"""
    model = make(optimizer_kwargs=dict(fused=fused))
    model.policy.set_training_mode(True)
    batch = model.replay_buffer.sample(8)
    for _ in range(3):
        before = snapshot(model.policy.features_extractor)
        model.critic.optimizer.zero_grad()
        sum((q**2).mean() for q in model.critic(batch.observations, batch.actions)).backward()
        model.critic.optimizer.step()
        assert not same(before, snapshot(model.policy.features_extractor))


def test_asking_one_critic_alone_reaches_the_encoder_no_more_than_in_sb3():
    model = make()
    model.policy.set_training_mode(True)
    batch = model.replay_buffer.sample(8)
    actions = batch.actions.clone().requires_grad_()
    model.critic(batch.observations, actions)  # as the actor's loss does
    model.critic.q1_forward(batch.observations, batch.actions).sum().backward()
    assert model.policy.features_extractor.encoder.to_maps.weight.grad is None
    model.critic(batch.observations, batch.actions)[0].sum().backward()
    assert model.policy.features_extractor.encoder.to_maps.weight.grad.any()


def test_encodings_do_not_outlive_their_batch():
    model = make()
    model.train(gradient_steps=1, batch_size=8)
    model.policy.set_training_mode(True)
    values = []
    for _ in range(20):  # freed tensors, whose memory and id Python reuses
        obs = th.randint(0, 256, (8, 6, 24, 24), dtype=th.uint8)
        values.append(model.critic(obs, th.zeros(8, 2))[0].detach())
        with th.no_grad():
            expected = model.critic.q_networks[0](
                th.cat([model.policy.features_extractor(obs.float() / 255), th.zeros(8, 2)], dim=1)
            )
        th.testing.assert_close(values[-1], expected)


def test_the_two_ways_to_write_it_build_the_same_policy():
    small_buffer = {**SHORT, "buffer_size": 10}
    by_class = SAC(FPACPolicy, PixelEnv(), seed=3, **small_buffer)
    by_name = SAC("CnnPolicy", PixelEnv(), policy_kwargs=fpac_kwargs, seed=3, **small_buffer)
    assert str(by_class.policy).split("\n")[1:] == str(by_name.policy).split("\n")[1:]
    assert same(snapshot(by_class.policy), snapshot(by_name.policy))
    assert options(by_class.policy) == options(by_name.policy) == ("online", 2, 3e-3)


def options(policy):
    return policy.target_encoder, policy.actor_update_interval, policy.last_layer_init


@BOTH
def test_architecture_is_the_papers(algorithm, policy):
    model = algorithm(policy, PixelEnv(), **{**fpac_hyperparams, "buffer_size": 10})
    n_features = 6 * 32
    widths = [layer.out_features for layer in model.actor.latent_pi if isinstance(layer, th.nn.Linear)]
    assert widths == [1024, 1024] and model.actor.latent_pi[0].in_features == n_features
    assert all(q_network[0].in_features == n_features + 2 for q_network in model.critic.q_networks)
    assert {type(layer) for layer in model.actor.latent_pi} == {th.nn.Linear, th.nn.SiLU}
    for last in (model.actor.mu, model.actor.log_std, *(q_network[-1] for q_network in model.critic.q_networks)):
        for parameter in last.parameters():
            assert 0 < parameter.abs().max() <= 3e-3
    assert same(snapshot(*model.critic.q_networks), snapshot(*model.critic_target.q_networks))
    assert model.ent_coef == "auto_0.1" and model.target_entropy == -2


@BOTH
def test_layer_norm_follows_the_hidden_layers_of_the_critic_and_changes_nothing_else(algorithm, policy):
    def make(**policy_kwargs):
        kwargs = {**fpac_hyperparams, "buffer_size": 10}
        return algorithm(policy, PixelEnv(), policy_kwargs=dict(net_arch=[16, 24], **policy_kwargs), seed=0, **kwargs)

    plain, normed = make(), make(layer_norm=True)
    for critic in (normed.critic, normed.critic_target):
        for q_network in critic.q_networks:
            kinds = [th.nn.Linear, th.nn.LayerNorm, th.nn.SiLU] * 2 + [th.nn.Linear]
            assert [type(layer) for layer in q_network] == kinds
            assert [layer.normalized_shape for layer in (q_network[1], q_network[4])] == [(16,), (24,)]
    assert str(normed.actor) == str(plain.actor)
    assert same(
        snapshot(normed.actor, normed.policy.features_extractor), snapshot(plain.actor, plain.policy.features_extractor)
    )
    optimized = {id(parameter) for group in normed.critic.optimizer.param_groups for parameter in group["params"]}
    assert optimized >= {id(parameter) for q_network in normed.critic.q_networks for parameter in q_network.parameters()}
    assert normed.policy._get_constructor_parameters()["layer_norm"] is True


@pytest.mark.parametrize("algorithm, stock", [(SAC, stock_sac.CnnPolicy), (TQC, stock_tqc.CnnPolicy)])
@pytest.mark.parametrize("share", [False, True])
def test_other_extractors_are_bit_for_bit_what_they_were(algorithm, stock, share):
    def train(policy):
        env = FakeImageEnv(screen_height=36, screen_width=36, n_channels=3, discrete=False)
        kwargs = dict(net_arch=[16], share_features_extractor=share, features_extractor_kwargs=dict(features_dim=16))
        model = algorithm(policy, env, policy_kwargs=kwargs, buffer_size=100, learning_starts=5, batch_size=4, seed=0)
        env.action_space.seed(0)
        env.observation_space.seed(0)
        return model.learn(20)

    ours, theirs = train("CnnPolicy"), train(stock)
    assert type(ours.policy) is not type(theirs.policy)
    assert ours.policy.state_dict().keys() == theirs.policy.state_dict().keys()
    assert same(snapshot(ours.policy), snapshot(theirs.policy))


@pytest.mark.parametrize("name", ["CnnPolicy", "MultiInputPolicy"])
@pytest.mark.parametrize("algorithm, stock", [(SAC, stock_sac), (TQC, stock_tqc)])
def test_aliases_are_subclasses_of_sb3s_own(algorithm, stock, name):
    assert issubclass(algorithm.policy_aliases[name], getattr(stock, name))


@BOTH
@TARGETS
def test_saved_agents_predict_the_same_and_go_on_as_if_never_stopped(algorithm, policy, target_encoder, tmp_path):
    model = make(algorithm, policy, target_encoder=target_encoder)
    model.train(gradient_steps=3, batch_size=8)  # an odd number: the actor's count must survive
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer")
    loaded = algorithm.load(tmp_path / "model", env=PixelEnv())
    loaded.load_replay_buffer(tmp_path / "buffer")
    obs = model.observation_space.sample()
    assert np.array_equal(model.predict(obs, deterministic=True)[0], loaded.predict(obs, deterministic=True)[0])
    loaded.set_logger(model.logger)
    for one in (model, loaded):
        th.manual_seed(1)
        np.random.seed(1)
        one.train(gradient_steps=3, batch_size=8)
    assert same(snapshot(model.policy), snapshot(loaded.policy))


@TARGETS
def test_policies_are_saved_loaded_pickled_and_copied(target_encoder, tmp_path):
    model = make(target_encoder=target_encoder)
    model.train(gradient_steps=1, batch_size=8)
    obs = model.observation_space.sample()
    action = model.predict(obs, deterministic=True)[0]
    model.policy.save(tmp_path / "policy.pth")
    copies = [
        FPACPolicy.load(tmp_path / "policy.pth"),
        pickle.loads(pickle.dumps(model.policy)),
        copy.deepcopy(model.policy),
    ]
    for other in copies:
        assert np.array_equal(other.predict(obs, deterministic=True)[0], action)
        assert other.actor.features_extractor is other.features_extractor is not model.policy.features_extractor
        assert options(other) == options(model.policy) and options(other)[0] == target_encoder


class MeanAction(th.nn.Module):
    """As SB3's documentation exports a policy"""

    def __init__(self, policy):
        super().__init__()
        self.policy = policy

    def forward(self, observation):
        return self.policy(observation, deterministic=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:`torch.jit:DeprecationWarning")
def test_a_traced_policy_acts_without_the_package_on_any_number_of_observations(tmp_path):
    model = make()
    obs = th.as_tensor(np.stack([model.observation_space.sample() for _ in range(3)]))
    th.jit.trace(MeanAction(model.policy).eval(), obs[:1]).save(tmp_path / "policy.pt")
    th.save(obs, tmp_path / "tensor.pt")
    code = "import sys, torch; policy = torch.jit.load(sys.argv[1]); torch.save(policy(torch.load(sys.argv[2])), sys.argv[2])"
    run_python("-c", code, tmp_path / "policy.pt", tmp_path / "tensor.pt")
    np.testing.assert_allclose(
        th.load(tmp_path / "tensor.pt").detach(), model.predict(obs.numpy(), deterministic=True)[0], atol=1e-6
    )


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda policy: pickle.loads(pickle.dumps(policy))])
def test_copied_policies_still_update_their_actor_on_every_second_step(duplicate):
    policy = duplicate(make().policy)
    moves = []
    for _ in range(4):
        before = snapshot(policy.actor)
        for parameter in policy.actor.parameters():
            parameter.grad = th.ones_like(parameter)
        policy.actor.optimizer.step()
        moves.append(not same(before, snapshot(policy.actor)))
    assert moves == [False, True, False, True]


def test_optimizers_get_their_arguments():
    model = make(optimizer_kwargs=dict(eps=1e-4, weight_decay=1e-3))
    for optimizer in (model.actor.optimizer, model.critic.optimizer):
        assert (optimizer.defaults["eps"], optimizer.defaults["weight_decay"]) == (1e-4, 1e-3)


def test_acting_happens_in_evaluation_mode_where_images_out_of_range_are_refused():
    model = make(normalize_images=True)
    model.policy.set_training_mode(True)
    model.predict(model.observation_space.sample())
    assert not model.policy.features_extractor.training
    undivided = SAC(
        "CnnPolicy",
        PixelEnv(),
        policy_kwargs={**fpac_kwargs, **SMALL, "normalize_images": False},
        **SHORT,
    )
    undivided.policy.features_extractor.first_images.scale = 1.0  # as if normalized_image had not been passed
    with pytest.raises(ValueError, match="normalized_image"):
        undivided.predict(model.observation_space.sample())


@pytest.mark.parametrize("name", ["MlpPolicy", "CnnPolicy"])
def test_saved_stock_policies_are_read_by_sb3s_own_class(name, tmp_path):
    env = "Pendulum-v1" if name == "MlpPolicy" else PixelEnv((3, 40, 40))
    model = SAC(name, env, policy_kwargs=dict(net_arch=[8]), buffer_size=10)
    model.policy.save(tmp_path / "policy.pth")
    stock = getattr(stock_sac, name).load(tmp_path / "policy.pth")
    assert same(snapshot(model.policy), snapshot(stock))


@pytest.mark.slow
def test_an_mlp_agent_saved_beside_the_package_needs_no_package(tmp_path):
    SAC("MlpPolicy", "Pendulum-v1", policy_kwargs=dict(net_arch=[8]), buffer_size=10).save(tmp_path / "mlp")
    program = (
        "import sys; sys.modules['sb3_fpac'] = None; from stable_baselines3 import SAC; print(SAC.load('mlp').policy_class)"
    )
    assert "'stable_baselines3.sac.policies.SACPolicy'" in run_python("-c", program, cwd=tmp_path).stdout


def test_two_models_with_one_dict_of_kwargs_can_differ(tmp_path):
    policy_kwargs = {**fpac_kwargs, **SMALL}
    with_sde = SAC("CnnPolicy", PixelEnv(), policy_kwargs=policy_kwargs, use_sde=True, **SHORT)
    SAC("CnnPolicy", PixelEnv(), policy_kwargs=policy_kwargs, **SHORT)
    with_sde.save(tmp_path / "sde")
    assert SAC.load(tmp_path / "sde").actor.use_sde


def test_methods_that_another_library_has_wrapped_are_still_checked():
    class Algorithm:
        def _setup_model(self):
            return ["set up"]

    def logged(method):
        return functools.wraps(method)(lambda self: [*method(self), "logged"])

    def checked(method):
        return functools.wraps(method)(lambda self: ["checked", *method(self)])

    Algorithm._setup_model = logged(Algorithm._setup_model)
    for _ in range(2):
        _wrap(Algorithm, "_setup_model", checked)
    assert Algorithm()._setup_model() == ["checked", "set up", "logged"]


def test_parameters_can_be_carried_over():
    source, target = make(seed=0), make(seed=1)
    obs = source.observation_space.sample()
    assert not np.array_equal(source.predict(obs, deterministic=True)[0], target.predict(obs, deterministic=True)[0])
    target.set_parameters(source.get_parameters())
    assert np.array_equal(source.predict(obs, deterministic=True)[0], target.predict(obs, deterministic=True)[0])


@BOTH
def test_dict_observations_share_one_combined_extractor(algorithm, policy):
    model = make(algorithm, policy, env=DictPixelEnv())
    assert isinstance(model.policy.features_extractor, FeaturePointCombinedExtractor)
    before = snapshot(model.policy.features_extractor)
    model.train(gradient_steps=2, batch_size=8)
    assert not same(before, snapshot(model.policy.features_extractor))
    by_name = algorithm(
        "MultiInputPolicy",
        DictPixelEnv(),
        policy_kwargs={**fpac_kwargs, **SMALL, "features_extractor_class": FeaturePointCombinedExtractor},
        **SHORT,
    )
    assert str(by_name.policy).split("\n")[1:] == str(model.policy).split("\n")[1:]


@BOTH
def test_gsde_trains(algorithm, policy):
    model = algorithm(policy, PixelEnv(), policy_kwargs=dict(SMALL), use_sde=True, **SHORT)
    before = snapshot(model.policy.features_extractor, model.actor)
    model.learn(20)
    after = snapshot(model.policy.features_extractor, model.actor)
    assert model._n_updates == 10 and model.actor.get_std().isfinite().all()
    assert not any(th.equal(one, other) for one, other in zip(before, after, strict=True))  # log_std is among them


def test_images_that_are_not_normalized_by_sb3_give_the_same_policy():
    divided, undivided = make(), make(normalize_images=False)
    obs = divided.observation_space.sample()
    np.testing.assert_allclose(
        divided.predict(obs, deterministic=True)[0], undivided.predict(obs, deterministic=True)[0], atol=1e-6
    )


def test_several_environments_train_together():
    from stable_baselines3.common.env_util import make_vec_env

    model = SAC(FPACPolicy, make_vec_env(PixelEnv, n_envs=2), policy_kwargs=dict(SMALL), **SHORT)
    before = snapshot(model.policy.features_extractor, model.actor)
    model.learn(24)
    after = snapshot(model.policy.features_extractor, model.actor)
    assert model._n_updates == 8 and model.replay_buffer.pos == 12
    assert not any(th.equal(one, other) for one, other in zip(before, after, strict=True))


def test_sb3_may_write_into_fpac_kwargs_without_changing_the_defaults():
    SAC("CnnPolicy", PixelEnv(), policy_kwargs=fpac_kwargs, use_sde=True, **{**SHORT, "buffer_size": 10})
    assert fpac_kwargs["use_sde"] is True  # SB3 does so
    policy = FPACPolicy(PixelEnv().observation_space, PixelEnv().action_space, lambda _: 1e-3)
    assert not policy.actor.use_sde
    del fpac_kwargs["use_sde"]


@pytest.mark.parametrize(
    "policy_kwargs, message",
    [
        (dict(target_encoder="both"), "target_encoder"),
        (dict(actor_update_interval=0), "actor_update_interval"),
        (dict(share_features_extractor=True), "actor's loss"),
    ],
)
def test_bad_options_are_refused(policy_kwargs, message):
    with pytest.raises(ValueError, match=message):
        SAC(FPACPolicy, PixelEnv(), policy_kwargs=policy_kwargs, **SHORT)


@pytest.mark.parametrize(
    "option", [dict(target_encoder="polyak"), dict(actor_update_interval=2), dict(last_layer_init=0.1), dict(layer_norm=True)]
)
def test_options_without_feature_points_are_refused(option):
    with pytest.raises(ValueError, match=f"with {next(iter(option))} need a feature-point extractor, not NatureCNN"):
        SAC("CnnPolicy", PixelEnv((3, 40, 40)), policy_kwargs=option, buffer_size=10)


def test_discrete_actions_are_refused():
    with pytest.raises(AssertionError, match="Discrete"):
        SAC(FPACPolicy, FakeImageEnv(discrete=True), **SHORT)


@pytest.mark.gpu
@BOTH
def test_trains_on_a_gpu(algorithm, policy, tmp_path):
    model = make(algorithm, policy, hyperparams=dict(device="cuda"))
    before = snapshot(model.policy.features_extractor)
    model.train(gradient_steps=4, batch_size=8)
    assert not same(before, snapshot(model.policy.features_extractor))
    model.save(tmp_path / "model")
    on_cpu = algorithm.load(tmp_path / "model", device="cpu")
    obs = model.observation_space.sample()
    np.testing.assert_allclose(
        model.predict(obs, deterministic=True)[0], on_cpu.predict(obs, deterministic=True)[0], atol=1e-3
    )
