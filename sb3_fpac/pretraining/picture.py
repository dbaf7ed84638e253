"""Renders frames beside their reconstructions from pre-trained points."""

import numpy as np
import torch as th

from sb3_fpac.pretraining.training import Pretraining
from sb3_fpac.visualization import draw_points
from sb3_fpac.visualization.panels import join


def render_reconstructions(pretraining: Pretraining, episodes: list[np.ndarray], rows: int = 6, scale: int = 3) -> np.ndarray:
    """
    Render rows of four: the target, the source, the reconstructed target, and the target with its points. All points are drawn
    as present, since pre-training does not use presence.

    :param pretraining: The result of pre-training
    :param episodes: The frames of every episode, ``(T, C, H, W)`` uint8 each; C = 3 for RGB, 1 for grey
    :param rows: Number of targets, evenly spaced over all frames; the source is half an episode away
    :param scale: Size of a pixel of the frame in the picture, in pixels
    :return: ``(rows · H · scale + lines, 4 · W · scale + lines, 3)`` uint8
    """
    pairable = [episode for episode in episodes if len(episode) > 1]
    frames = np.concatenate(pairable)
    others = np.concatenate([np.roll(episode, len(episode) // 2, axis=0) for episode in pairable])
    chosen = (np.arange(rows) + 0.5) * len(frames) // rows
    targets, sources = (array[chosen.astype(int)] for array in (frames, others))
    rebuilt, points = pretraining.reconstruct(targets, sources)
    positions = pretraining.extractor.to_pixels(th.as_tensor(points)).numpy()
    presence = np.ones(points.shape[1])
    lines = []
    for target, source, result, position in zip(targets, sources, rebuilt, positions, strict=True):
        columns = [
            draw_points(frame.transpose(1, 2, 0), position, presence, indices=indices, scale=scale)
            for frame, indices in ((target, []), (source, []), (result, []), (target, None))
        ]
        lines.append(join(columns, axis=1, gap=scale))
    return join(lines, axis=0, gap=scale)
