"""Maps to points, checked against loops in float64."""

import math

import pytest
import torch as th

from sb3_fpac import feature_points, joint_probabilities, marginal_probabilities
from sb3_fpac.features.spatial_softmax import coordinates


def softmax(values: list[float], temperature: float) -> list[float]:
    exps = [math.exp(value / temperature) for value in values]
    return [value / sum(exps) for value in exps]


def separable_by_loop(feature_map: list[list[float]], temperature: float) -> tuple[float, float, float]:
    """Eq. 3 and Eq. 2, written out"""
    height, width = len(feature_map), len(feature_map[0])
    columns = [sum(feature_map[i][j] for i in range(height)) / height for j in range(width)]
    rows = [sum(row) / width for row in feature_map]
    x = sum((2 * j / (width - 1) - 1) * p for j, p in enumerate(softmax(columns, temperature)))
    y = sum((2 * i / (height - 1) - 1) * p for i, p in enumerate(softmax(rows, temperature)))
    return x, y, math.tanh(sum(rows) / height)


def full_by_loop(feature_map: list[list[float]], temperature: float) -> tuple[float, float, float]:
    """Eq. 1 and Eq. 2, written out"""
    height, width = len(feature_map), len(feature_map[0])
    p = softmax([value for row in feature_map for value in row], temperature)
    x = sum((2 * (k % width) / (width - 1) - 1) * p[k] for k in range(height * width))
    y = sum((2 * (k // width) / (height - 1) - 1) * p[k] for k in range(height * width))
    return x, y, math.tanh(sum(value for row in feature_map for value in row) / (height * width))


@pytest.mark.parametrize("softmax_kind, reference", [("separable", separable_by_loop), ("full", full_by_loop)])
@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_points_equal_the_equations_written_out(softmax_kind, reference, temperature):
    maps = th.randn(2, 3, 5, 7, dtype=th.float64, generator=th.Generator().manual_seed(0))
    points = feature_points(maps, temperature, softmax_kind)
    expected = th.tensor([[reference(m.tolist(), temperature) for m in frame] for frame in maps], dtype=th.float64)
    assert points.dtype == th.float64
    th.testing.assert_close(points, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("softmax_kind", ["separable", "full"])
def test_point_of_a_hot_pixel_is_the_pixel(softmax_kind):
    maps = th.zeros(1, 1, 9, 5)
    maps[0, 0, 6, 1] = 1000.0
    x, y, m = feature_points(maps, softmax=softmax_kind)[0, 0]
    assert x == pytest.approx(-0.5)  # column 1 of 5
    assert y == pytest.approx(0.5)  # row 6 of 9
    assert m == pytest.approx(math.tanh(1000 / 45))


@pytest.mark.parametrize("softmax_kind", ["separable", "full"])
def test_point_of_a_uniform_map_is_the_centre(softmax_kind):
    points = feature_points(th.full((1, 2, 6, 7), -0.3), softmax=softmax_kind)
    th.testing.assert_close(points, th.tensor([0.0, 0.0, math.tanh(-0.3)]).expand(1, 2, 3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("softmax_kind", ["separable", "full"])
def test_a_shifted_blob_shifts_the_point_by_as_many_cells(softmax_kind):
    maps = th.full((1, 1, 21, 21), -1000.0)
    maps[..., 8:11, 8:11] = 50.0
    moved = th.roll(maps, shifts=(3, -2), dims=(2, 3))
    shift = (feature_points(moved, softmax=softmax_kind) - feature_points(maps, softmax=softmax_kind))[0, 0]
    th.testing.assert_close(shift, th.tensor([-2 * 0.1, 3 * 0.1, 0.0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("softmax_kind", ["separable", "full"])
def test_gradients_are_those_of_finite_differences(softmax_kind):
    maps = th.randn(2, 2, 4, 3, dtype=th.float64, requires_grad=True)
    assert th.autograd.gradcheck(lambda maps: feature_points(maps, 0.5, softmax_kind), maps)


@pytest.mark.parametrize("softmax_kind", ["separable", "full"])
@pytest.mark.parametrize("dtype", [th.bfloat16, th.float16])
def test_half_precision_maps_are_reduced_in_float32(softmax_kind, dtype):
    maps = th.randn(2, 3, 35, 35).to(dtype)
    points = feature_points(maps, softmax=softmax_kind)
    assert points.dtype == th.float32
    th.testing.assert_close(points, feature_points(maps.float(), softmax=softmax_kind), rtol=0, atol=1e-6)


def test_presence_tells_a_strong_map_from_a_weak_one_where_position_cannot():
    maps = th.stack([th.full((4, 4), 2.0), th.full((4, 4), -2.0)])[None]
    strong, weak = feature_points(maps)[0]
    assert th.equal(strong[:2], weak[:2])
    assert strong[2] > 0.9 > -0.9 > weak[2]


def test_probabilities_are_those_that_the_points_are_expectations_of():
    maps = th.randn(2, 3, 5, 7)
    p_x, p_y = marginal_probabilities(maps, 0.3)
    p = joint_probabilities(maps, 0.3)
    assert (p_x.shape, p_y.shape, p.shape) == ((2, 3, 7), (2, 3, 5), (2, 3, 5, 7))
    for probabilities in (p_x.sum(-1), p_y.sum(-1), p.sum((-2, -1))):
        th.testing.assert_close(probabilities, th.ones(2, 3))
    separable, full = feature_points(maps, 0.3), feature_points(maps, 0.3, "full")
    th.testing.assert_close(separable[..., 0], (p_x * coordinates(7)).sum(-1))
    th.testing.assert_close(separable[..., 1], (p_y * coordinates(5)).sum(-1))
    th.testing.assert_close(full[..., 0], (p * coordinates(7)).sum((-2, -1)))
    th.testing.assert_close(full[..., 1], (p * coordinates(5)[:, None]).sum((-2, -1)))


def test_a_single_cell_lies_in_the_centre():
    assert feature_points(th.ones(1, 1, 1, 1))[0, 0, :2].tolist() == [0.0, 0.0]


def test_an_empty_batch_has_no_points():
    assert feature_points(th.zeros(0, 4, 5, 5), softmax="full").shape == (0, 4, 3)


@pytest.mark.parametrize(
    "maps, kwargs, message",
    [
        (th.zeros(3, 5, 5), {}, "shape"),
        (th.zeros(1, 3, 5, 5, dtype=th.uint8), {}, "floats"),
        (th.zeros(1, 3, 5, 5), {"temperature": 0.0}, "temperature"),
        (th.zeros(1, 3, 5, 5), {"temperature": float("nan")}, "temperature"),
        (th.zeros(1, 3, 5, 5), {"softmax": "both"}, "'separable' or 'full'"),
    ],
)
def test_bad_input_is_refused(maps, kwargs, message):
    with pytest.raises(ValueError, match=message):
        feature_points(maps, **kwargs)


@pytest.mark.gpu
@pytest.mark.parametrize("softmax_kind", ["separable", "full"])
def test_gpu_and_cpu_agree(softmax_kind):
    maps = th.randn(4, 8, 35, 35)
    th.testing.assert_close(
        feature_points(maps.cuda(), softmax=softmax_kind).cpu(), feature_points(maps, softmax=softmax_kind), atol=1e-5, rtol=0
    )
