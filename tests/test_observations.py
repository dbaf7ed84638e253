"""What an observation is taken for, what is said about it, and how what is nearly an image is refused."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from gymnasium.wrappers import DtypeObservation, FrameStackObservation, RescaleObservation
from helpers.environments import Noise, Spaces
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack

from sb3_fpac import (
    FPAC,
    FeaturePointCombinedExtractor,
    FeaturePointExtractor,
    FPACPolicy,
    FrameStack,
    collect_frames,
    fpac_kwargs,
)
from sb3_fpac.observations import Layout, look_like_grey_frames, read_layout, split_keys, why_no_stack, write_option

SIZE = 24


def box(*shape, low=0, high=255, dtype=np.uint8):
    return spaces.Box(low, high, shape, dtype)


class Float(Noise):
    """Noise as floats from 0 to ``high``"""

    def __init__(self, high):
        super().__init__()
        self.high = np.float32(high)
        self.observation_space = spaces.Box(0, self.high, (SIZE, SIZE, 3), np.float32)

    def _frame(self):
        return self.np_random.random((SIZE, SIZE, 3), np.float32) * self.high


class Grey(Noise):
    """A stack of n grey frames, channel-last, the newest last"""

    def __init__(self, n=3):
        super().__init__((SIZE, SIZE, n))
        self.n = n

    def reset(self, *, seed=None, options=None):
        self.stack = np.zeros((SIZE, SIZE, self.n), np.uint8)
        return super().reset(seed=seed)

    def _frame(self):
        newest = self.np_random.integers(0, 256, (SIZE, SIZE, 1), np.uint8)
        self.stack = np.concatenate([self.stack[..., 1:], newest], axis=-1)
        return self.stack


@pytest.mark.parametrize(
    ("space", "kwargs", "expected", "words"),
    [
        (box(6, 20, 30), {}, Layout(2, 3, False, 20, 30), "2 RGB frames of 20×30"),
        (box(7, 84, 84), {}, Layout(2, 3, True, 84, 84), "2 RGB frames of 84×84, camera shift"),
        (box(3, 84, 84), {}, Layout(1, 3, False, 84, 84), "1 RGB frame of 84×84"),
        (box(4, 84, 84), dict(frame_channels=1), Layout(4, 1, False, 84, 84), "4 grey frames of 84×84"),
        (box(8, 84, 84), dict(frame_channels=4), Layout(2, 4, False, 84, 84), "2 4-channel frames of 84×84"),
        (box(2, 9, 9, high=1, dtype=np.float32), dict(frame_channels=1, normalized=True), Layout(2, 1, False, 9, 9), "2 grey"),
    ],
)
def test_what_a_space_is_taken_for(space, kwargs, expected, words):
    layout = read_layout(space, **kwargs)
    assert layout == expected and str(layout).startswith(words)


NEARLY = [
    (box(SIZE, SIZE, 3, high=1, dtype=np.float32), "float32 from 0 to 1: convert them with .*RescaleObservation"),
    (box(SIZE, SIZE, 3, dtype=np.float32), r"float32 from 0 to 255: convert them with .*DtypeObservation\(env, np\.uint8\)"),
    (box(SIZE, SIZE, 3, dtype=np.int64), r"int64 from 0 to 255: convert them with .*DtypeObservation\(env, np\.uint8\)"),
    (box(SIZE, SIZE, 1, high=np.inf, dtype=np.float32), "float32 from 0 to inf: scale them to 0 to 255"),
    (box(SIZE, SIZE, 3, low=-1, high=1, dtype=np.float32), r"float32 from -1 to 1: convert them with .*, np\.uint8\)\.$"),
    (box(SIZE, SIZE, 3, low=10), r"limits 0 and 255 for every pixel, got 10 to 10 and 255 to 255: .*TransformObservation"),
    (box(SIZE, SIZE), "need an axis of channels.*FrameStack, which adds it"),
    (box(2, SIZE, SIZE, 3), r"stacks with an axis of their own: wrap the environment in FrameStack\(env, n=2\)"),
    (box(2, 2, SIZE, SIZE, 3), "with three axes"),
    (box(7), r"a vector of shape \(7,\): for state vectors use SAC\('MlpPolicy', …\)"),
    (
        spaces.Dict(front=box(3, SIZE, SIZE)),
        "Dict observations with the keys 'front'.*FeaturePointCombinedExtractor|use `MultiInputPolicy`",
    ),
    (spaces.Discrete(3), "got Discrete"),
]


@pytest.mark.parametrize(("space", "words"), NEARLY, ids=[str(space) for space, _ in NEARLY])
def test_what_is_nearly_an_image_is_told_what_is_wrong_and_what_to_do(space, words):
    assert "MlpPolicy" not in why_no_stack(space) or len(space.shape) == 1
    uses = [lambda: FPAC("CnnPolicy", Spaces(space), buffer_size=10), lambda: FeaturePointExtractor(space)]
    if not isinstance(space, spaces.Dict):
        uses.append(lambda: collect_frames(Spaces(space), 5))
    for use in uses:
        with pytest.raises(ValueError, match=words):
            use()


@pytest.mark.parametrize(
    "cured",
    [
        lambda: DtypeObservation(RescaleObservation(Float(1), np.float32(0), np.float32(255)), np.uint8),
        lambda: DtypeObservation(Float(255), np.uint8),
    ],
)
def test_the_cures_for_floats_cure(cured):
    model = FPAC("CnnPolicy", FrameStack(cured()), buffer_size=50, learning_starts=5, batch_size=4, compile=False).learn(8)
    assert model.replay_buffer.sample_frames(4).frames.max() > 200


@pytest.mark.parametrize(
    ("n_channels", "frame_channels", "words"),
    [
        (4, 3, "frame_channels=1 for grey frames or depth, 3 for RGB, 4 for RGBA or RGB-D"),
        (1, 3, "1 channels are not a stack of frames of 3 channels.*frame_channels=1 for grey frames or depth"),
        (2, 3, "2 for one frame of 2 channels"),
    ],
)
def test_channels_that_do_not_fit_name_the_possibilities(n_channels, frame_channels, words):
    with pytest.raises(ValueError, match=words):
        read_layout(box(n_channels, SIZE, SIZE), frame_channels)


def test_floats_with_the_channels_last_are_told_apart_from_small_images():
    options = dict(frame_channels=1, normalized_image=True)
    with pytest.raises(ValueError, match=r"axes channels, height and width, got \(40, 48, 3\): put the channels first"):
        FeaturePointExtractor(spaces.Box(0, 1, (40, 48, 3), np.float32), **options)
    with pytest.raises(ValueError, match="Images of 9×9 pixels are too small"):
        FeaturePointExtractor(spaces.Box(0, 1, (3, 9, 9), np.float32), **options)


def test_frame_stack_takes_channels_first_and_last_and_stacks():
    plain = FrameStack(Noise((SIZE, SIZE, 3)), 2)
    first = FrameStack(gym.wrappers.TransformObservation(Noise(), lambda o: o.transpose(2, 0, 1), box(3, 17, 17)), 2)
    assert first.reset(seed=3)[0].shape == first.observation_space.shape == (6, 17, 17)
    stacked = FrameStack(FrameStackObservation(Noise((SIZE, SIZE, 3)), 4), 2)
    for env in (plain, stacked):
        env.reset(seed=1)
    for _ in range(5):
        (obs, *_), (other, *_) = (env.step(np.zeros(2)) for env in (plain, stacked))
        np.testing.assert_array_equal(obs, other)
    with pytest.raises(ValueError, match="cannot take n=5 frames from stacks of 4"):
        FrameStack(FrameStackObservation(Noise(), 4), 5)


def test_grey_frames_are_told_from_colours():
    frames = th.randint(0, 256, (9, 5, 5), dtype=th.uint8)
    assert look_like_grey_frames(frames[None, 0:3], frames[None, 1:4])
    assert not look_like_grey_frames(frames[None, 0:3], frames[None, 3:6])
    still = frames[:1].expand(3, -1, -1)[None]
    assert not look_like_grey_frames(still, still)  # a grey scene in which nothing moves
    assert not look_like_grey_frames(frames[None, :1], frames[None, 1:2])


@pytest.mark.parametrize("n", [3, 6])
@pytest.mark.parametrize("algorithm", [FPAC, SAC, PPO])
def test_grey_frames_that_are_read_as_colours_get_one_warning(n, algorithm):
    policy_kwargs = dict(features_extractor_class=FeaturePointExtractor, features_extractor_kwargs=dict(velocity=False))
    kwargs = dict(n_steps=16, batch_size=8) if algorithm is PPO else dict(buffer_size=50, learning_starts=30, batch_size=4)
    model = algorithm("CnnPolicy", Grey(n), policy_kwargs=policy_kwargs, **kwargs)
    with pytest.warns(UserWarning, match=f"look like {n} grey frames.*frame_channels=1") as caught:
        if algorithm is PPO:
            model.learn(16)
        else:
            env = model.get_env()
            obs = env.reset()
            for _ in range(8):
                obs, *_ = env.step(model.predict(obs)[0])
    assert sum("grey frames" in str(warning.message) for warning in caught) == 1


class GreyAndNoise(gym.ObservationWrapper):
    """Three grey frames under a key, beside three RGB frames"""

    def __init__(self, key):
        super().__init__(Grey())
        self.key = key
        self.observation_space = spaces.Dict({key: box(3, SIZE, SIZE), "rgb": box(9, SIZE, SIZE)})

    def observation(self, observation):
        return {self.key: observation.transpose(2, 0, 1), "rgb": self.np_random.integers(0, 256, (9, SIZE, SIZE), np.uint8)}


@pytest.mark.parametrize(("key", "cure"), [("depth", "dict(depth=1)"), ("a/b", "{'a/b': 1}"), ("in", "{'in': 1}")])
def test_grey_frames_of_a_dict_are_named_and_the_cure_is_for_them_alone(key, cure):
    option = f"frame_channels={cure}"

    def act(**kwargs):
        model = SAC(FPACPolicy, GreyAndNoise(key), buffer_size=20, policy_kwargs=dict(net_arch=[4], **kwargs), seed=0)
        obs = model.get_env().reset()
        for _ in range(8):
            obs, *_ = model.get_env().step(model.predict(obs)[0])
        return model.policy.features_extractor.images

    with pytest.warns(UserWarning) as caught:
        act()
    (said,) = (str(each.message) for each in caught if "grey frames" in str(each.message))
    assert said.startswith(f"Image {key!r}: The 3 channels of the observations move along by one")
    assert said.endswith(f"Pass features_extractor_kwargs=dict({option}).")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images = act(features_extractor_kwargs=eval(f"dict({option})"))
    assert [(images[name].n_frames, images[name].frame_channels) for name in (key, "rgb")] == [(3, 1), (3, 3)]


def test_options_of_an_image_are_written_as_python_reads_them():
    for key in ("depth", "a/b", "in", "it's", "größe"):
        assert eval(f"dict({write_option(key, 'camera_shift', False)})") == dict(camera_shift={key: False})
    assert write_option(None, "frame_channels", 1) == "frame_channels=1"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (9, pytest.raises(ValueError, match=r"^Image 'eye': Images reach .* with values from 0 to 9 instead of 0 to 1")),
        (1, pytest.warns(UserWarning, match=r"^Image 'eye': The first plane .* pass camera_shift=dict\(eye=False\) if")),
    ],
)
def test_what_is_wrong_with_an_image_of_a_dict_names_its_key(value, said):
    space = spaces.Dict(eye=box(7, SIZE, SIZE), top=box(7, SIZE, SIZE))
    extractor = FeaturePointCombinedExtractor(space).eval()
    observations = {key: th.zeros(2, 7, SIZE, SIZE) for key in space}
    observations["eye"][:, :, -1] = value
    with said:
        extractor(observations)


def test_colours_get_no_such_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = FPAC("CnnPolicy", FrameStack(Noise()), buffer_size=50, learning_starts=5, batch_size=4, compile=False)
        model.learn(40)
    assert model._n_updates == 35 and model.policy.features_extractor.first_images.n_to_compare == 0  # it has looked


def test_a_single_frame_is_told_that_it_has_no_velocity():
    with pytest.warns(UserWarning, match=r"1 RGB frame of 17×17, which has no velocities: stack frames with FrameStack"):
        FPAC("CnnPolicy", Noise(), buffer_size=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FeaturePointExtractor(box(3, SIZE, SIZE), velocity=False)


@pytest.mark.parametrize(("algorithm", "kwargs"), [(FPAC, {}), (SAC, dict(policy_kwargs=dict(fpac_kwargs)))])
def test_verbose_says_what_the_images_are_taken_for_once(algorithm, kwargs, capsys):
    env = FrameStack(Noise((SIZE, SIZE, 3)))
    algorithm("CnnPolicy", env, buffer_size=10, verbose=1, **kwargs)
    assert capsys.readouterr().out.count("2 RGB frames of 24×24, 32 points, 192 features") == 1
    algorithm("CnnPolicy", env, buffer_size=10, verbose=0, **kwargs)
    assert capsys.readouterr().out == ""


class TwoCameras(gym.Env):
    observation_space = spaces.Dict(
        rgb=box(SIZE, SIZE, 3), depth=box(SIZE, 32, 1), joints=box(4, low=-1, high=1, dtype=np.float32)
    )
    action_space = box(2, low=-1, high=1, dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


def combined(**kwargs):
    return dict(
        features_extractor_class=FeaturePointCombinedExtractor, features_extractor_kwargs=dict(velocity=False, **kwargs)
    )


def test_options_of_one_image_by_key(capsys):
    kwargs = combined(frame_channels=dict(rgb=3, depth=1), n_points=dict(rgb=5), temperature=0.1)
    model = SAC("MultiInputPolicy", TwoCameras(), buffer_size=20, learning_starts=4, policy_kwargs=kwargs, verbose=1).learn(6)
    rgb, depth = (model.policy.features_extractor.extractors[key] for key in ("rgb", "depth"))
    assert (rgb.n_frames, rgb.frame_channels, rgb.n_points, rgb.temperature) == (1, 3, 5, 0.1)
    assert (depth.n_frames, depth.frame_channels, depth.n_points, depth.temperature) == (1, 1, 32, 0.1)
    said = capsys.readouterr().out
    assert "rgb: 1 RGB frame of 24×24, 5 points" in said and "depth: 1 grey frame of 24×32, 32 points" in said


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({}, r"Image 'depth': 1 channels are not a stack .* A dict by key gives every image its own value"),
        (
            dict(frame_channels=dict(dpth=1)),
            "frame_channels has the key 'dpth', but the images are '(rgb|depth)', '(rgb|depth)'",
        ),
        (dict(frame_channels=dict(depth=1), n_points=dict(rgb=0)), "Image 'rgb': n_points must be at least 1, got 0"),
    ],
)
def test_wrong_options_name_the_image(kwargs, words):
    with pytest.raises(ValueError, match=words):
        SAC("MultiInputPolicy", TwoCameras(), buffer_size=20, policy_kwargs=combined(**kwargs))


def test_a_dict_without_images_says_why_each_key_is_none():
    space = spaces.Dict(camera=box(SIZE, SIZE, 3, high=1, dtype=np.float32), joints=box(4, low=-1, high=1, dtype=np.float32))
    with pytest.raises(ValueError, match=r"'camera' looks like .*float32 from 0 to 1 .*: convert .*'joints' is a vector"):
        FeaturePointCombinedExtractor(space)


def test_sb3s_own_frame_stack_is_read_alike():
    env = VecFrameStack(DummyVecEnv([Noise]), 2)
    model = FPAC("CnnPolicy", env, buffer_size=50)
    assert model.policy.features_extractor.layout == Layout(2, 3, False, 17, 17)


def test_two_cameras_alike_are_both_described(capsys):
    space = spaces.Dict(front=box(6, SIZE, SIZE), wrist=box(6, SIZE, SIZE))
    extractor_class = dict(features_extractor_class=FeaturePointCombinedExtractor)
    SAC("MultiInputPolicy", Spaces(space), buffer_size=9, policy_kwargs=extractor_class, verbose=1)
    said = capsys.readouterr().out
    assert all(said.count(f"{key}: 2 RGB frames of 24×24, 32 points, 192 features") == 1 for key in ("front", "wrist"))


@pytest.mark.parametrize(
    ("key", "why"),
    [("float", "PyTorch uses this name itself"), ("a.b", "it has a dot"), ("", "it must be text"), (3, "it must be text")],
)
def test_a_key_that_cannot_be_used_says_why(key, why):
    images = {key: spaces.Box(0, 255, (6, 20, 20), np.uint8), "wrist": spaces.Box(0, 255, (6, 20, 20), np.uint8)}
    space = spaces.Dict()
    space.spaces = images
    with pytest.raises(ValueError, match=f"after the key {key!r}, because {why}: rename the key"):
        split_keys(space)


@pytest.mark.parametrize("shape", [(96, 96, 6), (64, 64, 6), (84, 84, 3)])
def test_channels_that_are_last_are_refused_whatever_number_the_rows_are_divided_by(shape):
    with pytest.raises(ValueError, match="put the channels first"):
        FeaturePointExtractor(spaces.Box(0, 1, shape, np.float32), strides=(2,), normalized_image=True)
