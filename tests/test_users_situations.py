"""What users do besides calling learn: wrap, save parts, load what does not fit, fork, run out of memory."""

import json
import multiprocessing
import pickle
import re
import warnings
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import psutil
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from helpers.environments import Noise, Robot, StackedNoise
from helpers.processes import run_python
from sb3_contrib import TQC, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize, VecTransposeImage

from sb3_fpac import (
    FPAC,
    AddPixels,
    FeaturePointCombinedExtractor,
    FeaturePointExtractor,
    FPACPolicy,
    FPACTQCPolicy,
    FrameReplayBuffer,
    FrameStack,
    MujocoCamera,
    PixelExtractor,
    PixelFrames,
    fpac_kwargs,
)
from sb3_fpac.envs import TASKS, CameraShift, rendering

OFF_POLICY = dict(buffer_size=60, learning_starts=12, batch_size=4, seed=0)
SMALL = dict(OFF_POLICY, compile=False)


def fpac(env, policy="CnnPolicy", **kwargs):
    return FPAC(policy, env, **{**SMALL, **kwargs})


# ------------------------------------------------------------------------------------------------------- normalized rewards


class Buttons(Noise):
    """A choice of two actions"""

    def __init__(self, *args):
        super().__init__(*args)
        self.action_space = spaces.Discrete(2)

    def _reward(self, action):
        return float(action)


class Frames(Noise):
    """Single channel-last frames, a reward of 100"""

    def _reward(self, action):
        return 100.0


def stacked():
    return VecFrameStack(DummyVecEnv([Frames] * 2), 2)


WRAPPED = {
    "channel-last": lambda: VecNormalize(stacked(), norm_obs=False),
    "transposed above": lambda: VecTransposeImage(VecNormalize(stacked(), norm_obs=False)),
    "stacked above": lambda: VecFrameStack(VecNormalize(DummyVecEnv([Frames] * 2), norm_obs=False), 2),
    "channel-first": lambda: VecNormalize(DummyVecEnv([lambda: FrameStack(Frames())] * 2), norm_obs=False),
}


def points(**kwargs):
    return dict(features_extractor_class=FeaturePointExtractor, **kwargs)


def inside(**kwargs):
    return points(features_extractor_kwargs=kwargs)


def off_policy(algorithm, env, **kwargs):
    compile_update = dict(compile=False) if algorithm is FPAC else {}
    return algorithm("CnnPolicy", env, **{**OFF_POLICY, "policy_kwargs": points(), **compile_update, **kwargs})


@pytest.mark.parametrize(
    ("algorithm", "buffer"), [(FPAC, FrameReplayBuffer), (SAC, FrameReplayBuffer), (SAC, None), (TQC, None), (TD3, None)]
)
@pytest.mark.parametrize("wrapped", WRAPPED.values(), ids=WRAPPED)
def test_normalized_rewards_under_any_order_of_wrappers(wrapped, algorithm, buffer):
    model = off_policy(algorithm, wrapped(), replay_buffer_class=buffer).learn(30)
    buffer = model.replay_buffer
    batch = buffer.sample(200)
    assert batch.observations.shape[1:] == (6, 17, 17) and (buffer.rewards[:10] == 100).all()
    assert (batch.observations[:, 3:] == batch.next_observations[:, :3]).all()
    normalized = buffer.sample(20, env=model.get_vec_normalize_env()).rewards
    assert (normalized < 100).all() and (normalized > 0).all()


def test_a_buffer_of_frames_without_feature_points_stores_what_is_seen():
    env = VecNormalize(DummyVecEnv([lambda: Noise((36, 36, 6))]), norm_obs=False)
    model = SAC("CnnPolicy", env, replay_buffer_class=FrameReplayBuffer, **OFF_POLICY).learn(5)
    assert (model.replay_buffer.sample(20).observations[0].numpy() != 0).any()


class Camera(Noise):
    """Channel-last frames beside a vector that counts the steps"""

    def __init__(self):
        super().__init__()
        self.image = self.observation_space
        self.observation_space = spaces.Dict(camera=self.image, time=spaces.Box(0, 99, (1,), np.float32))

    def _frame(self):
        image = self.np_random.integers(0, 256, self.image.shape, np.uint8)
        return dict(camera=image, time=np.float32([self.steps]))

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return super().reset(seed=seed)


@pytest.mark.parametrize("norm_obs", [dict(norm_obs=False), dict(norm_obs_keys=["time"])])
@pytest.mark.parametrize("algorithm", [FPAC, SAC, TD3])
def test_normalized_vectors_beside_images_with_the_channels_last(algorithm, norm_obs):
    env = VecNormalize(DummyVecEnv([Camera]), **norm_obs)
    kwargs = dict(policy_kwargs=dict(features_extractor_class=FeaturePointCombinedExtractor, net_arch=[8]))
    with pytest.warns(UserWarning, match="which has no velocities"):
        model = algorithm("MultiInputPolicy", env, **OFF_POLICY, **kwargs)
    model.learn(20)
    stored = model.replay_buffer.sample(100).observations
    assert stored["camera"].shape[1:] == (3, 17, 17)
    assert stored["time"].max() > 5 and (stored["time"] % 1 == 0).all()  # as they were before VecNormalize


@pytest.mark.parametrize("algorithm", [FPAC, SAC, TD3, PPO])
def test_normalized_images_are_refused_with_the_cure(algorithm):
    with pytest.raises(ValueError, match=r"must leave images as they are: use VecNormalize\(…, norm_obs=False\)"):
        algorithm("CnnPolicy", VecNormalize(stacked()), policy_kwargs=points())


# ------------------------------------------------------------------------------------------------------- other algorithms

ON_POLICY = {PPO: "CnnPolicy", A2C: "CnnPolicy", RecurrentPPO: "CnnLstmPolicy", MaskablePPO: "CnnPolicy"}


@pytest.mark.parametrize(("algorithm", "policy"), ON_POLICY.items())
def test_every_algorithm_says_what_it_takes_its_observations_for(algorithm, policy, capsys):
    for verbose in (0, 1):
        algorithm(policy, FrameStack(Buttons()), policy_kwargs=points(), verbose=verbose)
        assert capsys.readouterr().out.count("2 RGB frames of 17×17, 32 points, 192 features") == verbose


@pytest.mark.parametrize(
    ("algorithm", "policy"), [(TD3, "CnnPolicy"), (PPO, "CnnPolicy"), (MaskablePPO, "CnnPolicy"), (SAC, "MlpPolicy")]
)
def test_the_options_of_other_policies_are_refused_with_the_cure(algorithm, policy):
    env = FrameStack(Buttons() if algorithm is MaskablePPO else Noise())
    with pytest.raises(ValueError, match=f"actor_update_.*got {algorithm.__name__} .*instead of fpac_kwargs pass policy_kw"):
        algorithm(policy, env, policy_kwargs=dict(fpac_kwargs))


@pytest.mark.parametrize(
    ("algorithm", "policy_kwargs", "words"),
    [
        (FPAC, dict(strides=(2,)), "no policy_kwargs=dict(strides=…): pass {}dict(features_extractor_kwargs=dict(strides=…))"),
        (
            SAC,
            points(n_points=4),
            "no policy_kwargs=dict(n_points=…): pass {}dict(features_extractor_kwargs=dict(n_points=…))",
        ),
        (PPO, points(frozen=True), "no policy_kwargs=dict(frozen=…): pass {}dict(features_extractor_kwargs=dict(frozen=…))"),
        (FPAC, inside(layer_norm=True), "no {}dict(features_extractor_kwargs=dict(layer_norm=…)): pass {}dict(layer_norm=…)"),
        (TQC, inside(net_arch=[4]), "no {}dict(features_extractor_kwargs=dict(net_arch=…)): pass {}dict(net_arch=…)"),
        (
            FPAC,
            inside(random_shift=4),
            "no {}dict(features_extractor_kwargs=dict(random_shift=…)): pass FPAC(…, random_shift=…)",
        ),
        (TQC, points(tau=0.1), "no policy_kwargs=dict(tau=…): pass TQC(…, tau=…)"),
    ],
)
def test_an_option_that_is_passed_to_another_part_is_refused_with_its_place(algorithm, policy_kwargs, words):
    with pytest.raises(ValueError, match=re.escape(words.replace("{}", "policy_kwargs="))):
        algorithm("CnnPolicy", FrameStack(Noise()), policy_kwargs=policy_kwargs)


@pytest.mark.parametrize("algorithm", [FPAC, SAC, PPO])
@pytest.mark.parametrize(
    ("extractor", "instead"),
    [(FeaturePointExtractor, "n_points"), (FeaturePointCombinedExtractor, "n_points"), (PixelExtractor, "n_maps")],
)
def test_the_number_of_features_that_other_extractors_take_is_refused_with_the_cure(algorithm, extractor, instead):
    """Whoever swaps NatureCNN for feature points may leave its option there"""
    env, policy = (
        (Robot(), "MultiInputPolicy") if extractor is FeaturePointCombinedExtractor else (FrameStack(Noise()), "CnnPolicy")
    )
    kwargs = dict(features_extractor_class=extractor, features_extractor_kwargs=dict(features_dim=128))
    words = f"{extractor.__name__} has no option features_dim: leave it out, and pass {instead}, from which"
    with pytest.raises(ValueError, match=words):
        algorithm(policy, env, policy_kwargs=kwargs)


def test_images_of_a_dict_share_an_encoder_where_the_option_belongs():
    with pytest.raises(ValueError, match=r"no policy_kwargs=dict\(share_encoder=…\): pass policy_kwargs=dict\(features_extr"):
        FPAC("MultiInputPolicy", Robot(), policy_kwargs=dict(share_encoder=True))


@pytest.mark.parametrize(
    ("algorithm", "policy", "words"),
    [
        (TQC, FPACPolicy, "FPACPolicy is a policy of SAC, got TQC"),
        (PPO, FPACPolicy, "FPACPolicy is a policy of SAC, got PPO"),
        (TD3, FPACPolicy, "FPACPolicy is a policy of SAC, got TD3"),
        (SAC, FPACTQCPolicy, "FPACTQCPolicy is a policy of TQC, got SAC"),
    ],
)
def test_policies_of_another_algorithm_are_refused_with_the_cure(algorithm, policy, words):
    with pytest.raises(ValueError, match=f"{words}: pass 'CnnPolicy'"):
        algorithm(policy, FrameStack(Noise()))


POINTS = dict(features_extractor_class=FeaturePointExtractor)


@pytest.mark.parametrize(
    ("saved_by", "loaded_by", "policy", "words"),
    [
        (FPAC, SAC, "CnnPolicy", "was saved by FPAC, got SAC: use FPAC.load."),
        (FPAC, PPO, "CnnPolicy", "was saved by FPAC, got PPO: use FPAC.load."),
        (FPAC, TD3, "CnnPolicy", "was saved by FPAC, got TD3: use FPAC.load."),
        (FPAC, TQC, "CnnPolicy", "was saved by FPAC, got TQC: use FPAC.load."),
        (SAC, FPAC, FPACPolicy, "was saved by SAC, got FPAC: use SAC.load."),
        (SAC, TD3, FPACPolicy, "was saved by SAC, got TD3: use SAC.load."),
        (PPO, FPAC, "CnnPolicy", "was saved by PPO, MaskablePPO or RecurrentPPO, got FPAC: use PPO.load, "),
        (TD3, FPAC, "CnnPolicy", "was saved by TD3 or DDPG, got FPAC: use TD3.load or DDPG.load."),
    ],
)
def test_an_agent_of_another_algorithm_is_refused_with_the_one_that_saved_it(saved_by, loaded_by, policy, words, tmp_path):
    """SAC with FPAC's policy and buffer would go on as FPAC, and FPAC as SAC, without a word"""
    kwargs = dict(replay_buffer_class=FrameReplayBuffer, buffer_size=60) if saved_by in (SAC, TD3) else {}
    kwargs |= dict(policy_kwargs=POINTS) if saved_by in (PPO, TD3) else dict(buffer_size=60)
    env = FrameStack(Noise())
    saved_by(policy, env, **kwargs).save(tmp_path / "model")
    for given in ({}, {"env": env}):
        with pytest.raises(ValueError, match=re.escape(words)):
            loaded_by.load(tmp_path / "model", **given)
    if loaded_by is FPAC:
        path = str(tmp_path / "model.zip")
        with pytest.raises(ValueError, match=re.escape(f"{path} {words}")):
            FPAC.load(path)
        with (
            (tmp_path / "model.zip").open("rb") as file,
            pytest.raises(ValueError, match=f"This file {words[:16]}"),
        ):
            FPAC.load(file)
    saved_by.load(tmp_path / "model", env=env)


def test_a_subclass_with_arguments_like_those_of_fpac_is_none():
    class Shifted(SAC):
        def __init__(self, *args, policy_delay=2, random_shift=4, **kwargs):
            self.policy_delay, self.random_shift = policy_delay, random_shift
            super().__init__(*args, **kwargs)

    model = Shifted("CnnPolicy", FrameStack(Noise()), policy_kwargs=POINTS, buffer_size=60)
    assert model.policy.features_extractor is not None  # it was set up


@pytest.mark.parametrize("algorithm", [FPAC, SAC])
def test_a_channel_that_is_no_camera_shift_is_noticed_at_the_first_image(algorithm):
    class WithMask(StackedNoise):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Box(0, 255, (7, *self.observation_space.shape[1:]), np.uint8)

        def _obs(self):
            return np.concatenate([np.full_like(self.frames[0][:1], 255), *self.frames])

    model = algorithm("CnnPolicy" if algorithm is FPAC else FPACPolicy, WithMask(), **OFF_POLICY)
    with pytest.warns(UserWarning, match="contains more than the camera shift of 1 past frames: pass camera_shift=False"):
        model.predict(model.env.reset())


@pytest.mark.parametrize("broken, when", [(1, 0), (6, 5), (11, 10), (12, 10)], ids=["first", "within", "last", "next episode"])
def test_vectors_that_are_no_numbers_stop_learning_before_they_are_stored(broken, when):
    class Broken(gym.ObservationWrapper):
        def __init__(self, env):
            super().__init__(env)
            self.n = 0
            self.observation_space = spaces.Dict(eye=env.observation_space, joints=spaces.Box(-1, 1, (3,)))

        def observation(self, observation):
            self.n += 1
            return dict(eye=observation, joints=np.full(3, np.nan if self.n == broken else 0, np.float32))

    model = FPAC("MultiInputPolicy", Broken(FrameStack(Noise())), **SMALL)  # episodes of 10 steps
    with pytest.raises(FloatingPointError, match=rf"'joints' with 3 of 3 values that are not finite at agent step {when} "):
        model.learn(20)
    for observations in (model.replay_buffer.observations, model.replay_buffer.next_observations):
        assert np.isfinite(observations["joints"]).all()


class SameArray(gym.ObservationWrapper):
    """Returns the same array from every step, as some simulators do"""

    def __init__(self, env):
        super().__init__(env)
        self.array = np.zeros(env.observation_space.shape, env.observation_space.dtype)

    def observation(self, observation):
        self.array[:] = observation
        return self.array


def test_an_environment_that_overwrites_the_last_observation_of_an_episode_is_refused():
    model = fpac(DummyVecEnv([lambda: SameArray(FrameStack(Noise()))]))  # FPAC copies what an environment alone returns
    with (
        pytest.warns(
            UserWarning, match="The transition before agent step 10 .* is not stored. The last observation of an episode"
        ),
        pytest.raises(ValueError, match="An environment must return a new array from every step"),
    ):
        model.learn(100)
    assert model.num_timesteps == 20 and model.replay_buffer.size() == 18
    assert model.replay_buffer.dones[8].all()  # the first episode ends before what is lost


def test_a_vec_env_without_last_observations_is_refused_though_others_have_them():
    class Forgetful(DummyVecEnv):
        def step_wait(self):
            *others, infos = super().step_wait()
            infos[0].pop("terminal_observation", None)
            return *others, infos

    model = fpac(Forgetful([lambda: FrameStack(Noise()), lambda: FrameStack(Noise())]))
    with (
        pytest.warns(UserWarning, match="is not stored. The last observation of an episode"),
        pytest.raises(ValueError, match=r'infos\[i\]\["terminal_observation"\]'),
    ):
        model.learn(200)
    assert model.num_timesteps == 40


class Shows(Noise):
    """Frames that a function of the step makes"""

    def __init__(self, show):
        super().__init__()
        self.show, self.steps = show, 0

    def _frame(self):
        return np.broadcast_to(self.show(self.steps), self.observation_space.shape).astype(np.uint8)


STRIPES = np.arange(0, 255, 15)[:, None, None]


@pytest.mark.parametrize(
    ("show", "problem"),
    [
        (lambda step: 0, "all frames are black: save a frame as a picture"),
        (lambda step: (STRIPES + step) % 2, "all pixels are 0 or 1, and not from 0 to 255: multiply by 255"),
        (lambda step: 10 * step + 5, "every frame is of a single colour"),
        (lambda step: STRIPES, "nothing changes: check that it is drawn after each step"),
    ],
    ids=["black", "bits", "uniform", "still"],
)
def test_frames_in_which_there_is_nothing_to_see_are_noticed_before_the_first_update(show, problem):
    model = fpac(FrameStack(Shows(show)), learning_starts=100, buffer_size=300)
    with pytest.warns(UserWarning, match=f"in the 101 agent steps in the replay buffer, {problem}") as warned:
        model.learn(150)
    assert len([each for each in warned if "replay buffer" in str(each.message)]) == 1 and model._n_updates == 50


def test_an_agent_that_starts_without_waiting_is_checked_after_a_hundred_steps():
    class Eyes(StackedNoise):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Dict(eye=self.observation_space, dark=self.observation_space)

        def _obs(self):
            return dict(eye=super()._obs(), dark=np.zeros_like(super()._obs()))

    model = fpac(Eyes(), policy="MultiInputPolicy", learning_starts=0, buffer_size=300)
    with pytest.warns(UserWarning, match="Image 'dark': The first 20 images that the agent sees are black"):
        model.learn(99)
    with pytest.warns(UserWarning, match="'dark': in the 100 agent steps in the replay buffer, all frames are black"):
        model.learn(20, reset_num_timesteps=False)


def test_a_still_camera_that_sees_something_move_is_no_matter():
    model = fpac(FrameStack(Shows(lambda step: STRIPES if step != 7 else STRIPES // 2)), learning_starts=100, buffer_size=300)
    model.learn(110)
    assert model._n_updates == 10


@pytest.mark.parametrize("wrapped", [lambda env: env, lambda env: DummyVecEnv([lambda: env])])
def test_discrete_actions_are_refused_with_the_cure(wrapped):
    with pytest.raises(ValueError, match=r"FPAC needs continuous actions, a Box, got Discrete\(2\): use DQN, QR-DQN or PPO"):
        fpac(wrapped(FrameStack(Buttons())))


@pytest.mark.parametrize("space", [spaces.Dict, spaces.Tuple])
def test_actions_of_several_parts_are_refused_with_the_cure_that_cures(space):
    class Arm(Noise):
        def _reward(self, action):
            return float(self.action_space.contains(action))

    parts = dict(arm=spaces.Box(-1, 1, (2,)), gripper=spaces.Discrete(2))
    env = FrameStack(Arm())
    env.unwrapped.action_space = space(parts if space is spaces.Dict else tuple(parts.values()))
    with pytest.raises(
        ValueError, match=r"FPAC needs continuous actions, a Box, got .*: wrap .* TransformAction, with one Box"
    ):
        fpac(env)

    def split(action):
        made = dict(arm=action[:2], gripper=int(action[2] > 0))
        return made if space is spaces.Dict else tuple(made.values())

    model = fpac(gym.wrappers.TransformAction(env, split, spaces.Box(-1, 1, (3,), np.float32)))
    assert model.learn(14).replay_buffer.rewards[:14].all()


@pytest.mark.parametrize("algorithm", [SAC, DQN])
def test_a_buffer_of_frames_takes_the_frames_of_the_extractor(algorithm):
    env = VecFrameStack(DummyVecEnv([lambda: Buttons((17, 17, 1)) if algorithm is DQN else Noise((17, 17, 1))]), 6)
    grey = points(features_extractor_kwargs=dict(frame_channels=1))
    model = off_policy(algorithm, env, policy_kwargs=grey, replay_buffer_class=FrameReplayBuffer)
    assert model.replay_buffer.layouts[None][:2] == (6, 1)
    other = off_policy(
        algorithm,
        env,
        policy_kwargs=grey,
        replay_buffer_class=FrameReplayBuffer,
        replay_buffer_kwargs=dict(frame_channels=2),
    )
    assert other.replay_buffer.layouts[None][:2] == (3, 2)


# --------------------------------------------------------------------------------------------------------- what is loaded


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (
            lambda: SAC(FPACPolicy, FrameStack(Noise()), buffer_size=60),
            "it contains a ReplayBuffer, and FPAC needs a FrameRe",
        ),
        (lambda: fpac(FrameStack(Noise(), 3)), "its observation_space is"),
        (lambda: fpac(DummyVecEnv([lambda: FrameStack(Noise())] * 2)), "its n_envs is 2, that of the model is 1"),
    ],
)
def test_a_replay_buffer_is_checked_when_it_is_loaded(other, words, tmp_path):
    path = tmp_path / "buffer.pkl"
    other().save_replay_buffer(path)
    model = fpac(FrameStack(Noise()))
    before = model.replay_buffer
    with pytest.raises(ValueError, match=f"buffer.pkl does not fit: {words}"):
        model.load_replay_buffer(path)
    assert model.replay_buffer is before
    for content in (path.read_bytes()[:500], pickle.dumps(dict(no="buffer"))):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"buffer\.pkl cannot be read, because it is damaged, half written, or of other"):
            model.load_replay_buffer(path)
        assert model.replay_buffer is before
    model.learn(20)


def load(model, other, path):
    other.save_replay_buffer(path)
    model.load_replay_buffer(path)


def assign(model, other, path):
    model.replay_buffer = other.replay_buffer


@pytest.mark.parametrize(("algorithm", "take"), [(SAC, load), (SAC, assign), (FPAC, assign)])
@pytest.mark.parametrize(
    ("env", "words"),
    [
        (lambda: FrameStack(Noise(), 3), "its observation_space is"),
        (lambda: DummyVecEnv([lambda: FrameStack(Noise())] * 2), "its n_envs is 2, that of the model is 1"),
    ],
)
def test_a_replay_buffer_of_another_environment_is_refused_before_training(algorithm, take, env, words, tmp_path):
    model, other = (
        off_policy(algorithm, made, replay_buffer_class=FrameReplayBuffer) for made in (FrameStack(Noise()), env())
    )
    take(model, other, tmp_path / "buffer.pkl")
    with pytest.raises(
        ValueError, match=f"The replay buffer does not fit this agent: {words}.* same environment, and as many"
    ):
        model.learn(5)
    assert model.num_timesteps == 0


def test_the_episode_of_a_loaded_replay_buffer_ends(tmp_path):
    model, other = (fpac(FrameStack(Noise()), n_steps=3, learning_starts=1000).learn(7) for _ in range(2))
    other.save_replay_buffer(tmp_path / "buffer")
    model.load_replay_buffer(tmp_path / "buffer")
    model.learn(3, reset_num_timesteps=False)
    assert model.replay_buffer.timeouts[:9, 0].tolist() == [0] * 6 + [1, 0, 0]


@pytest.mark.parametrize(("saved", "own"), [((1, 0.99), (3, 0.9)), ((3, 0.9), (1, 0.99)), ((2, 0.5), (2, 0.9))])
def test_a_loaded_replay_buffer_has_the_n_step_returns_of_the_model(saved, own, tmp_path):
    def filled(n_steps, gamma):
        return fpac(FrameStack(Noise()), n_steps=n_steps, gamma=gamma, learning_starts=1000).learn(30)

    filled(*saved).save_replay_buffer(tmp_path / "buffer")
    model, expected = filled(*own), filled(*own)
    model.load_replay_buffer(tmp_path / "buffer")
    samples = []
    for buffer in (model.replay_buffer, expected.replay_buffer):
        np.random.seed(0)
        batch = buffer.sample_frames(16)
        samples.append([batch.frames, batch.actions, batch.rewards, batch.dones, batch.discounts])
    for loaded, made in zip(*samples, strict=True):
        assert (loaded is None and made is None) or loaded.equal(made)


def test_a_gamma_that_changes_in_training_is_that_of_n_step_returns():
    model = fpac(FrameStack(Noise()), n_steps=3).learn(20)
    model.gamma = 0.5
    model.learn(2, reset_num_timesteps=False)
    discounts = model.replay_buffer.sample_frames(16).discounts
    assert set(discounts.flatten().tolist()) <= {0.5, 0.25, 0.125}


def test_policy_kwargs_that_change_afterwards_do_not_change_the_agent(tmp_path):
    policy_kwargs = dict(net_arch=[16], features_extractor_kwargs=dict(strides=[2, 1]))
    model = fpac(FrameStack(Noise()), policy_kwargs=policy_kwargs)
    policy_kwargs["net_arch"].append(8)
    policy_kwargs["features_extractor_kwargs"]["strides"].append(1)
    model.save(tmp_path / "model")
    loaded = FPAC.load(tmp_path / "model")
    assert loaded.policy_kwargs["net_arch"] == [16]


@pytest.mark.parametrize("suffix", ["", ".zip"])
def test_a_damaged_model_is_named(suffix, tmp_path):
    path = tmp_path / "model.zip"
    fpac(FrameStack(Noise())).save(path)
    whole, middle = path.read_bytes(), path.stat().st_size // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (b"", whole[:middle], whole[:-200], flipped):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model\.zip is damaged or half written: copy or save it again"):
            FPAC.load(tmp_path / f"model{suffix}")
    path.write_bytes(whole)
    assert FPAC.load(tmp_path / f"model{suffix}").buffer_size == 60
    with path.open("rb") as file:
        assert FPAC.load(file).buffer_size == 60


@pytest.mark.parametrize("part", ["actor", "critic", "critic_target"])
@pytest.mark.parametrize("algorithm", [FPAC, SAC])
def test_a_part_of_the_policy_is_not_saved_alone(algorithm, part, tmp_path):
    policy = "CnnPolicy" if algorithm is FPAC else FPACPolicy
    model = algorithm(policy, FrameStack(Noise()), buffer_size=10)
    with pytest.raises(ValueError, match=r"save the policy, model\.policy\.save\(path\)"):
        getattr(model, part).save(tmp_path / "part.pth")
    assert not list(tmp_path.iterdir())
    obs = model.observation_space.sample()
    model.policy.save(tmp_path / "policy.pth")
    loaded = type(model.policy).load(tmp_path / "policy.pth")
    np.testing.assert_array_equal(loaded.predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0])


def test_features_extractor_kwargs_may_be_none():
    assert fpac(FrameStack(Noise()), policy_kwargs=dict(features_extractor_kwargs=None)).learn(16)._n_updates > 0


# ----------------------------------------------------------------------------------------------------------------- memory


@pytest.fixture
def memory(monkeypatch):
    def set_memory(total, available):
        monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=total, available=available))

    return set_memory


@pytest.mark.parametrize(
    "make",
    [
        lambda **kwargs: SAC("CnnPolicy", FrameStack(Noise()), policy_kwargs=dict(fpac_kwargs), **kwargs),
        lambda **kwargs: SAC(FPACPolicy, FrameStack(Noise()), **kwargs),
        lambda **kwargs: TD3("CnnPolicy", FrameStack(Noise()), policy_kwargs=points(), **kwargs),
        lambda **kwargs: DQN("CnnPolicy", FrameStack(Buttons()), policy_kwargs=points(), **kwargs),
    ],
)
def test_sb3s_replay_buffer_is_refused_before_it_exceeds_the_memory(make, memory):
    memory(total=1e9, available=5e8)
    with pytest.raises(MemoryError, match=r"1,000,000 transitions needs 3\.5 GB .* of 1\.0 GB of memory 0\.5 GB are free"):
        make(buffer_size=1_000_000)
    with pytest.raises(MemoryError, match=r"replay_buffer_class=FrameReplayBuffer.*such as 100_000"):
        make(buffer_size=1_000_000)
    memory(total=1e9, available=1e3)
    with pytest.warns(UserWarning, match="replay_buffer_class=FrameReplayBuffer"):
        make(buffer_size=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        memory(total=1e9, available=5e8)
        make(buffer_size=1000)
        make(buffer_size=1000, replay_buffer_class=FrameReplayBuffer)


def test_agents_without_points_are_left_alone(memory):
    memory(total=10, available=1)
    for model in (
        SAC("MlpPolicy", "Pendulum-v1", buffer_size=100),
        SAC("CnnPolicy", FrameStack(Noise((36, 36, 3))), buffer_size=100),
    ):
        assert model.replay_buffer.buffer_size == 100


# ----------------------------------------------------------------------------------------------------------------- losses


class Watch(BaseCallback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def _on_step(self):
        self.seen.append(dict(self.logger.name_to_value))
        return True


def test_callbacks_see_the_losses_on_a_cpu():
    watch = Watch()
    fpac(FrameStack(Noise()), policy_delay=1).learn(16, callback=watch)
    last = watch.seen[-1]
    for name in ("actor_loss", "critic_loss", "ent_coef", "ent_coef_loss", "n_updates"):
        assert np.isfinite(last[f"train/{name}"])
    assert last["train/n_updates"] == 3  # of the steps before


# ------------------------------------------------------------------------------------------------------------ environments


WITH_SHIFT = "dmc-cheetah-run"


def test_specs_of_all_ids_are_plain_data():
    for env_id in TASKS:
        spec = gym.spec(env_id)
        assert EnvSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda env: CameraShift(PixelFrames(env, size=20), np.int64(0)),
        lambda env: CameraShift(PixelFrames(env, size=20), MujocoCamera(np.int64(0))),
        lambda env: AddPixels(env, dict(a=np.int64(0)), size=np.int64(20), frame_stack=np.int8(2)),
    ],
)
def test_wrappers_record_numpys_numbers_as_plain_data(wrapped):
    env = wrapped(gym.make("Hopper-v5", render_mode="rgb_array"))
    assert EnvSpec.from_json(env.spec.to_json()) == env.spec
    env.close()


@pytest.mark.parametrize("kwargs", [{}, dict(camera_id="back", size=40)])
def test_an_environment_with_camera_shift_is_made_again_from_json_and_pickled(kwargs):
    env = gym.make(WITH_SHIFT, **kwargs)
    spec = EnvSpec.from_json(json.loads(json.dumps(env.spec.to_json())))
    assert spec == env.spec
    again = gym.make(spec)
    for each in (env, again):
        each.reset(seed=3)
    copy = pickle.loads(pickle.dumps(env))
    action = np.ones(6, np.float32)
    expected = env.step(action)[0]
    assert expected[0].any()  # the camera moved
    np.testing.assert_array_equal(again.step(action)[0], expected)
    np.testing.assert_array_equal(copy.step(action)[0], expected)
    for each in (env, again, copy):
        each.close()


def test_a_camera_that_is_not_there_is_refused_by_the_constructor():
    env = gym.make(WITH_SHIFT, camera_shift=False, size=24)
    assert CameraShift(env, "side").reset()[0].shape == (7, 24, 24)
    with pytest.raises(ValueError, match="The model has no camera 'track': its cameras are"):
        CameraShift(env, "track")
    with pytest.raises(ValueError, match="needs a dm_control or Gymnasium MuJoCo environment"):
        CameraShift(FrameStack(Noise()), 0)
    env.close()


def draw_after_fork(queue):
    try:
        gym.make("dmc-cartpole-swingup", size=24).reset()
        queue.put("drew")
    except RuntimeError as error:
        queue.put(str(error))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork on this system")
def test_a_forked_process_is_refused_instead_of_blocking_for_ever():
    env = gym.make("dmc-cartpole-swingup", size=24)
    env.reset()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=draw_after_fork, args=(queue,))
    process.start()
    message = queue.get(timeout=120)
    process.join(30)
    assert "forked from one that had drawn a frame" in message and "'spawn' or 'forkserver'" in message
    env.reset()  # this process still draws
    env.close()


ASYNC = """
import gymnasium as gym
import sb3_fpac
if __name__ == "__main__":
    gym.make("dmc-cartpole-swingup", size=24).reset()
    how = dict(vectorization_mode="async", vector_kwargs=dict(context="spawn"))
    env = gym.make_vec("dmc-cartpole-swingup", num_envs=2, size=24, **how)
    print("SHAPE", env.reset()[0].shape)
    env.close()
"""


@pytest.mark.slow
def test_the_cure_for_forked_processes_cures(tmp_path):
    (tmp_path / "script.py").write_text(ASYNC)
    assert "SHAPE (2, 6, 24, 24)" in run_python(tmp_path / "script.py").stdout


def test_the_first_process_that_draws_is_remembered(monkeypatch):
    monkeypatch.setattr(rendering, "_drawn_by", None)
    rendering.check_process()
    monkeypatch.setattr(rendering.os, "getpid", lambda: -1)
    with pytest.raises(RuntimeError, match="spawn"):
        rendering.check_process()


def test_a_stack_that_the_environment_repeats_above_is_told_to_repeat_below():
    from sb3_fpac import ActionRepeat

    with pytest.raises(ValueError, match="repeat actions and change pixels below it"):
        fpac(ActionRepeat(StackedNoise(), 3)).learn(20)


@pytest.mark.parametrize(
    "policy, make", [("CnnPolicy", StackedNoise), ("MultiInputPolicy", lambda: Robot(keys=("front", "joints")))]
)
def test_what_gymnasium_returns_is_unpacked_before_an_agent_acts_on_it(policy, make):
    env = make()
    model = fpac(env, policy)
    for given in (env.reset(), env.step(env.action_space.sample())):
        with pytest.raises(ValueError, match=rf"got a tuple of {len(given)}: .* observation, info = env\.reset\(\)\."):
            model.predict(given)
