"""Files of strangers run nothing without trust; files of agents are data."""

import base64
import io
import json
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import Choices, Robot, StackedNoise
from helpers.models import same, snapshot
from packaging.version import Version
from rl_zoo3.utils import linear_schedule
from sb3_contrib import QRDQN, TQC, CrossQ, RecurrentPPO
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3, HerReplayBuffer
from stable_baselines3.common.noise import NormalActionNoise, OrnsteinUhlenbeckActionNoise, VectorizedActionNoise
from stable_baselines3.common.type_aliases import TrainFrequencyUnit
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

from sb3_fpac import (
    FPAC,
    FeaturePointExtractor,
    FrameReplayBuffer,
    HerFrameReplayBuffer,
    PixelExtractor,
    fpac_fast,
    fpac_kwargs,
)
from sb3_fpac.buffers.frame_pool import FramePool
from sb3_fpac.files import DamagedFileError
from sb3_fpac.trust import UntrustedFileError, load_model, load_pickle
from sb3_fpac.trust import arrays as trusted_arrays

SHORT = dict(buffer_size=40, learning_starts=8, batch_size=4, seed=0)
ON_POLICY = dict(n_steps=8, seed=0)
BY_KEY = dict(frame_channels=dict(front=3, wrist=1), camera_shift=dict(front=True), n_points=dict(front=3, wrist=2))
POINTS = dict(features_extractor_class=FeaturePointExtractor)


class Goals(gym.Env):
    def __init__(self):
        box = spaces.Box(-1, 1, (2,), np.float32)
        self.observation_space = spaces.Dict(observation=box, achieved_goal=box, desired_goal=box)
        self.action_space = box

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.steps += 1
        return self.observation_space.sample(), 0.0, False, self.steps == 5, {}

    def compute_reward(self, achieved_goal, desired_goal, info):
        return -np.linalg.norm(achieved_goal - desired_goal, axis=-1)


def normalized(env):
    return VecNormalize(DummyVecEnv([lambda: env]))


def pendulum():
    return gym.make("Pendulum-v1")


def cart():
    return gym.make("CartPole-v1")


NORMAL = NormalActionNoise(np.zeros(1), np.ones(1))
WALK = VectorizedActionNoise(OrnsteinUhlenbeckActionNoise(np.zeros(1), np.ones(1)), 1)
IN_ZOO = dict(learning_rate=linear_schedule(1e-3))
AGENTS = {
    "fpac": lambda: FPAC("CnnPolicy", StackedNoise(camera_shift=True), use_sde=True, **SHORT),
    "fpac_fast": lambda: FPAC("CnnPolicy", StackedNoise(), **SHORT, **fpac_fast),
    "fpac_dict": lambda: FPAC(
        "MultiInputPolicy",
        Robot(),
        policy_kwargs=dict(net_arch=dict(pi=[8], qf=[9]), activation_fn=nn.Tanh, features_extractor_kwargs=BY_KEY),
        **SHORT,
    ),
    "fpac_her": lambda: FPAC(
        "MultiInputPolicy",
        Robot(goals=True),
        replay_buffer_class=HerFrameReplayBuffer,
        policy_kwargs=dict(net_arch=[8], features_extractor_kwargs=BY_KEY),
        **SHORT,
    ),
    "sac_points": lambda: SAC(
        "CnnPolicy", StackedNoise(), policy_kwargs=fpac_kwargs, replay_buffer_class=FrameReplayBuffer, **SHORT
    ),
    "sac_pixels": lambda: SAC(
        "CnnPolicy", StackedNoise(), policy_kwargs=dict(features_extractor_class=PixelExtractor), n_steps=3, **SHORT
    ),
    "sac": lambda: SAC("MlpPolicy", pendulum(), action_noise=NORMAL, **SHORT, **IN_ZOO),
    "sac_normalized": lambda: SAC(
        "MlpPolicy",
        normalized(pendulum()),
        learning_rate=LinearSchedule(1e-3, 1e-4, 0.5),
        policy_kwargs=dict(optimizer_class=th.optim.AdamW),
        **SHORT,
    ),
    "sac_her": lambda: SAC(
        "MultiInputPolicy",
        Goals(),
        replay_buffer_class=HerReplayBuffer,
        replay_buffer_kwargs=dict(n_sampled_goal=4, goal_selection_strategy="future"),
        policy_kwargs=dict(net_arch=[8]),
        **SHORT,
    ),
    "tqc": lambda: TQC("MlpPolicy", pendulum(), **SHORT, **IN_ZOO),
    "crossq": lambda: CrossQ("MlpPolicy", pendulum(), **SHORT),
    "td3": lambda: TD3("MlpPolicy", pendulum(), action_noise=WALK, **SHORT),
    "ddpg": lambda: DDPG("MlpPolicy", pendulum(), action_noise=NORMAL, **SHORT),
    "dqn": lambda: DQN("MlpPolicy", cart(), **SHORT),
    "dqn_points": lambda: DQN("CnnPolicy", Choices(), policy_kwargs=POINTS, **SHORT),
    "qrdqn": lambda: QRDQN("MlpPolicy", cart(), **SHORT),
    "ppo": lambda: PPO("MlpPolicy", pendulum(), batch_size=4, clip_range=linear_schedule(0.2), **ON_POLICY, **IN_ZOO),
    "ppo_points": lambda: PPO(
        "CnnPolicy", StackedNoise(), policy_kwargs=dict(activation_fn=nn.ELU, **POINTS), batch_size=4, **ON_POLICY
    ),
    "a2c": lambda: A2C("MlpPolicy", normalized(pendulum()), use_rms_prop=True, **ON_POLICY),
    "ppo_lstm": lambda: RecurrentPPO("MlpLstmPolicy", pendulum(), batch_size=4, **ON_POLICY),
}


def assert_equal(first, second, place=""):
    """Deep equality of what pickles of agents contain"""
    assert type(first) is type(second), place
    if isinstance(first, dict):
        assert first.keys() == second.keys(), place
        for name in first:
            assert_equal(first[name], second[name], f"{place}.{name}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), place
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            assert_equal(one, other, f"{place}[{index}]")
    elif isinstance(first, np.ndarray):
        assert first.dtype == second.dtype, place
        np.testing.assert_array_equal(first, second, err_msg=place)
    elif isinstance(first, np.random.Generator):
        assert first.bit_generator.state == second.bit_generator.state, place
        if Version(np.__version__) >= Version("1.26"):  # older ones do not save the seed
            assert_equal(first.bit_generator.seed_seq.state, second.bit_generator.seed_seq.state, place)
    elif isinstance(first, FramePool):
        assert_equal(first.__getstate__(), second.__getstate__(), place)  # without memory that is not in use
    elif hasattr(first, "__dict__") and not isinstance(first, type) and type(first).__module__ != "torch":
        assert_equal(vars(first), vars(second), place)
    elif not isinstance(first, th.Tensor):
        assert first == second or first is second, place


@pytest.mark.parametrize("name", AGENTS)
def test_agents_of_all_kinds_are_data(name, tmp_path):
    model = AGENTS[name]().learn(24)
    path = tmp_path / "agent.zip"
    model.save(path)
    loaded, trusted = (load_model(type(model), path, trust, device="cpu", env=model.get_env()) for trust in (False, True))
    assert type(loaded.policy) is type(model.policy) and same(snapshot(model.policy), snapshot(loaded.policy))
    with zipfile.ZipFile(path) as archive:
        saved = json.loads(archive.read("data"))
    left_out = {"policy_class", "lr_schedule", "clip_range", "clip_range_vf", "ep_info_buffer", "_stats_window_size"}
    for attribute in saved.keys() - left_out:
        assert_equal(getattr(loaded, attribute), getattr(trusted, attribute), attribute)
    assert loaded.policy_class is model.policy_class and loaded.lr_schedule(0.5) == model.lr_schedule(0.5)

    for path, content in (
        ("buffer.pkl", getattr(model, "replay_buffer", None)),
        ("vecnormalize.pkl", model.get_vec_normalize_env()),
    ):
        if content is not None:
            for protocol in (4, pickle.HIGHEST_PROTOCOL):
                (tmp_path / path).write_bytes(pickle.dumps(content, protocol))
                as_data, as_code = (load_pickle(tmp_path / path, trust) for trust in (False, True))
                assert_equal(as_data, as_code)


class Payload:
    """Makes a file when it is unpickled"""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def poison(model: Path, payload: object, name: str = "action_noise") -> None:
    """Replace an attribute of a saved model by anything"""
    with zipfile.ZipFile(model) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    attributes = json.loads(members["data"])
    pickled = payload if isinstance(payload, bytes) else cloudpickle.dumps(payload)
    attributes[name] = {":type:": "x", ":serialized:": base64.b64encode(pickled).decode()}
    members["data"] = json.dumps(attributes).encode()
    with zipfile.ZipFile(model, "w") as archive:
        for each, content in members.items():
            archive.writestr(each, content)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> bytes:
    content = io.BytesIO()
    SAC("MlpPolicy", pendulum(), **SHORT).save(content)
    return content.getvalue()


def test_a_model_runs_code_only_if_it_is_trusted(saved, tmp_path):
    path, trace = tmp_path / "agent.zip", tmp_path / "trace"
    path.write_bytes(saved)
    poison(path, Payload(trace))
    with pytest.raises(UntrustedFileError, match=rf"{path} \(action_noise\) would run posix.mkdir: pass --trust"):
        load_model(SAC, path, device="cpu")
    assert not trace.exists()
    load_model(SAC, path, device="cpu", custom_objects=dict(action_noise=None))  # which is not read then
    assert not trace.exists()
    load_model(SAC, path, trust=True, device="cpu")
    assert trace.exists()


def test_a_pickle_runs_code_only_if_it_is_trusted(tmp_path):
    path, trace = tmp_path / "replay_buffer.pkl", tmp_path / "trace"
    path.write_bytes(pickle.dumps([1, Payload(trace)]))
    with pytest.raises(UntrustedFileError, match=r"posix\.mkdir"):
        load_pickle(path)
    assert not trace.exists()
    load_pickle(path, trust=True)
    assert trace.exists()


class Reduced:
    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce_ex__(self, protocol):
        return self.reduced


def frombuffer(content):
    return Reduced(np.zeros(1).__reduce_ex__(5)[0], (content, np.dtype("u8"), (1,), "C"))


GENERATOR = np.random.default_rng(0).__reduce__()[0]
BIT_GENERATOR = np.random.PCG64(0).__reduce__()[0]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda: None, id="function"),
        pytest.param(Reduced(getattr, (np.random, "seed")), id="getattr"),
        pytest.param(Reduced(getattr, (TrainFrequencyUnit, "__init_subclass__")), id="getattr of no member"),
        pytest.param(Reduced(getattr, (OrderedDict, "fromkeys")), id="getattr of no Enum"),
        pytest.param(Reduced(getattr, (TrainFrequencyUnit, "other", 1)), id="getattr with a default"),
        pytest.param(Reduced(FeaturePointExtractor, (spaces.Discrete(2),)), id="class that is only mentioned"),
        pytest.param(Reduced(np.ndarray, ((2,),)), id="array without a check"),
        pytest.param(Reduced(GENERATOR, ("PCG64", FeaturePointExtractor)), id="generator that calls"),
        pytest.param(Reduced(BIT_GENERATOR, (FeaturePointExtractor,)), id="bit generator that calls"),
        pytest.param(Reduced(np.zeros(1).__reduce__()[0], (np.ndarray, (2,), "u8")), id="array of old memory"),
        pytest.param(frombuffer(np.zeros(1)), id="array that shares memory"),
        pytest.param(Reduced(np.float64(0).__reduce__()[0], (np.dtype("O"), 3)), id="scalar of an object"),
        pytest.param(Reduced(np.dtype, ([("a", "f4")],)), id="dtype of anything"),
        pytest.param(nn.ReLU(), id="instance of a class that is only mentioned"),
        pytest.param(Reduced(spaces.Box, (0, 1)), id="constructor of a class whose instances are made"),
    ],
)
def test_what_no_agent_needs_is_refused(content, tmp_path):
    path = tmp_path / "file.pkl"
    path.write_bytes(cloudpickle.dumps(content))
    with pytest.raises((UntrustedFileError, DamagedFileError)):
        load_pickle(path)


def test_members_of_an_enum_as_the_first_pythons_of_3_11_pickle_them(tmp_path):
    path = tmp_path / "file.pkl"
    path.write_bytes(cloudpickle.dumps([Reduced(getattr, (TrainFrequencyUnit, "STEP"))]))
    assert load_pickle(path) == [TrainFrequencyUnit.STEP]


def test_names_with_dots_and_old_instructions_are_refused(tmp_path):
    path = tmp_path / "file.pkl"
    for content, words in (
        (b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.", "collections.OrderedDict.fromkeys"),
        (b"cposix\nmkdir\n(Vx\ntR.", "posix.mkdir"),
        (b"(ccollections\nOrderedDict\no.", "an instruction"),
        (b"(icollections\nOrderedDict\n.", "an instruction"),
        (b"cnumpy\nfloat64\n)\x81.", "numpy.float64"),
        (b"cgymnasium.spaces.box\nBox\n}b.", "gymnasium.spaces.box.Box"),  # attributes of the class itself
        (b"cgymnasium.spaces.box\nBox\n)\x81I1\na.", "gymnasium.spaces.box.Box"),  # its method append
        (b"cgymnasium.spaces.dict\nDict\n)\x81I1\nI1\ns.", "gymnasium.spaces.dict.Dict"),
        (b"cgymnasium.spaces.dict\nDict\n)\x81(I1\nI1\nu.", "gymnasium.spaces.dict.Dict"),
        (b"cgymnasium.spaces.dict\nDict\n)\x81(I1\ne.", "gymnasium.spaces.dict.Dict"),
        (b"cgymnasium.spaces.dict\nDict\n)\x81(I1\n\x90.", "gymnasium.spaces.dict.Dict"),
    ):
        path.write_bytes(content)
        with pytest.raises(UntrustedFileError, match=words):
            load_pickle(path)


@pytest.mark.parametrize(
    "dtype, state",
    [
        ("O", (3, "|", None, None, None, -1, -1, 0)),  # pointers from bytes
        ("u8", (3, "<", None, None, None, -1, -1, 63)),
        ("V8", (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 0)),
        ("V8", (3, "|", None, ("a",), {"a": (np.dtype("O"), 0)}, 8, 1, 63)),
        ("V8", (3, "|", None, ("a",), {"a": (np.dtype("u8"), 4)}, 8, 1, 0)),  # reaches beyond its end
        ("V4", (3, "|", None, ("a",), {"a": (np.dtype("u8"), 0)}, 8, 1, 0)),
        ("S4", (3, "|", None, None, None, 400, 1, 0)),
    ],
)
def test_dtypes_have_the_state_that_numpy_writes(dtype, state):
    with pytest.raises(ValueError):
        trusted_arrays.check_state(np.dtype(dtype), state)


@pytest.mark.parametrize("dtype", ["O", "u8", ">u8", "S4", "U5", "?", [("a", "u1", (2, 2)), ("b", ">f8")], ("f4", (2, 3))])
def test_dtypes_as_numpy_writes_them_pass(dtype, tmp_path):
    for array in (np.zeros(3, dtype), np.zeros((2, 0), dtype)):
        for protocol in (4, 5):
            path = tmp_path / "file.pkl"
            path.write_bytes(pickle.dumps(array, protocol))
            loaded = load_pickle(path)
            assert loaded.dtype == pickle.loads(path.read_bytes()).dtype and loaded.tobytes() == array.tobytes()


def test_an_array_is_filled_once():
    with pytest.raises(ValueError, match="twice"):
        trusted_arrays.check_state(np.zeros(3), None)


def test_a_damaged_pickle_is_named(tmp_path):
    path = tmp_path / "file.pkl"
    whole = pickle.dumps(np.arange(100_000), 5)
    for content in (b"", whole[:-50], whole[:20], b"\xff" + whole):
        path.write_bytes(content)
        with pytest.raises(DamagedFileError, match=str(path)):
            load_pickle(path)
