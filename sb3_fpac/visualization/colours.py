"""Colours by which points are told apart."""

from functools import lru_cache

import numpy as np


def point_colours(n_points: int) -> np.ndarray:
    """
    Return a colour for every point. Each differs most from all colours before it, so point k has the same colour for any K.

    :param n_points: K; colours repeat after 256
    :return: ``(K, 3)`` uint8, RGB
    """
    colours = _palette()
    return colours[np.arange(n_points) % len(colours)]


@lru_cache(maxsize=1)
def _palette() -> np.ndarray:
    """Light and vivid colours of an RGB grid, ``(256, 3)`` uint8, each perceptually the farthest from those before"""
    levels = np.linspace(0, 255, 9)
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = _oklab(colours)
    vivid = (lab[:, 0] > 0.55) & (np.hypot(lab[:, 1], lab[:, 2]) > 0.08)
    colours, lab = colours[vivid], lab[vivid]
    order = [int((colours @ [1, -0.5, -0.5]).argmax())]  # red
    distance = np.full(len(lab), np.inf)
    while len(order) < 256:
        distance = np.minimum(distance, np.linalg.norm(lab - lab[order[-1]], axis=-1))
        order.append(int(distance.argmax()))
    return colours[order].astype(np.uint8)


def _oklab(colours: np.ndarray) -> np.ndarray:
    """Convert RGB of 0…255 to Ottosson's Oklab, whose distances are perceptually uniform"""
    linear = ((colours / 255 + 0.055) / 1.055) ** 2.4
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.cbrt(linear @ np.transpose(to_lms)) @ np.transpose(to_lab)
