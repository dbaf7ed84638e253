"""One wrapper from states or images of any size to stacks of small frames."""

import os
import pickle
import signal
import time

import gymnasium as gym
import numpy as np
import pytest
import yaml
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import AddRenderObservation
from helpers.environments import Noise, Spaces
from helpers.processes import run_python
from hypothesis import given, settings
from hypothesis import strategies as st
from rl_zoo3.utils import get_wrapper_class
from stable_baselines3.common.env_util import make_vec_env

from sb3_fpac import FPAC, ActionRepeat, FrameStack, PixelFrames
from sb3_fpac.envs import rendering
from sb3_fpac.envs.pixel_frames import resize_by_area

SMALL = dict(
    learning_starts=10,
    batch_size=4,
    buffer_size=100,
    compile=False,
    policy_kwargs=dict(net_arch=[8], features_extractor_kwargs=dict(n_points=2)),
)


class Drawing(gym.Env):
    """States, and pictures of the step; counts the pictures"""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012
    observation_space: spaces.Space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, render_mode="rgb_array", shape=(20, 30, 3), picture=None):
        self.render_mode, self.shape, self.picture, self.drawn = render_mode, shape, picture, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        return np.zeros(2, np.float32), 1.0, False, self.steps >= 7, {}

    def render(self):
        self.drawn += 1
        if self.picture is not None:
            return self.picture
        picture = np.full(self.shape, self.steps, np.uint8)
        picture[..., 3:] = 99  # alpha
        return picture


def area_means(image, height, width):
    """Every pixel cut into so many that the new pixels are made of whole ones"""
    fine = image.astype(np.float64).repeat(height, axis=1).repeat(width, axis=2)
    n_channels, old_height, old_width = image.shape
    return fine.reshape(n_channels, height, old_height, width, old_width).mean(axis=(2, 4))


# -------------------------------------------------------------------------------------------------------------------- resizing


@given(
    st.sampled_from([1, 3]), st.integers(1, 13), st.integers(1, 13), st.integers(1, 9), st.integers(1, 9), st.integers(0, 9)
)
@settings(max_examples=60, deadline=None)
def test_a_pixel_is_the_mean_of_its_area(n_channels, old_height, old_width, height, width, seed):
    image = np.random.default_rng(seed).integers(0, 256, (n_channels, old_height, old_width), np.uint8)
    resized, means = resize_by_area(image, height, width), area_means(image, height, width)
    assert resized.dtype == np.uint8 and resized.shape == (n_channels, height, width)
    assert np.abs(resized - means).max() <= 0.5 + 1e-9  # rounding


def test_whole_factors_average_blocks_and_repeat_pixels():
    image = np.random.default_rng(0).integers(0, 256, (3, 12, 20), np.uint8)
    blocks = image.reshape(3, 4, 3, 10, 2).mean(axis=(2, 4))
    np.testing.assert_array_equal(resize_by_area(image, 4, 10), np.rint(blocks))
    np.testing.assert_array_equal(resize_by_area(image, 24, 60), image.repeat(2, axis=1).repeat(3, axis=2))


@pytest.mark.parametrize("value", [0, 1, 254, 255])
def test_plain_surfaces_keep_their_value(value):
    image = np.full((3, 400, 601), value, np.uint8)
    assert (resize_by_area(image, 84, 84) == value).all()


def test_nothing_goes_on_after_resizing():
    """A product of matrices would leave NumPy's threads waiting in a loop, on the processor that an update needs"""
    image = np.zeros((3, 500, 500), np.uint8)
    used = []
    for _ in range(3):
        resize_by_area(image, 84, 84)
        start = time.process_time()
        time.sleep(0.05)
        used.append(time.process_time() - start)
    assert min(used) < 0.01


# ---------------------------------------------------------------------------------------------------------------------- frames


@pytest.mark.parametrize("channels", [3, 4])
def test_states_are_replaced_by_what_is_drawn_without_alpha(channels):
    env = PixelFrames(Drawing(shape=(20, 30, channels)), size=9, frame_stack=3)
    assert env.observation_space == spaces.Box(0, 255, (9, 9, 9), np.uint8)
    env.reset()
    for _ in range(4):
        observation, *_ = env.step(np.zeros(1))
    assert observation in env.observation_space
    assert observation[:, 0, 0].tolist() == [2, 2, 2, 3, 3, 3, 4, 4, 4]  # oldest first


def test_frames_that_an_action_repeat_skips_are_not_drawn():
    env = PixelFrames(Drawing(), size=8, action_repeat=3)
    assert env.unwrapped.drawn == 0
    env.reset()
    steps = [env.step(np.zeros(1)) for _ in range(3)]
    assert env.unwrapped.drawn == 1 + 3
    assert [(reward, info["env_steps"]) for _, reward, _, _, info in steps] == [(3, 3), (3, 3), (1, 1)]
    assert [truncated for *_, truncated, _ in steps] == [False, False, True]
    assert env.metadata["render_fps"] == 10 and Drawing.metadata["render_fps"] == 30


@pytest.mark.parametrize("shape", [(97, 95, 3), (3, 97, 95), (97, 95), (97, 95, 1), (1, 97, 95), (97, 95, 4)])
def test_images_of_odd_size_and_any_layout_become_the_frames(shape):
    """As of CarRacing. The same frames as from resizing the observation by hand"""
    env, bare = PixelFrames(Noise(shape), size=(15, 21)), Noise(shape)
    image, _ = bare.reset(seed=3)
    observation, _ = env.reset(seed=3)
    image = image[None] if image.ndim == 2 else image if shape[0] < 5 else image.transpose(2, 0, 1)
    frame = np.rint(area_means(image, 15, 21))
    np.testing.assert_allclose(observation, np.concatenate([frame, frame]), atol=1)
    assert observation.shape == env.observation_space.shape == (2 * len(image), 15, 21)
    following = env.step(np.zeros(2))[0]
    np.testing.assert_array_equal(following[: len(image)], observation[: len(image)])
    assert (following[len(image) :] != observation[: len(image)]).any()


def test_it_is_the_same_as_the_wrappers_that_it_consists_of():
    env, recipe = PixelFrames(Noise(), size=17, action_repeat=2), FrameStack(ActionRepeat(Noise(), 2))
    np.testing.assert_array_equal(env.reset(seed=1)[0], recipe.reset(seed=1)[0])
    ours, theirs = env.step(np.ones(2)), recipe.step(np.ones(2))
    np.testing.assert_array_equal(ours[0], theirs[0])
    assert ours[1:] == theirs[1:]


def test_images_are_not_drawn_a_second_time():
    class Both(Drawing):
        observation_space = spaces.Box(0, 255, (12, 12, 3), np.uint8)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.full((12, 12, 3), 200, np.uint8), {}

    env = PixelFrames(Both(), size=8)
    assert (env.reset()[0] == 200).all() and env.unwrapped.drawn == 0


def test_numbers_that_are_no_images_are_drawn():
    class Symbols(Drawing):
        observation_space = spaces.Box(0, 8, (7, 7, 3), np.uint8)

    env = PixelFrames(Symbols(), size=8)
    env.reset()
    assert env.unwrapped.drawn == 1


# -------------------------------------------------------------------------------------------------------------------- refusals


def test_an_environment_without_pictures_is_told_how_to_draw():
    with pytest.raises(ValueError, match=r"=None: make it with gym.make\('Pendulum-v1', render_mode=\"rgb_array\"\)"):
        PixelFrames(gym.make("Pendulum-v1"))
    with pytest.raises(ValueError, match=r"render_mode='human': make it with gym.make\(id, render_mode"):
        PixelFrames(Drawing(render_mode="human"))


@pytest.mark.parametrize("shape", [(7, 84, 84), (84, 84, 6)])
def test_stacks_are_refused(shape):
    with pytest.raises(ValueError, match=f"got {min(shape)} in images of shape .* leave PixelFrames out"):
        PixelFrames(Noise(shape))


@pytest.mark.parametrize("render_mode", [None, "rgb_array"])
@pytest.mark.parametrize(
    "space, words",
    [
        (spaces.Box(0, 1, (24, 24, 3), np.float32), "got float32 from 0 to 1: convert them with Gymnasium's Dtype"),
        (spaces.Box(0, 255, (3, 24, 24), np.float32), "got float32 from 0 to 255: convert them with"),
        (spaces.Box(0, 255, (24, 24, 3), np.int64), "got int64 from 0 to 255: convert them with"),
        (spaces.Box(0, 255, (2, 24, 24, 3), np.uint8), "leave out the wrapper that stacks them"),
    ],
)
def test_images_of_another_type_are_not_replaced_by_what_is_drawn(render_mode, space, words):
    class Nearly(Drawing):
        observation_space = space

    with pytest.raises(ValueError, match=words) as error:
        PixelFrames(Nearly(render_mode))
    assert ("AddRenderObservation" in str(error.value)) == (render_mode == "rgb_array")


def test_the_cure_for_images_that_should_be_drawn_cures():
    class Nearly(Drawing):
        observation_space = spaces.Box(0, 1, (24, 24, 3), np.float32)

    env = PixelFrames(AddRenderObservation(Nearly()), size=8)
    assert env.reset()[0].shape == (6, 8, 8)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(size=3), "size must be at least 4, got 3"),
        (dict(size=64.0), "size must be a whole number, got 64.0: write 64"),
        (dict(size=True), "size must be a whole number, got True"),
        (dict(size="64"), r"size must be a whole number or \(height, width\), got '64'"),
        (dict(size=(64, 64, 3)), r"size must be a whole number or \(height, width\), got \(64, 64, 3\)"),
        (dict(size=(64, 0)), r"size\[1\] must be at least 4, got 0"),
        (dict(action_repeat=0), "action_repeat must be at least 1, got 0"),
        (dict(frame_stack=1.5), "frame_stack must be a whole number, got 1.5"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PixelFrames(Drawing(), **arguments)


@pytest.mark.parametrize(
    "picture, what",
    [
        (np.zeros((20, 30, 3)), r"float64 \(20, 30, 3\)"),
        (np.zeros((20, 30), np.uint8), r"uint8 \(20, 30\)"),
        ([1, 2], "list"),
    ],
)
def test_what_is_no_picture_is_refused(picture, what):
    with pytest.raises(ValueError, match=rf"render\(\) of .*Drawing.* returned {what}"):
        PixelFrames(Drawing(picture=picture)).reset()


def test_a_forked_process_is_told_that_it_cannot_draw(monkeypatch):
    monkeypatch.setattr(rendering, "_drawn_by", os.getpid() + 1)
    with pytest.raises(RuntimeError, match="forked"):
        PixelFrames(Drawing()).reset()


# --------------------------------------------------------------------------------------------------------- copies, SB3, RL Zoo


@pytest.mark.parametrize("size", [32, (24, 32), np.int64(32)])
def test_the_spec_goes_through_json_and_wraps_once(size):
    env = PixelFrames(gym.make("Pendulum-v1", render_mode="rgb_array"), size=size, action_repeat=2, frame_stack=3)
    spec = EnvSpec.from_json(env.spec.to_json())
    assert spec == env.spec and [wrapper.name for wrapper in spec.additional_wrappers] == ["PixelFrames"]
    rebuilt = gym.make(spec)
    assert str(rebuilt) == str(env) and rebuilt.observation_space == env.observation_space
    np.testing.assert_array_equal(rebuilt.reset(seed=0)[0], env.reset(seed=0)[0])
    np.testing.assert_array_equal(rebuilt.step(np.ones(1))[0], env.step(np.ones(1))[0])


def test_the_spec_of_what_has_none_is_none():
    assert PixelFrames(Drawing()).spec is None


def test_a_pickled_copy_goes_on_alike():
    env = PixelFrames(Noise(), size=8)
    env.reset(seed=0)
    copy = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(copy.step(np.zeros(2))[0], env.step(np.zeros(2))[0])


def test_pendulum_learns_from_pixels_in_one_line():
    model = FPAC("CnnPolicy", PixelFrames(gym.make("Pendulum-v1", render_mode="rgb_array"), size=32), **SMALL)
    model.learn(14)
    assert model._n_updates == 4 and model.observation_space.shape == (6, 32, 32)


def test_a_process_that_has_drawn_with_pygame_can_be_terminated():
    """Otherwise RL Zoo does not end with --vec-env subproc"""
    program = """
import os, signal, time
import gymnasium as gym
from sb3_fpac import PixelFrames
PixelFrames(gym.make("Pendulum-v1", render_mode="rgb_array")).reset()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(1)
"""
    assert run_python("-c", program, expect=None).returncode == -signal.SIGTERM


def test_make_vec_env_takes_it():
    envs = make_vec_env("Pendulum-v1", n_envs=2, wrapper_class=PixelFrames, wrapper_kwargs=dict(size=32, action_repeat=2))
    observations = envs.reset()
    assert observations.shape == (2, 6, 32, 32) and (observations[0] != observations[1]).any()


def test_rl_zoo_takes_it_as_env_wrapper():
    """tests/test_docs_blocks.py trains with it"""
    wrap = get_wrapper_class(yaml.safe_load("env_wrapper: [{sb3_fpac.PixelFrames: {size: [32, 48], action_repeat: 2}}]"))
    env = wrap(gym.make("Pendulum-v1", render_mode="rgb_array"))
    assert isinstance(env, PixelFrames) and env.observation_space.shape == (6, 32, 48)


def test_a_stack_of_one_frame_is_the_frame():
    leading, single = (PixelFrames(Noise(shape), size=10) for shape in ((1, 20, 24, 3), (20, 24, 3)))
    for observe in (lambda env: env.reset(seed=1)[0], lambda env: env.step(np.zeros(2))[0]):
        np.testing.assert_array_equal(observe(leading), observe(single))


@pytest.mark.parametrize(
    ("images", "where"),
    [
        (dict(wrist=spaces.Box(0, 255, (8, 8, 3), np.uint8)), "'wrist'"),
        (dict(wrist=spaces.Box(0, 1, (40, 40, 3), np.float32)), "'wrist'"),
        (dict(cameras=spaces.Dict(wrist=spaces.Box(0, 255, (20, 20, 3), np.uint8))), r"'cameras'\['wrist'\]"),
        (dict(cameras=spaces.Tuple([spaces.Box(0, 255, (20, 20), np.uint8)])), r"'cameras'\[0\]"),
    ],
)
def test_images_of_a_dict_are_not_dropped(images, where):
    env = Spaces(spaces.Dict(joints=spaces.Box(-1, 1, (7,)), **images))
    env.render_mode = "rgb_array"
    with pytest.raises(ValueError, match=f"but these have images: {where}. Use FrameStack, .* or AddPixels"):
        PixelFrames(env)


def test_a_dict_of_vectors_is_replaced_by_what_is_drawn():
    goals = {key: spaces.Box(-1, 1, (7,)) for key in ("observation", "achieved_goal", "desired_goal")}
    env = Spaces(spaces.Dict(goals))
    env.render_mode = "rgb_array"
    assert PixelFrames(env, size=20).observation_space.shape == (6, 20, 20)
