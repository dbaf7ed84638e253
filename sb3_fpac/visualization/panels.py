"""Arranges pictures side by side or one above the other, with labels."""

from collections.abc import Mapping, Sequence

import numpy as np

from sb3_fpac.optional import needs

_GAP = 4  # pixels between labelled pictures
_SMALLEST, _LARGEST = 11, 24  # font of a label, in pixels


def join(pictures: Sequence[np.ndarray], axis: int, gap: int = 0, background: int = 255) -> np.ndarray:
    """
    Join pictures. Those that are lower or narrower than others are padded at the bottom or at the right.

    :param pictures: ``(H, W, 3)`` uint8 each, at least one
    :param axis: 0: one above the other; 1: side by side
    :param gap: Width of the lines between the pictures, in pixels
    :param background: Grey level of lines and padding, 0…255
    :return: One picture
    """
    across = 1 - axis
    largest = max(picture.shape[across] for picture in pictures)
    padded = []
    for i, picture in enumerate(pictures):
        widths = [(0, 0)] * 3
        widths[axis], widths[across] = (gap if i else 0, 0), (0, largest - picture.shape[across])
        padded.append(np.pad(picture, widths, constant_values=background))
    return np.concatenate(padded, axis)


def with_labels(pictures: Mapping[str | None, np.ndarray], axis: int, background: int = 255) -> np.ndarray:
    """
    Join pictures with their keys above them.

    :param pictures: ``(H, W, 3)`` uint8 by key, at least one; that of the key None has no label
    :param axis: As in :func:`join`
    :param background: As in :func:`join`
    :return: One picture
    """
    size = min(max(min(picture.shape[1] for picture in pictures.values()) // 20, _SMALLEST), _LARGEST)
    labelled = [
        picture if key is None else join([text_line(key, size, picture.shape[1]), picture], 0, background=background)
        for key, picture in pictures.items()
    ]
    return join(labelled, axis, _GAP, background)


def text_line(text: str, size: int, width: int) -> np.ndarray:
    """
    Write white text on black.

    :param text: One line
    :param size: Size of the font, in pixels
    :param width: Width of the picture, in pixels, if the text is not wider
    :return: ``(2 size, …, 3)`` uint8
    :raises ImportError: if Pillow is missing
    """
    with needs("viz"):
        from PIL import Image, ImageDraw, ImageFont
    font = ImageFont.load_default(size)
    line = Image.new("RGB", (max(width, int(font.getlength(text)) + size + 1), 2 * size))
    ImageDraw.Draw(line).text((size // 2, size), text, font=font, anchor="lm")
    return np.asarray(line)
