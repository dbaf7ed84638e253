"""What is refused or noticed early: stacks of stacks, cameras that are off, arguments and spaces that do not fit."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from helpers.environments import Noise, Robot
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, EvalCallback
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.type_aliases import TrainFrequencyUnit
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize, VecTransposeImage

from sb3_fpac import FPAC, CameraShift, CameraView, FeaturePointExtractor, FrameReplayBuffer, FrameStack, HerFrameReplayBuffer
from sb3_fpac.callbacks import FeaturePointCallback

POINTS = dict(features_extractor_class=FeaturePointExtractor, features_extractor_kwargs=dict(n_points=4))
SMALL = dict(buffer_size=60, learning_starts=12, batch_size=4, seed=0, compile=False, policy_kwargs=dict(net_arch=[8]))


def fpac(env, policy="CnnPolicy", **kwargs):
    return FPAC(policy, env, **{**SMALL, **kwargs})


# ------------------------------------------------------------------------------------------------------- stacks over stacks


def two_frames():
    return DummyVecEnv([lambda: FrameStack(Noise())])


@pytest.mark.parametrize("algorithm", [fpac, lambda env: PPO("CnnPolicy", env, policy_kwargs=POINTS, n_steps=8, batch_size=8)])
def test_stacks_of_stacks_are_refused(algorithm):
    with pytest.raises(ValueError, match="stacks of frames already: leave VecFrameStack out, and raise n of FrameStack"):
        algorithm(VecFrameStack(two_frames(), 2, "first"))
    one = DummyVecEnv([lambda: FrameStack(Noise(), 1)])
    assert algorithm(VecFrameStack(one, 2, "first")).policy.features_extractor.n_frames == 2
    assert algorithm(VecFrameStack(two_frames(), 1, "first")).policy.features_extractor.n_frames == 2


@pytest.mark.parametrize("n_stack", [2, 3])
def test_stacks_of_camera_shifts_are_refused(n_stack):
    env = VecFrameStack(DummyVecEnv([lambda: gym.make("dmc-cheetah-run", size=24)]), n_stack)
    for algorithm in (fpac, lambda env: PPO("CnnPolicy", env, policy_kwargs=POINTS, n_steps=8, batch_size=8)):
        with pytest.raises(ValueError, match="have a header plane with the camera shift: leave VecFrameStack out"):
            algorithm(env)
    env.close()


def test_normalized_vectors_cannot_be_stacked_for_a_replay_buffer():
    venv = VecNormalize(DummyVecEnv([lambda: Robot(("front", "joints"))]), norm_obs_keys=["joints"])
    with pytest.raises(ValueError, match="put VecNormalize around VecFrameStack"):
        fpac(VecFrameStack(venv, 2), policy="MultiInputPolicy")


def test_the_camera_shift_has_as_many_frames_as_the_stack():
    def camera(env, height, width):
        return CameraView(np.zeros(3), lambda point: np.zeros(2))

    stack = FrameStack(Noise((40, 40, 3)), 4)
    env = CameraShift(stack, camera)
    assert FeaturePointExtractor(env.observation_space).n_frames == 4
    assert env._saved_kwargs["n_frames"] == 4
    with pytest.raises(ValueError, match="n_frames=2, but FrameStack has n=4: leave n_frames out"):
        CameraShift(stack, camera, n_frames=2)
    other = gym.wrappers.TransformObservation(stack, lambda obs: obs[6:], spaces.Box(0, 255, (6, 40, 40), np.uint8))
    assert CameraShift(other, camera)._saved_kwargs["n_frames"] == 2


# ------------------------------------------------------------------------------------------------ a camera that is off once


class Off(gym.Wrapper):
    """At some steps, the whole stack is black"""

    def __init__(self, at):
        super().__init__(FrameStack(Noise()))
        self.at, self.n = at, 0

    def step(self, action):
        self.n += 1
        obs, *rest = self.env.step(action)
        return (np.zeros_like(obs) if self.n in self.at else obs, *rest)


@pytest.mark.parametrize("at", [[(15,)], [(15,), (16,)], [(15, 18)]])
def test_a_camera_that_is_off_for_a_moment_does_not_end_the_training(at):
    """A black stack breaks two transitions: the one into it, and the one out of it"""
    env = DummyVecEnv([lambda steps=steps: Off(steps) for steps in at])
    model = fpac(env, learning_starts=8)
    with pytest.warns(UserWarning, match="is not stored.*filled the stack anew"):
        model.learn(60)
    assert model.num_timesteps >= 60 and 0 < model.replay_buffer.size() * len(at) < 60


class Replaces(BaseCallback):
    """Passes the agent another environment in the middle of learn"""

    def __init__(self, when, after):
        super().__init__()
        self.when, self.after = when, after

    def _on_step(self):
        return self.replace("in a step")

    def _on_rollout_end(self):
        self.replace("between steps")

    def replace(self, when):
        if when == self.when and self.num_timesteps == self.after:
            self.model.set_env(two_frames())
        return True


@pytest.mark.parametrize("after", [5, 15], ids=["random actions", "its actions"])
@pytest.mark.parametrize("when", ["in a step", "between steps"])
def test_an_environment_that_a_callback_replaces_is_refused_with_the_cure(when, after):
    model = fpac(two_frames())
    with pytest.raises(ValueError, match=r"set_env was called while learn was running.*between two calls.*set_attr"):
        model.learn(30, callback=Replaces(when, after))
    model.learn(10, reset_num_timesteps=False)


def test_images_that_were_divided_before_are_noticed():
    model = fpac(FrameStack(Noise()))
    obs = np.stack([model.observation_space.sample()])
    model.predict(obs)
    other = fpac(FrameStack(Noise()))
    with pytest.warns(UserWarning, match="up to 1 of 255, as if they were 0 and 1, or had been divided by 255 before"):
        other.predict(np.uint8(obs / np.float32(255) > 0.5))  # as a space of uint8 casts what was divided and rounded


# ------------------------------------------------------------------------------------------------------ faults of arguments


def test_a_learning_rate_that_becomes_negative_is_refused():
    model = fpac(FrameStack(Noise()), learning_rate=lambda progress: 1e-3 * (progress - 0.5), learning_starts=5)
    with pytest.raises(ValueError, match="learning_rate must be at least 0, got -"):
        model.learn(40)


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (dict(replay_buffer_kwargs=dict(n_steps=3, gamma=0.5)), r"replay_buffer_kwargs has gamma=0.5, and FPAC 0.99: pass"),
        (dict(policy_kwargs="dict(net_arch=[8])"), r"policy_kwargs must be a dict, got 'dict\(net_arch=\[8\]\)'"),
        (dict(policy_kwargs=dict(features_extractor_kwargs=[])), r"features_extractor_kwargs must be a dict, got \[\]"),
    ],
)
def test_arguments_of_another_kind_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        fpac(FrameStack(Noise()), **kwargs)


def test_arguments_as_yaml_and_numpy_have_them_are_taken():
    model = fpac(FrameStack(Noise()), train_freq=[1, "episode"], learning_rate=np.float32(1e-3))
    assert model.train_freq.unit.value == "episode" and type(model.learning_rate) is float


@pytest.mark.parametrize("n_envs", [1, 3])
def test_an_agent_with_action_noise_learns_on_with_another_number_of_environments(n_envs, tmp_path):
    stacks = DummyVecEnv([lambda: FrameStack(Noise())] * 2)
    fpac(stacks, action_noise=NormalActionNoise(np.zeros(2), np.full(2, 0.1))).learn(20).save(tmp_path / "model")
    model = FPAC.load(tmp_path / "model", env=DummyVecEnv([lambda: FrameStack(Noise())] * n_envs))
    assert model.learn(20).replay_buffer.n_envs == n_envs


def test_load_takes_none_for_the_defaults_of_the_buffer(tmp_path):
    fpac(FrameStack(Noise())).save(tmp_path / "model")
    env = FrameStack(Noise())
    model = FPAC.load(tmp_path / "model", env=env, replay_buffer_class=None, replay_buffer_kwargs=None)
    model.learn(15)
    model.save(tmp_path / "again")
    assert isinstance(FPAC.load(tmp_path / "again", env=env).replay_buffer, FrameReplayBuffer)
    with pytest.raises(ValueError, match=r"again\.zip is a model, and no replay buffer: use FPAC\.load"):
        model.load_replay_buffer(tmp_path / "again.zip")


@pytest.mark.parametrize(
    "space, message",
    [
        (spaces.Discrete(3, start=1), r"'mode' is Discrete\(3, start=1\), but SB3 counts from 0: subtract it"),
        (spaces.MultiDiscrete([2, 2], start=[0, 1]), "'mode' is .*, but SB3 counts from 0"),
        (spaces.MultiDiscrete([[2, 3], [4, 5]]), "(?s)'mode' is .*, but SB3 takes one axis: flatten it"),
        (spaces.Text(3), r"'mode' is Text.*: flatten it or leave it out"),
    ],
)
def test_vectors_that_sb3_cannot_take_are_refused_by_name(space, message):
    class Mode(Robot):
        def __init__(self):
            super().__init__(("front",))
            self.observation_space = spaces.Dict({**self.observation_space.spaces, "mode": space})

    with pytest.raises(ValueError, match=message):
        fpac(Mode(), policy="MultiInputPolicy")


@pytest.mark.parametrize(
    "compute_reward, message",
    [
        (lambda self, achieved, desired, info: -np.linalg.norm(achieved - desired), "one finite reward for each goal, got"),
        (lambda self, achieved, desired, info: -1.0, "one finite reward for each goal, got -1.0"),
        (
            lambda self, achieved, desired, info: achieved[:, 0] * np.nan if achieved.ndim == 2 else 0.0,
            "one finite reward for each goal",
        ),
        (None, "give it a method compute_reward"),
    ],
)
def test_rewards_of_goals_are_checked_at_the_first_step(compute_reward, message):
    class Goals(Robot):
        pass

    class Without(gym.Wrapper):
        def get_wrapper_attr(self, name):
            if name == "compute_reward":
                raise AttributeError(name)
            return super().get_wrapper_attr(name)

    env = Goals(("front", "joints", "achieved_goal", "desired_goal"), goals=True)
    if compute_reward is None:
        env = Without(env)
    else:
        Goals.compute_reward = compute_reward
    model = fpac(env, policy="MultiInputPolicy", replay_buffer_class=HerFrameReplayBuffer)
    with pytest.raises(ValueError, match=message):
        model.learn(3)


def test_points_are_not_drawn_in_the_environment_of_training(tmp_path):
    env = FrameStack(Noise())
    model = fpac(env)
    other = FrameStack(Noise())
    for eval_env in (env, env.env, model.get_env(), DummyVecEnv([lambda: env])):
        with pytest.raises(ValueError, match="eval_env is the environment of training, whose episodes it would interrupt"):
            model.learn(3, callback=FeaturePointCallback(freq=20, save_path=tmp_path, eval_env=eval_env))
    model.learn(3, callback=FeaturePointCallback(freq=20, save_path=tmp_path, eval_env=other))


# --------------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("kwargs", "problem"),
    [
        (dict(train_freq="episode"), r"a number and its unit, such as \(1, 'episode'\), got 'episode'"),
        (dict(train_freq=(1, "epoch")), r"a number and its unit, such as \(1, 'episode'\), got \(1, 'epoch'\)"),
        (dict(train_freq=None), "a number and its unit"),
        (dict(train_freq=0), "train_freq must be at least 1"),
        (dict(train_freq=(0.5, "episode")), "train_freq must be a whole number"),
        (dict(seed="3"), "seed must be a whole number, got '3'"),
        (dict(seed=-1), "seed must be from 0 to 4294967295"),
        (dict(action_noise=0.1), "action_noise must be an ActionNoise, such as SB3's NormalActionNoise, got 0.1"),
        (dict(policy_kwargs=dict(activation_fn="relu")), "activation_fn must be a class, such as torch.nn.ReLU, got 'relu'"),
        (dict(policy_kwargs=dict(optimizer_class="adam")), "optimizer_class must be a class, such as torch.optim.Adam"),
    ],
    ids=str,
)
def test_arguments_of_another_kind_are_refused_by_name(kwargs, problem):
    with pytest.raises(ValueError, match=problem):
        fpac(FrameStack(Noise()), **kwargs)


def test_numbers_of_numpy_and_units_of_sb3_are_arguments(tmp_path):
    model = fpac(FrameStack(Noise()), seed=np.int64(3), train_freq=(np.int64(1), "episode"), action_noise=None)
    model.learn(25).save(tmp_path / "model")
    assert model.seed == 3 and type(model.seed) is int
    loaded = FPAC.load(tmp_path / "model", env=FrameStack(Noise()))
    assert (loaded.train_freq.frequency, loaded.train_freq.unit) == (1, TrainFrequencyUnit("episode")) and loaded.seed == 3


# -------------------------------------------------------------------------------------------------- evaluation environments


def learn_with(model, eval_env, steps=3):
    callback = EvalCallback(eval_env, n_eval_episodes=1, eval_freq=2, warn=False, verbose=0)
    return model.learn(steps, callback=CallbackList([callback])), callback


def channels_last():
    return VecFrameStack(DummyVecEnv([lambda: Noise((24, 24, 3))]), 2, "last")


def ppo(env, policy="CnnPolicy"):
    return PPO(policy, env, policy_kwargs=POINTS, n_steps=8, batch_size=8, seed=0)


@pytest.mark.parametrize("algorithm", [fpac, ppo])
@pytest.mark.parametrize(
    ("eval_env", "problem"),
    [
        (lambda: FrameStack(Noise(), 3), r"images of shape \(6, \d+, \d+\), got \(1, 9, \d+, \d+\)"),
        (lambda: Noise((24, 24, 3)), "images of shape"),
        (lambda: FrameStack(Robot(("front", "joints"))), "other observations than that of training"),
        (lambda: OtherActions(FrameStack(Noise())), "has the actions Box.* Make eval_env like the environment of training"),
    ],
    ids=["other stack", "no stack", "cameras", "other actions"],
)
def test_an_evaluation_in_another_environment_is_refused_before_the_first_step(algorithm, eval_env, problem):
    model = algorithm(two_frames())
    with pytest.raises(ValueError, match=problem):
        learn_with(model, eval_env())
    assert model.num_timesteps == 0


class StopsAtTheStart(BaseCallback):
    def _on_training_start(self):
        raise InterruptedError

    def _on_step(self):
        return True


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("algorithm", [fpac, ppo])
def test_an_evaluation_in_the_environment_of_training_is_named_before_the_first_step(algorithm, inner):
    env = DummyVecEnv([lambda: FrameStack(Noise())])
    model = algorithm(env)
    evaluation = EvalCallback(env.envs[0] if inner else env, warn=False, verbose=0)
    with (
        pytest.warns(UserWarning, match="EvalCallback plays in the environment of training"),
        pytest.raises(InterruptedError),
    ):
        model.learn(3, callback=CallbackList([evaluation, StopsAtTheStart()]))
    assert model.num_timesteps == 0


class OtherActions(gym.Wrapper):
    def __init__(self, env):
        super().__init__(env)
        self.action_space = spaces.Box(-1, 1, (5,))


@pytest.mark.parametrize("policy", ["CnnPolicy", "MlpPolicy"])
def test_an_evaluation_in_an_environment_like_that_of_training_is_as_before(policy):
    """SB3 puts the channels first in the training environment only; agents without points are SB3's own business"""

    def make():
        return channels_last() if policy == "CnnPolicy" else gym.wrappers.FlattenObservation(Noise())

    model = fpac(make()) if policy == "CnnPolicy" else PPO(policy, make(), n_steps=8, batch_size=8)
    _, callback = learn_with(model, make())
    assert np.isfinite(callback.last_mean_reward)


def test_an_evaluation_without_the_wrappers_around_vec_normalize_is_refused_before_the_first_step():
    def normalized(**kwargs):
        return VecNormalize(channels_last(), norm_obs=False, **kwargs)

    model = fpac(normalized())
    for eval_env in (normalized(training=False), channels_last()):
        with pytest.raises(
            ValueError, match=r"make it as VecTransposeImage\(VecNormalize\(VecFrameStack\(DummyVecEnv\(…\)\)\)\), got"
        ):
            learn_with(model, eval_env)
    assert model.num_timesteps == 0
    _, callback = learn_with(model, VecTransposeImage(normalized(training=False, norm_reward=False)))
    assert np.isfinite(callback.last_mean_reward)
