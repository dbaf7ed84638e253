"""Exported agents act as they did, without Stable-Baselines3."""

import json
import subprocess
import sys

import gymnasium as gym
import numpy as np
import onnx
import onnxruntime
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import Noise, Robot, StackedNoise
from helpers.processes import run_python
from sb3_contrib import QRDQN, TQC, TRPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.policies import ActorCriticCnnPolicy
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_fpac import (
    FPAC,
    FeaturePointCombinedExtractor,
    FeaturePointExtractor,
    FPACTQCPolicy,
    fpac_fast,
    fpac_kwargs,
    load_weights,
    save_weights,
)
from sb3_fpac.__main__ import main
from sb3_fpac.export import ExportedAgent, check, export_onnx, export_torchscript
from sb3_fpac.visualization.episode import record_episode

BUFFER = dict(buffer_size=20, seed=0)
BFLOAT16 = dict(features_extractor_kwargs=dict(precision="bfloat16"))
POINTS = dict(features_extractor_class=FeaturePointExtractor)
WHITENED = dict(features_extractor_kwargs=dict(whiten=True))
BY_KEY = dict(frame_channels=dict(front=3, wrist=1), camera_shift=dict(front=True), n_points=dict(front=3, wrist=2))


class WideActions(StackedNoise):
    """Actions that are not in [-1, 1]"""

    def __init__(self, *args):
        super().__init__(*args)
        self.action_space = spaces.Box(np.float32([-3, 0]), np.float32([1, 9]))


class TwoArms(StackedNoise):
    """Actions with two axes"""

    def __init__(self, *args):
        super().__init__(*args)
        self.action_space = spaces.Box(-2, np.float32([[1, 2, 3], [4, 5, 6]]))


class Choices(StackedNoise):
    def __init__(self, action_space=None):
        super().__init__()
        self.action_space = action_space or spaces.Discrete(3)


class OwnPPO(PPO):
    pass


@pytest.mark.parametrize("suffix", [".zip", ".safetensors"])
def test_the_statistics_of_vec_normalize_are_not_left_out(suffix, tmp_path, monkeypatch, capsys):
    model, path = normalized_robot_agent(), tmp_path / f"agent{suffix}"
    model.save(path) if suffix == ".zip" else save_weights(model, path)
    loaded = FPAC.load(path) if suffix == ".zip" else load_weights(path)
    with pytest.raises(ValueError, match=r"trained with VecNormalize of 'joints', whose statistics are missing.*set_env"):
        ExportedAgent(loaded)
    command = ["export", "--model", path, "--env", "helpers.environments:Robot", "-o", tmp_path / "policy.pt"]
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", *map(str, command)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert f"{path} was trained with VecNormalize of 'joints'" in str(stop.value.code)
    model.get_vec_normalize_env().save(str(tmp_path / "vecnormalize.pkl"))
    main()
    assert f"MB, acts as {path}" in capsys.readouterr().out
    command[-1] = tmp_path / "again.safetensors"
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", *map(str, command)])
    main()
    assert f"MB, weights of {path}" in capsys.readouterr().out  # no output of the file has been compared
    exported = th.jit.load(tmp_path / "policy.pt")
    observation, _ = Robot(seed=3).reset(seed=3)
    normalized = model.get_vec_normalize_env().normalize_obs({key: np.array(part)[None] for key, part in observation.items()})
    actions, *_ = exported({key: th.as_tensor(np.array(part)[None]) for key, part in observation.items()})
    np.testing.assert_allclose(actions.numpy(), model.predict(normalized, deterministic=True)[0], atol=1e-5)


def robot_agent(env=None, **kwargs):
    policy_kwargs = dict(net_arch=[16], features_extractor_kwargs=BY_KEY)
    return FPAC("MultiInputPolicy", env or Robot(), policy_kwargs=policy_kwargs, **BUFFER, **kwargs)


def normalized_robot_agent():
    env = VecNormalize(DummyVecEnv([Robot]), norm_obs_keys=["joints"])
    model = robot_agent(env, learning_starts=1000).learn(30)
    env.training = False
    return model


AGENTS = {
    "fpac": lambda: FPAC("CnnPolicy", WideActions(), policy_kwargs=BFLOAT16, **BUFFER),
    "camera_shift": lambda: FPAC("CnnPolicy", WideActions(2, True), **BUFFER),
    "preset": lambda: FPAC("CnnPolicy", StackedNoise(), **BUFFER, **fpac_fast),
    "whitened": lambda: FPAC("CnnPolicy", StackedNoise(), policy_kwargs=WHITENED, **BUFFER),
    "gsde": lambda: FPAC("CnnPolicy", WideActions(), use_sde=True, **BUFFER),
    "dict": robot_agent,
    "normalized": normalized_robot_agent,
    "tqc": lambda: TQC(FPACTQCPolicy, WideActions(), **BUFFER),
    "ppo": lambda: PPO("CnnPolicy", WideActions(), policy_kwargs=POINTS, seed=0),
    "trpo": lambda: TRPO("CnnPolicy", WideActions(), policy_kwargs=POINTS, seed=0),
    "ppo_subclass": lambda: OwnPPO("CnnPolicy", WideActions(), policy_kwargs=POINTS, seed=0),
    "ppo_two_encoders": lambda: PPO(
        "CnnPolicy", WideActions(), policy_kwargs=dict(POINTS, share_features_extractor=False), seed=0
    ),
    "a2c_dict": lambda: A2C(
        "MultiInputPolicy",
        Robot(("front", "joints")),
        policy_kwargs=dict(features_extractor_class=FeaturePointCombinedExtractor, share_features_extractor=False),
        seed=0,
    ),
    "two_arms": lambda: FPAC("CnnPolicy", TwoArms(), **BUFFER),
    "ppo_two_arms": lambda: PPO("CnnPolicy", TwoArms(), policy_kwargs=POINTS, seed=0),
    "a2c": lambda: A2C("CnnPolicy", Choices(), policy_kwargs=POINTS, seed=0),
    "td3": lambda: TD3("CnnPolicy", WideActions(), policy_kwargs=POINTS, **BUFFER),
    "dqn": lambda: DQN("CnnPolicy", Choices(), policy_kwargs=POINTS, **BUFFER),
    "qrdqn": lambda: QRDQN("CnnPolicy", Choices(), policy_kwargs=POINTS, **BUFFER),
    "ppo_multi": lambda: PPO("CnnPolicy", Choices(spaces.MultiDiscrete([2, 3])), policy_kwargs=POINTS, seed=0),
    "ppo_binary": lambda: PPO("CnnPolicy", Choices(spaces.MultiBinary(4)), policy_kwargs=POINTS, seed=0),
    "channels_last": lambda: SAC(
        "CnnPolicy", Noise(), policy_kwargs=dict(fpac_kwargs, features_extractor_kwargs=dict(velocity=False)), **BUFFER
    ),
}


def scramble(model):
    """Another last layer of the actor: the actions of the initial one are near the middle"""
    with th.no_grad():
        for name, parameter in model.policy.named_parameters():
            if ".mu." in name or "action_net" in name:
                parameter.add_(0.1 * th.randn(parameter.shape, generator=th.Generator().manual_seed(parameter.numel())))
    return model


def in_float32(model):
    for module in model.policy.modules():
        if hasattr(module, "precision"):
            module.precision = "float32"


def as_sb3_acts(model, observation):
    """SB3's own predict, on what its vectorized environments hand to it"""
    env, last = model.get_vec_normalize_env(), model.get_env()
    numpy = {key: part.numpy() for key, part in observation.items()} if isinstance(observation, dict) else observation.numpy()
    if env is not None:
        numpy = env.normalize_obs(numpy)
    if hasattr(last, "transpose_observations"):
        numpy = last.transpose_observations(numpy)
    return model.predict(numpy, deterministic=True)[0]


def onnx_outputs(path, observation):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, check.to_numpy(observation))


@pytest.mark.parametrize("name", AGENTS)
def test_torchscript_acts_as_sb3_does(name, tmp_path):
    model = scramble(AGENTS[name]())
    path = export_torchscript(model, tmp_path / "policy.pt")
    in_float32(model)
    loaded, agent = th.jit.load(str(path)), ExportedAgent(model)
    for batch_size in (64, 1, 7):
        observation = agent.example(batch_size, seed=9)
        expected, got = as_sb3_acts(model, observation), loaded(observation)[0]
        assert got.shape == expected.shape
        np.testing.assert_allclose(got, expected, atol=1e-4, rtol=0)
    if isinstance(model.action_space, spaces.Box):
        assert len(np.unique(got)) > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fpac", "preset", "camera_shift", "dict", "tqc", "ppo", "two_arms"])  # ten seconds each
def test_onnx_acts_as_sb3_does(name, tmp_path):
    model = scramble(AGENTS[name]())
    path = export_onnx(model, tmp_path / "policy.onnx")
    in_float32(model)
    agent = ExportedAgent(model)
    for batch_size in (64, 1, 7):
        observation = agent.example(batch_size, seed=9)
        expected, got = as_sb3_acts(model, observation), onnx_outputs(path, observation)
        assert got[0].shape == expected.shape
        np.testing.assert_allclose(got[0], expected, atol=1e-4, rtol=0)
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    description = json.loads(metadata["sb3_fpac"])
    assert description["inputs"].keys() == set(agent.input_names) and "torch" in description["versions"]
    assert [each.name for each in path.parent.iterdir()] == ["policy.onnx"]


def test_points_are_pixels_of_the_current_frame():
    model = scramble(FPAC("CnnPolicy", StackedNoise(2, True), **BUFFER))
    agent = ExportedAgent(model)
    observation = agent.example(3)
    _, points = agent(observation)
    extractor = agent.policy.features_extractor
    expected = extractor.points(observation.float() / 255)[:, -1]
    th.testing.assert_close(points[..., :2], extractor.to_pixels(expected))
    th.testing.assert_close(points[..., 2], expected[..., 2])
    assert agent.output_names == ["actions", "points"]
    assert ExportedAgent(robot_agent()).output_names == ["actions", "points_front", "points_wrist"]


def test_always_float32_and_nothing_of_the_agent_changes():
    model = FPAC(
        "CnnPolicy", StackedNoise(), policy_kwargs=dict(features_extractor_kwargs=dict(precision="bfloat16")), **BUFFER
    )
    agent = ExportedAgent(model)
    assert agent.policy.features_extractor.encoder.precision == "float32"
    assert model.policy.features_extractor.encoder.precision == "bfloat16"
    assert not any(parameter.requires_grad for parameter in agent.parameters())
    assert all(parameter.requires_grad for parameter in model.policy.features_extractor.parameters())
    model.learn(12)


def test_a_file_that_acts_otherwise_gets_no_name(tmp_path, monkeypatch):
    model = scramble(FPAC("CnnPolicy", StackedNoise(), **BUFFER))
    load = th.jit.load

    def wrong(path):
        loaded = load(path)
        return lambda observation: [output + 0.01 for output in loaded(observation)]

    monkeypatch.setattr(th.jit, "load", wrong)
    with pytest.raises(
        ValueError, match=r"policy.pt was not written, because its actions differ from the agent's by 0.01.*: export ONNX"
    ):
        export_torchscript(model, tmp_path / "policy.pt")
    assert list(tmp_path.iterdir()) == []


class Opposite(ActorCriticCnnPolicy):
    """Acts in another way than its networks"""

    def _predict(self, observation, deterministic=False):
        return -super()._predict(observation, deterministic)


class Still(PPO):
    def predict(self, *args, **kwargs):
        actions, state = super().predict(*args, **kwargs)
        return np.zeros_like(actions), state


@pytest.mark.parametrize(("algorithm", "policy"), [(PPO, Opposite), (Still, "CnnPolicy")])
def test_an_agent_that_acts_in_a_way_of_its_own_is_refused(algorithm, policy, tmp_path):
    model = scramble(algorithm(policy, StackedNoise(), policy_kwargs=POINTS, seed=0))
    words = rf"{algorithm.__name__} with \w+ cannot be exported, because its predict returns actions that differ by .*: use an"
    with pytest.raises(ValueError, match=words):
        export_torchscript(model, tmp_path / "policy.pt")
    assert not list(tmp_path.iterdir())


def test_description_of_inputs():
    from sb3_fpac.export.description import describe_agent

    description = describe_agent(ExportedAgent(robot_agent()))
    front, joints = description["inputs"]["front"], description["inputs"]["joints"]
    assert (front["n_frames"], front["frame_channels"], front["camera_shift"], front["shape"]) == (2, 3, True, [7, 17, 19])
    assert (joints["low"], joints["high"], joints["dtype"]) == (-3.0, 3.0, "float64") and "n_frames" not in joints
    assert description["inputs"]["mode"]["n"] == 3
    assert json.loads(json.dumps(description)) == description


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: RecurrentPPO("CnnLstmPolicy", StackedNoise(), policy_kwargs=POINTS),
            "RecurrentPPO with RecurrentActorCriticCnnPolicy cannot be exported, .*: train SAC",
        ),
        (lambda: PPO("CnnPolicy", Spaces36()), "no feature points"),
    ],
)
def test_what_cannot_be_exported_is_refused(make, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        export_torchscript(make(), tmp_path / "policy.pt")


class WithVector(gym.ObservationWrapper):
    """A stack, and a vector under a key"""

    def __init__(self, key, vector):
        super().__init__(StackedNoise())
        self.key, self.vector = key, vector
        self.observation_space = spaces.Dict({"eye": self.env.observation_space, key: vector})

    def observation(self, observation):
        return {"eye": observation, self.key: np.zeros(self.vector.shape, self.vector.dtype)}


@pytest.mark.parametrize("key", ["actions", "points_eye"])
def test_a_key_that_is_the_name_of_an_output_is_refused_by_onnx_alone(key, tmp_path):
    model = FPAC("MultiInputPolicy", WithVector(key, spaces.Box(-1, 1, (2,))), **BUFFER)
    with pytest.raises(ValueError, match=f"the key '{key}', which is also the name of an output.*TorchScript"):
        export_onnx(model, tmp_path / "policy.onnx")
    assert not list(tmp_path.iterdir())
    observation = ExportedAgent(model).example(3)
    actions, _ = th.jit.load(str(export_torchscript(model, tmp_path / "policy.pt")))(observation)
    assert actions.shape == (3, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_that_are_the_largest_floats_are_none(dtype, tmp_path):
    largest = np.finfo(dtype).max
    vector = spaces.Box(np.array([-largest, 5, -largest, -1], dtype), np.array([largest, largest, 5, 1], dtype), dtype=dtype)
    model = scramble(FPAC("MultiInputPolicy", WithVector("joints", vector), **BUFFER))
    samples = ExportedAgent(model).example(64)["joints"].numpy()
    assert samples.dtype == dtype and np.abs(samples).max() < 100
    assert all(sample in vector for sample in samples) and (samples.std(axis=0) > 0).all()
    path = export_torchscript(model, tmp_path / "policy.pt")
    assert len(th.jit.load(str(path))(ExportedAgent(model).example(2))) == 2


class Spaces36(StackedNoise):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(0, 255, (6, 36, 36), np.uint8)


def test_export_without_onnx_names_what_is_missing(tmp_path):
    agent = FPAC("CnnPolicy", "dmc-cartpole-swingup", buffer_size=10, policy_kwargs=dict(net_arch=[8]))
    save_weights(agent, tmp_path / "agent.safetensors")
    code = "import sys; sys.modules['onnx'] = None; from sb3_fpac.__main__ import main; main()"
    options = ["--model", tmp_path / "agent.safetensors", "--env", "dmc-cartpole-swingup"]
    done = run_python("-c", code, "export", *options, "-o", tmp_path / "policy.onnx", expect=1)
    assert done.stderr.strip().splitlines()[-1] == 'error: onnx is missing: pip install "sb3-fpac[export]"'
    assert not (tmp_path / "policy.onnx").exists()


def test_importing_the_package_needs_no_onnx():
    code = "import sys; sys.modules['onnx'] = sys.modules['onnxruntime'] = None; import sb3_fpac.export"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_agent_that_learned_with_vec_normalize_does_so_everywhere(tmp_path):
    model = normalized_robot_agent()
    by_hand = model.get_vec_normalize_env()
    raw, normalized = (record_episode(model, env, max_steps=3) for env in (Robot(seed=3), model_env(by_hand)))
    np.testing.assert_array_equal(raw.actions, normalized.actions)
    np.testing.assert_array_equal(raw.observations["joints"], normalized.observations["joints"])
    model.save(tmp_path / "agent")
    loaded = FPAC.load(tmp_path / "agent", env=Robot())
    with pytest.raises(
        ValueError, match=r"This agent was trained with VecNormalize of 'joints', whose statistics are missing"
    ):
        loaded.learn(10)
    with pytest.raises(ValueError, match="This agent was trained with VecNormalize of 'joints'"):
        record_episode(loaded, Robot(seed=3), max_steps=3)
    loaded.set_env(VecNormalize(DummyVecEnv([Robot]), norm_obs_keys=["joints"]))
    loaded.learn(10)


def model_env(like):
    env = VecNormalize(DummyVecEnv([lambda: Robot(seed=3)]), training=False, norm_obs_keys=["joints"])
    env.obs_rms = like.obs_rms
    return env


def test_an_agent_that_was_loaded_to_act_does_not_learn_from_one_transition(tmp_path):
    path = save_weights(robot_agent(), tmp_path / "agent.safetensors")
    loaded = load_weights(path)
    loaded.set_env(DummyVecEnv([Robot]))
    with pytest.raises(ValueError, match="a replay buffer of one transition: to train it, load it with its environment"):
        loaded.learn(10)
