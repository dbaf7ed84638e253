"""FeaturePointExtractor: what its features are made of, and which images it takes."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from sb3_contrib import QRDQN
from stable_baselines3 import A2C, DDPG, DQN, PPO, TD3
from stable_baselines3.common.envs import FakeImageEnv
from torch import nn

from sb3_fpac import FeaturePointCombinedExtractor, FeaturePointExtractor, encode_camera_shift, marginal_probabilities
from sb3_fpac.features.encoder import Encoder
from sb3_fpac.features.map_geometry import MapGeometry
from sb3_fpac.features.spatial_softmax import feature_points


def image_space(*shape: int) -> spaces.Box:
    return spaces.Box(0, 255, shape, np.uint8)


def make(space: spaces.Box | None = None, **kwargs) -> FeaturePointExtractor:
    th.manual_seed(0)
    return FeaturePointExtractor(space or image_space(6, 40, 44), **{"n_points": 5, "precision": "float32", **kwargs})


def observations(extractor: FeaturePointExtractor, batch: int = 3) -> th.Tensor:
    """Random images as SB3 preprocesses them"""
    return th.randint(0, 256, (batch, *extractor._observation_space.shape)) / 255


def test_features_are_points_and_velocities_point_by_point():
    extractor = make()
    obs = observations(extractor)
    points = extractor.points(obs)
    features = extractor(obs)
    assert points.shape == (3, 2, 5, 3) and features.shape == (3, 30) and extractor.features_dim == 30
    expected = [[*now.flatten().tolist(), *(now - past).flatten().tolist()] for past, now in points]
    th.testing.assert_close(features, th.tensor(expected))


def test_longer_stacks_give_successive_differences_oldest_first():
    extractor = make(image_space(12, 40, 40))
    obs = observations(extractor)
    p = extractor.points(obs)
    expected = th.cat([p[:, 3], p[:, 1] - p[:, 0], p[:, 2] - p[:, 1], p[:, 3] - p[:, 2]], dim=1).flatten(1)
    assert extractor.features_dim == 60
    th.testing.assert_close(extractor(obs), expected)


def test_a_single_frame_gives_its_points_alone():
    extractor = make(image_space(3, 40, 40))
    obs = observations(extractor)
    th.testing.assert_close(extractor(obs), extractor.points(obs).flatten(1))


def test_every_frame_is_encoded_on_its_own_in_the_order_of_the_stack():
    extractor = make()
    obs = observations(extractor)
    swapped = th.cat([obs[:, 3:], obs[:, :3]], dim=1)
    th.testing.assert_close(extractor.points(swapped), extractor.points(obs).flip(1))


def test_presence_off_drops_m():
    with_m, without_m = make(), make(presence=False)
    obs = observations(with_m)
    assert without_m.features_dim == 20
    th.testing.assert_close(without_m(obs), with_m(obs).unflatten(1, (2, 5, 3))[..., :2].flatten(1))


def test_velocity_off_gives_the_points_of_all_frames():
    extractor = make(velocity=False)
    obs = observations(extractor)
    th.testing.assert_close(extractor(obs), extractor.points(obs).flatten(1))


def test_relative_positions_are_centred_and_velocities_absolute():
    absolute, relative = make(), make(relative=True)
    obs = observations(absolute)
    expected = absolute(obs).unflatten(1, (2, 5, 3)).clone()
    expected[:, 0, :, :2] -= expected[:, 0, :, :2].mean(dim=1, keepdim=True)
    th.testing.assert_close(relative(obs), expected.flatten(1))
    th.testing.assert_close(relative(obs).unflatten(1, (2, 5, 3))[:, 0, :, :2].mean(1), th.zeros(3, 2), atol=1e-6, rtol=0)


@pytest.mark.parametrize("softmax, temperature", [("separable", 0.5), ("full", 0.5), ("full", 0.02)])
@pytest.mark.parametrize("height, width", [(84, 84), (40, 52), (33, 40)])
def test_points_without_maps_are_those_of_the_maps(height, width, softmax, temperature):
    extractor = make(image_space(6, height, width), softmax=softmax, temperature=temperature)
    with th.no_grad():
        extractor.encoder.to_maps.bias.uniform_(-1, 1)
    obs = observations(extractor)
    maps = extractor.feature_maps(obs)
    assert maps.shape == (3, 2, 5, *extractor.map_size)
    the_long_way = feature_points(maps.flatten(0, 1), temperature, softmax).unflatten(0, (3, 2))
    th.testing.assert_close(extractor.points(obs), the_long_way, atol=1e-5, rtol=0)


@pytest.mark.parametrize("softmax", ["separable", "full"])
def test_no_frames_have_no_points_and_no_gradients(softmax):
    extractor = make(softmax=softmax)
    points = extractor.points(observations(extractor, 0))
    assert points.shape == (0, 2, 5, 3)
    assert not any(gradient.any() for gradient in th.autograd.grad(points.sum(), list(extractor.parameters())))


@pytest.mark.parametrize("softmax, temperature", [("separable", 0.5), ("full", 0.5), ("full", 0.02)])
@pytest.mark.parametrize("batch", [1, 8, 9, 20])  # 2, 16, 18 and 40 frames: 16 at a time on a CPU
def test_gradients_without_maps_are_those_of_the_maps(batch, softmax, temperature):
    extractor = make(image_space(6, 33, 40), softmax=softmax, temperature=temperature)
    with th.no_grad():
        extractor.encoder.to_maps.bias.uniform_(-1, 1)
    obs = observations(extractor, batch)
    direction = th.randn(batch, 2, 5, 3)
    parameters = list(extractor.parameters())
    long_way = feature_points(extractor.feature_maps(obs).flatten(0, 1), temperature, softmax).unflatten(0, (batch, 2))
    ours = th.autograd.grad((extractor.points(obs) * direction).sum(), parameters)
    expected = th.autograd.grad((long_way * direction).sum(), parameters)
    for one, other in zip(ours, expected, strict=True):
        th.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("native, precision", [(True, "bfloat16"), (False, "float32")])
def test_auto_precision_follows_the_hardware(monkeypatch, native, precision):
    monkeypatch.setattr("sb3_fpac.features.encoder.has_native_bfloat16", lambda device: native)
    auto, forced = make(precision="auto"), make(precision=precision)
    obs = observations(auto)
    assert th.equal(auto(obs), forced(obs))


def test_a_frozen_encoder_computes_the_same_on_every_hardware(monkeypatch):
    obs = observations(make())
    features = []
    for native in (True, False):
        monkeypatch.setattr("sb3_fpac.features.encoder.has_native_bfloat16", lambda device, native=native: native)
        features.append(make(precision="auto", frozen=True, standardize=True)(obs))
    assert th.equal(*features)
    assert not th.equal(make(precision="bfloat16", frozen=True, standardize=True)(obs), features[0])  # who asks for it gets it


def test_float32_stays_float32_under_the_users_own_autocast():
    extractor = make()
    obs = observations(extractor)
    expected = extractor(obs)
    with th.autocast("cpu", dtype=th.bfloat16):
        assert th.equal(extractor(obs), expected)


def test_gradients_of_the_full_softmax_stay_float32_under_the_users_own_autocast():
    extractor = make(softmax="full")
    points = extractor.points(observations(extractor))
    direction = th.randn_like(points)
    expected = th.autograd.grad(points, list(extractor.parameters()), direction, retain_graph=True)
    with th.autocast("cpu", dtype=th.bfloat16):
        gradients = th.autograd.grad(points, list(extractor.parameters()), direction)
    assert all(map(th.equal, gradients, expected))


@pytest.mark.parametrize("channels", [9, 12])
def test_observations_of_another_channel_count_are_refused(channels):
    with pytest.raises(RuntimeError, match="invalid for input"):
        make()(th.zeros(2, channels, 40, 44))


def test_encoder_is_the_authors():
    encoder = Encoder(3, 32)
    assert encoder.geometry.map_size(84, 84) == (35, 35) == tuple(encoder.feature_maps(th.zeros(1, 3, 84, 84)).shape[2:])
    assert sum(p.numel() for p in encoder.parameters()) == (27 * 32 + 32) + 3 * (288 * 32 + 32) + (32 * 32 + 32)
    for layer in [layer for layer in encoder.modules() if isinstance(layer, th.nn.Conv2d)]:
        rows = layer.weight.flatten(1)
        gram = rows @ rows.T if rows.shape[0] <= rows.shape[1] else rows.T @ rows
        th.testing.assert_close(gram, 2 * th.eye(len(gram)), atol=1e-4, rtol=0)  # orthogonal, gain √2
        assert not layer.bias.any()


def test_an_object_moved_by_2n_pixels_moves_the_maps_by_n_cells():
    encoder = Encoder(3, 4, "float32")
    frame = th.full((1, 3, 84, 84), 0.2)
    frame[..., 30:35, 40:44] = 0.9
    moved = th.roll(frame, shifts=(2 * 4, 2 * -3), dims=(2, 3))
    maps, maps_after = encoder.feature_maps(th.cat([frame, moved])).unbind()
    th.testing.assert_close(maps_after[:, 4:, :-3], maps[:, :-4, 3:], atol=1e-5, rtol=0)
    assert (maps - maps_after).abs().max() > 0.01


def test_a_sharp_point_follows_an_object_by_the_stated_scale():
    extractor = make(image_space(3, 84, 84), temperature=1e-4, n_points=16)
    frame = th.full((1, 3, 84, 84), 0.2)
    frame[..., 30:35, 40:44] = 0.9
    moved = th.roll(frame, shifts=(2 * 4, 2 * -3), dims=(2, 3))
    p_x, p_y = marginal_probabilities(extractor.feature_maps(frame)[:, 0], temperature=1e-4)
    peaked = (p_x.amax(-1) > 0.999)[0] & (p_y.amax(-1) > 0.999)[0]  # maps that answer to the object alone
    shift = (extractor.points(moved) - extractor.points(frame))[0, 0, peaked, :2]
    assert len(shift) >= 3
    one_cell = 2 / ((35 - 1) * 2) * 2
    th.testing.assert_close(shift, th.tensor([-3 * one_cell, 4 * one_cell]).expand_as(shift), atol=1e-3, rtol=0)


STRIDES = [(2, 1, 1, 1), (2, 2, 1, 1), (1, 2, 1, 3), (3, 1)]


@pytest.mark.parametrize("anti_aliasing", [False, True])
@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("x, y", [(38, 44), (51, 35), (60, 41)])
def test_points_are_drawn_where_the_pixels_are_that_they_answer_to(strides, anti_aliasing, x, y):
    """Every cell that sees a bright pixel has its centre within half a receptive field of it, and every such cell sees it"""
    extractor = make(image_space(3, 84, 96), strides=strides, anti_aliasing=anti_aliasing)
    frame = th.full((1, 3, 84, 96), 0.2)
    bright = frame.clone()
    bright[..., y, x] = 1.0
    changed = (extractor.feature_maps(bright) - extractor.feature_maps(frame)).abs().amax(dim=(0, 1, 2)) > 1e-7
    map_height, map_width = changed.shape
    cells = th.cartesian_prod(th.arange(map_height), th.arange(map_width)).flip(-1)  # x, y
    centres = extractor.to_pixels(2 * cells / th.tensor([map_width - 1, map_height - 1]) - 1)
    near = ((centres - th.tensor([x, y])).abs() <= (extractor.encoder.geometry.receptive_field - 1) / 2 + 1e-3).all(-1)
    assert near.sum() > 0
    th.testing.assert_close(changed.flatten(), near)


@pytest.mark.parametrize("anti_aliasing", [False, True])
@pytest.mark.parametrize("strides", STRIDES)
def test_maps_have_the_size_that_the_strides_give_them(strides, anti_aliasing):
    geometry = MapGeometry(strides, anti_aliasing)
    smallest = geometry.smallest_frame(1)
    for height, width in [(84, 60), (smallest, smallest + geometry.cell_distance), (41, 50)]:
        maps = make(image_space(3, height, width), strides=strides, anti_aliasing=anti_aliasing).feature_maps(
            th.zeros(1, 3, height, width)
        )
        assert tuple(maps.shape[-2:]) == geometry.map_size(height, width)
    assert geometry.map_size(smallest, smallest + geometry.cell_distance) == (1, 2)
    with pytest.raises(ValueError, match=f"needs at least {smallest}×{smallest}: render or resize"):
        make(image_space(3, smallest - 1, 84), strides=strides, anti_aliasing=anti_aliasing)
    with pytest.raises(ValueError, match="needs at least"):  # one cell has no scale to measure a shift by
        make(image_space(7, smallest, smallest), strides=strides, anti_aliasing=anti_aliasing)


@pytest.mark.parametrize("anti_aliasing", [False, True])
@pytest.mark.parametrize("strides", STRIDES)
def test_a_camera_that_moves_by_whole_cells_moves_the_points_exactly(strides, anti_aliasing):
    """A camera that moved with the object: the object's points stand still in the world, as far as they are sharp"""
    distance = MapGeometry(strides, anti_aliasing).cell_distance
    extractor = make(image_space(7, 96, 96), strides=strides, anti_aliasing=anti_aliasing, n_points=16, temperature=1e-4)
    past = th.full((1, 3, 96, 96), 0.2)
    past[..., 44:49, 46:50] = 0.9
    shift = (-2 * distance, 3 * distance)  # x, y
    now = th.roll(past, shifts=shift, dims=(3, 2))
    p_x, p_y = marginal_probabilities(extractor.encoder.feature_maps(past), temperature=1e-4)
    peaked = (p_x.amax(-1) > 0.999)[0] & (p_y.amax(-1) > 0.999)[0]
    assert peaked.sum() >= 2
    obs = with_header(th.cat([past, now], dim=1), [[list(map(float, shift))]])
    velocities = extractor(obs).unflatten(1, (2, 16, 3))[0, 1]
    th.testing.assert_close(velocities[peaked, :2], th.zeros(int(peaked.sum()), 2), atol=2e-3, rtol=0)


def test_anti_aliasing_blurs_what_strided_convolutions_read():
    """Blurring the input of each by hand, and then the same layers without anti-aliasing"""
    encoder = Encoder(3, n_maps=4, precision="float32", strides=(2, 1, 3), anti_aliasing=True)
    frames = th.rand(2, 3, 40, 50)
    binomial = th.tensor([1.0, 2.0, 1.0]) / 4
    blur = th.outer(binomial, binomial)
    activations = frames
    for layer in encoder.convolutions:
        if isinstance(layer, nn.Conv2d) and layer.stride != (1, 1):
            channels = activations.shape[1]
            activations = nn.functional.conv2d(activations, blur.expand(channels, 1, 3, 3), groups=channels)
        activations = layer(activations)
    th.testing.assert_close(encoder.feature_maps(frames), encoder.to_maps(activations), atol=1e-5, rtol=1e-4)


def test_without_strides_anti_aliasing_changes_nothing():
    space, obs = image_space(6, 40, 40), th.rand(2, 6, 40, 40)
    th.testing.assert_close(
        *(make(space, strides=(1, 1), anti_aliasing=anti_aliasing)(obs) for anti_aliasing in (True, False)), atol=0, rtol=0
    )


def test_anti_aliasing_moves_points_evenly_with_what_moves_by_a_pixel():
    """The first of two pixels of a stride moves the points as far as the second does"""

    def unevenness(anti_aliasing):
        extractor = make(image_space(3, 64, 64), strides=(2,), anti_aliasing=anti_aliasing)
        frames = th.full((9, 3, 64, 64), 0.2)
        for i, frame in enumerate(frames):
            frame[:, 20:24, 20 + i : 24 + i] = 0.9
        steps = extractor.points(frames)[:, 0, :, 0].diff(dim=0)  # (8, K)
        return ((steps[::2] - steps[1::2]).square().mean() / steps.square().mean()).sqrt().item()

    assert unevenness(True) < unevenness(False) / 2


@pytest.mark.parametrize("strides", [(), (2, 0), (2, 1.0), (True, 1), "2111", 2, None])
def test_strides_that_are_none_are_refused(strides):
    with pytest.raises(
        ValueError, match=r"strides(\[\d\])? must (have one number for each convolution|be a whole number|be at least 1)"
    ):
        make(strides=strides)


def test_strides_may_be_a_list_as_in_yaml():
    assert make(strides=[2, 2, 1, 1]).encoder.geometry.strides == (2, 2, 1, 1)


def with_header(obs: th.Tensor, shifts: list[list[list[float]]]) -> th.Tensor:
    planes = np.stack([encode_camera_shift(np.array(shift), *obs.shape[-2:]) for shift in shifts])
    return th.cat([th.as_tensor(planes)[:, None] / 255, obs], dim=1)


def test_camera_shift_moves_the_past_points_into_the_current_frame():
    still, shifted = make(image_space(6, 40, 52)), make(image_space(7, 40, 52))
    obs = observations(still, batch=2)
    features = shifted(with_header(obs, [[[3.5, -2.25]], [[0.0, 0.0]]])).unflatten(1, (2, 5, 3))
    points = still.points(obs)
    map_height, map_width = shifted.map_size
    moved = points[0, 0].clone()
    moved[:, 0] += 3.5 * 2 / ((map_width - 1) * 2)
    moved[:, 1] += -2.25 * 2 / ((map_height - 1) * 2)
    th.testing.assert_close(features[0, 1], points[0, 1] - moved)
    th.testing.assert_close(features[1, 1], points[1, 1] - points[1, 0])
    th.testing.assert_close(features[:, 0], points[:, 1])  # the current points stay
    th.testing.assert_close(shifted.points(with_header(obs, [[[3.5, -2.25]], [[9.0, 9.0]]])), points)  # each in its own frame


def test_camera_shift_of_every_past_frame_and_without_velocity():
    still, shifted = make(image_space(9, 40, 40)), make(image_space(10, 40, 40), velocity=False)
    obs = observations(still, batch=1)
    features = shifted(with_header(obs, [[[4.0, 0.0], [0.0, 2.0]]])).unflatten(1, (3, 5, 3))
    expected = still.points(obs)
    cells = still.map_size[0]
    expected[:, 0, :, 0] += 4 / (cells - 1)
    expected[:, 1, :, 1] += 2 / (cells - 1)
    th.testing.assert_close(features, expected)


def test_grey_frames_need_to_say_that_there_is_a_header():
    assert make(image_space(3, 40, 40), frame_channels=1).n_frames == 3
    extractor = make(image_space(3, 40, 40), frame_channels=1, camera_shift=True)
    assert (extractor.n_frames, extractor.camera_shift) == (2, True)


@pytest.mark.parametrize("camera_shift", [False, True])
def test_undivided_and_divided_images_give_the_same_features(camera_shift):
    space = image_space(6 + camera_shift, 40, 40)
    raw = np.random.default_rng(0).integers(0, 256, (2, *space.shape), dtype=np.uint8)
    divided = make(space)(th.as_tensor(raw).float() / 255)
    undivided = make(space, normalized_image=True)(th.as_tensor(raw).float())
    unit_space = spaces.Box(0, 1, space.shape, np.float32)
    unit = make(unit_space, normalized_image=True)(th.as_tensor(raw).float() / 255)
    th.testing.assert_close(undivided, divided, atol=1e-6, rtol=1e-6)
    th.testing.assert_close(unit, divided, atol=1e-6, rtol=1e-6)


def test_bfloat16_features_are_close_to_float32():
    single, half = make(), make(precision="bfloat16")
    obs = observations(single, batch=8)
    assert half(obs).dtype == th.float32
    th.testing.assert_close(half(obs), single(obs), atol=5e-3, rtol=0)
    assert not th.equal(half(obs), single(obs))
    assert all(parameter.dtype == th.float32 for parameter in half.parameters())


@pytest.mark.parametrize("shape", [(3, 15, 15), (3, 16, 40), (6, 84, 64), (1, 40, 40)])
def test_images_of_any_size_that_the_convolutions_allow(shape):
    extractor = make(image_space(*shape), frame_channels=1 if shape[0] == 1 else 3)
    features = extractor(observations(extractor))
    assert features.shape == (3, extractor.features_dim) and features.isfinite().all()


@pytest.mark.parametrize(
    "space, kwargs, message",
    [
        (image_space(4, 40, 40), {}, "frame_channels=1"),
        (image_space(8, 40, 40), {}, "frame_channels=1"),
        (image_space(1, 40, 40), {}, "frame_channels=1"),
        (image_space(4, 40, 40), {"camera_shift": True}, "at least two frames"),
        (image_space(7, 40, 40), {"camera_shift": False}, "not a stack"),
        (image_space(6, 40, 40), {"camera_shift": True}, "not a stack"),
        (image_space(6, 40, 40), {"frame_channels": 0}, "frame_channels"),
        (image_space(3, 14, 40), {}, "15×15"),
        (image_space(7, 16, 40), {}, "17×17"),
        (image_space(6, 40, 40), {"n_points": 0}, "n_points"),
        (image_space(6, 40, 40), {"temperature": 0.0}, "temperature"),
        (image_space(6, 40, 40), {"temperature": -1.0}, "temperature"),
        (image_space(6, 40, 40), {"softmax": "none"}, "softmax"),
        (image_space(6, 40, 40), {"precision": "float16"}, "precision"),
        (spaces.Box(0, 1, (6, 40, 40), np.float32), {}, "normalized_image=True"),
        (spaces.Box(-1, 1, (6, 40, 40), np.float32), {"normalized_image": True}, "from -1 to 1"),
        (spaces.Box(0, 255, (6,), np.uint8), {}, "a vector of shape"),
        (spaces.Dict(image=image_space(6, 40, 40)), {}, "FeaturePointCombinedExtractor"),
    ],
)
def test_bad_input_is_refused(space, kwargs, message):
    with pytest.raises(ValueError, match=message):
        FeaturePointExtractor(space, **kwargs)


@pytest.mark.parametrize("values, kwargs", [(255.0, {}), (-0.1, {}), (float("nan"), {}), (256.0, {"normalized_image": True})])
def test_images_out_of_range_are_refused_when_acting(values, kwargs):
    extractor = make(**kwargs).eval()
    with pytest.raises(ValueError, match="normalized_image"):
        extractor(th.full((1, 6, 40, 44), values))


class DiscreteImageEnv(FakeImageEnv):
    def __init__(self, channels_last: bool = True, discrete: bool = True) -> None:
        super().__init__(screen_height=40, screen_width=40, n_channels=1, discrete=discrete, channel_first=not channels_last)


SMALL = dict(features_extractor_class=FeaturePointExtractor, features_extractor_kwargs=dict(n_points=4, frame_channels=1))


@pytest.mark.parametrize("algorithm", [PPO, A2C, DQN, QRDQN, TD3, DDPG])
@pytest.mark.parametrize("channels_last", [True, False])
def test_every_algorithm_trains_on_sb3s_small_grey_images(algorithm, channels_last):
    short = dict(n_steps=16) if algorithm in (PPO, A2C) else dict(buffer_size=60, learning_starts=16, train_freq=8)
    if algorithm is PPO:
        short.update(batch_size=8, n_epochs=1)
    env = DiscreteImageEnv(channels_last, discrete=algorithm not in (TD3, DDPG))
    model = algorithm("CnnPolicy", env, policy_kwargs=dict(SMALL), seed=0, **short)
    extractors = [module for module in model.policy.modules() if isinstance(module, FeaturePointExtractor)]
    before = extractors[0].encoder.to_maps.weight.clone()
    model.learn(40)
    assert not th.equal(extractors[0].encoder.to_maps.weight, before)


class DictEnv(gym.Env):
    """Two images of different sizes and a vector"""

    def __init__(self) -> None:
        self.observation_space = spaces.Dict(
            eye=image_space(6, 32, 32), hand=image_space(3, 24, 28), joints=spaces.Box(-1, 1, (4,), np.float32)
        )
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.steps += 1
        return self.observation_space.sample(), float(-(action**2).sum()), False, self.steps >= 10, {}


def test_dict_observations_give_points_for_every_image_and_the_rest_as_it_is():
    env = DictEnv()
    extractor = FeaturePointCombinedExtractor(env.observation_space, n_points=4, precision="float32")
    obs = {key: th.as_tensor(value)[None].float() for key, value in env.observation_space.sample().items()}
    obs["eye"], obs["hand"] = obs["eye"] / 255, obs["hand"] / 255
    features = extractor(obs)
    assert features.shape == (1, extractor.features_dim) == (1, 4 + 4 * 6 + 4 * 3)
    parts = [extractor.extractors["eye"](obs["eye"]), extractor.extractors["hand"](obs["hand"]), obs["joints"]]
    th.testing.assert_close(features, th.cat(parts, dim=1))


def test_dict_observations_train_with_ppo():
    kwargs = dict(features_extractor_class=FeaturePointCombinedExtractor, features_extractor_kwargs=dict(n_points=4))
    model = PPO("MultiInputPolicy", DictEnv(), policy_kwargs=kwargs, n_steps=16, batch_size=8, n_epochs=1)
    before = model.policy.features_extractor.extractors["eye"].encoder.to_maps.weight.clone()
    model.learn(16)
    assert not th.equal(model.policy.features_extractor.extractors["eye"].encoder.to_maps.weight, before)


@pytest.mark.parametrize(
    "space, message", [(image_space(6, 40, 40), "FeaturePointExtractor"), (spaces.Dict(a=spaces.Box(0, 1, (3,))), "No key")]
)
def test_combined_extractor_refuses_what_holds_no_image(space, message):
    with pytest.raises(ValueError, match=message):
        FeaturePointCombinedExtractor(space)
