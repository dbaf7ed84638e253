"""Files of weights: agents without pickles."""

import json
import pickle
import zipfile

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import Choices, Robot, Spaces, StackedNoise
from helpers.models import same, snapshot
from safetensors import safe_open
from safetensors.torch import save_file
from sb3_contrib import TQC
from stable_baselines3 import A2C, DQN, PPO, SAC
from torch import nn

from sb3_fpac import FPAC, FeaturePointExtractor, FPACPolicy, fpac_fast, fpac_kwargs, load_weights, save_weights
from sb3_fpac.weights.agents import _checksum

SHORT = dict(buffer_size=60, learning_starts=10, batch_size=4, seed=0)
BY_KEY = dict(frame_channels=dict(front=3, wrist=1), camera_shift=dict(front=True), n_points=dict(front=3, wrist=2))


POINTS = dict(features_extractor_class=FeaturePointExtractor)
SETTINGS = (
    *("gamma", "n_steps", "policy_delay", "random_shift", "learning_rate", "batch_size", "tau", "ent_coef", "train_freq"),
    *(
        "gradient_steps",
        "target_update_interval",
        "learning_starts",
        "gae_lambda",
        "n_epochs",
        "top_quantiles_to_drop_per_net",
    ),
)
AGENTS = {
    "fpac": (lambda env: FPAC("CnnPolicy", env, **SHORT), StackedNoise),
    "preset": (
        lambda env: FPAC("CnnPolicy", env, ent_coef=0.2, tau=0.02, target_update_interval=1, **SHORT, **fpac_fast),
        StackedNoise,
    ),
    "gsde": (lambda env: FPAC("CnnPolicy", env, use_sde=True, **SHORT), StackedNoise),
    "dict": (
        lambda env: FPAC(
            "MultiInputPolicy",
            env,
            policy_kwargs=dict(net_arch=dict(pi=[8], qf=[9]), activation_fn=nn.Tanh, features_extractor_kwargs=BY_KEY),
            random_shift=dict(front=2),
            **SHORT,
        ),
        Robot,
    ),
    "sac": (lambda env: SAC("CnnPolicy", env, policy_kwargs=fpac_kwargs, **SHORT), StackedNoise),
    "sac_policy": (lambda env: SAC(FPACPolicy, env, **SHORT), StackedNoise),
    "ppo": (lambda env: PPO("CnnPolicy", env, policy_kwargs=POINTS, n_steps=8, batch_size=4, seed=0), StackedNoise),
    "a2c": (lambda env: A2C("CnnPolicy", env, policy_kwargs=dict(POINTS), n_steps=8, seed=0), StackedNoise),
    "tqc": (lambda env: TQC("CnnPolicy", env, policy_kwargs=dict(fpac_kwargs), train_freq=(2, "step"), **SHORT), StackedNoise),
    "dqn": (lambda env: DQN("CnnPolicy", env, policy_kwargs=POINTS, **SHORT), Choices),
}


@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize("with_env", [True, False])
def test_loaded_agents_act_as_the_saved_ones(name, with_env, tmp_path):
    make, env = AGENTS[name]
    model = make(env()).learn(20)
    path = save_weights(model, tmp_path / "agent.safetensors")
    assert [each.name for each in tmp_path.iterdir()] == ["agent.safetensors"]
    env_given = env() if with_env else None
    loaded = load_weights(path, env_given)
    assert type(loaded) is type(model) and type(loaded.policy) is type(model.policy)
    assert same(snapshot(model.policy), snapshot(loaded.policy))
    th.testing.assert_close(model.policy.state_dict(), loaded.policy.state_dict(), rtol=0, atol=0)
    obs, _ = env().reset(seed=3)
    np.testing.assert_array_equal(*(each.predict(obs, deterministic=True)[0] for each in (model, loaded)))
    if with_env:
        for setting in SETTINGS:
            assert getattr(loaded, setting, None) == getattr(model, setting, None)
        loaded.learn(20)


def test_hyperparameters_are_those_of_the_file_unless_they_are_passed(tmp_path):
    path = save_weights(FPAC("CnnPolicy", StackedNoise(), **SHORT, **fpac_fast), tmp_path / "agent.safetensors")
    for passed, learning_rate in ((dict(), 1e-3), (dict(learning_rate=1e-4), 1e-4)):
        loaded = load_weights(path, StackedNoise(), **passed)
        assert (loaded.learning_rate, loaded.n_steps, loaded.batch_size) == (learning_rate, 3, 4)
        assert loaded.actor.optimizer.param_groups[0]["lr"] == learning_rate


def test_a_schedule_and_what_is_of_the_machine_are_not_in_the_file(tmp_path):
    model = FPAC("CnnPolicy", StackedNoise(), **{**SHORT, "learning_rate": lambda remaining: 1e-4 * remaining, "seed": 7})
    loaded = load_weights(save_weights(model, tmp_path / "agent.safetensors"), StackedNoise())
    assert (loaded.learning_rate, loaded.buffer_size, loaded.seed) == (3e-4, 100_000, None)


@pytest.mark.parametrize("name", ["SGD", "Adamax", "NAdam", "RAdam", "RMSprop"])
def test_optimizers_of_pytorch_are_data(name, tmp_path):
    kwargs = dict(optimizer_class=getattr(th.optim, name), optimizer_kwargs=dict(weight_decay=0.1))
    path = save_weights(FPAC("CnnPolicy", StackedNoise(), policy_kwargs=kwargs, **SHORT), tmp_path / "agent.safetensors")
    optimizer = load_weights(path).actor.optimizer
    assert type(optimizer).__name__ == name and optimizer.param_groups[0]["weight_decay"] == 0.1


def test_subclasses_are_loaded_as_what_they_extend(tmp_path):
    class Mine(FPAC):
        pass

    path = save_weights(Mine("CnnPolicy", StackedNoise(), **SHORT), tmp_path / "agent.safetensors")
    assert type(load_weights(path)) is FPAC


def test_pretrained_points_need_no_file(tmp_path):
    from sb3_fpac import PretrainedPoints

    extractor = FPAC("CnnPolicy", StackedNoise(), **SHORT).policy.features_extractor
    weights = {name: weight.detach().clone() for name, weight in extractor.encoder.state_dict().items()}
    points = PretrainedPoints(weights, 32, 3, 17, 17, 0.5, "separable", (2, 1, 1, 1), False, {})
    kwargs = dict(features_extractor_kwargs=dict(pretrained=points, frozen=True))
    model = FPAC("CnnPolicy", StackedNoise(), policy_kwargs=kwargs, **SHORT)
    loaded = load_weights(save_weights(model, tmp_path / "agent.safetensors"), StackedNoise())
    assert same(snapshot(model.policy), snapshot(loaded.policy))
    assert not any(parameter.requires_grad for parameter in loaded.policy.features_extractor.parameters())


def rewritten(path, **changes):
    with safe_open(path, framework="pt") as file:
        contents = json.loads(file.metadata()["sb3_fpac"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del contents["checksum"]
    contents |= changes
    contents["checksum"] = _checksum(contents, tensors)  # as whoever writes such a file would
    save_file(tensors, path, metadata={"sb3_fpac": json.dumps(contents)})
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            dict(policy_kwargs={"dict": {"optimizer_class": {"class": "system"}}}),
            "names class 'system', which is not on the list",
        ),
        (dict(policy_kwargs={"dict": {"net_arch": {"eval": "1/0"}}}), "names eval '1/0', which is not on the list"),
        (dict(algorithm="Popen"), "'Popen'; the known ones are"),
        (dict(format=9), "has the format 9, this version reads 1: save it again with this version"),
    ],
)
def test_what_is_not_on_the_list_is_refused(changes, words, tmp_path):
    path = save_weights(FPAC("CnnPolicy", StackedNoise(), **SHORT), tmp_path / "agent.safetensors")
    with pytest.raises(ValueError, match=words):
        load_weights(rewritten(path, **changes), StackedNoise())


class Payload:
    def __reduce__(self):
        return exec, ("open('payload_ran', 'w').close()",)


def test_a_file_of_save_is_no_file_of_weights(tmp_path):
    (tmp_path / "agent.zip").write_bytes(b"")
    with pytest.raises(ValueError, match=r"agent\.zip is a file of model\.save: use FPAC\.load"):
        load_weights(tmp_path / "agent.zip")


def test_pickles_in_place_of_weights_do_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent.safetensors").write_bytes(pickle.dumps(Payload()))
    with zipfile.ZipFile(tmp_path / "zip.safetensors", "w") as file:
        file.writestr("data", pickle.dumps(Payload()))
    th.save(Payload(), tmp_path / "torch.safetensors")
    for name in ("agent", "zip", "torch"):
        with pytest.raises(ValueError, match=rf"{name}\.safetensors is damaged, or no file of save_weights"):
            load_weights(tmp_path / f"{name}.safetensors", StackedNoise())
    assert not (tmp_path / "payload_ran").exists()


def test_damaged_missing_and_foreign_files_are_named(tmp_path):
    path = save_weights(FPAC("CnnPolicy", StackedNoise(), **SHORT), tmp_path / "agent.safetensors")
    with pytest.raises(ValueError, match="agent of another environment: Observation spaces do not match"):
        load_weights(path, StackedNoise(3))
    with pytest.raises(ValueError, match=r"There is no file .*other\.safetensors: check the path"):
        load_weights(tmp_path / "other.safetensors", StackedNoise())
    whole = path.read_bytes()
    for position in (whole.index(b"gamma"), len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(ValueError, match=r"agent\.safetensors is damaged .*its checksum is wrong"):
            load_weights(path, StackedNoise())
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"agent\.safetensors is damaged"):
        load_weights(path, StackedNoise())


def test_what_is_no_data_is_not_saved(tmp_path):
    class Extractor(FeaturePointExtractor):
        pass

    model = FPAC("CnnPolicy", StackedNoise(), policy_kwargs=dict(features_extractor_class=Extractor), **SHORT)
    with pytest.raises(ValueError, match=r"features_extractor_class.* cannot be stored as data\. It is code.*use model\.save"):
        save_weights(model, tmp_path / "agent.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_spaces_come_back_as_they_were(tmp_path):
    from sb3_fpac.weights.json_values import decode, encode

    for space in (
        Robot(goals=True).observation_space,
        spaces.Box(np.array([-1, -np.inf], np.float32), np.array([0.1, np.inf], np.float32)),
        spaces.Discrete(3, start=2),
        spaces.Box(0, 1, (3,), bool),
        spaces.Box(np.iinfo(np.int64).min, np.iinfo(np.int64).max, (2, 2), np.int64),
        spaces.Box(np.array([0, 3]), np.array([7, 2**62 + 1]), dtype=np.int64),
    ):
        again = decode(json.loads(json.dumps(encode(space, "space"))), "file")
        assert again == space and Spaces(again).observation_space == space


def test_what_the_weights_decide_is_not_replaced(tmp_path):
    path = save_weights(FPAC("CnnPolicy", StackedNoise(), buffer_size=9), tmp_path / "agent.safetensors")
    with pytest.raises(ValueError, match=r"policy_kwargs of .*agent\.safetensors are those of its weights: leave them out"):
        load_weights(path, policy_kwargs=dict(net_arch=[8]))
    with pytest.raises(ValueError, match=r"trained with use_sde=False: leave use_sde out, or train a new agent"):
        load_weights(path, use_sde=True)
    assert not load_weights(path, use_sde=False).use_sde
    with pytest.raises(ValueError, match=r"is a file of save_weights: use sb3_fpac\.load_weights"):
        FPAC.load(path)


@pytest.mark.slow
def test_watch_and_export_take_it_and_read_nothing_beside_it(tmp_path, monkeypatch):
    """RL Zoo's settings of a stranger's run would be code"""
    from sb3_fpac.zoo.saved_agents import load_agent

    monkeypatch.chdir(tmp_path)
    import gymnasium as gym

    env = gym.make("dmc-cartpole-balance", size=32)
    path = save_weights(FPAC("CnnPolicy", env, **SHORT), tmp_path / "agent.safetensors")
    settings = tmp_path / "dmc-cartpole-balance"
    settings.mkdir()
    for name in ("args.yml", "config.yml"):
        (settings / name).write_text("!!python/object/apply:builtins.exec [\"open('payload_ran', 'w').close()\"]")
    model, vec_env = load_agent(path, "fpac", "dmc-cartpole-balance", dict(size=32))
    assert type(model) is FPAC and vec_env.num_envs == 1
    vec_env.close()
    assert not (tmp_path / "payload_ran").exists()
