"""Draws feature points: arrays in, arrays or Matplotlib figures out.

Drawing on frames needs only NumPy; figures need the extra ``viz``. The figures follow those of the FPAC paper,
arXiv 2106.07995.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch as th

from sb3_fpac.arguments import number, whole_number
from sb3_fpac.features.map_geometry import MapGeometry
from sb3_fpac.features.spatial_softmax import Softmax, feature_points, joint_probabilities, marginal_probabilities
from sb3_fpac.optional import needs
from sb3_fpac.visualization.colours import point_colours
from sb3_fpac.visualization.panels import join

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OUTLINE = 0.25  # width of the outline of a point, in its radii
_TRAIL = 0.5  # half the width of a trail where the point is, in its radii


def draw_points(
    frame: np.ndarray,
    positions: np.ndarray,
    presence: np.ndarray,
    past_positions: np.ndarray | None = None,
    *,
    indices: Sequence[int] | np.ndarray | None = None,
    scale: int = 8,
    radius: float = 1.5,
) -> np.ndarray:
    """
    Enlarge a frame and draw feature points on it, as in Fig. 6 and 7.

    Every point is a disc of its own colour. With v = (1 + m) / 2, which grows from 0 to 1 with the presence m, its radius is
    (1 + v) / 2 times the full radius and its opacity is (1 + 4v) / 5, so that an absent point is just visible. Its velocity is
    a trail that fades towards its past position. Points outside the frame are clipped at its border.

    :param frame: ``(H, W, C)`` uint8; of any C, see :func:`~sb3_fpac.visualization.to_rgb`
    :param positions: ``(K, 2)``: x and y in pixels of the frame; (0, 0) is the middle of the upper left pixel
    :param presence: ``(K,)``: m in (-1, 1)
    :param past_positions: ``(K, 2)``: where the points were before, in the same pixels; None: no trails
    :param indices: Numbers of the points to be drawn, which keep their colours; None: all
    :param scale: How many pixels a pixel of the frame becomes along each axis
    :param radius: Of a point with m = 1, in pixels of the frame
    :return: ``(H · scale, W · scale, 3)`` uint8
    :raises ValueError: if a shape or the frame's dtype does not fit, or ``scale`` or ``radius`` is not positive
    """
    positions, presence = np.asarray(positions), np.asarray(presence)
    past_positions = positions if past_positions is None else np.asarray(past_positions)
    _check_frame(frame)
    n_points = presence.size
    for name, array, shape in [
        ("presence", presence, (n_points,)),
        ("positions", positions, (n_points, 2)),
        ("past_positions", past_positions, (n_points, 2)),
    ]:
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite numbers of shape {shape}, got shape {array.shape}.")
    scale = whole_number("scale", scale, at_least=1)
    radius = number("radius", radius, above=0)

    picture = to_rgb(frame).repeat(scale, axis=1).repeat(scale, axis=0)
    colours = point_colours(n_points)
    ends, starts = ((xy + 0.5) * scale - 0.5 for xy in (positions, past_positions))
    visibility = (1 + presence) / 2
    radii, opacities = radius * scale * (1 + visibility) / 2, (1 + 4 * visibility) / 5
    chosen = np.arange(n_points) if indices is None else np.asarray(indices, dtype=int)
    for k in chosen[np.argsort(presence[chosen])]:  # the most present ones on top
        if (starts[k] != ends[k]).any():
            _paint_capsule(picture, starts[k], ends[k], _TRAIL * radii[k], colours[k], opacities[k])
        _paint_capsule(picture, ends[k], ends[k], radii[k], colours[k], opacities[k], outline=_OUTLINE * radii[k])
    return picture


def draw_strip(
    frames: np.ndarray,
    positions: np.ndarray,
    presence: np.ndarray,
    past_positions: np.ndarray | None = None,
    *,
    indices: Sequence[int] | np.ndarray | None = None,
    scale: int = 4,
    radius: float = 2.5,
) -> np.ndarray:
    """
    Draw successive frames side by side, with one or several points on each, as in Fig. 7.

    :param frames: ``(T, H, W, C)`` uint8
    :param positions: ``(T, K, 2)``: x and y in pixels of the frame
    :param presence: ``(T, K)``: m in (-1, 1)
    :param past_positions: ``(T, K, 2)``: past positions of the points; None: no trails
    :param indices: Indices of the points to draw, ``[k]`` for one; None: all
    :param scale: As in :func:`draw_points`
    :param radius: As in :func:`draw_points`
    :return: ``(H · scale, T · W · scale + (T − 1) · scale, 3)`` uint8, with white lines in between
    :raises ValueError: if there is no frame, the lengths differ, or :func:`draw_points` refuses the arrays
    """
    pasts = [None] * len(frames) if past_positions is None else past_positions
    if not 0 < len(frames) == len(positions) == len(presence) == len(pasts):
        raise ValueError(
            "A strip needs positions and presence for every frame, got "
            f"{len(frames)} frames, {len(positions)} positions, {len(presence)} presences, {len(pasts)} past positions."
        )
    pictures = [
        draw_points(*step, indices=indices, scale=scale, radius=radius)
        for step in zip(frames, positions, presence, pasts, strict=True)
    ]
    return join(pictures, axis=1, gap=scale)


def plot_feature_maps(
    frame: np.ndarray,
    maps: np.ndarray,
    temperature: float = 0.5,
    softmax: Softmax = "separable",
    *,
    strides: Sequence[int] = (2, 1, 1, 1),
    anti_aliasing: bool = False,
    indices: Sequence[int] | np.ndarray | None = None,
    columns: int = 4,
) -> "Figure":
    """
    Plot feature maps over their frame, with the probabilities p(x) and p(y) and the resulting point, as in rows 3 and 4 of
    Fig. 6. Every cell is drawn at the centre of its receptive field.

    :param frame: ``(H, W, C)`` uint8
    :param maps: ``(K, H', W')``: floats, as :meth:`FeaturePointExtractor.feature_maps` returns them for a frame
    :param temperature: β of the agent, see ``FeaturePointExtractor.temperature``
    :param softmax: ``"separable"`` or ``"full"``, see ``FeaturePointExtractor.softmax``; for the latter p(x) and p(y) are
        the marginals of p(x, y)
    :param strides: The agent's ``strides``, ``extractor.encoder.geometry.strides``
    :param anti_aliasing: As for the agent, ``extractor.encoder.geometry.anti_aliasing``
    :param indices: Indices of the points to draw; None: all
    :param columns: Maps side by side
    :return: A Matplotlib figure that is not registered with pyplot; axes are in pixels of the frame
    :raises ValueError: if the maps do not fit the frame, there is nothing to draw, or ``temperature`` or ``softmax``
        is out of range
    :raises ImportError: if Matplotlib is missing
    """
    with needs("viz"):
        from matplotlib.figure import Figure
    maps = np.asarray(maps)
    _check_frame(frame)
    height, width = frame.shape[:2]
    geometry = MapGeometry(strides, anti_aliasing)
    if maps.ndim != 3 or maps.shape[1:] != geometry.map_size(height, width):
        expected = ("K", *geometry.map_size(height, width))
        raise ValueError(f"The maps of a frame of {height}×{width} pixels have the shape {expected}, got {maps.shape}.")
    x, y, presence, p_x, p_y = _from_maps(maps, temperature, softmax, geometry)
    columns_at, rows_at = (geometry.cell_centres(th.arange(cells)).numpy() for cells in (maps.shape[2], maps.shape[1]))
    half = geometry.cell_distance / 2
    seen = (columns_at[0] - half, columns_at[-1] + half, rows_at[-1] + half, rows_at[0] - half)

    chosen = list(range(len(maps)) if indices is None else indices)
    if not chosen or columns < 1:
        raise ValueError(f"A figure needs at least one point and one column, got {len(chosen)} and {columns}.")
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(2.4 * columns, (2.4 * height / width + 0.4) * rows), layout="constrained")
    for place, k in enumerate(chosen, start=1):
        axes = figure.add_subplot(rows, columns, place, xticks=[], yticks=[])
        axes.imshow(to_rgb(frame).mean(axis=2), cmap="gray", vmin=0, vmax=255)
        axes.imshow(maps[k], extent=seen, alpha=0.6, cmap="viridis")
        axes.plot(x[k], y[k], "o", color=point_colours(len(maps))[k] / 255, markeredgecolor="black", markersize=8)
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        above = axes.inset_axes((0, 1.02, 1, 0.15), sharex=axes)
        beside = axes.inset_axes((1.02, 0, 0.15, 1), sharey=axes)
        above.fill_between(columns_at, p_x[k], color="gray")
        beside.fill_betweenx(rows_at, p_y[k], color="gray")
        above.set(ylim=0)
        above.set_title(f"point {k}, presence {presence[k]:.2f}", fontsize="small")
        beside.set(xlim=0)
        for side in (above, beside):
            side.axis("off")
    return figure


def figure_to_array(figure: "Figure") -> np.ndarray:
    """
    Render a Matplotlib figure, independently of the backend, which is not changed.

    :param figure: The figure
    :return: ``(H, W, 3)`` uint8
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas_before = figure.canvas
    try:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.array(canvas.buffer_rgba())[..., :3]
    finally:
        figure.set_canvas(canvas_before)


def _from_maps(maps: np.ndarray, temperature: float, softmax: Softmax, geometry: MapGeometry) -> tuple[np.ndarray, ...]:
    """x, y in pixels and m of every point, ``(K,)`` each, p(x) ``(K, W')`` and p(y) ``(K, H')``"""
    batch = th.as_tensor(maps)[None]
    points = feature_points(batch, temperature, softmax)
    if softmax == "full":
        joint = joint_probabilities(batch, temperature)
        p_x, p_y = joint.sum(dim=-2), joint.sum(dim=-1)
    else:
        p_x, p_y = marginal_probabilities(batch, temperature)
    x, y = (geometry.to_pixels(points[..., i], p.shape[-1]) for i, p in enumerate((p_x, p_y)))
    return tuple(tensor[0].numpy() for tensor in (x, y, points[..., 2], p_x, p_y))


def to_rgb(frames: np.ndarray) -> np.ndarray:
    """
    Make frames of any number of channels visible.

    :param frames: ``(..., C)`` uint8
    :return: ``(..., 3)`` uint8: three channels are RGB, four are RGB with depth or transparency, which is left out; of any
        other number, the mean is shown in grey
    """
    if frames.shape[-1] in (3, 4):
        return frames[..., :3]
    grey = frames.mean(axis=-1, keepdims=True).round().astype(np.uint8)
    return np.broadcast_to(grey, (*grey.shape[:-1], 3))


def _check_frame(frame: np.ndarray) -> None:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] < 1:
        raise ValueError(f"A frame must be uint8 of shape (H, W, C), got {frame.dtype} of shape {frame.shape}.")


def _paint_capsule(
    picture: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    radius: float,
    colour: np.ndarray,
    opacity: float,
    outline: float = 0.0,
) -> None:
    """
    Paint all pixels within a radius of a segment in place: a disc if the segment is a point. The opacity falls to zero
    towards the start. The outline is black and the colours are light, so that one of them is visible on any background.
    Half of the outline lies outside the radius.
    """
    reach = radius + outline / 2
    columns, rows = (
        slice(max(int(min(ends) - reach - 1), 0), max(int(max(ends) + reach + 2), 0)) for ends in zip(start, end, strict=True)
    )
    patch = picture[rows, columns]
    x, y = np.arange(picture.shape[1])[columns] - end[0], np.arange(picture.shape[0])[rows, None] - end[1]
    back_x, back_y = start - end
    length_squared = back_x**2 + back_y**2
    along = np.clip((x * back_x + y * back_y) / length_squared, 0, 1) if length_squared else 0 * x
    distance = np.hypot(x - along * back_x, y - along * back_y)[..., None]  # to the segment
    alpha = opacity * np.clip(reach + 0.5 - distance, 0, 1) * (1 - along[..., None])
    paint = np.clip(reach - outline + 0.5 - distance, 0, 1) * colour if outline else colour.astype(float)  # bytes would wrap
    patch[:] = patch + alpha * (paint - patch) + 0.5  # rounds
