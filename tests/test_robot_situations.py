"""What users of robots do: record transitions themselves, train on them alone, and change cameras."""

import warnings
from functools import partial

import numpy as np
import pytest
from gymnasium import spaces
from helpers.environments import Noise, Robot, StackedNoise
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_fpac import (
    FPAC,
    FeaturePointCombinedExtractor,
    FPACPolicy,
    FrameReplayBuffer,
    FrameStack,
    HerFrameReplayBuffer,
    load_weights,
    save_weights,
)

SMALL = dict(buffer_size=60, learning_starts=12, batch_size=4, seed=0)


def fpac(env, **kwargs):
    return FPAC("MultiInputPolicy" if isinstance(env.observation_space, spaces.Dict) else "CnnPolicy", env, **SMALL, **kwargs)


def record(model, env, n_steps, mark=True):
    """One episode of random actions, as a script of the user's stores it"""
    observation, _ = env.reset()
    for step in range(n_steps):
        action = env.action_space.sample()
        next_observation, reward, *_ = env.step(action)
        over = mark and step == n_steps - 1
        infos = [{"TimeLimit.truncated": over}]
        actions = model.policy.scale_action(action[np.newaxis])
        parts = (observation[np.newaxis], next_observation[np.newaxis], actions, np.array([reward]), np.array([over]), infos)
        model.replay_buffer.add(*parts)
        observation = next_observation


# ----------------------------------------------------------------------------------------------------------- recorded episodes


def test_an_episode_whose_end_is_not_marked_ends_where_the_next_one_starts():
    marked, unmarked = (fpac(StackedNoise(), n_steps=3) for _ in range(2))
    for model in (marked, unmarked):
        env = StackedNoise()
        env.action_space.seed(0)
        for n_steps in (3, 2):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                record(model, env, n_steps, mark=model is marked)
            is_second = model is unmarked and n_steps == 2
            assert [str(each.message)[:49] for each in caught] == [
                "An observation is not the next observation of the"
            ] * is_second
    np.testing.assert_array_equal(unmarked.replay_buffer.dones[:4, 0], [0, 0, 1, 0])
    np.testing.assert_array_equal(unmarked.replay_buffer.dones[:4], marked.replay_buffer.dones[:4])
    np.testing.assert_array_equal(unmarked.replay_buffer.timeouts[:4], marked.replay_buffer.timeouts[:4])


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.filterwarnings("error")
def test_a_second_learn_ends_the_episode_without_a_warning(n_steps):
    options = dict(replay_buffer_class=FrameReplayBuffer, replay_buffer_kwargs=dict(n_steps=n_steps, gamma=0.99))
    model = SAC(FPACPolicy, StackedNoise(), **options, **SMALL)
    model.learn(5)
    model.learn(5)  # resets the environment
    assert model.replay_buffer.dones[4, 0] == model.replay_buffer.timeouts[4, 0] == 1


@pytest.mark.parametrize("buffer_class", [FrameReplayBuffer, HerFrameReplayBuffer])
@pytest.mark.parametrize(
    "broken, message", [("joints", "'joints' with 4 of 4 values that are not"), ("reward", "a reward that")]
)
def test_recorded_transitions_with_values_that_are_not_finite_are_not_stored(buffer_class, broken, message):
    env = Robot(goals=True)
    options = dict(policy_kwargs=policy_kwargs(env), replay_buffer_class=buffer_class)
    buffer = SAC("MultiInputPolicy", env, **options, **SMALL).replay_buffer
    obs = {key: np.asarray(part)[np.newaxis] for key, part in env.reset()[0].items()}
    next_obs = {**obs, "joints": obs["joints"] * np.nan} if broken == "joints" else obs
    reward = np.full(1, np.inf if broken == "reward" else 0)
    with pytest.raises(ValueError, match=f"A transition has {message}"):
        buffer.add(obs, next_obs, np.zeros((1, 2)), reward, np.zeros(1), [{}])
    assert buffer.size() == 0


@pytest.mark.parametrize("infos", [{}, [], [{}, {}]])
def test_infos_are_one_for_each_environment(infos):
    env = StackedNoise()
    model = fpac(env)
    observation = env.reset()[0][np.newaxis]
    with pytest.raises(ValueError, match="infos must be a list of 1 dicts, one for each environment"):
        model.replay_buffer.add(observation, observation, np.zeros((1, 2)), np.zeros(1), np.zeros(1), infos)
    assert model.replay_buffer.size() == 0


def test_training_without_a_transition_says_where_they_come_from():
    with pytest.raises(ValueError, match="The replay buffer is empty: store transitions, or load them"):
        fpac(StackedNoise()).train(1)


def test_an_agent_trains_on_recorded_episodes_alone():
    env = StackedNoise()
    model = fpac(env)
    record(model, env, 6)
    before = model.policy.state_dict()["actor.mu.weight"].clone()
    model.train(4, batch_size=4)
    assert model._n_updates == 4
    assert not before.equal(model.policy.state_dict()["actor.mu.weight"])
    model.learn(3)
    assert model.num_timesteps == 3


# -------------------------------------------------------------------------------------------------------------- frozen cameras


class Freezes(Robot):
    """Its camera ``wrist`` stops while it runs"""

    n = 0

    def _new(self, key):
        if key != "wrist":
            return super()._new(key)
        self.n += 1
        self.wrist = super()._new(key) if self.n < 20 else self.wrist
        return self.wrist


def test_a_camera_that_repeats_its_last_frame_is_named_once(monkeypatch):
    monkeypatch.setattr("sb3_fpac.checks.blank._N_STILL", 15)
    with pytest.warns(
        UserWarning, match=r"'wrist': the camera has shown the same frame for 15 steps at agent step "
    ) as caught:
        of_fpac(Freezes(keys=("front", "joints", "wrist"))).learn(60)
    assert sum("the same frame" in str(each.message) for each in caught) == 1


def test_a_camera_without_a_stack_that_repeats_its_last_frame_is_named(monkeypatch):
    monkeypatch.setattr("sb3_fpac.checks.blank._N_STILL", 5)
    env = Noise()
    monkeypatch.setattr(env, "_frame", partial(np.full, env.observation_space.shape, 9, np.uint8))
    with pytest.warns(UserWarning, match="the camera has shown the same frame for 5 steps at agent step 6 "):
        fpac(env).learn(8)


# --------------------------------------------------------------------------------------------------------------- other cameras


def one_camera():
    return Robot(keys=("front", "joints"))


def two_cameras():
    return Robot(keys=("front", "wrist", "joints"))


def policy_kwargs(env):
    options = dict(frame_channels=dict(wrist=1)) if "wrist" in set(env.observation_space) else {}
    return dict(features_extractor_class=FeaturePointCombinedExtractor, features_extractor_kwargs=options)


def of_fpac(env):
    return fpac(env, policy_kwargs=policy_kwargs(env))


def of_sac(env):
    return SAC("MultiInputPolicy", env, policy_kwargs=policy_kwargs(env), **SMALL)


@pytest.mark.parametrize("make", [of_fpac, of_sac], ids=["FPAC", "SAC"])
def test_what_differs_from_the_cameras_of_the_training_is_named(make, tmp_path):
    more, fewer = make(two_cameras()), make(one_camera())
    with pytest.raises(ValueError, match=r"Observation spaces do not match: the agent does not know 'wrist'\. Give"):
        fewer.set_env(two_cameras())
    with pytest.raises(ValueError, match=r"Observation spaces do not match: the environment lacks 'wrist'\. Give"):
        more.set_env(one_camera())
    fewer.save(tmp_path / "agent.zip")
    with pytest.raises(ValueError, match=r"do not match: the agent does not know 'wrist'\. Give"):
        type(fewer).load(tmp_path / "agent.zip", env=two_cameras())
    with pytest.raises(ValueError, match=r"agent of another environment: .* the agent does not know 'wrist'\. Give"):
        load_weights(save_weights(fewer, tmp_path / "agent.safetensors"), two_cameras())


def test_a_vector_of_other_bounds_is_named_alone():
    env = one_camera()
    env.observation_space = spaces.Dict({**env.observation_space, "joints": spaces.Box(-7, 7, (2, 2), np.float64)})
    differs = r"do not match: 'joints' is Box\(-7.0, 7.0, .*\), and Box\(-3.0, 3.0, .*\) for the agent\. Give"
    with pytest.raises(ValueError, match=differs):
        of_fpac(one_camera()).set_env(env)


# --------------------------------------------------------------------------------------------------------- actions and goals


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_that_stand_for_none_are_refused_before_training(dtype):
    class Unbounded(Noise):
        def __init__(self):
            super().__init__((17, 17, 3))
            self.action_space = spaces.Box(np.finfo(dtype).min, np.finfo(dtype).max, (2,), dtype)

    with pytest.raises(ValueError, match="FPAC needs actions with bounds, got"):
        fpac(Unbounded())


def test_an_unknown_strategy_of_goals_is_refused_with_the_known_ones():
    space = spaces.Dict(
        eye=spaces.Box(0, 255, (6, 17, 17), np.uint8),
        achieved_goal=spaces.Box(-1, 1, (2,)),
        desired_goal=spaces.Box(-1, 1, (2,)),
    )
    with pytest.raises(ValueError, match="goal_selection_strategy must be 'future', 'final' or 'episode', got 'finall'"):
        HerFrameReplayBuffer(9, space, spaces.Box(-1, 1, (1,)), env=None, goal_selection_strategy="finall")


# ------------------------------------------------------------------------------------------------------------------ vectors

IMPOSSIBLE = {
    "joints": (np.full((2, 2), 1e300), r"'joints' with values up to 1e\+300, which float32 cannot hold"),
    "mode": (3, r"'mode' with \[?3\]?, which Discrete\(3\) does not contain"),
    "gears": (np.array([2, 0]), r"'gears' with \[?\[2, 0\]\]?, which MultiDiscrete\(\[2 3\]\) does not contain"),
}


@pytest.mark.parametrize("key", IMPOSSIBLE)
def test_values_that_networks_cannot_take_stop_learning_at_the_step_that_returned_them(key):
    value, message = IMPOSSIBLE[key]

    class Broken(Robot):
        def step(self, action):
            obs, *rest = super().step(action)
            return {**obs, key: value if self.steps == 3 else obs[key]}, *rest

    model = fpac(Broken(keys=("front", "joints", "mode", "gears")))
    with pytest.raises((FloatingPointError, ValueError), match=rf"The environment returned {message} at agent step 3 "):
        model.learn(9)
    with pytest.raises(ValueError, match=rf"cannot act on {message}"):
        model.predict({**Broken(keys=("front", "joints", "mode", "gears")).reset()[0], key: value})


def test_keys_of_a_batch_have_the_same_number_of_observations():
    env = two_cameras()
    obs, _ = env.reset()
    batch = {key: np.stack([part] * 3) for key, part in obs.items()}
    model = of_fpac(env)
    assert model.predict(batch)[0].shape == (3, 2)
    with pytest.raises(ValueError, match=r"the same number for every key, got {'front': 3, 'wrist': 3, 'joints': 1}"):
        model.predict({**batch, "joints": obs["joints"]})


@pytest.mark.parametrize("joints, got", [(np.zeros(1, np.float32), r"returned \(1,\)"), (None, "without 'joints'")])
def test_vectors_are_what_their_space_says_in_every_vec_env(joints, got):
    """SB3's DummyVecEnv would repeat one joint four times; its SubprocVecEnv names neither key nor environment"""

    class Wrong(Noise):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Dict(eye=self.observation_space, joints=spaces.Box(-1, 1, (4,)))

        def _frame(self):
            eye = np.zeros(self.observation_space["eye"].shape, np.uint8)
            return dict(eye=eye) if joints is None else dict(eye=eye, joints=joints)

    with pytest.raises(ValueError, match=got):
        DummyVecEnv([lambda: FrameStack(Wrong())]).reset()


class Ticks(Robot):
    def __init__(self):
        super().__init__(("front", "joints"))

    def _obs(self):
        return {**(obs := super()._obs()), "joints": 1e4 * np.sign(obs["joints"])}

    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, -2e4, *rest


def test_numbers_too_large_to_learn_from_are_named_once():
    with pytest.warns(
        UserWarning, match="an agent hardly learns from numbers far from 1: scale them with Gymnasium"
    ) as caught:
        fpac(Ticks()).learn(13)
    assert [str(each.message)[:35] for each in caught if "far from 1" in str(each.message)] == [
        "A reward has numbers up to 2e+04, a",
        "'joints' has numbers up to 1e+04, a",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fpac(VecNormalize(DummyVecEnv([Ticks]), norm_obs_keys=["joints"])).learn(13)


# ------------------------------------------------------------------------------------------------------- normalized vectors


def normalized(**kwargs):
    return VecNormalize(DummyVecEnv([one_camera]), **(dict(norm_obs_keys=["joints"]) | kwargs))


def test_a_trained_agent_with_a_new_vec_normalize_is_told_to_load_the_old_one(tmp_path):
    venv = normalized()
    model = of_fpac(venv)
    model.learn(13)
    model.save(tmp_path / "agent.zip")
    venv.save(tmp_path / "statistics.pkl")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.learn(13)
        FPAC.load(tmp_path / "agent.zip", VecNormalize.load(tmp_path / "statistics.pkl", DummyVecEnv([one_camera]))).learn(13)
    with pytest.warns(
        UserWarning, match=r"VecNormalize of 'joints' and the rewards that has seen nothing yet: .* VecNormalize\.load"
    ):
        FPAC.load(tmp_path / "agent.zip", normalized()).learn(1)
    with pytest.warns(UserWarning, match="VecNormalize of 'joints' and the rewards that has seen nothing yet"):
        load_weights(save_weights(model, tmp_path / "agent.safetensors"), normalized())
    with pytest.raises(ValueError, match="was trained with VecNormalize of 'joints', whose statistics are missing"):
        FPAC.load(tmp_path / "agent.zip", normalized(norm_obs=False)).learn(1)
