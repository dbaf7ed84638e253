"""FPAC: what it defaults to, that it is SB3's SAC with FPACPolicy, and what it counts, logs, saves, refuses."""

import contextlib
import copy
import gc
import inspect
import math
import re
import time
import warnings
from multiprocessing import forkserver

import numpy as np
import psutil
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import SIZE, Spaces
from helpers.environments import StackedNoise as Noise
from helpers.models import filled as fill
from helpers.models import same, snapshot, train
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.torch_layers import NatureCNN
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

from sb3_fpac import (
    FPAC,
    ActionRepeat,
    FeaturePointExtractor,
    FPACPolicy,
    FrameReplayBuffer,
    fpac_fast,
    fpac_hyperparams,
    fpac_kwargs,
    limits,
)
from sb3_fpac.checks import crowding
from sb3_fpac.features.standardization import Standardization
from sb3_fpac.fpac.loading import are_same_arguments
from sb3_fpac.fpac.update import Losses
from sb3_fpac.policies.critic_trained_encoder import SACActor
from sb3_fpac.policies.policies import SACCnnPolicy

POLICY = dict(net_arch=[16, 16], features_extractor_kwargs=dict(n_points=3, precision="float32"))
SHORT = dict(buffer_size=200, learning_starts=10, batch_size=8, compile=False, seed=0)
TARGETS = pytest.mark.parametrize("target_encoder", ["online", "polyak"])


class Memory(KVWriter):
    def __init__(self):
        self.dumps: list[dict[str, float]] = []

    def write(self, key_values, key_excluded, step=0):
        self.dumps.append(dict(key_values))

    def close(self):
        pass


def make(env=None, algorithm=FPAC, policy=None, **kwargs):
    policy_kwargs = {**POLICY, **kwargs.pop("policy_kwargs", {})}
    kwargs = {**SHORT, **kwargs}
    if algorithm is SAC:
        del kwargs["compile"]
    policy = policy or ("CnnPolicy" if algorithm is FPAC else FPACPolicy)
    return algorithm(policy, Noise() if env is None else env, policy_kwargs=policy_kwargs, **kwargs)


def filled(*args, n_steps_taken=40, **kwargs):
    """A model with transitions in its buffer and no update done"""
    return fill(make(*args, **kwargs), n_steps_taken)


def logged_by(model):
    writer = Memory()
    model.set_logger(Logger(None, [writer]))
    return writer.dumps


# --- The algorithm


def test_defaults_are_table_1():
    defaults = {name: parameter.default for name, parameter in inspect.signature(FPAC).parameters.items()}
    alike = fpac_hyperparams.keys() - {"train_freq", "gradient_steps"}  # 2 and 2 for SAC, which cannot count across calls
    assert {name: defaults[name] for name in alike} == {name: fpac_hyperparams[name] for name in alike}
    assert (defaults["train_freq"], defaults["gradient_steps"], defaults["n_steps"]) == (1, 1, 1)
    assert defaults["policy_delay"] == fpac_kwargs["actor_update_interval"] == 2
    assert defaults["random_shift"] == 0 and defaults["compile"] == "auto"
    model = FPAC("CnnPolicy", Noise(), seed=3)
    by_sac = SAC("CnnPolicy", Noise(), policy_kwargs=dict(fpac_kwargs), seed=3, **{**fpac_hyperparams, "buffer_size": 9})
    assert str(model.policy).split("\n")[1:] == str(by_sac.policy).split("\n")[1:]
    assert same(snapshot(model.policy), snapshot(by_sac.policy))
    assert model.target_entropy == -2
    assert math.isclose(model.log_ent_coef.exp().item(), 0.1, rel_tol=1e-6)
    assert type(model.replay_buffer) is FrameReplayBuffer and model.replay_buffer.buffer_size == 100_000


def test_the_preset_changes_what_it_says_and_nothing_else():
    given = copy.deepcopy(fpac_fast)
    fast, paper = FPAC("CnnPolicy", Noise(), **fpac_fast), FPAC("CnnPolicy", Noise())
    assert fpac_fast == given  # SB3 writes into what it gets
    names = inspect.signature(FPAC).parameters.keys() & vars(paper).keys() - {"policy", "env"}
    differing = {name for name in names if getattr(fast, name) != getattr(paper, name)}
    assert differing == fpac_fast.keys() == {"learning_rate", "n_steps", "policy_kwargs"}
    assert (fast.learning_rate, fast.n_steps, fast.replay_buffer.n_steps) == (1e-3, 3, 3)
    extractors = fast.policy.features_extractor, paper.policy.features_extractor
    assert [extractor.encoder.geometry.strides for extractor in extractors] == [(2,), (2, 1, 1, 1)]
    assert [extractor.encoder.geometry.anti_aliasing for extractor in extractors] == [True, False]
    assert [type(extractor.normalization) for extractor in extractors] == [Standardization, type(None)]
    assert [(extractor.softmax, extractor.temperature) for extractor in extractors] == [("full", 0.1), ("separable", 0.5)]
    for name in ("n_points", "presence", "velocity", "relative", "n_frames", "features_dim"):
        assert len({getattr(extractor, name) for extractor in extractors}) == 1
    widths = [
        [layer.out_features for layer in model.critic.q_networks[0] if hasattr(layer, "out_features")]
        for model in (fast, paper)
    ]
    assert widths == [[256, 256, 1], [1024, 1024, 1]]
    assert "LayerNorm" in str(fast.critic) and "LayerNorm" not in str(fast.actor) + str(paper.critic)
    for name in ("target_encoder", "last_layer_init", "activation_fn"):
        assert getattr(fast.policy, name) == getattr(paper.policy, name)


def test_every_parameter_of_sac_is_taken_in_its_place():
    ours, theirs = (list(inspect.signature(algorithm).parameters) for algorithm in (FPAC, SAC))
    assert [name for name in ours if name in theirs] == theirs
    assert set(ours) - set(theirs) == {"policy_delay", "random_shift", "compile"}


STACKS = [(1, False), (2, False), (2, True), (3, False), (3, True)]
EQUALITIES = [
    *(dict(target=target, stack=stack, n_steps=n) for stack in STACKS for target, n in (("online", 1), ("polyak", 3))),
    dict(target="polyak", n_steps=1),
    dict(target="online", n_steps=3),
    dict(ent_coef=0.2),
    dict(use_sde=True),
    dict(use_sde=True, ent_coef=0.2, target="polyak"),
    dict(rewards_normalized=True),
    dict(n_envs=2),
    dict(standardize=True),
    dict(standardize=True, target="polyak"),
    dict(whiten=True),
    dict(whiten=True, target="polyak"),
    dict(layer_norm=True),
]


@pytest.mark.parametrize("case", EQUALITIES, ids=lambda case: ",".join(f"{key}={value}" for key, value in case.items()))
def test_it_is_sac_with_fpac_policy_number_by_number(case):
    """Twenty float32 updates against SB3's own SAC.train, which encodes both observations of a transition"""
    n_frames, camera_shift = case.get("stack", (2, False))
    models = []
    for algorithm in (FPAC, SAC):
        env = DummyVecEnv([lambda: Noise(n_frames, camera_shift)] * case.get("n_envs", 1))
        if case.get("rewards_normalized"):
            env = VecNormalize(env, norm_obs=False)
        model = filled(
            env,
            algorithm,
            ent_coef=case.get("ent_coef", "auto_0.1"),
            n_steps=case.get("n_steps", 1),
            use_sde=case.get("use_sde", False),
            learning_rate=1e-3,
            target_update_interval=1,
            tau=0.05,
            **(dict(policy_delay=1) if algorithm is FPAC else {}),
            policy_kwargs=dict(
                target_encoder=case.get("target", "online"),
                optimizer_kwargs=dict(eps=1e-5),
                layer_norm=case.get("layer_norm", False),
                features_extractor_kwargs=dict(
                    POLICY["features_extractor_kwargs"],
                    standardize=case.get("standardize", False),
                    whiten=case.get("whiten", False),
                ),
                **(dict(actor_update_interval=1) if algorithm is SAC else {}),
            ),
        )
        models.append(model)
    ours, theirs = models
    assert same(snapshot(ours.policy), snapshot(theirs.policy))
    before = snapshot(ours.policy)
    for model in models:
        for update in range(20):  # a call each: SB3 counts target updates within one
            train(model, gradient_steps=1, batch_size=16, seed=update)

    def close(a, b):
        rtol = 2e-5 if case.get("whiten") else 0  # an inverse amplifies rounding
        th.testing.assert_close(a, b, rtol=rtol, atol=2e-6)

    assert ours.policy.state_dict().keys() == theirs.policy.state_dict().keys()
    moved = [not th.equal(a, b) for a, b in zip(before, snapshot(ours.policy), strict=True)]
    assert np.mean(moved) > 0.9
    close(ours.policy.state_dict(), theirs.policy.state_dict())
    if "ent_coef" not in case:
        close(ours.log_ent_coef, theirs.log_ent_coef)
        assert ours.log_ent_coef.item() != math.log(0.1)
    optimizers = [(ours.actor.optimizer, theirs.actor.optimizer), (ours.critic.optimizer, theirs.critic.optimizer)]
    if ours.ent_coef_optimizer is not None:
        optimizers.append((ours.ent_coef_optimizer, theirs.ent_coef_optimizer))
    for mine, stock in optimizers:
        mine, stock = mine.state_dict()["state"], stock.state_dict()["state"]
        assert mine.keys() == stock.keys() and len(mine) > 0
        for key in mine:
            assert mine[key]["step"].item() == stock[key]["step"].item() == 20
            close(
                [mine[key][name] for name in ("exp_avg", "exp_avg_sq")],
                [stock[key][name] for name in ("exp_avg", "exp_avg_sq")],
            )


def test_networks_move_when_their_interval_says_over_all_calls():
    model = filled(policy_delay=2, target_update_interval=3)
    before = [
        snapshot(model.actor),
        snapshot(model.critic_target),
        [model.log_ent_coef.detach().clone()],
        snapshot(model.critic),
    ]
    moves = []
    for gradient_steps in (1, 1, 1, 1, 2, 1, 2, 1):  # updates 1, 2, 3, 4, 5–6, 7, 8–9, 10
        model.train(gradient_steps, batch_size=8)
        now = [
            snapshot(model.actor),
            snapshot(model.critic_target),
            [model.log_ent_coef.detach().clone()],
            snapshot(model.critic),
        ]
        moves.append([not same(a, b) for a, b in zip(before, now, strict=True)])
        before = now
    actor, target, ent_coef, critic = zip(*moves, strict=True)
    assert actor == ent_coef == (False, True, False, True, True, False, True, True)
    assert target == (False, False, True, False, True, False, True, False)
    assert all(critic)
    assert model._n_updates == 10


def test_updates_are_counted_on_across_save_and_load(tmp_path):
    model = filled(policy_delay=2)
    model.train(1, batch_size=8)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer")
    loaded = FPAC.load(tmp_path / "model", env=Noise())
    loaded.load_replay_buffer(tmp_path / "buffer")
    loaded.set_logger(model.logger)
    before = snapshot(loaded.actor)
    loaded.train(1, batch_size=8)
    assert loaded._n_updates == 2 and not same(before, snapshot(loaded.actor))


@TARGETS
def test_target_moves_by_tau(target_encoder):
    model = filled(tau=0.25, target_update_interval=1, policy_kwargs=dict(target_encoder=target_encoder))
    before = model.critic_target.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    model.train(1, batch_size=8)
    online = model.critic.state_dict()
    assert any("features_extractor" in name for name in before) is (target_encoder == "polyak")
    for name, tensor in model.critic_target.state_dict().items():
        th.testing.assert_close(tensor, 0.75 * before[name] + 0.25 * online[name])


@TARGETS
@pytest.mark.parametrize("use_sde", [False, True])
def test_critic_alone_moves_the_encoder(target_encoder, use_sde):
    for frozen, encoder_moves in (("critic", False), ("actor", True)):
        model = filled(policy_delay=1, use_sde=use_sde, policy_kwargs=dict(target_encoder=target_encoder))
        frozen_optimizers = [model.critic.optimizer]
        if frozen == "actor":
            frozen_optimizers = [model.actor.optimizer, model.ent_coef_optimizer]
        for optimizer in frozen_optimizers:
            optimizer.register_step_pre_hook(lambda optimizer, args, kwargs: optimizer.param_groups[0].update(lr=0.0))
        encoder, actor, log_ent_coef = model.policy.features_extractor, model.actor, model.log_ent_coef.item()
        encoder_before, actor_before, q_before = snapshot(encoder), snapshot(actor), snapshot(model.critic)
        model.train(2, batch_size=8)
        assert same(encoder_before, snapshot(encoder)) is not encoder_moves
        assert same(q_before, snapshot(model.critic)) is not encoder_moves
        assert same(actor_before, snapshot(actor)) is encoder_moves
        assert (model.log_ent_coef.item() == log_ent_coef) is encoder_moves


def test_losses_of_actor_and_alpha_leave_no_gradient_with_the_critic():
    model = filled(policy_delay=1)
    at_step = []
    parameters = [p for group in model.critic.optimizer.param_groups for p in group["params"]]
    model.critic.optimizer.register_step_pre_hook(lambda *args: at_step.extend(p.grad.clone() for p in parameters))
    model.train(1, batch_size=8)
    assert len(at_step) == len(parameters) and any(gradient.any() for gradient in at_step)
    assert all(th.equal(gradient, p.grad) for gradient, p in zip(at_step, parameters, strict=True))


def count_frames(extractor):
    """(number of frames, whether with gradient) of every pass"""
    passes = []
    encode = extractor.encode_frames

    def counting(frames):
        points = encode(frames)
        passes.append((len(frames), points.requires_grad))
        return points

    extractor.encode_frames = counting
    return passes


@TARGETS
@pytest.mark.parametrize("n_frames", [1, 2, 3])
@pytest.mark.parametrize("n_steps", [1, 3])
def test_frames_that_observations_share_are_encoded_once(target_encoder, n_frames, n_steps):
    model = filled(Noise(n_frames), n_steps=n_steps, policy_delay=1, policy_kwargs=dict(target_encoder=target_encoder))
    online, target = model.policy.features_extractor, model.critic_target.features_extractor
    passes = count_frames(online)
    of_target = count_frames(target) if target is not online else []
    model.train(1, batch_size=8)
    of_next = 1 if n_steps == 1 else n_frames  # n steps later no frame is shared
    assert sum(n for n, with_gradient in passes if with_gradient) == 8 * n_frames
    assert sum(n for n, with_gradient in passes if not with_gradient) == 8 * of_next
    assert of_target == ([(8 * n_frames, False)] if target_encoder == "polyak" else [])


def test_bfloat16_update_is_close_to_float32():
    losses = []
    for precision in ("float32", "bfloat16"):
        extractor_kwargs = dict(n_points=8, precision=precision)
        model = filled(policy_delay=1, policy_kwargs=dict(features_extractor_kwargs=extractor_kwargs))
        dumps = logged_by(model)
        train(model, 1, batch_size=32)
        model.dump_logs()
        losses.append([dumps[-1][f"train/{name}_loss"] for name in ("critic", "actor", "ent_coef")])
    assert losses[0] != losses[1]
    np.testing.assert_allclose(*losses, rtol=1e-2)


# --- Reproducibility


def test_same_seed_same_run_bit_for_bit():
    runs = [make(seed=seed).learn(40) for seed in (5, 5, 6)]
    assert all(model._n_updates == 30 for model in runs)
    first, again, other = (snapshot(model.policy) for model in runs)
    assert same(first, again)
    assert not any(th.equal(a, b) for a, b in zip(first, other, strict=True) if a.dim() > 1)


# --- Counting and logging


def test_logs_under_sb3s_names():
    ours, theirs = make(policy_delay=1), make(algorithm=SAC)
    ours_dumps, theirs_dumps = logged_by(ours), logged_by(theirs)
    for model in (ours, theirs):
        model.learn(60, log_interval=2)
    assert ours_dumps and theirs_dumps
    assert set(ours_dumps[-1]) - set(theirs_dumps[-1]) == {"time/env_steps", "time/updates_per_second"}
    assert set(theirs_dumps[-1]) <= set(ours_dumps[-1])
    assert all(math.isfinite(value) for value in ours_dumps[-1].values())


def test_logged_losses_are_means_since_the_last_dump():
    model = filled(policy_delay=2)
    dumps, losses = logged_by(model), []
    model.train(1, batch_size=8)
    update = model._update
    model.dump_logs()
    assert "train/actor_loss" not in dumps[0]  # no update of the actor yet
    model._update = lambda *args: losses.append(update(*args)) or losses[-1]
    model.train(3, batch_size=8)
    model.train(1, batch_size=8)
    model.dump_logs()
    assert dumps[1]["train/n_updates"] == 5
    assert [one.actor is None for one in losses] == [False, True, False, True]
    for name in ("critic", "actor", "ent_coef"):
        values = [getattr(one, name).item() for one in losses if getattr(one, name) is not None]
        assert dumps[1][f"train/{name}_loss"] == pytest.approx(np.mean(values), rel=1e-5)
    assert dumps[1]["train/ent_coef"] == pytest.approx(model.log_ent_coef.exp().item())
    model.dump_logs()
    assert "train/critic_loss" not in dumps[2]


def test_losses_may_be_overwritten_by_the_next_update():
    """As those of a CUDA graph are"""
    model = filled()
    dumps, loss, values = logged_by(model), th.zeros(()), iter((1.0, 2.0, 6.0))
    model.train(1, batch_size=8)
    model.dump_logs()
    model._update = lambda *args: Losses(loss.fill_(next(values)), None, None)
    model.train(3, batch_size=8)
    model.dump_logs()
    assert dumps[1]["train/critic_loss"] == 3


def test_settings_may_change_between_updates():
    model = filled(target_update_interval=1)
    model.train(1, batch_size=8)
    before = snapshot(model.critic_target)
    model.tau = 0.0
    model.train(1, batch_size=4)
    assert same(before, snapshot(model.critic_target))
    model.tau = 1.0
    model.train(1, batch_size=4)
    assert same(snapshot(model.critic), snapshot(model.critic_target))


@pytest.mark.parametrize(
    "name, value, message",
    [("random_shift", 100, "random_shift must be"), ("tau", 2.0, "tau must be"), ("gamma", "1", "gamma must be")],
)
def test_settings_that_change_between_updates_are_checked_like_the_first(name, value, message):
    model = filled()
    model.train(1, batch_size=8)
    before = snapshot(model.policy)
    setattr(model, name, value)
    with pytest.raises(ValueError, match=message):
        model.train(1, batch_size=8)
    assert same(before, snapshot(model.policy))


def test_good_weights_make_a_diverged_model_usable_again(tmp_path):
    model = filled()
    good = copy.deepcopy(model.get_parameters())
    with th.no_grad():
        next(model.critic.parameters()).fill_(math.nan)
    with pytest.raises(FloatingPointError):
        model.train(1, batch_size=8)
    model.set_parameters(good)
    model.train(1, batch_size=8)
    model.save(tmp_path / "model")


def test_fixed_alpha_is_logged_and_has_no_loss():
    model = filled(ent_coef=0.25)
    dumps = logged_by(model)
    model.train(2, batch_size=8)
    model.dump_logs()
    assert dumps[0]["train/ent_coef"] == 0.25 and "train/ent_coef_loss" not in dumps[0]


def test_env_steps_are_those_of_the_simulator(tmp_path):
    model = make(ActionRepeat(Noise(n_frames=1, length=10), 3))
    dumps = logged_by(model)
    model.learn(21, log_interval=1)
    steps = model.env.envs[0].unwrapped.all_steps
    assert 21 < steps <= 63 and model.num_env_steps == steps
    assert 0 < dumps[0]["time/env_steps"] <= 10  # at the end of the first episode
    model.save(tmp_path / "model")
    loaded = FPAC.load(tmp_path / "model", env=ActionRepeat(Noise(n_frames=1, length=10), 3))
    assert loaded.num_env_steps == steps
    loaded.learn(5, reset_num_timesteps=False)
    assert loaded.num_env_steps == steps + loaded.env.envs[0].unwrapped.all_steps
    assert loaded.num_timesteps == 26
    loaded.learn(4)
    assert loaded.num_timesteps == 4 and 4 <= loaded.num_env_steps <= 12


def test_without_action_repeat_env_steps_are_agent_steps():
    model = make(DummyVecEnv([Noise] * 2)).learn(24)
    assert model.num_env_steps == model.num_timesteps == 24


def test_updates_per_second_are_those_of_this_call_of_learn(monkeypatch):
    class Clock(BaseCallback):
        seconds = 1000

        def _on_step(self):
            self.seconds += 2
            return True

    clock = Clock()
    model = filled().learn(5)
    dumps = logged_by(model)
    monkeypatch.setattr(time, "time_ns", lambda: clock.seconds * 10**9)
    model.learn(8, clock)
    model.dump_logs()
    assert dumps[-1]["time/updates_per_second"] == 0.5


@pytest.mark.parametrize(
    ("threads", "others", "fewer"), [(2, 1.6, 1), (2, 0.6, 1), (8, 0.0, 2), (2, 0.4, None), (1, 2.0, None)]
)
def test_threads_without_processors_of_their_own_are_said_once(monkeypatch, threads, others, fewer):
    monkeypatch.setattr(crowding, "_SECONDS", 0.0)
    monkeypatch.setattr(crowding.OtherPrograms, "processors", lambda self: others)
    monkeypatch.setattr(th, "get_num_threads", lambda: threads)
    for module in (crowding, limits):
        monkeypatch.setattr(module, "usable_cores", lambda: 2)
    monkeypatch.setattr(psutil, "cpu_count", lambda: 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make(learning_starts=4).learn(8)
    said = [str(warning.message) for warning in caught if "threads" in str(warning.message)]
    assert len(said) == (fewer is not None)
    if fewer is not None:
        assert said[0].startswith(f"PyTorch has {threads} threads for 2 processors, and other programs, ")
        assert f" use {others:.1f}: " in said[0]
        assert said[0].endswith(f"Set OMP_NUM_THREADS={fewer}, or call torch.set_num_threads({fewer}).")


@pytest.mark.parametrize("ent_coef", ["auto", 0.1])
def test_learning_rate_schedule_reaches_every_optimizer(ent_coef):
    model = make(learning_rate=LinearSchedule(1e-3, 1e-4, 1.0), ent_coef=ent_coef, policy_delay=1)
    dumps = logged_by(model)
    rates = []
    for optimizer in (model.actor.optimizer, model.critic.optimizer, model.ent_coef_optimizer):
        if optimizer is not None:
            optimizer.register_step_pre_hook(lambda optimizer, *args: rates.append(optimizer.param_groups[0]["lr"]))
    model.learn(20, log_interval=1)
    expected = [1e-3 - 9e-4 * step / 20 for step in range(11, 21) for _ in range(3 if ent_coef == "auto" else 2)]
    np.testing.assert_allclose(sorted(rates), sorted(expected), rtol=1e-6)
    for optimizer in model._optimizers():
        assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-4)
    model.dump_logs()
    assert dumps[-1]["train/learning_rate"] == pytest.approx(1e-4)


# --- What SB3's users do with a model


def test_several_environments_train_together():
    model = make(DummyVecEnv([Noise, Noise])).learn(40)
    assert model.replay_buffer.size() == 20
    assert model._n_updates == 15  # after every step of both, from the sixth on


@TARGETS
def test_saved_agents_predict_the_same_and_go_on_as_if_never_stopped(target_encoder, tmp_path):
    model = filled(learning_rate=LinearSchedule(1e-3, 1e-4, 1.0), policy_kwargs=dict(target_encoder=target_encoder))
    train(model, 3)  # an odd number: the actor's count must survive
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer")
    loaded = FPAC.load(tmp_path / "model", env=Noise())
    loaded.load_replay_buffer(tmp_path / "buffer")
    loaded.set_logger(model.logger)
    assert loaded._n_updates == 3 and loaded.num_timesteps == model.num_timesteps
    assert loaded.replay_buffer.size() == model.replay_buffer.size() == 40
    obs = model.observation_space.sample()
    assert np.array_equal(model.predict(obs, deterministic=True)[0], loaded.predict(obs, deterministic=True)[0])
    for one in (model, loaded):
        train(one, 3, seed=2)
    assert same(snapshot(model.policy), snapshot(loaded.policy))
    assert th.equal(model.log_ent_coef, loaded.log_ent_coef)


def test_options_survive_save_and_load(tmp_path):
    model = make(policy_delay=3, random_shift=2, n_steps=2, gamma=0.9, target_update_interval=5)
    model.save(tmp_path / "model")
    loaded = FPAC.load(tmp_path / "model")
    for name in ("policy_delay", "random_shift", "compile", "target_update_interval"):
        assert getattr(loaded, name) == getattr(model, name)
    assert (loaded.replay_buffer.n_steps, loaded.replay_buffer.gamma) == (2, 0.9)


def test_what_cannot_be_changed_when_a_model_is_loaded_is_refused(tmp_path):
    class Own(FPAC):
        def __init__(self, *args, own=0, **kwargs):
            super().__init__(*args, **kwargs)
            self.own = own

    make().save(tmp_path / "model")
    for name in ("softmax", "layer_norm", "ranom_shift"):
        with pytest.raises(ValueError, match=f"FPAC.load can change arguments of FPAC, and '{name}' is none: leave it out"):
            FPAC.load(tmp_path / "model", device="cpu", random_shift=2, **{name: 3})
    assert FPAC.load(tmp_path / "model", print_system_info=False, random_shift=2, learning_starts=5).random_shift == 2
    assert Own.load(tmp_path / "model", own=3, buffer_size=20).own == 3


@pytest.mark.parametrize(
    ("name", "saved", "other"),
    [
        ("ent_coef", "auto_0.1", "auto_0.5"),
        ("ent_coef", 0.2, 0.05),
        ("ent_coef", "auto_0.1", 0.05),
        ("ent_coef", np.float32(0.2), "auto"),  # pickled in the file
        ("use_sde", False, True),
        ("use_sde", True, False),
    ],
)
def test_entropy_coefficient_and_gsde_of_a_saved_model_cannot_be_changed(name, saved, other, tmp_path, monkeypatch):
    make(**{name: saved}).save(tmp_path / "model")
    with monkeypatch.context() as patched:
        patched.setattr(FPAC, "_setup_model", None)  # nothing is built
        message = re.escape(f"FPAC.load cannot change {name}, which was {saved!r} in training, to {other!r}: leave it out")
        with pytest.raises(ValueError, match=message):
            FPAC.load(tmp_path / "model", env=Noise(), **{name: other})
        with (tmp_path / "model.zip").open("rb") as file, pytest.raises(ValueError, match=message):
            FPAC.load(file, **{name: other})
    with (tmp_path / "model.zip").open("rb") as file:
        assert getattr(FPAC.load(file, **{name: saved}), name) == saved
    assert getattr(FPAC.load(tmp_path / "model", env=Noise(), **{name: saved}), name) == saved


def test_loading_takes_the_policy_kwargs_of_training_and_no_others(tmp_path):
    env = Noise()
    preset = {**fpac_fast, "buffer_size": 50}
    model = FPAC("CnnPolicy", env, **preset)
    model.save(tmp_path / "model")
    loaded = FPAC.load(tmp_path / "model", env=env, **preset)
    assert loaded.policy_kwargs["features_extractor_kwargs"]["frozen"] is True
    assert same(snapshot(loaded.policy), snapshot(model.policy))
    with pytest.raises(ValueError, match=r"FPAC\.load cannot change policy_kwargs, which was .*'net_arch': \[256, 256\]"):
        FPAC.load(tmp_path / "model", env=env, policy_kwargs={**preset["policy_kwargs"], "net_arch": [8]})


@pytest.mark.parametrize("given", ["points.pt", dict(front="points.pt")])
def test_pretrained_points_are_in_the_weights_of_a_saved_agent(given):
    """What training was given as the path of a file, the agent has loaded"""
    saved = dict(front=object()) if isinstance(given, dict) else object()
    arguments = [dict(features_extractor_kwargs=dict(strides=(2,), pretrained=each)) for each in (given, saved, None)]
    assert are_same_arguments(arguments[0], arguments[1])
    assert not are_same_arguments(arguments[0], arguments[2]) and not are_same_arguments(arguments[2], arguments[1])


def test_without_an_environment_a_loaded_model_predicts(tmp_path):
    model = make().learn(15)
    model.save(tmp_path / "model")
    loaded = FPAC.load(tmp_path / "model")
    obs = np.stack([model.observation_space.sample() for _ in range(3)])
    assert loaded.env is None
    assert np.array_equal(model.predict(obs, deterministic=True)[0], loaded.predict(obs, deterministic=True)[0])


def test_parameters_can_be_carried_over_while_training():
    source, target = filled(seed=0), filled(seed=1)
    target.train(2, batch_size=8)
    target.set_parameters(source.get_parameters())
    assert same(snapshot(source.policy), snapshot(target.policy))
    target.train(2, batch_size=8)  # and they are what goes on learning
    assert not same(snapshot(source.policy.actor), snapshot(target.policy.actor))
    assert not same(snapshot(source.policy.critic), snapshot(target.policy.critic))


def test_learning_goes_on_where_it_stopped():
    model = make().learn(20)
    before = snapshot(model.policy)
    model.learn(15, reset_num_timesteps=False)
    assert (model.num_timesteps, model._n_updates, model.num_env_steps) == (35, 25, 35)
    assert model.replay_buffer.size() == 35
    assert not same(before, snapshot(model.policy))


@pytest.mark.parametrize("noisy", [False, True])
def test_acts_as_sac_does(noisy):
    """Random actions, then the policy's with action noise on top, bit for bit"""
    actions = []
    for algorithm in (FPAC, SAC):
        noise = NormalActionNoise(np.zeros(2), np.full(2, 0.3)) if noisy else None
        model = make(algorithm=algorithm, action_noise=noise, gradient_steps=0)
        model.learn(30)
        actions.append(model.replay_buffer.actions[:30, 0].copy())
    assert np.array_equal(*actions)
    if noisy:
        assert not np.array_equal(actions[0], make(gradient_steps=0).learn(30).replay_buffer.actions[:30, 0])


def test_gsde_trains():
    model = make(use_sde=True, sde_sample_freq=4, use_sde_at_warmup=True)
    dumps = logged_by(model)
    before = snapshot(model.actor)
    model.learn(30, log_interval=1)
    assert not same(before, snapshot(model.actor)) and dumps[-1]["train/std"] > 0


def test_policy_kwargs_of_the_caller_stay_as_they_are():
    policy_kwargs = dict(net_arch=[16], features_extractor_kwargs=dict(n_points=3))
    before = {**policy_kwargs, "features_extractor_kwargs": dict(n_points=3)}
    FPAC("CnnPolicy", Noise(), policy_kwargs=policy_kwargs, **SHORT).learn(12)
    assert policy_kwargs == before


def test_classes_of_ones_own_are_taken():
    class Extractor(FeaturePointExtractor):
        pass

    class Policy(FPACPolicy):
        pass

    class Buffer(FrameReplayBuffer):
        pass

    model = make(policy=Policy, policy_kwargs=dict(features_extractor_class=Extractor), replay_buffer_class=Buffer)
    model.learn(15)
    kinds = type(model.policy.features_extractor), type(model.policy), type(model.replay_buffer)
    assert kinds == (Extractor, Policy, Buffer)


def test_grey_frames_are_told_to_extractor_and_buffer_at_once():
    env = Noise()
    env.observation_space = spaces.Box(0, 255, (4, SIZE, SIZE), np.uint8)
    env._obs = lambda: np.concatenate([frame[:2] for frame in env.frames])  # as if each were two grey frames
    env.n_frames = 2
    model = make(env, policy_kwargs=dict(features_extractor_kwargs=dict(n_points=3, frame_channels=2)))
    assert (model.replay_buffer.n_frames, model.replay_buffer.frame_channels) == (2, 2)
    assert model.learn(15)._n_updates == 5


# --- What it refuses


def states():
    return Spaces(spaces.Box(-1, 1, (3,), np.float32))


def dicts():
    return Spaces(spaces.Dict(image=spaces.Box(0, 255, (6, SIZE, SIZE), np.uint8)))


class GreyPoints(FeaturePointExtractor):
    def __init__(self, observation_space: spaces.Box):
        super().__init__(observation_space, n_points=4, frame_channels=1)


GREY = dict(features_extractor_class=GreyPoints, features_extractor_kwargs={})


def test_what_sac_is_given_can_be_given_to_fpac():
    model = make(Noise(), policy_kwargs=fpac_kwargs)
    assert model.policy_delay == model.policy_kwargs["actor_update_interval"] == 2
    train(filled(policy_kwargs=fpac_kwargs), 2)


def test_an_extractor_that_knows_its_frames_wants_a_buffer_that_does():
    model = make(Noise(), policy_kwargs=GREY, replay_buffer_kwargs=dict(frame_channels=1))
    assert model.policy.features_extractor.n_frames == model.replay_buffer.n_frames == 6


def cameras(front, wrist):
    images = dict(front=spaces.Box(0, 255, front, np.uint8), wrist=spaces.Box(0, 255, wrist, np.uint8))
    return Spaces(spaces.Dict(images))


class WithActions(Noise):
    def __init__(self, space):
        super().__init__()
        self.action_space = space


@pytest.mark.parametrize(
    "message, env, kwargs",
    [
        ("CnnPolicy.*MlpPolicy.*SAC", Noise, dict(policy="MlpPolicy")),
        ("CnnPolicy.*SACCnnPolicy", Noise, dict(policy=SACCnnPolicy)),
        ("MultiInputPolicy", dicts, {}),
        ("images.*state vectors use SAC", states, {}),
        ("NatureCNN", Noise, dict(policy_kwargs=dict(features_extractor_class=NatureCNN))),
        ("policy_delay.*actor_update_interval", Noise, dict(policy_kwargs=dict(actor_update_interval=1))),
        ("frame_channels=1, but.*3: pass replay_buffer_kwargs", Noise, dict(policy_kwargs=GREY)),
        ("policy_delay .*at least 1.*got 0", Noise, dict(policy_delay=0)),
        ("policy_delay .*whole number.*got 1.5", Noise, dict(policy_delay=1.5)),
        ("target_update_interval .*got 0", Noise, dict(target_update_interval=0)),
        ("random_shift must be from 0 to .*got -1", Noise, dict(random_shift=-1)),
        ("compile .*'auto', got 'fast'", Noise, dict(compile="fast")),
        ("FrameReplayBuffer.*got ReplayBuffer", Noise, dict(replay_buffer_class=ReplayBuffer)),
        ("optimize_memory_usage=False", Noise, dict(optimize_memory_usage=True)),
        ("norm_obs=False", lambda: VecNormalize(DummyVecEnv([Noise])), {}),
        ("floats, got .*int64", lambda: WithActions(spaces.Box(0, 5, (2,), np.int64)), {}),
        ("bounds, got .*leave out ClipAction.*TransformAction", lambda: WithActions(spaces.Box(-np.inf, np.inf, (2,))), {}),
        ("actions with bounds", lambda: WithActions(spaces.Box(np.float32([0, -1]), np.float32([np.inf, 1]))), {}),
        ("only one value", lambda: WithActions(spaces.Box(np.float32([0, -1]), np.float32([0, 1]))), {}),
        (
            r"'wrist' of shape \(20, 24, 6\) has its channels last, and 'front' of shape \(6, 24, 20\) has them first",
            lambda: cameras((6, 24, 20), (20, 24, 6)),
            dict(policy="MultiInputPolicy"),
        ),
        ("an id, got list: .*make_vec_env", lambda: [Noise()], {}),
        ("n_critics must be at least 1, got 0", Noise, dict(policy_kwargs=dict(n_critics=0))),
        ("must be a class, got 'Points'", Noise, dict(policy_kwargs=dict(features_extractor_class="Points"))),
        ("classes FrameReplayBuffer.*got 'Frames'", Noise, dict(replay_buffer_class="Frames")),
        ("random_shift is a dict by key, but .*single image", Noise, dict(random_shift=dict(pixels=2))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_arguments_are_refused_in_one_sentence(message, env, kwargs):
    with pytest.raises(ValueError, match=message) as error:
        make(env(), **kwargs)
    assert "\n" not in str(error.value)


def test_learn_says_that_it_ended_before_the_first_update(recwarn):
    model = make(Noise(), learning_starts=5)
    with pytest.warns(UserWarning, match="not trained: learn ended at agent step 5, .* up to learning_starts=5"):
        model.learn(5)
    recwarn.clear()
    model.learn(1, reset_num_timesteps=False)
    assert model._n_updates == 1 and not [each for each in recwarn if "not trained" in str(each.message)]


def test_arguments_have_the_positions_that_they_have_in_sac():
    of_sac, of_fpac = (list(inspect.signature(each).parameters) for each in (SAC, FPAC))
    assert of_fpac[: len(of_sac) - 1] == of_sac[:-1]


def test_values_that_a_callback_changes_are_checked():
    model = fill(make(Noise()), 30)
    train(model, 1)
    model.target_entropy = -3
    train(model, 1)
    assert model._update.target_entropy == -3
    model.policy_delay = 0
    with pytest.raises(ValueError, match="policy_delay must be at least 1, got 0"):
        train(model, 1)


def test_a_refused_set_of_parameters_makes_the_update_anew():
    model, other = fill(make(Noise()), 30), make(Noise(), policy_kwargs=dict(net_arch=[9]))
    train(model, 1)
    with pytest.raises(RuntimeError, match="left as it was"):
        model.set_parameters(other.get_parameters())
    assert model._update is None


def test_an_environment_is_needed():
    with pytest.raises(ValueError, match="FPAC needs an environment, a VecEnv or an id, got NoneType"):
        FPAC("CnnPolicy", None)


# --- What may go wrong in a long run


# ------------------------------------------------------------------------------------------------- interrupted in mid-step


def stops_at(step):
    return lambda variables, _: variables["self"].num_timesteps < step


def breaks_at(step):
    def interrupt(variables, _):
        if variables["self"].num_timesteps == step:
            raise KeyboardInterrupt
        return True

    return interrupt


def broken(model):
    """Positions of stored transitions whose next observation does not continue the observation"""
    buffer = model.replay_buffer
    everything = np.arange(buffer.size())
    samples = buffer._get_samples(everything) if buffer.n_steps == 1 else ReplayBuffer._get_samples(buffer, everything)
    references = samples.observations, samples.next_observations
    stacks = [buffer.stores[None].images(each.numpy(), th.device("cpu")) if each.ndim == 2 else each for each in references]
    return [i for i in everything if not stacks[0][i, 3:].equal(stacks[1][i, :-3])]


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("stop", [stops_at, breaks_at], ids=["callback", "Ctrl-C"])
@pytest.mark.parametrize("n_envs", [1, 2])
def test_learning_goes_on_after_a_stop_in_the_middle_of_a_step(n_steps, stop, n_envs):
    model = make(DummyVecEnv([Noise] * n_envs), learning_starts=4, n_steps=n_steps)
    with contextlib.suppress(KeyboardInterrupt):
        model.learn(100, callback=stop(17 * n_envs))
    pos = model.replay_buffer.pos
    with pytest.warns(UserWarning, match=r"The transition before agent step \d+ .* is not stored"):
        model.learn(40, reset_num_timesteps=False)
    assert model.replay_buffer.dones[pos - 1].all()  # n-step returns end there
    assert broken(model) == [] and model._n_updates > 40 // n_envs


def test_an_evaluation_in_the_environment_of_the_training_leaves_no_false_transition():
    env = DummyVecEnv([Noise])
    model = make(env, learning_starts=4)
    callback = EvalCallback(env, n_eval_episodes=1, eval_freq=7, warn=False, verbose=0)
    with (
        pytest.warns(UserWarning, match="EvalCallback plays in the environment of training"),
        pytest.warns(UserWarning, match="Evaluate in an environment of its own"),
    ):
        model.learn(20, callback=callback)
    assert broken(model) == [] and model.replay_buffer.size() == 20 - 2


@pytest.mark.parametrize("n_steps", [1, 3])
def test_frames_in_the_wrong_order_are_refused_at_the_first_step(n_steps):
    class NewestFirst(Noise):
        def reset(self, **kwargs):
            obs, info = super().reset(**kwargs)
            return np.roll(obs, 3, axis=0), info

        def step(self, action):
            obs, *rest = super().step(action)
            return (np.roll(obs, 3, axis=0), *rest)

    with pytest.raises(ValueError, match="stack frames oldest first"):
        make(NewestFirst(), n_steps=n_steps).learn(2)


def test_a_new_call_of_learn_starts_new_episodes_in_the_buffer():
    model = make(learning_starts=100).learn(5)
    assert not model.replay_buffer.dones[4].any()
    model.learn(3)
    assert model.replay_buffer.dones[4].all() and model.replay_buffer.timeouts[4].all()


@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_a_reward_that_is_no_number_stops_learning_and_says_when(reward):
    model = make(Noise(rewards={17: reward}))
    with pytest.raises(FloatingPointError, match=f"reward .*{reward}.* at agent step 17"):
        model.learn(40)
    assert np.isfinite(model.replay_buffer.rewards).all()
    assert all(parameter.isfinite().all() for parameter in model.policy.parameters())


@pytest.mark.parametrize("part", ["critic", "features_extractor"])
def test_a_loss_that_is_no_number_stops_learning_and_what_was_saved_stays(part, tmp_path):
    model = make().learn(20)
    model.save(tmp_path / "model.zip")
    before = (tmp_path / "model.zip").read_bytes()
    with th.no_grad():
        next(iter(getattr(model.policy, part).parameters())).fill_(math.nan)
    model.predict = lambda obs, **kwargs: (np.zeros((1, 2), np.float32), None)  # the policy could not act any more
    with pytest.raises(FloatingPointError, match=r"critic loss is nan at agent step 21 \(update 11\).*lower learning rate"):
        model.learn(20, reset_num_timesteps=False)
    with pytest.raises(FloatingPointError, match="agent step 21"):
        model.save(tmp_path / "model.zip")
    assert (tmp_path / "model.zip").read_bytes() == before
    assert all(parameter.isfinite().all() for parameter in FPAC.load(tmp_path / "model").policy.parameters())


def test_weights_that_are_no_numbers_are_not_saved_over_a_good_file(tmp_path):
    """The last update's loss was finite and its gradient was not"""
    model = make().learn(20)
    model.save(tmp_path / "model.zip")
    before = (tmp_path / "model.zip").read_bytes()

    def overflow(*args):
        model.actor.mu.weight.grad.fill_(math.inf)

    model.actor.optimizer.register_step_pre_hook(overflow)
    with pytest.raises((FloatingPointError, ValueError)):  # the latter is PyTorch's, of a distribution without a mean
        model.learn(20, reset_num_timesteps=False)
    assert not model.actor.mu.weight.isfinite().all()
    with pytest.raises(FloatingPointError):
        model.save(tmp_path / "model.zip")
    assert (tmp_path / "model.zip").read_bytes() == before


@pytest.mark.filterwarnings("ignore:A reward has numbers up to")
def test_rewards_that_overflow_the_loss_stop_learning():
    model = make(Noise(rewards={12: 1e30}), learning_starts=20, batch_size=64)
    with pytest.raises(FloatingPointError, match=r"critic loss is inf at agent step 21 \(update 1\)"):
        model.learn(40)


@pytest.mark.slow
def test_memory_does_not_grow_with_updates():
    model = filled(policy_kwargs=dict(net_arch=[8], features_extractor_kwargs=dict(n_points=2, precision="float32")))
    process = psutil.Process()
    model.train(100, batch_size=8)  # warm-up
    gc.collect()
    memory = [process.memory_info().rss]
    for _ in range(4):
        for _ in range(25):
            model.train(10, batch_size=8)
        gc.collect()
        memory.append(process.memory_info().rss)
    grown = np.diff(memory) / 2**20  # a leak grows each time, the memory allocator of a long test run now and then
    assert grown.min() < 1, f"MB after each 250 updates, whose batches hold 20 kB each: {grown}"


@pytest.mark.slow
def test_nothing_is_left_open_when_parallel_environments_are_closed():
    process = psutil.Process()
    forkserver.ensure_running()  # of Python, stays
    gc.collect()
    files, children = process.num_fds(), set(process.children(recursive=True))
    env = SubprocVecEnv([Noise, Noise], start_method="forkserver")
    workers = set(process.children(recursive=True)) - children
    assert len(workers) == 2
    assert make(env).learn(40)._n_updates == 15
    env.close()
    del env
    gc.collect()
    psutil.wait_procs(workers, timeout=5)
    assert set(process.children(recursive=True)) == children
    assert process.num_fds() <= files


class OwnForward(FeaturePointExtractor):
    def forward(self, observations):
        return 2 * super().forward(observations)


class OwnState(FeaturePointExtractor):
    n_learned = 0

    def state(self, *args):
        self.n_learned += th.is_grad_enabled()  # not where the agent acts
        return 2 * super().state(*args)


class OwnActor(SACActor):
    def get_action_dist_params(self, obs):
        mean, log_std, kwargs = super().get_action_dist_params(obs)
        return mean, log_std.clamp(-2, 0), kwargs


class OwnActorPolicy(FPACPolicy):
    actor_class = OwnActor


class OwnSamples(FrameReplayBuffer):
    def sample(self, *args):
        return super().sample(*args)


@pytest.mark.parametrize(
    ("policy", "kwargs", "sentence"),
    [
        (
            "CnnPolicy",
            dict(policy_kwargs=dict(features_extractor_class=OwnForward)),
            r"OwnForward\.forward: override encode_frames or state, which it calls, or use SAC with OwnForward\.",
        ),
        (OwnActorPolicy, {}, r"OwnActor\.get_action_dist_params: use SAC with OwnActor\."),
        ("CnnPolicy", dict(replay_buffer_class=OwnSamples), r"OwnSamples\.sample: override sample_frames"),
    ],
)
def test_methods_that_the_update_would_not_call_are_refused(policy, kwargs, sentence):
    with pytest.raises(ValueError, match=f"FPAC's update would not call {sentence}"):
        FPAC(policy, Noise(), buffer_size=9, **kwargs)


def test_a_method_that_the_update_calls_can_be_overridden():
    kwargs = dict(policy_kwargs=dict(features_extractor_class=OwnState, net_arch=[8]))
    model = FPAC("CnnPolicy", Noise(), **SHORT, **kwargs).learn(14)
    assert model.policy.features_extractor.n_learned == model._n_updates == 4


class Replaces(BaseCallback):
    """Replaces a part of the agent before the last ten updates"""

    def __init__(self, replace):
        super().__init__()
        self.replace = replace

    def _on_step(self):
        if self.num_timesteps == 21:
            self.replace(self.model)
            self.before = snapshot(self.model.policy)
        return True


def new_policy(model):
    model.policy = model.policy_class(model.observation_space, model.action_space, model.lr_schedule, **model.policy_kwargs)
    model._create_aliases()


def larger_ent_coef(model):
    model.ent_coef_tensor = th.tensor(1000.0)


def new_ent_coef(model):
    model.log_ent_coef = th.full((1,), 5.0, requires_grad=True)
    model.ent_coef_optimizer = th.optim.Adam([model.log_ent_coef], lr=0.1)


def test_a_policy_that_a_callback_replaces_is_the_one_that_learns():
    callback = Replaces(new_policy)
    model = FPAC("CnnPolicy", Noise(), **SHORT, policy_kwargs=POLICY).learn(30, callback=callback)
    assert not same(callback.before, snapshot(model.policy))


def test_the_ent_coef_of_a_callback_is_used():
    weights = [
        FPAC("CnnPolicy", Noise(), ent_coef=0.1, **SHORT, policy_kwargs=POLICY).learn(30, callback=each).actor
        for each in (None, Replaces(larger_ent_coef))
    ]
    assert not same(*map(snapshot, weights))
    model = FPAC("CnnPolicy", Noise(), **SHORT, policy_kwargs=POLICY).learn(30, callback=Replaces(new_ent_coef))
    assert model.log_ent_coef.item() != 5
