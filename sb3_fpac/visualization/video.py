"""Renders episodes as pictures and videos."""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_fpac.arguments import number
from sb3_fpac.optional import needs_viz
from sb3_fpac.visualization import draw_points, draw_strip, figure_to_array, plot_feature_maps
from sb3_fpac.visualization.episode import Episode, encoder_input, find_extractor

with needs_viz():
    import imageio.v2 as imageio
    from PIL import Image, ImageDraw, ImageFont

VIDEOS = (".mp4", ".gif")
_MOMENTS = 4

Indices = Sequence[int] | np.ndarray


def render_episode(episode: Episode, indices: Indices | None = None, scale: int = 6) -> Iterator[np.ndarray]:
    """
    Render the enlarged frames of an episode with its points. A line of text gives the step and the return so far.

    :param episode: The episode
    :param indices: Indices of the points to draw; None: all
    :param scale: Size of a pixel of the frame in the picture, in pixels
    :return: T pictures ``(H · scale + a line of text, W · scale, 3)`` uint8
    """
    returns = np.cumsum(episode.rewards)
    for t in range(len(episode.frames)):
        picture = draw_points(*episode.draw_arguments(t), indices=indices, scale=scale)
        yield np.concatenate([picture, _line(f"step {t + 1}   return {returns[t]:.1f}", picture.shape[1])])


def render_moments(episode: Episode, indices: Indices | None = None, scale: int = 6) -> np.ndarray:
    """
    Render four evenly spaced moments of an episode side by side.

    :param episode: The episode
    :param indices: Indices of the points to draw; None: all
    :param scale: Size of a pixel of the frame in the picture, in pixels
    :return: ``(H · scale, …, 3)`` uint8
    """
    length = len(episode.frames)
    moments = np.arange(_MOMENTS) * length // _MOMENTS if length >= _MOMENTS else np.arange(length)
    return draw_strip(*episode.draw_arguments(moments), indices=indices, scale=scale, radius=1.5)


def render_maps(model: BaseAlgorithm, episode: Episode, t: int, indices: Indices, columns: int = 4) -> np.ndarray:
    """
    Render feature maps of one frame of an episode, see :func:`~sb3_fpac.visualization.plot_feature_maps`.

    :param model: The agent that played it
    :param episode: The episode
    :param t: Index of the frame
    :param indices: Indices of the points whose maps are drawn
    :param columns: Maps side by side
    :return: ``(H, W, 3)`` uint8
    """
    extractor, seen = find_extractor(model), episode.observations
    seen = {key: array[t] for key, array in seen.items()} if isinstance(seen, dict) else seen[t]
    with th.no_grad():
        maps = extractor.feature_maps(encoder_input(model, seen))[0, -1].cpu().numpy()
    return figure_to_array(
        plot_feature_maps(
            episode.frames[t],
            maps,
            extractor.temperature,
            extractor.softmax,
            strides=extractor.encoder.geometry.strides,
            indices=indices,
            columns=columns,
        )
    )


def side_by_side(picture: np.ndarray, other: np.ndarray) -> np.ndarray:
    """
    Join two pictures side by side. The lower one is padded with white.

    :param picture: ``(H, W, 3)`` uint8
    :param other: ``(H2, W2, 3)`` uint8
    :return: ``(max(H, H2), W + W2, 3)`` uint8
    """
    height = max(len(picture), len(other))
    filled = (np.pad(p, [(0, height - len(p)), (0, 0), (0, 0)], constant_values=255) for p in (picture, other))
    return np.concatenate(list(filled), axis=1)


def write_image(path: Path, picture: np.ndarray) -> None:
    """
    Write a picture.

    :param path: The file; its folder is created if it is missing
    :param picture: ``(H, W, 3)`` uint8
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    imageio.imwrite(path, picture)


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
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gif":
        path.write_bytes(gif(pictures, fps))
        return
    writer: Any  # imageio's types do not know what its writers can do
    with imageio.get_writer(path, fps=fps, codec="libx264", quality=8, macro_block_size=1) as writer:
        for picture in pictures:
            height, width = picture.shape[:2]
            writer.append_data(np.pad(picture, [(0, height % 2), (0, width % 2), (0, 0)]))


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


def _line(text: str, width: int) -> np.ndarray:
    """White text on black, ``(height of a line, width, 3)``"""
    size = max(width // 24, 9)
    line = Image.new("RGB", (width, 2 * size))
    ImageDraw.Draw(line).text((size // 2, size), text, font=ImageFont.load_default(size), anchor="lm")
    return np.asarray(line)
