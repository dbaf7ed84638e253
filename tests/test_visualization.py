"""Pictures: points are drawn where they are, as large and as opaque as they are present, and nothing else is touched."""

import sys

import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.processes import run_python

from sb3_fpac import FeaturePointExtractor, encode_camera_shift
from sb3_fpac.features.encoder import Encoder
from sb3_fpac.features.map_geometry import MapGeometry
from sb3_fpac.visualization import draw_points, draw_strip, plot_feature_maps, point_colours, to_rgb

BLACK = np.zeros((20, 30, 3), np.uint8)


def draw_one(x: float, y: float, m: float = 1.0, past=None, frame=BLACK, **kwargs) -> np.ndarray:
    past = None if past is None else np.array([past])
    return draw_points(frame, np.array([[x, y]]), np.array([m]), past, **kwargs)


def light(picture: np.ndarray) -> np.ndarray:
    return picture.astype(float).sum(axis=-1)


def centroid(picture: np.ndarray, scale: int) -> tuple[float, float]:
    """Of the light in a picture, x and y in pixels of the frame"""
    weights = light(picture)
    rows, columns = np.indices(weights.shape)
    return tuple(((axis * weights).sum() / weights.sum() + 0.5) / scale - 0.5 for axis in (columns, rows))


@pytest.mark.parametrize("scale", [1, 4, 7])
@pytest.mark.parametrize("x, y", [(10, 5), (11.3, 12.8), (20.5, 9.25)])
def test_a_point_is_drawn_where_it_is(scale, x, y):
    assert centroid(draw_one(x, y, scale=scale), scale) == pytest.approx((x, y), abs=0.05)


def test_a_frame_is_enlarged_pixel_by_pixel():
    frame = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
    picture = draw_points(frame, np.zeros((0, 2)), np.zeros(0), scale=3)
    assert picture.shape == (15, 24, 3)
    for row in range(15):
        for column in range(24):
            assert (picture[row, column] == frame[row // 3, column // 3]).all()


def test_grey_frames_give_grey_pictures_with_coloured_points():
    frame = np.random.default_rng(0).integers(0, 256, (20, 30, 1), dtype=np.uint8)
    picture = draw_one(5, 5, frame=frame)
    np.testing.assert_array_equal(picture[80:], draw_one(5, 5, frame=frame.repeat(3, axis=2))[80:])
    np.testing.assert_array_equal(picture[44, 44], point_colours(1)[0])


def test_the_frame_itself_stays_as_it_is():
    frame = BLACK.copy()
    draw_one(5, 5, frame=frame, scale=1)
    assert not frame.any()


def test_a_disc_is_as_large_as_it_says_with_smooth_edges():
    white = np.full_like(BLACK, 255)
    painted = (draw_one(15, 10, frame=white, scale=10, radius=2.0) != 255).any(axis=-1)
    outer = 20 * 1.125  # half of an outline of a quarter of the radius
    assert painted.sum() == pytest.approx(np.pi * outer**2, rel=0.05)
    levels = np.unique(light(draw_one(15, 10, frame=white, scale=10, radius=2.0)))
    assert len(levels) > 10


def test_the_outline_shows_a_point_on_ground_of_its_own_colour():
    ground = np.broadcast_to(point_colours(1)[0], BLACK.shape)
    picture = draw_one(15, 10, frame=ground, scale=10, radius=2.0)
    assert (picture[104, 154] == ground[0, 0]).all() and not picture[104, 154 + 20].any()


def test_the_more_present_the_larger_and_the_more_opaque():
    pictures = [draw_one(15, 10, m, scale=10) for m in (-1.0, -0.5, 0.0, 0.5, 1.0)]
    areas = [(light(picture) > 0).sum() for picture in pictures]
    brightest = [int(picture.max()) for picture in pictures]
    assert areas == sorted(set(areas)) and brightest == sorted(set(brightest))
    assert brightest[0] == 51 and brightest[-1] == 255  # an absent one can be seen
    assert draw_one(15, 10, 0.3, scale=10).max() == 184  # 0.72 · 255 = 183.6


def test_the_most_present_points_lie_on_top():
    same_place = np.full((2, 2), 8.0)
    for presence, on_top in (([0.9, 1.0], 1), ([1.0, 0.9], 0)):
        picture = draw_points(BLACK, same_place, np.array(presence), scale=10)
        colour = point_colours(2)[on_top]
        assert abs(picture[84, 84].astype(int) - colour).max() < 20


def test_trails_lead_from_where_a_point_was_and_fade_towards_there():
    scale = 10
    trail = light(draw_one(22, 15, past=(6, 3), scale=scale)) - light(draw_one(22, 15, scale=scale))
    at = [trail[int((3 + 12 * t + 0.5) * scale), int((6 + 16 * t + 0.5) * scale)] for t in (0, 0.2, 0.4, 0.6, 0.8)]
    assert at[0] < 10 and at == sorted(set(at))
    rows, columns = np.nonzero(trail > 0)
    x, y = (columns + 0.5) / scale - 0.5, (rows + 0.5) / scale - 0.5
    off_the_line = abs((x - 6) * 12 - (y - 3) * 16) / 20
    assert off_the_line.max() < 0.5 * 1.5 + 0.1  # half a radius and a bit of antialiasing
    assert x.min() > 5 and y.min() > 2 and x.max() < 22 and y.max() < 15


def test_a_point_that_rests_has_no_trail():
    np.testing.assert_array_equal(draw_one(9.5, 9, past=(9.5, 9)), draw_one(9.5, 9))


@pytest.mark.parametrize("x, y", [(-0.5, 5), (29.5, 19.5), (12, -0.5)])
def test_points_are_cut_off_at_the_border(x, y):
    larger = np.zeros((60, 70, 3), np.uint8)
    expected = draw_one(x + 20, y + 20, past=(x + 18, y + 23), frame=larger, scale=4)[80:160, 80:200]
    np.testing.assert_array_equal(draw_one(x, y, past=(x - 2, y + 3), scale=4), expected)
    assert expected.any()


@pytest.mark.parametrize("x, y", [(-20, 5), (60, 5), (5, -20), (5, 60), (-1e6, 1e6)])
def test_points_outside_of_the_frame_are_not_drawn(x, y):
    assert not draw_one(x, y, past=(x, y + 1)).any()


def test_chosen_points_keep_their_colours():
    positions = np.array([[5.0, 5], [15, 5], [25, 5], [5, 15]])
    everything = draw_points(BLACK, positions, np.ones(4), positions + 1)
    chosen = draw_points(BLACK, positions, np.ones(4), positions + 1, indices=[2, 3])
    np.testing.assert_array_equal(chosen[:80, 160:], everything[:80, 160:])
    np.testing.assert_array_equal(chosen[80:], everything[80:])
    assert not chosen[:80, :160].any() and everything[:80, :160].any()
    assert not draw_points(BLACK, positions, np.ones(4), indices=[]).any()


def test_colours_are_unlike_each_other_and_the_same_for_any_number_of_points():
    colours = point_colours(32)
    assert colours.dtype == np.uint8 and colours.shape == (32, 3)
    np.testing.assert_array_equal(point_colours(300)[:32], colours)
    np.testing.assert_array_equal(point_colours(300)[256:], point_colours(44))  # from the beginning
    distances = np.linalg.norm(colours[:, None].astype(float) - colours, axis=-1)
    assert distances[np.triu_indices(32, 1)].min() > 40
    colours[:] = 0
    assert point_colours(1).any()


def see_one_pixel(extractor: FeaturePointExtractor) -> None:
    """Make every map of an encoder the brightness around each cell's centre, 3×3 pixels of it"""
    encoder: Encoder = extractor.encoder
    with th.no_grad():
        for parameter in encoder.parameters():
            parameter.zero_()
        first, *others = [layer for layer in encoder.convolutions if isinstance(layer, th.nn.Conv2d)]
        first.weight[0] = 1
        for layer in others:
            layer.weight[0, 0, 1, 1] = 1
        encoder.to_maps.weight[:, 0] = 1


@pytest.mark.parametrize("height, width", [(24, 24), (31, 45), (84, 84)])
@pytest.mark.parametrize("x, y", [(9, 13), (12, 10), (11, 14)])  # on the grid of cells, off it, one of both
@pytest.mark.parametrize("softmax", ["separable", "full"])
def test_what_an_encoder_sees_is_drawn_where_it_is_in_the_frame(height, width, x, y, softmax):
    space = spaces.Box(0, 255, (3, height, width), np.uint8)
    extractor = FeaturePointExtractor(space, n_points=1, temperature=1e-4, softmax=softmax, precision="float32")
    see_one_pixel(extractor)
    frame = th.zeros(1, 3, height, width)
    frame[0, :, y, x] = 1
    position = extractor.to_pixels(extractor.points(frame))[0, 0].detach().numpy()
    picture = draw_points(np.zeros((height, width, 3), np.uint8), position, np.ones(1), scale=5)
    assert centroid(picture, 5) == pytest.approx((x, y), abs=0.05)


def test_past_points_are_drawn_where_the_current_camera_sees_them():
    space = spaces.Box(0, 255, (7, 31, 45), np.uint8)
    extractor = FeaturePointExtractor(space, n_points=1, temperature=1e-4, precision="float32")
    see_one_pixel(extractor)
    obs = th.zeros(1, 7, 31, 45)
    obs[0, 0] = th.as_tensor(encode_camera_shift(np.array([[4.5, -3.25]]), 31, 45)) / 255
    obs[0, 1:4, 14, 13] = 1  # then
    obs[0, 4:7, 14, 27] = 1  # now
    past, now = extractor.to_pixels(extractor.points(obs, current_camera=True))[0].detach().numpy()
    ground = np.zeros((31, 45, 3), np.uint8)
    assert centroid(draw_points(ground, past, np.ones(1), scale=5), 5) == pytest.approx((13 + 4.5, 14 - 3.25), abs=0.05)
    assert centroid(draw_points(ground, now, np.ones(1), scale=5), 5) == pytest.approx((27, 14), abs=0.05)
    trail = light(draw_points(ground, now, np.ones(1), past, scale=5)) - light(draw_points(ground, now, np.ones(1), scale=5))
    columns = np.nonzero(trail > 5)[1]
    assert 17 < columns.min() / 5 < 20 and columns.max() / 5 < 27


@pytest.mark.parametrize("level", [0, 100, 255])
def test_trails_are_mixed_of_the_point_and_what_is_below(level):
    frame = np.full((20, 30, 3), level, np.uint8)
    with_trail, without = (draw_one(20, 10, past=past, frame=frame, scale=5) for past in ((5, 10), None))
    trail = with_trail[:, :80].astype(int)  # without the disc and its outline
    assert (without[:, :80] == level).all() and (trail != level).any()
    for channel, colour in enumerate(point_colours(1)[0].astype(int)):
        low, high = sorted([level, colour])
        assert low <= trail[..., channel].min() and trail[..., channel].max() <= high


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 5])
def test_frames_of_any_number_of_channels_are_visible(n_channels):
    frames = np.random.default_rng(0).integers(0, 256, (2, 6, 8, n_channels), dtype=np.uint8)
    grey = np.rint(frames.astype(float).mean(axis=-1, keepdims=True)).repeat(3, axis=-1)
    np.testing.assert_array_equal(to_rgb(frames), frames[..., :3] if n_channels in (3, 4) else grey)


def test_a_strip_is_its_frames_side_by_side():
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    positions, past = rng.uniform(0, 20, (2, 3, 4, 2))
    presence = rng.uniform(-1, 1, (3, 4))
    strip = draw_strip(frames, positions, presence, past, indices=[1], scale=2)
    assert strip.shape == (40, 3 * 60 + 2 * 2, 3)
    for t in range(3):
        expected = draw_points(frames[t], positions[t], presence[t], past[t], indices=[1], scale=2, radius=2.5)
        np.testing.assert_array_equal(strip[:, 62 * t : 62 * t + 60], expected)
        assert (strip[:, 62 * t + 60 : 62 * t + 62] == 255).all()
    without_trails = draw_strip(frames, positions, presence)
    assert without_trails.shape == (80, 3 * 120 + 2 * 4, 3)


def a_figure(softmax="separable", temperature=0.1, frame=BLACK, strides=(2, 1, 1, 1), **kwargs):
    size = MapGeometry(strides).map_size(*frame.shape[:2])
    maps = np.random.default_rng(0).normal(size=(5, *size)).astype(np.float32)
    return maps, plot_feature_maps(frame, maps, temperature, softmax, strides=strides, **kwargs)


def test_maps_of_other_strides_lie_where_their_cells_see():
    pytest.importorskip("matplotlib")
    frame = np.zeros((44, 60, 3), np.uint8)
    maps, figure = a_figure(frame=frame, strides=(2, 2), indices=[0])
    assert maps.shape[1:] == (10, 14)  # cells of 7×7 pixels, 4 pixels apart
    _, map_image = figure.axes[0].get_images()
    assert list(map_image.get_extent()) == [1, 57, 41, 1]  # from 3 − 2 to 3 + 4 · 13 + 2, and to 3 + 4 · 9 + 2
    with pytest.raises(ValueError, match=r"have the shape \('K', 15, 23\), got \(5, 10, 14\)"):
        plot_feature_maps(frame, maps)


@pytest.mark.parametrize("softmax", ["separable", "full"])
def test_maps_lie_over_the_frame_with_their_probabilities_and_points(softmax):
    pytest.importorskip("matplotlib")
    maps, figure = a_figure(softmax, indices=[3, 1])
    assert len(figure.axes) == 2
    for k, axes in zip([3, 1], figure.axes, strict=True):
        g = maps[k].astype(np.float64)
        joint = np.exp(g / 0.1) / np.exp(g / 0.1).sum()
        p_x, p_y = joint.sum(axis=0), joint.sum(axis=1)
        if softmax == "separable":
            p_x, p_y = (np.exp(g.mean(axis=axis) / 0.1) for axis in (0, 1))
            p_x, p_y = p_x / p_x.sum(), p_y / p_y.sum()
        columns, rows = 7 + 2 * np.arange(len(p_x)), 7 + 2 * np.arange(len(p_y))  # centres of 15×15 pixels
        frame_image, map_image = axes.get_images()
        assert frame_image.get_extent() == [-0.5, 29.5, 19.5, -0.5]
        assert list(map_image.get_extent()) == [6, columns[-1] + 1, rows[-1] + 1, 6]
        np.testing.assert_array_equal(map_image.get_array(), maps[k])
        (point,) = axes.get_lines()
        np.testing.assert_allclose(point.get_xydata()[0], [p_x @ columns, p_y @ rows], rtol=1e-5)
        np.testing.assert_allclose(point.get_color(), point_colours(5)[k] / 255)
        above, beside = axes.child_axes
        assert above.get_title() == f"point {k}, presence {np.tanh(g.mean()):.2f}"
        drawn_x, drawn_p_x = above.collections[0].get_paths()[0].vertices.T
        drawn_p_y, drawn_y = beside.collections[0].get_paths()[0].vertices.T
        np.testing.assert_allclose([drawn_p_x[drawn_x == x].max() for x in columns], p_x, rtol=1e-4)
        np.testing.assert_allclose([drawn_p_y[drawn_y == y].max() for y in rows], p_y, rtol=1e-4)


@pytest.mark.slow
def test_figures_become_pictures_and_pyplot_knows_nothing_of_it():
    pytest.importorskip("matplotlib")
    code = """
import sys
import numpy as np
from sb3_fpac.visualization import figure_to_array, plot_feature_maps
assert "matplotlib" not in sys.modules
figure = plot_feature_maps(np.zeros((20, 30, 1), np.uint8), np.zeros((5, 3, 8), np.float32), columns=3)
canvas = figure.canvas
picture = figure_to_array(figure)
width, height = figure.get_size_inches() * figure.dpi  # which Matplotlib rounds, down with 3.10
assert abs(picture.shape[0] - height) < 1 and abs(picture.shape[1] - width) < 1 and picture.shape[2] == 3
assert picture.dtype == np.uint8 and len(np.unique(picture)) > 20
assert figure.canvas is canvas and "matplotlib.pyplot" not in sys.modules
"""
    run_python("-c", code)


def test_without_matplotlib_the_way_to_get_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install .*sb3-fpac\[viz\]"):
        a_figure()


ONE = np.zeros((1, 2))


@pytest.mark.parametrize(
    "arguments, kwargs, message",
    [
        ((BLACK.astype(float), ONE, np.zeros(1)), {}, "uint8"),
        ((BLACK[..., 0], ONE, np.zeros(1)), {}, "A frame must be"),
        ((BLACK[..., :0], ONE, np.zeros(1)), {}, "A frame must be"),
        ((BLACK, np.zeros((2, 2)), np.zeros(1)), {}, "positions .* shape \\(1, 2\\)"),
        ((BLACK, np.zeros(2), np.zeros(1)), {}, "positions"),
        ((BLACK, ONE, np.zeros((1, 1))), {}, "presence"),
        ((BLACK, ONE, np.zeros(1), np.zeros((1, 3))), {}, "past_positions"),
        ((BLACK, ONE * np.nan, np.zeros(1)), {}, "finite"),
        ((BLACK, ONE, np.zeros(1)), dict(scale=0), "scale"),
        ((BLACK, ONE, np.zeros(1)), dict(radius=0), "radius"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, kwargs, message):
    with pytest.raises(ValueError, match=message):
        draw_points(*arguments, **kwargs)


@pytest.mark.parametrize("n_frames, n_positions, n_presence", [(0, 0, 0), (2, 3, 2), (2, 2, 3)])
def test_strips_without_points_for_every_frame_are_refused(n_frames, n_positions, n_presence):
    with pytest.raises(ValueError, match="every frame"):
        draw_strip(np.stack([BLACK] * 3)[:n_frames], np.zeros((n_positions, 1, 2)), np.zeros((n_presence, 1)))


@pytest.mark.parametrize(
    "shape, kwargs, message",
    [
        ((5, 4, 8), {}, r"\('K', 3, 8\), got \(5, 4, 8\)"),
        ((3, 8), {}, "have the shape"),
        ((5, 3, 8), dict(temperature=0), "temperature"),
        ((5, 3, 8), dict(softmax="none"), "softmax"),
        ((5, 3, 8), dict(indices=[]), "at least one point"),
        ((5, 3, 8), dict(columns=0), "at least one point"),
    ],
)
def test_maps_of_another_frame_are_refused(shape, kwargs, message):
    pytest.importorskip("matplotlib")
    with pytest.raises(ValueError, match=message):
        plot_feature_maps(BLACK, np.zeros(shape, np.float32), **kwargs)
