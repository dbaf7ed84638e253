"""Renders episodes as pictures and videos."""

import io
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_fpac.arguments import number
from sb3_fpac.files import writing
from sb3_fpac.optional import needs
from sb3_fpac.visualization import draw_points, draw_strip, figure_to_array, plot_feature_maps
from sb3_fpac.visualization.agents import encoder_input, find_images, image_of
from sb3_fpac.visualization.episode import Episode, Indices
from sb3_fpac.visualization.panels import join, text_line, with_labels

with needs("viz"):
    import imageio.v2 as imageio
    from imageio_ffmpeg import count_frames_and_secs, get_ffmpeg_exe
    from PIL import Image

VIDEOS = (".mp4", ".gif")
_MOMENTS = 4
_RADIUS = 1.5  # of a point with m = 1, in pixels of the largest frame
_DARK = 64  # grey between the cameras of a video
_MAX_SIDE = 2**13  # pixels of an enlarged frame; ffmpeg refuses videos of 16,384 by 16,384


def render_episode(episode: Episode, indices: Indices | None = None, scale: int = 6) -> Iterator[np.ndarray]:
    """
    Render the enlarged frames of an episode with its points, those of several cameras side by side, each below its key. A line
    of text gives the step and the return so far.

    :param episode: The episode
    :param indices: Indices of the points to draw, as :attr:`PointRanking.points
        <sb3_fpac.visualization.PointRanking.points>` has them; None: all
    :param scale: Size of a pixel of the frame in the picture, in pixels. Of several cameras, this is that of the largest
        frame, and the other frames become about as high.
    :return: T pictures ``(H · scale + a line of text, W · scale, 3)`` uint8
    :raises ValueError: if there is no such point, or the pictures would be too large
    """
    drawings = _drawings(episode, indices, scale)
    returns = np.cumsum(episode.rewards)
    narrowest = min(view.frames.shape[2] * drawings[key]["scale"] for key, view in episode.views.items())
    for t in range(len(returns)):
        pictures = {key: draw_points(*view.draw_arguments(t), **drawings[key]) for key, view in episode.views.items()}
        picture = with_labels(pictures, axis=1, background=_DARK)
        text = text_line(f"step {t + 1}   return {returns[t]:.1f}", max(narrowest // 24, 9), picture.shape[1])
        yield join([picture, text[:, : picture.shape[1]]], axis=0)


def render_moments(episode: Episode, indices: Indices | None = None, scale: int = 6) -> np.ndarray:
    """
    Render four evenly spaced moments of an episode side by side, those of several cameras one above the other, each below its
    key.

    :param episode: The episode
    :param indices: As in :func:`render_episode`
    :param scale: As in :func:`render_episode`
    :return: ``(H · scale, …, 3)`` uint8
    :raises ValueError: if there is no such point, or the picture would be too large
    """
    length = len(episode.rewards)
    moments = np.arange(_MOMENTS) * length // _MOMENTS if length >= _MOMENTS else np.arange(length)
    drawings = _drawings(episode, indices, scale)
    strips = {key: draw_strip(*view.draw_arguments(moments), **drawings[key]) for key, view in episode.views.items()}
    return with_labels(strips, axis=0)


def render_maps(model: BaseAlgorithm, episode: Episode, t: int, indices: Indices, columns: int = 4) -> np.ndarray:
    """
    Render feature maps of one step of an episode, see :func:`~sb3_fpac.visualization.plot_feature_maps`, those of several
    cameras one above the other, each below its key.

    :param model: The agent that played it
    :param episode: The episode
    :param t: Index of the step
    :param indices: Indices of the points whose maps are drawn, as in :func:`render_episode`; at least one
    :param columns: Maps side by side
    :return: ``(H, W, 3)`` uint8
    :raises ValueError: if there is no such point
    """
    seen = episode.observations
    seen = {key: array[t] for key, array in seen.items()} if isinstance(seen, dict) else seen[t]
    inputs, numbers, figures = encoder_input(model, seen), episode.numbers_in_views(indices), {}
    for key, extractor in find_images(model).items():
        if not len(numbers[key]):
            continue
        with th.no_grad():
            maps = extractor.feature_maps(image_of(inputs, key))[0, -1].cpu().numpy()
        figure = plot_feature_maps(
            episode.views[key].frames[t],
            maps,
            extractor.temperature,
            extractor.softmax,
            strides=extractor.encoder.geometry.strides,
            anti_aliasing=extractor.encoder.geometry.anti_aliasing,
            indices=numbers[key],
            columns=columns,
        )
        figures[key] = figure_to_array(figure)
    return with_labels(figures, axis=0)


def side_by_side(picture: np.ndarray, other: np.ndarray) -> np.ndarray:
    """
    Join two pictures side by side. The lower one is padded with white.

    :param picture: ``(H, W, 3)`` uint8
    :param other: ``(H2, W2, 3)`` uint8
    :return: ``(max(H, H2), W + W2, 3)`` uint8
    """
    return join([picture, other], axis=1)


def write_image(path: Path, picture: np.ndarray) -> None:
    """
    Write a picture.

    :param path: The file; its folder is created if it is missing
    :param picture: ``(H, W, 3)`` uint8
    """
    with writing(path) as unfinished:
        imageio.imwrite(unfinished, picture)


def write_video(path: Path, pictures: Iterable[np.ndarray], fps: float) -> None:
    """
    Write a video: H.264 if the path ends in ``.mp4``, a repeating GIF if it ends in ``.gif``.

    :param path: The file; its folder is created if it is missing
    :param pictures: ``(H, W, 3)`` uint8 each, all of one size; for H.264, odd sizes are padded by one black line
    :param fps: Pictures per second. Players slow down GIFs of more than 50 pictures per second.
    :raises ValueError: if the path has another suffix, or the rate is not positive
    """
    if path.suffix not in VIDEOS:
        raise ValueError(f"A video must end in {' or '.join(VIDEOS)}, got {path}.")
    fps = number("fps", fps, above=0)
    with writing(path) as unfinished:
        if path.suffix == ".gif":
            unfinished.write_bytes(gif(pictures, fps))
        else:
            _write_mp4(unfinished, pictures, fps)


def check_scale(side: int, scale: int) -> None:
    """
    Check that pictures do not become too large.

    :param side: Longest side of a frame, in pixels
    :param scale: How many times as large it is drawn
    :raises ValueError: if it is drawn too large
    """
    if side * scale > _MAX_SIDE:
        raise ValueError(f"A frame of {side} pixels can be drawn {_MAX_SIDE // side} times as large, got a scale of {scale}.")


def check_ffmpeg() -> None:
    """
    Check that ffmpeg, which writes MP4, can be started.

    :raises ValueError: if it cannot
    """
    program = get_ffmpeg_exe()
    try:
        subprocess.run([program, "-version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(
            f"ffmpeg cannot be started ({error}): correct IMAGEIO_FFMPEG_EXE or leave it out, or write .gif."
        ) from error


def _write_mp4(path: Path, pictures: Iterable[np.ndarray], fps: float) -> None:
    writer: Any  # imageio's types do not know what its writers can do
    n_pictures = 0
    with imageio.get_writer(path, fps=fps, codec="libx264", quality=8, macro_block_size=1) as writer:
        for picture in pictures:
            height, width = picture.shape[:2]
            writer.append_data(np.pad(picture, [(0, height % 2), (0, width % 2), (0, 0)]))
            n_pictures += 1
    try:
        n_written, _ = count_frames_and_secs(path)
    except RuntimeError as error:
        raise OSError("ffmpeg did not finish it, as on a full disk") from error
    if n_written != n_pictures:
        raise OSError(f"ffmpeg wrote {n_written} of {n_pictures} pictures, as on a full disk")


def gif(pictures: Iterable[np.ndarray], fps: float) -> bytes:
    """
    Encode a repeating GIF. An octree chooses its 256 colours: a median cut would spend them on the background, and the points
    would turn grey.

    :param pictures: ``(H, W, 3)`` uint8 each, all of one size
    :param fps: Pictures per second
    :return: The file
    """
    file = io.BytesIO()
    first, *others = (
        Image.fromarray(picture).quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE) for picture in pictures
    )
    first.save(file, format="GIF", save_all=True, append_images=others, duration=1000 / fps, loop=0)
    return file.getvalue()


def _drawings(episode: Episode, indices: Indices | None, scale: int) -> dict[str | None, dict[str, Any]]:
    """Keyword arguments of draw_points for every camera: points and frames of all are of about the same size"""
    numbers = episode.numbers_in_views(indices)
    heights = {key: view.frames.shape[1] for key, view in episode.views.items()}
    scales = {key: round(scale * max(heights.values()) / height) for key, height in heights.items()}
    largest = max(max(view.frames.shape[1:3]) for view in episode.views.values())
    check_scale(largest, scale)
    return {key: dict(indices=numbers[key], scale=own, radius=_RADIUS * scale / own) for key, own in scales.items()}
