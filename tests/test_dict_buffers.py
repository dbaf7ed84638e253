"""FrameReplayBuffer and HerFrameReplayBuffer with Dict observations, against SB3's own buffers."""

import pickle
from contextlib import nullcontext

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import Robot
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3 import DQN, SAC, TD3, HerReplayBuffer
from stable_baselines3.common.buffers import DictReplayBuffer, NStepReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_fpac import FPAC, FeaturePointCombinedExtractor, FrameReplayBuffer, HerFrameReplayBuffer
from sb3_fpac.observations import decode_camera_shift

ACTIONS = spaces.Box(-1, 1, (2,), np.float32)
CHANNELS = dict(front=3, wrist=1)
STACKS = dict(frame_channels=CHANNELS, camera_shift=dict(front=True))
POLICY = dict(net_arch=[8], features_extractor_kwargs=STACKS)


def vec_env(n_envs=1, seed=0, **kwargs):
    return DummyVecEnv([lambda i=i: Robot(seed=[seed, i], **kwargs) for i in range(n_envs)])


def copied(obs):
    return {key: value.copy() for key, value in obs.items()}


def play(env, n_steps, *buffers):
    """The transitions that SB3's collect_rollouts hands to a buffer"""
    obs = env.reset() if getattr(env, "latest", None) is None else env.latest
    for _ in range(n_steps):
        actions = np.stack([env.action_space.sample() for _ in range(env.num_envs)])
        next_obs, rewards, dones, infos = env.step(actions)
        last_obs = copied(next_obs)
        for i in np.flatnonzero(dones):
            for key in last_obs:
                last_obs[key][i] = infos[i]["terminal_observation"][key]
        for buffer in buffers:
            buffer.add(copied(obs), copied(last_obs), actions, rewards, dones, infos)
        obs = next_obs
    env.latest = obs


def seeded(sample, *args, **kwargs):
    np.random.seed(1)
    return sample(*args, **kwargs), np.random.get_state()[1:3]


def assert_same(expected, got):
    """Samples that are equal to the bit, with their types, and the state of NumPy's generator"""
    (expected, expected_state), (got, state) = expected, got
    assert type(expected) is type(got)
    for name, theirs, ours in zip(expected._fields, expected, got, strict=True):
        if not isinstance(theirs, dict):
            theirs, ours = {name: theirs}, {name: ours}
        assert theirs.keys() == ours.keys()
        for key, tensor in theirs.items():
            assert (tensor is None) == (ours[key] is None), key
            assert tensor is None or (tensor.dtype == ours[key].dtype and th.equal(tensor, ours[key])), (name, key)
    np.testing.assert_array_equal(expected_state[0], state[0])
    assert expected_state[1] == state[1]


def assert_frames_are_those_of(samples, batch):
    for key, n_planes in (("front", 1), ("wrist", 0)):
        frames, shifts = batch.image(key)
        assert frames.shape[1:3] == (3, CHANNELS[key])
        for observations, part in (
            (samples.observations[key], frames[:, :2]),
            (samples.next_observations[key], frames[:, 1:]),
        ):
            assert th.equal(observations[:, n_planes:], part.flatten(1, 2))
        assert (shifts is None) == (n_planes == 0)
    assert th.equal(batch.camera_shifts["front"][:, 1], decode_camera_shift(samples.next_observations["front"][:, 0], 1))
    for of_batch, of_samples in ((batch.vectors, samples.observations), (batch.next_vectors, samples.next_observations)):
        assert of_batch.keys() == of_samples.keys() - {"front", "wrist"}
        assert all(th.equal(vector, of_samples[key]) for key, vector in of_batch.items())
    for name in ("actions", "rewards", "dones"):
        assert th.equal(getattr(samples, name), getattr(batch, name))


CASES = st.fixed_dictionaries(
    dict(
        n_envs=st.integers(1, 3),
        buffer_size=st.integers(1, 40),
        handle_timeouts=st.booleans(),
        normalized=st.sampled_from([None, "rewards", "joints", "all"]),
        seed=st.integers(0, 10**6),
        rounds=st.lists(st.integers(1, 25), min_size=1, max_size=4),
    )
)


def normalization(env, kind):
    if kind is None:
        return None
    boxes = [key for key, space in env.observation_space.items() if isinstance(space, spaces.Box)]
    norm = VecNormalize(env, norm_obs=kind != "rewards", norm_obs_keys=["joints"] if kind == "joints" else boxes)
    norm.ret_rms.var = np.array(3.7)
    if kind != "rewards":
        norm.obs_rms["joints"].mean = np.full((2, 2), 0.3)
    return norm


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(CASES)
def test_samples_are_those_of_sb3(case):
    env = vec_env(case["n_envs"], case["seed"])
    common = dict(n_envs=case["n_envs"], handle_timeout_termination=case["handle_timeouts"], device="cpu")
    theirs = DictReplayBuffer(case["buffer_size"], env.observation_space, ACTIONS, **common)
    ours = FrameReplayBuffer(case["buffer_size"], env.observation_space, ACTIONS, **common, **STACKS)
    norm = normalization(env, case["normalized"])
    for n_steps in case["rounds"]:
        play(env, n_steps, theirs, ours)
        assert (ours.pos, ours.full, ours.size()) == (theirs.pos, theirs.full, theirs.size())
        expected = seeded(theirs.sample, 30, env=norm)
        assert_same(expected, seeded(ours.sample, 30, env=norm))
        for key, store in ours.stores.items():
            used = np.stack(
                [rows[key][: ours.pos if not ours.full else None] for rows in (ours.observations, ours.next_observations)]
            )
            assert store.pool.n_frames == len(np.unique(used[..., :2]))
        if case["normalized"] != "all":
            batch, state = seeded(ours.sample_frames, 30, env=norm)
            assert_frames_are_those_of(expected[0], batch)
            assert state[1] == expected[1][1]
        ours = pickle.loads(pickle.dumps(ours))
        assert_same(expected, seeded(ours.sample, 30, env=norm))


def test_a_refused_image_leaves_all_images_as_they_were():
    env = vec_env()
    common = dict(n_envs=1, device="cpu")
    ours = FrameReplayBuffer(30, env.observation_space, ACTIONS, **common, **STACKS)
    theirs = DictReplayBuffer(30, env.observation_space, ACTIONS, **common)

    class Refused:
        def add(self, obs, next_obs, *rest):
            with pytest.raises(ValueError, match="Image 'wrist': Observations must have the shape"):
                ours.add(obs, {**next_obs, "wrist": next_obs["wrist"][:, :, 1:]}, *rest)

    for part in (ours, theirs), (Refused(),), (ours, theirs):
        play(env, 6, *part)
    assert_same(seeded(theirs.sample, 40), seeded(ours.sample, 40))


@pytest.mark.parametrize("n_steps", [2, 4])
def test_n_step_returns_are_those_of_the_image_alone(n_steps):
    """SB3 has no n-step returns for Dict observations: each key is compared with a buffer of its own"""
    env = vec_env(2)
    common = dict(n_envs=2, device="cpu", n_steps=n_steps, gamma=0.9)
    ours = FrameReplayBuffer(30, env.observation_space, ACTIONS, **common, **STACKS)
    alone = {
        key: NStepReplayBuffer(30, space, ACTIONS, **common) for key, space in env.observation_space.items() if key != "mode"
    }

    class Alone:
        def add(self, obs, next_obs, *rest):
            for key, buffer in alone.items():
                buffer.add(obs[key], next_obs[key], *rest)

    play(env, 40, ours, Alone())
    (samples, _), (batch, _) = seeded(ours.sample, 50), seeded(ours.sample_frames, 50)
    for key, buffer in alone.items():
        expected, _ = seeded(buffer.sample, 50)
        assert th.equal(expected.observations, samples.observations[key])
        assert th.equal(expected.next_observations, samples.next_observations[key])
        for name in ("actions", "rewards", "dones", "discounts"):
            assert th.equal(getattr(expected, name), getattr(samples, name))
            assert th.equal(getattr(expected, name), getattr(batch, name))
    assert batch.frames["wrist"].shape[1] == 4
    assert th.equal(batch.frames["wrist"][:, 2:].flatten(1, 2), samples.next_observations["wrist"])


@pytest.mark.parametrize("strategy", ["future", "final", "episode"])
def test_hindsight_samples_are_those_of_sb3(strategy):
    env = vec_env(2, goals=True)
    common = dict(env=env, n_envs=2, device="cpu", goal_selection_strategy=strategy)
    theirs = HerReplayBuffer(60, env.observation_space, ACTIONS, **common)
    ours = HerFrameReplayBuffer(60, env.observation_space, ACTIONS, **common, **STACKS)
    norm = normalization(env, "joints")
    for n_steps in (15, 10, 30, 21):
        play(env, n_steps, theirs, ours)
        for kind in (None, norm):
            expected = seeded(theirs.sample, 40, env=kind)
            assert_same(expected, seeded(ours.sample, 40, env=kind))
            assert_frames_are_those_of(expected[0], seeded(ours.sample_frames, 40, env=kind)[0])
        ours = pickle.loads(pickle.dumps(ours))
        ours.set_env(env)
    assert ours.stores["front"].pool.n_frames < 60 * 1.4


def test_a_dict_of_one_image_is_stored_as_the_image_alone():
    space = spaces.Box(0, 255, (6, 17, 17), np.uint8)
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (1, 3, 17, 17), np.uint8) for _ in range(20)]
    single = FrameReplayBuffer(9, space, ACTIONS, device="cpu")
    keyed = FrameReplayBuffer(9, spaces.Dict(eye=space), ACTIONS, device="cpu")
    for past, now, after in zip(frames, frames[1:], frames[2:], strict=False):
        obs, next_obs = np.concatenate([past, now], axis=1), np.concatenate([now, after], axis=1)
        rest = (rng.uniform(-1, 1, (1, 2)), np.ones(1), np.zeros(1), [{}])
        single.add(obs, next_obs, *rest)
        keyed.add(dict(eye=obs), dict(eye=next_obs), *rest)
    (expected, _), (got, _) = seeded(single.sample_frames, 20), seeded(keyed.sample_frames, 20)
    assert th.equal(expected.frames, got.frames["eye"]) and th.equal(expected.actions, got.actions)
    assert single.pool.n_frames == keyed.stores["eye"].pool.n_frames


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda obs: obs.pop("wrist"), "lacks 'wrist'.*must have the keys"),
        (lambda obs: obs.update(rear=obs["wrist"]), "has 'rear', which the space lacks"),
        (lambda obs: obs.update(wrist=obs["wrist"][:, :1]), r"Image 'wrist': .* shape \(1, 2, 18, 16\), got \(1, 1, 18, 16\)"),
        (lambda obs: obs.update(joints=obs["joints"][:, 0]), r"'joints' must have the shape \(1, 2, 2\), got \(1, 2\)"),
    ],
)
def test_observations_that_do_not_fit_name_their_key(change, words):
    env = vec_env()
    buffer = FrameReplayBuffer(9, env.observation_space, ACTIONS, device="cpu", **STACKS)
    obs = env.reset()
    change(obs)
    with pytest.raises(ValueError, match=words):
        buffer.add(obs, obs, np.zeros((1, 2)), np.zeros(1), np.zeros(1), [{}])
    assert buffer.size() == 0


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        (dict(frame_channels=dict(frnt=3)), "frame_channels has the key 'frnt', but the images are 'front', 'wrist'"),
        (dict(frame_channels=3), "Image 'wrist': 2 channels are not a stack of frames of 3 channels"),
        (dict(frame_channels=CHANNELS, camera_shift=dict(wrist=3)), "Image 'wrist': camera_shift must be"),
    ],
)
def test_wrong_options_name_the_image(kwargs, words):
    with pytest.raises(ValueError, match=words):
        FrameReplayBuffer(9, Robot().observation_space, ACTIONS, **kwargs)


def test_hindsight_needs_goals_that_are_vectors_and_single_steps():
    with pytest.raises(ValueError, match="HER needs the key 'achieved_goal' with a vector"):
        HerFrameReplayBuffer(9, Robot().observation_space, ACTIONS, vec_env(), **STACKS)
    with pytest.raises(ValueError, match="n_steps=1"):
        HerFrameReplayBuffer(9, Robot(goals=True).observation_space, ACTIONS, vec_env(goals=True), n_steps=3, **STACKS)


@pytest.mark.parametrize("algorithm", [SAC, TD3])
@pytest.mark.parametrize("buffer_class", [FrameReplayBuffer, HerFrameReplayBuffer])
def test_other_algorithms_learn_from_it(algorithm, buffer_class):
    model = algorithm(
        "MultiInputPolicy",
        Robot(goals=True),
        buffer_size=60,
        learning_starts=20,
        batch_size=4,
        train_freq=1,
        replay_buffer_class=buffer_class,
        replay_buffer_kwargs=STACKS,
        policy_kwargs=dict(
            net_arch=[8],
            features_extractor_class=FeaturePointCombinedExtractor,
            features_extractor_kwargs=dict(n_points=2, **STACKS),
        ),
    )
    assert model.learn(30)._n_updates > 5


def test_dqn_learns_from_it():
    env = Robot()
    env.action_space = spaces.Discrete(3)
    kwargs = dict(features_extractor_class=FeaturePointCombinedExtractor, features_extractor_kwargs=dict(n_points=2, **STACKS))
    options = dict(replay_buffer_class=FrameReplayBuffer, replay_buffer_kwargs=STACKS, policy_kwargs=kwargs)
    model = DQN("MultiInputPolicy", env, buffer_size=40, learning_starts=10, batch_size=4, train_freq=1, **options)
    assert model.learn(20)._n_updates > 5


class Scaled(gym.RewardWrapper):
    def reward(self, reward):
        return reward / 10


@pytest.mark.parametrize("is_scaled", [True, False])
def test_rewards_that_are_not_those_of_other_goals_are_told_once(is_scaled, recwarn):
    env = DummyVecEnv([lambda: Scaled(Robot(goals=True)) if is_scaled else Robot(goals=True)])
    kwargs = dict(buffer_size=200, learning_starts=100, policy_kwargs=POLICY, batch_size=4)
    FPAC("MultiInputPolicy", env, replay_buffer_class=HerFrameReplayBuffer, **kwargs).learn(120)
    told = [str(each.message) for each in recwarn if "relabelled transitions get others than real ones" in str(each.message)]
    assert len(told) == is_scaled
    assert all("In 50 of 50 steps" in each for each in told)


def test_actions_are_those_of_the_policy_and_not_of_the_robot():
    buffer = FrameReplayBuffer(9, spaces.Box(0, 255, (6, 17, 17), np.uint8), spaces.Box(-5, 10, (2,)))
    obs = np.zeros((1, 6, 17, 17), np.uint8)
    with pytest.raises(ValueError, match=r"scaled to \[-1, 1\], got 9\.9: pass model\.policy\.scale_action\(action\)"):
        buffer.add(obs, obs, np.array([[0, 9.9]]), np.zeros(1), np.zeros(1), [{}])
    assert buffer.size() == 0 and buffer.pool.n_frames == 0


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("newest_first", [True, False])
def test_demonstrations_whose_frames_are_in_another_order_are_refused(n_steps, newest_first):
    model = FPAC(
        "MultiInputPolicy", Robot(), n_steps=n_steps, buffer_size=99, learning_starts=10, batch_size=4, policy_kwargs=POLICY
    )
    rng = np.random.default_rng(0)
    env = Robot()
    obs, _ = env.reset(seed=0)
    turned = (lambda each: {**each, "wrist": each["wrist"][::-1]}) if newest_first else dict
    for _ in range(20):
        action = rng.uniform(-1, 1, 2)
        next_obs, reward, terminated, truncated, _ = env.step(action)
        done, info = terminated or truncated, {"TimeLimit.truncated": truncated}
        batch = [{key: np.asarray(part)[None] for key, part in turned(each).items()} for each in (obs, next_obs)]
        model.replay_buffer.add(*batch, action[None], np.array([reward]), np.array([done]), [info])
        obs = env.reset()[0] if done else next_obs
    with pytest.raises(ValueError, match=r"'wrist'.*change pixels below") if newest_first else nullcontext():
        model.learn(12)
