"""Which images are stacked, by how many frames, and which are stacked already."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from helpers.environments import Noise, Spaces
from stable_baselines3.common.preprocessing import is_image_space

from sb3_fpac import FPAC, AddPixels, CameraShift, CameraView, FrameStack, PixelFrames
from sb3_fpac.observations import is_image


class Cameras(gym.Env):
    """Noise in every image of a Dict, and the number of the step elsewhere"""

    def __init__(self, **parts):
        images = {key: spaces.Box(0, 255, part, np.uint8) for key, part in parts.items() if isinstance(part, tuple)}
        self.observation_space = spaces.Dict({"joints": spaces.Box(-99, 99, (2,), np.float32), **parts, **images})
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def observe(self):
        self.seen = {
            key: self.np_random.integers(0, 256, part.shape, np.uint8) if part.dtype == np.uint8 else np.zeros(2, np.float32)
            for key, part in self.observation_space.items()
        }
        return dict(self.seen)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observe(), {}

    def step(self, action):
        return self.observe(), 0.0, False, False, {}


class Drawing(Cameras):
    render_mode = "rgb_array"

    def render(self):
        return self.np_random.integers(0, 256, (20, 20, 3), np.uint8)


def shapes(env):
    return {key: part.shape for key, part in env.observation_space.items() if key != "joints"}


def test_images_that_are_not_stacked_have_their_channels_first():
    env = FrameStack(
        Cameras(a=(20, 24, 3), goal=(16, 18, 3), grey=(20, 24), own=(6, 20, 24), axis=(4, 20, 24, 3)), n=dict(a=2)
    )
    assert shapes(env) == dict(a=(6, 20, 24), goal=(3, 16, 18), grey=(1, 20, 24), own=(6, 20, 24), axis=(12, 20, 24))
    env.reset(seed=0)
    observation, *_ = env.step(env.action_space.sample())
    seen = env.unwrapped.seen
    assert env.observation_space.contains(observation) and env.frame_stack == 4
    np.testing.assert_array_equal(observation["goal"], seen["goal"].transpose(2, 0, 1))
    np.testing.assert_array_equal(observation["own"], seen["own"])
    np.testing.assert_array_equal(observation["axis"], np.concatenate([frame.transpose(2, 0, 1) for frame in seen["axis"]]))


@pytest.mark.parametrize("shape", [(8, 8, 3), (10, 10, 1), (84, 84, 3), (3, 9, 9)])
def test_everything_that_sb3_takes_for_an_image_is_stacked(shape):
    env = Cameras(a=shape, big=(20, 20, 3))
    assert is_image_space(env.observation_space["a"]) and is_image(env.observation_space["a"])
    assert shapes(FrameStack(env)) == dict(a=(2 * min(shape), *sorted(shape)[1:]), big=(6, 20, 20))
    assert shapes(FrameStack(env, n=dict(big=2)))["a"] == (min(shape), *sorted(shape)[1:])


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 255, (8, 8), np.uint8),
        spaces.Box(0, 255, (2, 8, 8, 3), np.uint8),
        spaces.Box(0, 255, (8, 8, 3), np.float32),
        spaces.Box(0, 1, (8, 8, 3), np.uint8),
        spaces.Box(3, 255, (8, 8, 3), np.uint8),
        spaces.Discrete(3),
    ],
)
def test_everything_that_sb3_takes_for_no_image_is_none(space):
    assert not is_image_space(space) and not is_image(space)


def test_small_tables_of_bytes_are_vectors():
    assert shapes(FrameStack(Cameras(table=(8, 8), big=(20, 20, 3)))) == dict(table=(8, 8), big=(6, 20, 20))


def test_stacks_of_one_are_single_frames():
    single, leading = FrameStack(Noise((20, 24, 3)), n=3), FrameStack(Noise((1, 20, 24, 3)), n=3)
    assert leading.observation_space == single.observation_space
    for observe in (lambda env: env.reset(seed=1)[0], lambda env: env.step(np.zeros(2))[0], lambda env: env.reset()[0]):
        np.testing.assert_array_equal(observe(leading), observe(single))
    assert shapes(FrameStack(Cameras(a=(1, 8, 8, 3)))) == dict(a=(6, 8, 8))
    with pytest.raises(ValueError, match=r"wrap the environment in FrameStack\(env, n=2\)"):
        FPAC("CnnPolicy", Noise((1, 20, 24, 3)))


def test_too_few_frames_may_be_several_cameras():
    with pytest.raises(
        ValueError, match=r"cannot take n=3 frames from stacks of 2: lower n, or, if .* several cameras, give each"
    ):
        FrameStack(Noise((2, 20, 24, 3)), n=3)


def test_two_cameras_that_are_taken_for_two_frames_are_told_what_to_do():
    model = FPAC("CnnPolicy", FrameStack(Noise((2, 20, 24, 3))), buffer_size=50, policy_kwargs=dict(net_arch=[8]))
    with pytest.raises(ValueError, match="If they are several cameras, join these along the channels"):
        model.learn(10)


@pytest.mark.parametrize(
    "wrapped", [lambda part: spaces.Dict(a=part), lambda part: spaces.Tuple([part])], ids=["Dict", "Tuple"]
)
def test_images_that_are_nested_are_told_to_have_keys_of_their_own(wrapped):
    nested = wrapped(spaces.Box(0, 255, (20, 24, 3), np.uint8))
    with pytest.raises(ValueError, match="what is nested in 'cameras' needs keys of its own, with Gymnasium's Transform"):
        FrameStack(Cameras(cameras=nested))


def test_images_in_a_tuple_are_told_to_be_in_a_dict():
    env = Spaces(spaces.Tuple([spaces.Box(0, 255, (20, 24, 3), np.uint8)]))
    with pytest.raises(ValueError, match=r"Images are expected, got Tuple\(.*\): make it a Dict with a key for each"):
        FrameStack(env)


def test_cameras_that_are_added_have_their_channels_where_those_of_the_environment_are():
    env = AddPixels(Drawing(a=(20, 24, 3), axis=(2, 20, 24, 3)), size=20)
    assert shapes(env) == dict(a=(3, 20, 24), axis=(6, 20, 24), pixels=(6, 20, 20))
    assert env.observation_space.contains(env.reset(seed=0)[0])
    stacked = AddPixels(FrameStack(Drawing(a=(20, 24, 3))), size=20)
    assert shapes(stacked) == dict(a=(6, 20, 24), pixels=(6, 20, 20))
    FPAC("MultiInputPolicy", stacked, buffer_size=9, policy_kwargs=dict(net_arch=[8]))


# ------------------------------------------------------------------------------------------------------------ stacks of stacks


def two():
    return Cameras(a=(20, 24, 3), b=(20, 24, 3))


def still(env, height, width):
    return CameraView(anchor=np.zeros(2), project=lambda point: point)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FrameStack(Noise()), r"of 2 frames of FrameStack below: leave this FrameStack out, or pass n=1 there"),
        (lambda: FrameStack(two(), 3), r"Image 'a': .* of 3 frames of FrameStack below: leave this FrameStack out"),
        (lambda: FrameStack(two(), dict(b=2)), r"Image 'b': .* 2 frames of FrameStack below: pass n=\{'a': 2\}"),
        (lambda: FrameStack(FrameStack(two()), 1), r"Image 'a': .* of 2 frames of FrameStack below"),
        (lambda: CameraShift(FrameStack(Noise()), still), r"of 2 frames of FrameStack below"),
        (lambda: PixelFrames(Noise(), size=20), r"of 2 frames of PixelFrames below: .* or pass frame_stack=1 there"),
        (
            lambda: AddPixels(Drawing(a=(20, 24, 3)), size=20),
            r"Image 'pixels': .* of 2 frames of AddPixels below: pass n=\{'a': 2\}",
        ),
        (lambda: AddPixels(FrameStack(Drawing(a=(20, 24, 3))), size=20), r"Image '.*': .* below: leave this FrameStack out"),
        (
            lambda: gym.make("dmc-cartpole-balance", size=20),
            r"of 2 frames of dmc-cartpole-balance below: .* or pass frame_stack=1 there",
        ),
        (
            lambda: gym.make("dmc-cartpole-balance", size=20, camera_id=[0, 1]),
            r"Image '.*': .* of 2 frames of dmc-cartpole-balance below: .* or pass frame_stack=1 there",
        ),
    ],
)
def test_stacks_are_not_stacked(make, message):
    with make() as below, pytest.raises(ValueError, match=message):
        FrameStack(below)


@pytest.mark.parametrize(
    ("make", "n", "channels"),
    [
        (lambda: FrameStack(Noise(), 1), 2, 6),
        (lambda: FrameStack(FrameStack(Noise(), 3), 1), 1, 9),
        (lambda: PixelFrames(Noise(), size=20, frame_stack=1), 3, 9),
        (lambda: FrameStack(two(), dict(b=2)), dict(a=2), dict(a=6, b=6)),
        (lambda: AddPixels(Drawing(a=(20, 24, 3)), size=20), dict(a=3), dict(a=9, pixels=6)),
        (lambda: AddPixels(Drawing(a=(20, 24, 3)), size=20, frame_stack=1), 2, dict(a=6, pixels=6)),
    ],
)
def test_what_is_not_stacked_below_is_stacked(make, n, channels):
    space = FrameStack(make(), n).observation_space
    assert channels == ({key: space[key].shape[0] for key in channels} if isinstance(channels, dict) else space.shape[0])


def test_the_newest_frame_of_a_stack_may_be_stacked_again():
    newest = spaces.Box(0, 255, (3, 20, 24), np.uint8)
    env = gym.wrappers.TransformObservation(FrameStack(Noise((20, 24, 3)), 2), lambda stack: stack[3:], newest)
    assert FrameStack(env, 3).observation_space.shape == (9, 20, 24)
