"""FrameReplayBuffer against SB3's own buffers, and what it costs."""

import copy
import itertools
import pickle

import gymnasium as gym
import numpy as np
import psutil
import pytest
import torch as th
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from sb3_contrib import TQC
from stable_baselines3 import DQN, SAC, TD3
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_fpac.buffers import FrameReplayBuffer
from sb3_fpac.buffers.frame_pool import FramePool
from sb3_fpac.observations import decode_camera_shift, encode_camera_shift

HEIGHT, WIDTH = 14, 15
ACTIONS = spaces.Box(-1, 1, (2,), np.float32)


class Pictures(gym.Env):
    """Random stacks, episodes of random length that end one way or the other"""

    def __init__(self, n_frames=2, frame_channels=3, camera_shift=False, chained=True, n_pictures=None, seed=0, size=None):
        self.n_frames, self.frame_channels, self.camera_shift, self.chained = n_frames, frame_channels, camera_shift, chained
        self.rng = np.random.default_rng(seed)
        self.size = size or (HEIGHT, WIDTH)
        self.pictures = None if n_pictures is None else [self.new_frame() for _ in range(n_pictures)]
        self.observation_space = spaces.Box(0, 255, (camera_shift + n_frames * frame_channels, *self.size), np.uint8)
        self.action_space = ACTIONS

    def new_frame(self):
        return self.rng.integers(0, 256, (self.frame_channels, *self.size), np.uint8)

    def frame(self):
        return self.new_frame() if self.pictures is None else self.pictures[self.rng.integers(len(self.pictures))]

    def stack(self):
        header = []
        if self.camera_shift:
            header = [encode_camera_shift(self.rng.uniform(-600, 600, (self.n_frames - 1, 2)), *self.size)[None]]
        return np.concatenate([*header, *self.frames])

    def reset(self, *, seed=None, options=None):
        self.frames = [self.frame()] * self.n_frames
        self.steps_left = self.rng.integers(1, 7)
        return self.stack(), {}

    def step(self, action):
        new = [self.frame() for _ in range(1 if self.chained else self.n_frames)]
        self.frames = (self.frames + new)[-self.n_frames :]
        self.steps_left -= 1
        terminated, truncated = self.steps_left == 0 and self.rng.random() < 0.5, self.steps_left == 0
        return self.stack(), self.rng.normal(), bool(terminated), bool(truncated and not terminated), {}


class Grey(Pictures):
    def __init__(self):
        super().__init__(n_frames=4, frame_channels=1, size=(36, 36))
        self.action_space = spaces.Discrete(3)


class Coloured(Pictures):
    def __init__(self):
        super().__init__(camera_shift=True, size=(36, 36))


def play(env, n_steps, *buffers):
    """The transitions that SB3's collect_rollouts hands to a buffer"""
    obs = env.reset() if getattr(env, "latest", None) is None else env.latest
    for _ in range(n_steps):
        actions = np.stack([env.action_space.sample() for _ in range(env.num_envs)])
        next_obs, rewards, dones, infos = env.step(actions)
        last_obs = next_obs.copy()
        for i in np.flatnonzero(dones):
            last_obs[i] = infos[i]["terminal_observation"]
        for buffer in buffers:
            buffer.add(obs, last_obs, actions, rewards, dones, infos)
        obs = next_obs
    env.latest = obs


def vec_env(n_envs=1, seed=0, **kwargs):
    return DummyVecEnv([lambda i=i: Pictures(seed=[seed, i], **kwargs) for i in range(n_envs)])


def filled(length=20, buffer_size=50, n_envs=1, **kwargs):
    buffer_kwargs = {key: kwargs.pop(key) for key in ("n_steps", "storage_device", "device") if key in kwargs}
    env = vec_env(n_envs, **kwargs)
    buffer = FrameReplayBuffer(
        buffer_size,
        env.observation_space,
        ACTIONS,
        n_envs=n_envs,
        frame_channels=kwargs.get("frame_channels", 3),
        camera_shift=kwargs.get("camera_shift", False),
        **{"device": "cpu", **buffer_kwargs},
    )
    play(env, length, buffer)
    return buffer


def seeded(sample, *args, **kwargs):
    np.random.seed(1)
    return sample(*args, **kwargs), np.random.get_state()[1:3]


def assert_same_samples(expected, got):
    (expected, expected_state), (got, state) = expected, got
    assert type(expected) is type(got)
    for name, tensor, other in zip(expected._fields, expected, got, strict=True):
        assert (tensor is None) == (other is None), name
        if tensor is not None:
            assert tensor.dtype == other.dtype and tensor.device == other.device and th.equal(tensor, other), name
    np.testing.assert_array_equal(expected_state[0], state[0])
    assert expected_state[1] == state[1]


def assert_frames_are_those_of(samples, batch, n_frames, camera_shift, n_steps):
    """FrameBatch beside the ReplayBufferSamples of the same transitions"""
    size, _, channels, height, width = batch.frames.shape
    assert batch.frames.dtype == th.uint8 and batch.frames.shape[1] == (n_frames + 1 if n_steps == 1 else 2 * n_frames)
    next_frames = batch.frames[:, 1:] if n_steps == 1 else batch.frames[:, n_frames:]
    pairs = [(samples.observations, batch.frames[:, :n_frames]), (samples.next_observations, next_frames)]
    for index, (observations, frames) in enumerate(pairs):
        assert th.equal(observations[:, int(camera_shift) :], frames.reshape(size, n_frames * channels, height, width))
        if camera_shift:
            assert th.equal(batch.camera_shifts[:, index], decode_camera_shift(observations[:, 0], n_frames - 1))
    if camera_shift:
        assert batch.camera_shifts.dtype == th.float32 and batch.camera_shifts.shape == (size, 2, n_frames - 1, 2)
    else:
        assert batch.camera_shifts is None
    for name in ("actions", "rewards", "dones", "discounts"):
        expected, got = getattr(samples, name), getattr(batch, name)
        assert (expected is None and got is None) or (expected.dtype == got.dtype and th.equal(expected, got))


def assert_references_are_counted(buffer):
    n = buffer.size()
    slots = np.stack([buffer.observations[:n], buffer.next_observations[:n]])[..., : buffer.n_frames]
    latest = np.asarray(buffer.stores[None]._kept, dtype=int)
    expected = np.bincount(np.concatenate([slots.ravel(), latest]), minlength=len(buffer.pool._references))
    np.testing.assert_array_equal(buffer.pool._references, expected)
    assert sorted(buffer.pool._free) == np.flatnonzero(expected == 0).tolist()
    assert buffer.pool.n_frames == np.count_nonzero(expected)


# ------------------------------------------------------------------------------------------------------------ the same samples


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(
        dict(
            n_frames=st.integers(1, 4),
            frame_channels=st.integers(1, 3),
            shift=st.booleans(),
            chained=st.booleans(),
            n_pictures=st.sampled_from([None, 1, 3]),
            n_envs=st.integers(1, 3),
            buffer_size=st.integers(1, 25),
            n_steps=st.integers(1, 4),
            handle_timeouts=st.booleans(),
            normalized=st.sampled_from([None, "rewards", "both"]),
            seed=st.integers(0, 10**6),
            rounds=st.lists(st.integers(1, 25), min_size=1, max_size=4),
        )
    )
)
def test_samples_are_those_of_sb3(case):
    camera_shift = case["shift"] and case["n_frames"] > 1
    stack = dict(n_frames=case["n_frames"], frame_channels=case["frame_channels"], camera_shift=camera_shift)
    env = vec_env(case["n_envs"], case["seed"], chained=case["chained"], n_pictures=case["n_pictures"], **stack)
    common = dict(n_envs=case["n_envs"], handle_timeout_termination=case["handle_timeouts"], device="cpu")
    n_step = dict(n_steps=case["n_steps"], gamma=0.9)
    spaces_ = (case["buffer_size"], env.observation_space, ACTIONS)
    theirs = NStepReplayBuffer(*spaces_, **common, **n_step) if case["n_steps"] > 1 else ReplayBuffer(*spaces_, **common)
    ours = FrameReplayBuffer(*spaces_, **common, **n_step, frame_channels=case["frame_channels"], camera_shift=camera_shift)
    norm = None
    if case["normalized"]:
        norm = VecNormalize(env, norm_obs=case["normalized"] == "both", norm_reward=True)
        norm.ret_rms.var = np.array(3.7)
        if norm.norm_obs:
            norm.obs_rms.mean = np.full(env.observation_space.shape, 99.0)
    for n_steps in case["rounds"]:
        play(env, n_steps, theirs, ours)
        assert (ours.pos, ours.full, ours.size()) == (theirs.pos, theirs.full, theirs.size())
        for name in ("actions", "rewards", "dones", "timeouts"):
            np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name))
        expected = seeded(theirs.sample, 40, env=norm)
        assert_same_samples(expected, seeded(ours.sample, 40, env=norm))
        assert_references_are_counted(ours)
        if (case["chained"] or case["n_steps"] > 1 or case["n_frames"] == 1) and case["normalized"] != "both":
            batch, state = seeded(ours.sample_frames, 40, env=norm)
            assert_frames_are_those_of(expected[0], batch, case["n_frames"], camera_shift, case["n_steps"])
            assert state[1] == expected[1][1]
        ours = pickle.loads(pickle.dumps(ours))
        assert_same_samples(expected, seeded(ours.sample, 40, env=norm))


def test_extend_adds_one_transition_after_another():
    env = vec_env()
    theirs, ours = (cls(9, env.observation_space, ACTIONS, device="cpu") for cls in (ReplayBuffer, FrameReplayBuffer))
    rng = np.random.default_rng(0)
    stacks = rng.integers(0, 256, (14, 1, *env.observation_space.shape), np.uint8)
    data = (stacks[:-1], stacks[1:], rng.uniform(-1, 1, (13, 1, 2)), rng.normal(size=(13, 1)), np.zeros((13, 1)), [[{}]] * 13)
    theirs.extend(*data)
    ours.extend(*data)
    assert_same_samples(seeded(theirs.sample, 30), seeded(ours.sample, 30))


def test_observations_may_change_after_they_were_added():
    buffer = FrameReplayBuffer(5, spaces.Box(0, 255, (6, HEIGHT, WIDTH), np.uint8), ACTIONS, device="cpu")
    obs, next_obs = np.full((1, 6, HEIGHT, WIDTH), 7, np.uint8), np.full((1, 6, HEIGHT, WIDTH), 8, np.uint8)
    buffer.add(obs, next_obs, np.zeros((1, 2)), np.zeros(1), np.zeros(1), [{}])
    obs[:], next_obs[:] = 1, 9
    buffer.add(next_obs, next_obs, np.zeros((1, 2)), np.zeros(1), np.zeros(1), [{}])
    samples = buffer._get_samples(np.array([0, 1]))
    assert samples.observations[:, 0, 0, 0].tolist() == [7, 9] and samples.next_observations[:, 0, 0, 0].tolist() == [8, 9]


# --------------------------------------------------------------------------------------------------------------- sample_frames


def test_rewards_alone_are_normalized_in_frames():
    buffer = filled()
    norm = VecNormalize(vec_env(), norm_obs=False)
    norm.ret_rms.var = np.array(4.0)
    plain, _ = seeded(buffer.sample_frames, 30)
    batch, _ = seeded(buffer.sample_frames, 30, env=norm)
    th.testing.assert_close(batch.rewards, plain.rewards / 2)
    assert th.equal(batch.frames, plain.frames)
    with pytest.raises(ValueError, match="norm_obs=False"):
        buffer.sample_frames(30, env=VecNormalize(vec_env(), norm_obs=True))


def test_frames_are_refused_where_next_observations_do_not_continue():
    buffer = filled(chained=False)
    buffer.sample(5)
    with pytest.raises(ValueError, match=r"not stacks of frames.*frame_channels=3"):
        buffer.sample_frames(5)
    assert filled(chained=False, n_steps=2).sample_frames(5).frames.shape[1] == 4


def test_nothing_but_numpys_generator_is_drawn_from():
    state = th.random.get_rng_state()
    buffer = filled()
    before = np.random.get_state()[1].copy()
    buffer.add(*(np.zeros((1, 6, HEIGHT, WIDTH), np.uint8),) * 2, np.zeros((1, 2)), np.zeros(1), np.zeros(1), [{}])
    np.testing.assert_array_equal(before, np.random.get_state()[1])
    buffer.sample_frames(5)
    assert th.equal(state, th.random.get_rng_state())


# ---------------------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize(("n_frames", "camera_shift"), [(1, False), (2, True), (4, False)])
def test_transition_costs_one_frame_and_an_episode_one_more(n_frames, camera_shift):
    env = vec_env(2, n_frames=n_frames, camera_shift=camera_shift)
    buffer = FrameReplayBuffer(400, env.observation_space, ACTIONS, n_envs=2, camera_shift=camera_shift)
    play(env, 199, buffer)
    for pictures in env.envs:
        pictures.steps_left = 1
    play(env, 1, buffer)
    assert buffer.pool.n_frames == 400 + buffer.dones.sum()


@pytest.mark.parametrize("n_pictures", [1, 5])
def test_stacks_that_begin_alike_share_their_frames(n_pictures):
    buffer = filled(length=1, n_frames=4, n_pictures=n_pictures)
    assert buffer.pool.n_frames == (1 if n_pictures == 1 else 2)  # the first frame fills the stack


def test_frames_are_released_when_transitions_are_overwritten():
    env = vec_env(3)
    buffer = FrameReplayBuffer(60, env.observation_space, ACTIONS, n_envs=3)
    frames, claimed = [], []
    for _ in range(15):
        play(env, 20, buffer)
        frames.append(buffer.pool.n_frames)
        claimed.append(buffer.pool.nbytes)
    assert max(frames) <= 2 * 60 and len(set(claimed[1:])) == 1
    assert_references_are_counted(buffer)


@pytest.mark.parametrize("buffer_size", [2, 10])
@pytest.mark.parametrize(
    "message, changes",
    [
        ("action must have 2 values for 1 environments, got 3", dict(action=np.zeros((1, 3)))),
        ("reward must have 1 values .*got 2", dict(reward=np.zeros(2))),
        ("done must have 1 values .*got 0", dict(done=np.zeros(0))),
        ("must have the shape", dict(next_obs=np.zeros((1, 6, 3, 3), np.uint8))),
    ],
)
def test_a_refused_transition_leaves_the_buffer_as_it_was(message, changes, buffer_size):
    space = spaces.Box(0, 255, (6, HEIGHT, WIDTH), np.uint8)
    buffers = [FrameReplayBuffer(buffer_size, space, ACTIONS), ReplayBuffer(buffer_size, space, ACTIONS)]

    def stack(i):
        return np.full((1, 6, HEIGHT, WIDTH), np.repeat([i, i + 1], 3)[:, None, None], np.uint8)

    for i in range(7):
        if i in (2, 4):
            step = dict(obs=stack(i), next_obs=stack(i + 1), action=np.zeros((1, 2)), reward=np.ones(1), done=np.zeros(1))
            with pytest.raises(ValueError, match=message):
                buffers[0].add(**{**step, **changes}, infos=[{}])
            continue
        for buffer in buffers:
            buffer.add(stack(i), stack(i + 1), np.zeros((1, 2)), np.full(1, i), np.zeros(1), [{}])
        assert_references_are_counted(buffers[0])
    everything = np.arange(buffers[0].size())
    ours, theirs = (buffer._get_samples(everything) for buffer in buffers)
    assert all(np.array_equal(*each) for each in zip(ours[:5], theirs[:5], strict=True))


def test_reset_frees_the_frames():
    env = vec_env()
    buffer, expected = (cls(10, env.observation_space, ACTIONS, device="cpu") for cls in (FrameReplayBuffer, ReplayBuffer))
    play(env, 1, buffer)
    env.envs[0].steps_left = 100
    play(env, 24, buffer)
    assert buffer.pool.nbytes > 0
    buffer.reset()
    assert buffer.size() == 0 and buffer.pool.nbytes == buffer.pool.n_frames == 0
    for n_steps in (1, 25):  # the stream goes on where it was
        play(env, n_steps, buffer, expected)
        assert_references_are_counted(buffer)
        assert_same_samples(seeded(expected.sample, 30), seeded(buffer.sample, 30))


def test_memory_is_claimed_as_it_fills():
    space, process = spaces.Box(0, 255, (6, 84, 84), np.uint8), psutil.Process()
    before = process.memory_info().rss
    buffer = FrameReplayBuffer(20_000, space, ACTIONS)
    assert buffer.pool.nbytes == 0 and process.memory_info().rss - before < 20e6
    frame = np.zeros((1, 6, 84, 84), np.uint8)
    buffer.add(frame, frame, np.zeros((1, 2)), np.zeros(1), np.zeros(1), [{}])
    assert len(buffer.pool.blocks) == 1 and buffer.pool.nbytes <= 2**26 and process.memory_info().rss - before < 40e6


def test_blocks_are_chained_and_pickled_as_far_as_they_are_used():
    pool = FramePool((1, 64, 64), th.device("cpu"), max_frames=3)
    frames = [np.full((1, 64, 64), i, np.uint8) for i in range(7)]
    slots = [pool.put(frame) for frame in frames]
    pool.acquire(slots)
    assert [len(block) for block in pool.blocks] == [3, 3, 3]
    pickled = pickle.dumps(pool)
    assert 7 * 64**2 < len(pickled) < 7.3 * 64**2
    for restored in (pickle.loads(pickled), copy.deepcopy(pool)):
        more = restored.put(frames[0] + 50)
        stacks = restored.gather(np.array([[6, 0], [3, more]]), th.device("cpu"), n_header_planes=1)
        assert stacks[:, :, 5, 5].tolist() == [[0, 6, 0], [0, 3, 50]]
        assert pool.n_frames == 7 and restored.n_frames == 8
        on_a_gpu = restored._gather_by_block(np.array([6, 0, 3, more, 6]))  # works on the CPU, too
        assert on_a_gpu[:, 0, 5, 5].tolist() == [6, 0, 3, 50, 6]


def test_a_buffer_that_does_not_fit_is_refused_with_the_figures(monkeypatch):
    class Memory:
        available = 2e9

    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory)
    space = spaces.Box(0, 255, (6, 84, 84), np.uint8)
    with pytest.raises(MemoryError, match=r"100000 frames of 3×84×84 bytes need 2\.12 GB, but 2 GB are available on cpu"):
        FrameReplayBuffer(100_000, space, ACTIONS)
    FrameReplayBuffer(90_000, space, ACTIONS)


# ------------------------------------------------------------------------------------------------------------------ bad inputs


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 1, (6, HEIGHT, WIDTH), np.float32),
        spaces.Box(0, 255, (HEIGHT, WIDTH, 6), np.uint8),
        spaces.Box(0, 255, (7,), np.uint8),
        spaces.Box(0, 255, (2, 3, HEIGHT, WIDTH), np.uint8),
        spaces.Discrete(3),
    ],
)
def test_what_is_no_stack_of_images_is_refused(space):
    with pytest.raises(ValueError, match=r"Images are expected|FrameReplayBuffer needs the channels first"):
        FrameReplayBuffer(10, space, ACTIONS)


STACK = spaces.Box(0, 255, (6, HEIGHT, WIDTH), np.uint8)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (dict(optimize_memory_usage=True), "leave optimize_memory_usage=False"),
        (dict(buffer_size=0), "buffer_size must be at least 1, got 0"),
        (dict(n_envs=0), "n_envs must be at least 1, got 0"),
        (dict(n_steps=0), "n_steps must be at least 1, got 0"),
        (dict(gamma=1.5), r"gamma must be at least 0 and at most 1, got 1\.5"),
        (dict(frame_channels=4), "6 channels are not a stack of frames of 4 channels"),
        (dict(camera_shift=True), "behind a camera-shift plane"),
        (dict(storage_device="meta"), "must be 'cpu' or 'cuda', got 'meta'"),
    ],
)
def test_bad_arguments_are_refused(kwargs, message):
    kwargs = {"buffer_size": 10, "observation_space": STACK, "action_space": ACTIONS, **kwargs}
    with pytest.raises(ValueError, match=message):
        FrameReplayBuffer(**kwargs)


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("method", ["sample", "sample_frames"])
def test_an_empty_buffer_says_that_it_is_empty(method, n_steps):
    with pytest.raises(ValueError, match=r"The replay buffer is empty: .* load_replay_buffer.*callback .* second one"):
        getattr(FrameReplayBuffer(10, STACK, ACTIONS, n_steps=n_steps), method)(4)


@pytest.mark.skipif(th.cuda.is_available(), reason="needs a machine without a GPU")
def test_storage_on_a_gpu_that_is_not_there():
    with pytest.raises(ValueError, match="storage_device='cuda' needs a CUDA GPU"):
        FrameReplayBuffer(10, STACK, ACTIONS, storage_device="cuda")
    buffer = filled()
    buffer.pool.device = th.device("cuda")
    pickled = pickle.dumps(buffer)
    with pytest.warns(UserWarning, match="stored on cuda, but there is no CUDA GPU") as warned:
        loaded = pickle.loads(pickled)
    assert len(warned) == 1
    assert_same_samples(seeded(buffer_on_cpu(buffer).sample, 20), seeded(loaded.sample, 20))


def buffer_on_cpu(buffer):
    buffer.pool.device = th.device("cpu")
    return buffer


def test_observations_that_do_not_fit_are_refused_and_leave_no_trace():
    buffer = filled(n_frames=2, camera_shift=True, buffer_size=10)
    before = pickle.dumps(buffer)
    good = np.zeros((1, 7, HEIGHT, WIDTH), np.uint8)
    noisy = good.copy()
    noisy[0, 0, 0, 4] = 1
    rest = (np.zeros((1, 2)), np.zeros(1), np.zeros(1), [{}])
    for bad in ((noisy, good), (good, noisy)):
        with pytest.raises(ValueError, match="more than the camera shift of 1 past frames: pass camera_shift=False"):
            buffer.add(*bad, *rest)
    with pytest.raises(ValueError, match=r"must have the shape \(1, 7, 14, 15\), got \(1, 6, 14, 15\)"):
        buffer.add(good, good[:, 1:], *rest)
    assert pickle.dumps(buffer) == before
    buffer.add(good, good, *rest)


# -------------------------------------------------------------------------------------------------------------------- with SB3


def model(algorithm, env, **kwargs):
    network = dict(net_arch=[8], features_extractor_kwargs=dict(features_dim=8))
    common = dict(learning_starts=20, batch_size=8, buffer_size=30, train_freq=4, device="cpu", seed=3)
    return algorithm("CnnPolicy", env, policy_kwargs=network, **common, **kwargs)


@pytest.mark.parametrize(
    ("algorithm", "env", "kwargs"),
    [
        (SAC, Coloured, dict()),
        (TD3, Coloured, dict(n_steps=3)),
        (TQC, Coloured, dict()),
        (DQN, Grey, dict(frame_channels=1)),
        (DQN, Grey, dict(frame_channels=1, n_steps=3)),
    ],
)
def test_stock_algorithms_learn_the_same_with_it(algorithm, env, kwargs):
    theirs = model(algorithm, env(), n_steps=kwargs.get("n_steps", 1)).learn(60)
    ours = model(algorithm, env(), replay_buffer_class=FrameReplayBuffer, replay_buffer_kwargs=kwargs).learn(60)
    assert ours._n_updates > 5 and ours.replay_buffer.full
    for expected, got in zip(theirs.policy.parameters(), ours.policy.parameters(), strict=True):
        assert th.equal(expected, got)


def test_replay_buffer_is_saved_and_loaded(tmp_path):
    kwargs = dict(replay_buffer_class=FrameReplayBuffer, replay_buffer_kwargs=dict(n_steps=2))
    first = model(SAC, Coloured(), **kwargs).learn(45)
    first.save_replay_buffer(tmp_path / "buffer")
    second = model(SAC, Coloured(), **kwargs)
    second.load_replay_buffer(tmp_path / "buffer")
    assert_same_samples(seeded(first.replay_buffer.sample, 20), seeded(second.replay_buffer.sample, 20))
    second.learn(15)
    assert_references_are_counted(second.replay_buffer)


# -------------------------------------------------------------------------------------------------------------------- on a GPU


PLACES = [  # of the frames, and of the batches
    pytest.param(*places, marks=[pytest.mark.gpu] if "cuda" in places else [])
    for places in itertools.product(["cpu", "cuda"], ["cpu", "cuda"])
]


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("storage_device, device", PLACES)
def test_frames_lie_where_they_are_told_to(storage_device, device, n_steps):
    kwargs = dict(n_steps=n_steps, buffer_size=40, camera_shift=True, n_envs=2)
    expected = filled(**kwargs)
    buffer = filled(**kwargs, storage_device=storage_device, device=device)
    buffer.actions[:] = expected.actions
    for _ in range(2):
        assert all(block.device.type == storage_device for block in buffer.pool.blocks)
        for sample in (FrameReplayBuffer.sample, lambda buffer, size: buffer.sample_frames(size).tensors()):
            want, got = (
                [tensor for tensor in seeded(sample, each, 32)[0] if tensor is not None] for each in (expected, buffer)
            )
            assert len(want) == len(got) >= 5
            assert all(tensor.device.type == device for tensor in got)
            assert all(th.equal(tensor, other.cpu()) for tensor, other in zip(want, got, strict=True))
        buffer = pickle.loads(pickle.dumps(buffer))


@pytest.mark.gpu
def test_many_blocks_of_a_gpu_are_gathered_in_order_without_waiting():
    pool = FramePool((3, HEIGHT, WIDTH), th.device("cuda"), max_frames=7)
    frames = np.random.default_rng(0).integers(0, 256, (50, 3, HEIGHT, WIDTH), np.uint8)
    pool.acquire([pool.put(frame) for frame in frames])
    slots = np.random.default_rng(1).integers(0, 50, (64, 3))
    th.cuda.synchronize()
    th.cuda.set_sync_debug_mode("error")
    try:
        stacks = pool.gather(slots, th.device("cuda"), n_header_planes=1)
        pool.put(frames[0])
    finally:
        th.cuda.set_sync_debug_mode("default")
    assert not stacks[:, 0].any()
    np.testing.assert_array_equal(stacks[:, 1:].cpu().numpy(), frames[slots].reshape(64, 9, HEIGHT, WIDTH))


@pytest.mark.gpu
def test_a_buffer_that_does_not_fit_on_the_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(th.cuda, "mem_get_info", lambda device: (10**6, 10**9))
    with pytest.raises(MemoryError, match=r"need 2\.12 GB, but 0\.001 GB are available on cuda"):
        FrameReplayBuffer(100_000, spaces.Box(0, 255, (6, 84, 84), np.uint8), ACTIONS, storage_device="cuda")
