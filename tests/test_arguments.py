"""Bad values are refused where they enter, by every public constructor, in one sentence that names the argument."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import Noise
from stable_baselines3 import SAC

import sb3_fpac
from sb3_fpac.arguments import flag, number, one_of, whole_number
from sb3_fpac.callbacks import FeaturePointCallback, LearningRateDrop
from sb3_fpac.features import Encoder
from sb3_fpac.visualization import draw_points

STACK = spaces.Box(0, 255, (6, 24, 24), np.uint8)
ACTIONS = spaces.Box(-1, 1, (2,))
NAN, INFINITY = float("nan"), float("inf")

NO_COUNT = [0, -1, 2.0, 2.5, NAN, INFINITY, "2", None, True, [1]]
NO_POSITIVE = [0, -1.0, NAN, INFINITY, "1", None, True]
NO_SHARE = [-0.1, 1.5, NAN, INFINITY, "1", None, True]
NO_FLAG = ["False", "True", 0, 1, None, NAN]
NO_CHOICE = ["", "both", 3, True, ["auto"]]


class Frames(gym.Env):
    observation_space = spaces.Box(0, 255, (24, 24, 3), np.uint8)
    action_space = ACTIONS


def fpac(**kwargs):
    return sb3_fpac.FPAC("CnnPolicy", Noise(), **{"buffer_size": 10, **kwargs})


def policy(**kwargs):
    return SAC(sb3_fpac.FPACPolicy, Noise(), buffer_size=10, policy_kwargs=dict(net_arch=[8], **kwargs))


def extractor(**kwargs):
    return sb3_fpac.FeaturePointExtractor(STACK, **kwargs)


def dmc(**kwargs):
    return gym.make("dmc-cartpole-swingup", **kwargs)


def frame_stack(**kwargs):
    return sb3_fpac.FrameStack(Frames(), **kwargs)


def pixel_frames(**kwargs):
    return sb3_fpac.PixelFrames(Frames(), **kwargs)


def camera_shift(**kwargs):
    return sb3_fpac.CameraShift(sb3_fpac.FrameStack(Frames(), 2), **{"camera": lambda *_: None, **kwargs})


def action_repeat(**kwargs):
    return sb3_fpac.ActionRepeat(Frames(), **kwargs)


def encoder(**kwargs):
    return Encoder(**{"in_channels": 3, "n_maps": 4, **kwargs})


def points(**kwargs):
    return sb3_fpac.feature_points(th.zeros(1, 1, 3, 3), **kwargs)


def buffer(**kwargs):
    return sb3_fpac.FrameReplayBuffer(**{"buffer_size": 9, "observation_space": STACK, "action_space": ACTIONS, **kwargs})


def checkpoint(**kwargs):
    return sb3_fpac.ResumableCheckpoint(save_path="nowhere", **kwargs)


def learning_rate_drop(**kwargs):
    return LearningRateDrop(**{"after": 5, "learning_rate": 1e-3, **kwargs})


def pretraining(**kwargs):
    return sb3_fpac.pretrain([np.zeros((3, 3, 24, 24), np.uint8)], **kwargs)


def collecting(**kwargs):
    return sb3_fpac.collect_frames(Frames(), **kwargs)


def drawing(**kwargs):
    return draw_points(np.zeros((8, 8, 3), np.uint8), np.zeros((1, 2)), np.zeros(1), **kwargs)


PUBLIC = [
    *((fpac, name, NO_COUNT) for name in ("buffer_size", "batch_size", "policy_delay", "target_update_interval", "n_steps")),
    (fpac, "learning_starts", [-1, 2.5, NAN, "2", None, True]),
    (fpac, "gradient_steps", [-2, 2.5, NAN, "2", None, True]),
    (fpac, "random_shift", [-1, 10**6, 2.0, NAN, "2", None, True]),
    (fpac, "train_freq", [*NO_COUNT, (0, "step"), (-1, "episode"), (2.5, "step"), ("1", "step"), (1, "step", 1)]),
    *((fpac, name, NO_SHARE) for name in ("tau", "gamma")),
    (fpac, "learning_rate", [-1.0, NAN, INFINITY, "1e-3", None]),
    (fpac, "ent_coef", [-1.0, NAN, INFINITY, "0.1", "auto_", "auto_-1", "auto_x", None]),
    (fpac, "target_entropy", [NAN, INFINITY, "-2", None]),
    (fpac, "compile", ["yes", None, 1]),
    (policy, "actor_update_interval", NO_COUNT),
    (policy, "target_encoder", NO_CHOICE),
    (policy, "layer_norm", NO_FLAG),
    (policy, "last_layer_init", [-1.0, NAN, INFINITY, "1", True]),
    *((extractor, name, NO_COUNT) for name in ("n_points", "frame_channels")),
    (extractor, "temperature", NO_POSITIVE),
    (extractor, "softmax", NO_CHOICE),
    (extractor, "precision", NO_CHOICE),
    *((extractor, name, NO_FLAG) for name in ("presence", "velocity", "relative", "standardize", "whiten")),
    *((extractor, name, NO_FLAG) for name in ("anti_aliasing", "frozen")),
    (extractor, "camera_shift", ["False", 0, 1, NAN]),
    (extractor, "strides", [(), (0,), (2.0,), ("2",), "2", 2, None, (True,)]),
    (encoder, "n_maps", NO_COUNT),
    *((buffer, name, NO_COUNT) for name in ("buffer_size", "n_envs", "n_steps")),
    (buffer, "gamma", NO_SHARE),
    (buffer, "storage_device", ["gpu", "mps", 1, None]),
    (frame_stack, "n", NO_COUNT),
    (pixel_frames, "size", [*NO_COUNT, (20,), (20, -1), (20, "3"), (20, 20, 3)]),
    *((pixel_frames, name, NO_COUNT) for name in ("action_repeat", "frame_stack")),
    (action_repeat, "n", NO_COUNT),
    (camera_shift, "n_frames", [1, *(value for value in NO_COUNT if value is not None)]),
    *((dmc, name, NO_COUNT) for name in ("size", "render_size", "frame_stack")),
    (dmc, "action_repeat", [0, -1, 2.0, NAN, "2", True]),
    (dmc, "time_limit", [0, -1.0, NAN, INFINITY, "1", True]),
    *((dmc, name, NO_FLAG) for name in ("relative_keypoints", "fast_rendering")),
    (dmc, "supersampling", [17, *NO_COUNT]),
    (dmc, "observation", NO_CHOICE),
    (dmc, "camera_shift", ["yes", 0, 1, None]),
    (checkpoint, "save_freq", NO_COUNT),
    (learning_rate_drop, "after", [-1, 2.5, NAN, "2", None]),
    (learning_rate_drop, "learning_rate", NO_POSITIVE),
    *((FeaturePointCallback, name, NO_COUNT) for name in ("freq", "n_maps", "scale")),
    (FeaturePointCallback, "max_steps", [0, 2.5, NAN, "2", True]),
    *((pretraining, name, NO_COUNT) for name in ("n_updates", "batch_size", "n_points")),
    *((pretraining, name, NO_POSITIVE) for name in ("learning_rate", "sigma", "temperature")),
    (collecting, "n_frames", [1, *NO_COUNT]),
    (points, "temperature", [0, -1.0, NAN, INFINITY]),
    (drawing, "scale", NO_COUNT),
    (drawing, "radius", NO_POSITIVE),
]


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [pytest.param(make, name, value, id=f"{name}={value}") for make, name, values in PUBLIC for value in values],
)
def test_bad_values_are_refused(make, name, value):
    with pytest.raises((ValueError, TypeError)) as error:
        make(**{name: value})
    assert isinstance(error.value, ValueError) and name in str(error.value)


@pytest.mark.parametrize(
    ("make", "kwargs"),
    [
        (fpac, dict(batch_size=np.int64(4), policy_delay=np.int32(2), n_steps=np.int64(3), tau=np.float32(0.5), gamma=1)),
        (fpac, dict(ent_coef="auto_1e-2", target_entropy=-1, learning_rate=np.float64(1e-3), gradient_steps=-1)),
        (fpac, dict(ent_coef=np.float32(0.1), random_shift=np.int64(4), compile=False)),
        (extractor, dict(n_points=np.int64(3), temperature=np.float32(1), frozen=np.bool_(True), strides=(np.int64(2), 1))),
        (frame_stack, dict(n=np.int64(2))),
        (action_repeat, dict(n=np.int64(2))),
        (camera_shift, dict(n_frames=np.int64(2))),
        (dmc, dict(size=np.int64(32), frame_stack=np.int8(3), action_repeat=np.int64(4), time_limit=5)),
        (checkpoint, dict(save_freq=np.int64(10))),
    ],
)
def test_numpys_numbers_are_numbers(make, kwargs):
    made = make(**kwargs)
    assert {name: getattr(made, name, value) for name, value in kwargs.items()} == kwargs


def test_fpac_trains_and_saves_with_numpys_numbers(tmp_path):
    model = fpac(
        batch_size=np.int64(4), policy_delay=np.int64(2), n_steps=np.int64(2), learning_starts=np.int64(5), compile=False
    )
    model.learn(8).save(tmp_path / "model")
    loaded = sb3_fpac.FPAC.load(tmp_path / "model")
    assert (loaded.policy_delay, loaded.n_steps, type(loaded.n_steps)) == (2, 2, int)


def test_a_loaded_model_is_checked_as_well(tmp_path):
    fpac().save(tmp_path / "model")
    with pytest.raises(ValueError, match="policy_delay must be at least 1, got 0"):
        sb3_fpac.FPAC.load(tmp_path / "model", policy_delay=0)


def test_what_checks_return():
    assert type(whole_number("n", np.uint8(3), at_least=1)) is int
    assert type(number("x", np.float32(3), above=0)) is float
    assert type(flag("f", np.bool_(False))) is bool
    assert one_of("c", None, (None, "a")) is None
    with pytest.raises(ValueError, match=r"n must be a whole number, got 100000\.0: write 100000\."):
        whole_number("n", 1e5, at_least=1)
    with pytest.raises(ValueError, match=r"^x must be greater than 0 and at most 1, got 2\.$"):
        number("x", 2, above=0, at_most=1)
    with pytest.raises(ValueError, match=r"^c must be True, False or 'auto', got 1\.$"):
        one_of("c", 1, (True, False, "auto"))
