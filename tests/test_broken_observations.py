"""What a run does about observations that are lost, late, overwritten, or of another type."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import Noise
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from sb3_fpac import FPAC, FrameStack, PixelFrames
from sb3_fpac.envs import AsReturned

SMALL = dict(policy_kwargs=dict(net_arch=[8]), buffer_size=400, learning_starts=1000, batch_size=4, seed=0)


class Arm(gym.Env):
    """A camera whose frames, and joints whose angles, are those of (episode, step)"""

    def __init__(self, length=6, terminates=False, same_array=False):
        self.observation_space = spaces.Dict(
            eye=spaces.Box(0, 255, (3, 17, 17), np.uint8), joints=spaces.Box(-1e3, 1e3, (3,), np.float32)
        )
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)
        self.length, self.terminates, self.same_array = length, terminates, same_array
        self.episode, self.joints = 0, np.zeros(3, np.float32)

    def frame(self):
        return np.random.default_rng((self.episode, self.steps)).integers(0, 256, (3, 17, 17), np.uint8)

    def observation(self):
        joints = np.array([self.episode, self.steps, 100 * self.episode + self.steps], np.float32)
        self.joints[:] = joints
        return dict(eye=self.frame(), joints=self.joints if self.same_array else joints)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.steps = self.episode + 1, 0
        return self.observation(), {}

    def step(self, action):
        self.steps += 1
        ends = self.steps == self.length
        reward = -10.0 if ends else float(self.steps)
        return self.observation(), reward, ends and self.terminates, ends and not self.terminates, {}


def learn(env, n_steps, **kwargs):
    model = FPAC("MultiInputPolicy", env, **{**SMALL, **kwargs})
    try:
        return model.learn(n_steps)
    finally:
        model.env.close()


class LostAtTheEnd(gym.Wrapper):
    """The camera's stack is black when the episode ends"""

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        if terminated or truncated:
            observation = {**observation, "eye": np.zeros_like(observation["eye"])}
        return observation, reward, terminated, truncated, info


@pytest.mark.filterwarnings("error:.*not stored")
def test_a_failure_that_takes_the_camera_with_it_is_stored_with_its_reward():
    model = learn(LostAtTheEnd(FrameStack(Arm(terminates=True))), 30)
    buffer = model.replay_buffer
    assert buffer.size() == 30 and (buffer.rewards[:30, 0] == -10).sum() == 5
    assert buffer.dones[:30, 0].nonzero()[0].tolist() == [5, 11, 17, 23, 29]
    batch = buffer.sample(200)
    ends = batch.dones[:, 0] == 1
    newest, before = batch.next_observations["eye"][ends][:, 3:], batch.observations["eye"][ends]
    assert not newest.any() and (batch.next_observations["eye"][ends][:, :3] == before[:, 3:]).all()


def test_a_camera_that_is_lost_at_time_outs_does_not_end_the_training():
    with pytest.warns(UserWarning, match=r"agent step 6 \(update 0\) is not stored\. The next observation does not continue"):
        model = learn(LostAtTheEnd(FrameStack(Arm())), 30)
    assert model.replay_buffer.size() == 25 and (model.replay_buffer.rewards[:25] > 0).all()
    assert model.replay_buffer.dones[:25, 0].nonzero()[0].tolist() == [4, 9, 14, 19, 24]


class Late(gym.Wrapper):
    """A camera with a stack of its own, which stays as it is at some steps"""

    def __init__(self, env, late):
        super().__init__(env)
        self.late, self.n, self.frames = late, 0, []
        self.observation_space = FrameStack(env).observation_space

    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        self.frames = [observation["eye"]] * 2
        return self.stacked(observation), info

    def step(self, action):
        self.n += 1
        observation, *rest = self.env.step(action)
        if not self.late(self.n):
            self.frames = [self.frames[1], observation["eye"]]
        return self.stacked(observation), *rest

    def stacked(self, observation):
        return {**observation, "eye": np.concatenate(self.frames)}


@pytest.mark.parametrize("n", [2, 3, 4])
def test_a_camera_slower_than_the_agent_is_told_how_to_stack(n):
    with (
        pytest.warns(UserWarning, match="is not stored.* the stack of the step before once more"),
        pytest.raises(
            ValueError, match=r"Image 'eye': .*Append the camera's latest frame at every step, also if it is not new"
        ),
    ):
        learn(Late(Arm(length=60), lambda step: step % n != 0), 200)


def test_frames_that_are_late_now_and_then_do_not_end_the_training():
    rng = np.random.default_rng(0)
    with pytest.warns(UserWarning) as warnings:
        model = learn(Late(Arm(length=60), lambda step: rng.random() < 0.1), 300)
    n_lost = 300 - model.replay_buffer.size()
    assert 15 < n_lost < 60
    shown = [str(each.message) for each in warnings if "stack of the step before once more" in str(each.message)]
    assert len(shown) == int(np.log2(n_lost)) + 1  # 1, 2, 4, … lost ones


def test_last_observations_are_kept_though_the_environment_writes_into_one_array():
    model = learn(FrameStack(Arm(same_array=True)), 30)
    joints = model.replay_buffer.next_observations["joints"][:30].reshape(30, 3)
    assert joints[:, 1].tolist() == [*range(1, 7)] * 5 and joints[:, 0].tolist() == np.repeat(range(1, 6), 6).tolist()


@pytest.mark.parametrize("venv", [DummyVecEnv, pytest.param(SubprocVecEnv, marks=pytest.mark.slow)])
def test_joints_that_are_overwritten_in_a_vec_env_stop_the_training(venv):
    with (
        pytest.warns(UserWarning, match="is not stored. The last observation of an episode is the first one of the next"),
        pytest.raises(ValueError, match="must return a new array from every step"),
    ):
        learn(venv([lambda: FrameStack(Arm(same_array=True))] * 2), 60)


def test_joints_that_do_not_move_are_not_overwritten():
    class Still(gym.ObservationWrapper):
        def observation(self, observation):
            return {**observation, "joints": np.ones(3, np.float32)}

    assert learn(DummyVecEnv([lambda: Still(FrameStack(Arm()))]), 30).replay_buffer.size() == 30


def test_forces_with_which_all_episodes_start_and_end_are_not_overwritten():
    class Contact(gym.ObservationWrapper):
        def observation(self, observation):
            step = observation["joints"][1]
            return {**observation, "joints": np.full(3, step % 6, np.float32)}  # 0 at the first and at the last step

    assert learn(DummyVecEnv([lambda: Contact(FrameStack(Arm()))]), 30).replay_buffer.size() == 30


@pytest.mark.parametrize("dtype, what", [(np.uint16, "uint16 from"), (np.float32, "float32 from")])
def test_images_of_another_type_than_their_space_are_refused(dtype, what):
    class Other(gym.ObservationWrapper):
        def observation(self, observation):
            return {**observation, "eye": observation["eye"].astype(dtype)}

    env = Other(FrameStack(Arm()))
    with pytest.raises(
        ValueError, match=f"Image 'eye': The space of the images is uint8, but the environment returned {what}"
    ):
        learn(env, 3)


class Returning(DummyVecEnv):
    """A VecEnv of a simulator's own, without the wrappers that SB3 puts around environments"""

    def __init__(self, change, since=0):
        super().__init__([lambda: FrameStack(Arm())])
        self.change, self.since, self.n_steps = change, since, 0

    def step_wait(self):
        observations, rewards, dones, infos = super().step_wait()
        self.n_steps += 1
        if self.n_steps < self.since:
            return observations, rewards, dones, infos
        return self.change(observations, rewards, dones, infos)


@pytest.mark.parametrize("since", [1, 4])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda obs: {**obs, "eye": obs["eye"] / 255}, "Image 'eye': .* is uint8, but the environment returned float64"),
        (lambda obs: {**obs, "eye": th.as_tensor(obs["eye"])}, "Image 'eye': .* returned a tensor of torch.uint8"),
        (lambda obs: {"eye": obs["eye"]}, "The environment returned an observation without 'joints'"),
        (lambda obs: {"joints": obs["joints"]}, "^The environment returned an observation without 'eye'"),
    ],
)
def test_a_vec_env_whose_observations_are_of_another_type_is_told_so(change, message, since):
    """Not that they are no stacks of frames"""
    with pytest.raises(ValueError, match=message):
        learn(Returning(lambda obs, *rest: (change(obs), *rest), since), 9)


def test_rewards_of_a_vec_env_may_be_tensors():
    venv = Returning(lambda obs, rewards, dones, infos: (obs, th.as_tensor(rewards), th.as_tensor(dones), infos))
    buffer = learn(venv, 12).replay_buffer
    assert (
        buffer.rewards[:12, 0].tolist() == [1, 2, 3, 4, 5, -10] * 2 and buffer.dones[:12, 0].tolist() == [0, 0, 0, 0, 0, 1] * 2
    )


def test_an_image_that_is_none_is_named():
    class Lost(gym.ObservationWrapper):
        def observation(self, observation):
            return {**observation, "eye": None}

    with pytest.raises(ValueError, match=r"Image 'eye': .* the environment returned None: return NumPy arrays of uint8"):
        learn(Lost(FrameStack(Arm())), 3)


class Changed(gym.Wrapper):
    """Observations are changed after some steps, by default at once"""

    def __init__(self, env, change, after=0):
        super().__init__(env)
        self.change, self.n = change, -after

    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        return (observation if self.n < 0 else self.change(observation)), info

    def step(self, action):
        self.n += 1
        observation, *rest = self.env.step(action)
        return (observation if self.n < 0 else self.change(observation)), *rest


@pytest.mark.parametrize("stacks_above", [False, True])
@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda obs: {**obs, "eye": obs["eye"][:, :9]},
            r"Image 'eye': .* shape \(\d, 17, 17\), but .* returned \(\d, 9, 17\)",
        ),
        (lambda obs: {**obs, "eye": obs["eye"][:1]}, r"Image 'eye': .* shape \(\d, 17, 17\), but .* returned \(1, 17, 17\)"),
        (
            lambda obs: {**obs, "eye": th.as_tensor(obs["eye"])},
            r"Image 'eye': .* returned a tensor of torch.uint8: return NumPy",
        ),
        (lambda obs: {**obs, "joints": obs["joints"][:1]}, r"space of 'joints' has the shape \(3,\), but .* returned \(1,\)"),
        (lambda obs: {**obs, "joints": None}, r"space of 'joints' has the shape \(3,\), but the environment returned None"),
        (lambda obs: {"joints": obs["joints"]}, r"an observation without 'eye', which its space has: return all keys"),
        (lambda obs: {"eye": obs["eye"]}, r"an observation without 'joints', which its space has: return all keys"),
        (
            lambda obs: None,
            r"space of the observations is a Dict, but the environment returned None: return a dict from every",
        ),
    ],
    ids=["smaller", "grey", "tensor", "one joint", "no joints", "no eye", "without joints", "nothing"],
)
def test_observations_that_do_not_fit_their_space_are_named(change, message, after, stacks_above):
    env = FrameStack(Changed(Arm(), change, after)) if stacks_above else Changed(FrameStack(Arm()), change, after)
    with pytest.raises(ValueError, match=message):
        learn(env, 6)


@pytest.mark.parametrize("wrap", [FrameStack, lambda env: PixelFrames(env, size=10)], ids=["FrameStack", "PixelFrames"])
@pytest.mark.parametrize("shape", [(20, 20, 1), (10, 10, 3), (20, 20)])
def test_single_images_of_another_shape_than_their_space_are_refused(wrap, shape):
    env = wrap(Changed(Noise((20, 20, 3)), lambda _: np.zeros(shape, np.uint8)))
    with pytest.raises(ValueError, match=r"has the shape \(20, 20, 3\), but the environment returned \(.*: give the space"):
        env.reset(seed=0)


def test_a_vector_without_a_key_is_named_by_its_space():
    env = AsReturned(Changed(gym.make("Pendulum-v1"), lambda obs: obs[:1]))
    with pytest.raises(
        ValueError, match=r"space of the observations has the shape \(3,\), but the environment returned \(1,\)"
    ):
        env.reset(seed=0)


def test_vectors_that_do_not_fit_into_memory_are_refused():
    class Cloud(Arm):
        def __init__(self):
            super().__init__()
            cloud = spaces.Box(-1, 1, (10**7, 3), np.float32)
            self.observation_space = spaces.Dict({**self.observation_space.spaces, "cloud": cloud})

    with pytest.raises(
        MemoryError, match=r"100000 transitions, with vectors of which 'cloud' is the largest, need 2\.4e\+04 GB"
    ):
        FPAC("MultiInputPolicy", FrameStack(Cloud()), **{**SMALL, "buffer_size": 100_000})


def test_images_of_dicts_are_stacked_and_vectors_are_not():
    env = FrameStack(Arm(), n=3)
    assert env.observation_space["eye"].shape == (9, 17, 17) and env.observation_space["joints"].shape == (3,)
    first, _ = env.reset(seed=0)
    seen = [first["eye"][:3]]
    for _ in range(3):
        observation, *_ = env.step(env.action_space.sample())
        seen.append(observation["eye"][6:])
        assert env.observation_space.contains(observation)
    np.testing.assert_array_equal(observation["eye"], np.concatenate(seen[1:]))
    assert observation["joints"].tolist() == [1, 3, 103]


def test_images_of_dicts_have_numbers_of_frames_of_their_own():
    class Two(gym.ObservationWrapper):
        """A grey camera without an axis of channels, and one whose channels are last"""

        def __init__(self, env):
            super().__init__(env)
            grey, rgb = (spaces.Box(0, 255, shape, np.uint8) for shape in ((20, 24), (17, 17, 3)))
            self.observation_space = spaces.Dict(grey=grey, rgb=rgb, joints=env.observation_space["joints"])

        def observation(self, observation):
            grey = np.zeros((20, 24), np.uint8)
            return dict(grey=grey, rgb=observation["eye"].transpose(1, 2, 0), joints=observation["joints"])

    env = FrameStack(Two(Arm()), n=dict(grey=3, rgb=2))
    assert [env.observation_space[key].shape for key in ("grey", "rgb")] == [(3, 20, 24), (6, 17, 17)]
    assert env.observation_space.contains(env.reset(seed=0)[0]) and env.frame_stack == 3
    model = FPAC(
        "MultiInputPolicy",
        env,
        **{
            **SMALL,
            "policy_kwargs": dict(net_arch=[8], features_extractor_kwargs=dict(frame_channels=dict(grey=1, rgb=3))),
        },
    )
    assert [layout.n_frames for layout in model.replay_buffer.layouts.values()] == [3, 2]
    with pytest.raises(ValueError, match="n of FrameStack names 'wrist', but the observations have 'grey', 'joints', 'rgb'"):
        FrameStack(Two(Arm()), n=dict(wrist=2))
    with pytest.raises(ValueError, match=r"FrameStack stacks uint8 images, and .* has none"):
        FrameStack(gym.wrappers.FilterObservation(Arm(), ["joints"]))


def test_single_images_are_overwritten_without_harm():
    class SameArray(gym.ObservationWrapper):
        def observation(self, observation):
            self.array = getattr(self, "array", np.empty_like(observation))
            self.array[:] = observation
            return self.array

    model = FPAC("CnnPolicy", SameArray(FrameStack(Noise())), **SMALL).learn(40)
    assert model.replay_buffer.size() == 40


def test_no_gradient_steps_train_nothing_and_it_is_said():
    with pytest.warns(UserWarning, match="The agent was not trained: gradient_steps=0 makes no updates"):
        assert learn(FrameStack(Arm()), 30, gradient_steps=0, learning_starts=5)._n_updates == 0
