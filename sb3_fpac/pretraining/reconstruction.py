"""Reconstructs a frame from its feature points and the appearance of another frame."""

import torch as th
from torch import nn

from sb3_fpac.features.map_geometry import MapGeometry

_N_CHANNELS = 32
_STRIDE = 4  # of the features that the frame is rebuilt from


def heat_maps(points: th.Tensor, x: th.Tensor, y: th.Tensor, sigma: float = 0.1) -> th.Tensor:
    """
    Draw a Gaussian around every point: exp(−((x − x_k)² + (y − y_k)²) / 2σ²), as in arXiv 1806.07823.

    :param points: ``(B, K, 2)`` or ``(B, K, 3)``: x_k and y_k; the presence is ignored
    :param x: ``(W,)``: positions of the columns of the maps, in the coordinates of the points
    :param y: ``(H,)``: positions of the rows
    :param sigma: σ, in the same coordinates
    :return: ``(B, K, H, W)`` in (0, 1]
    """
    along_x, along_y = ((-((cells - points[..., i, None]) ** 2) / (2 * sigma**2)).exp() for i, cells in enumerate((x, y)))
    return along_y[..., :, None] * along_x[..., None, :]


class Reconstruction(nn.Module):
    """
    Reconstructs a frame, the target, from the positions of its points and the appearance of another frame of the episode, the
    source. This is a smaller version of the generator of Jakab et al. (arXiv 1806.07823). Only the points carry what differs
    between the two frames, so they learn to follow what moves.

    :param frame_channels: C, channels of a frame
    :param n_points: K
    :param height: H of a frame in pixels
    :param width: W of a frame in pixels
    :param geometry: Geometry of the maps of the encoder that finds the points
    :param sigma: σ of the heat maps, in the coordinates of the points
    """

    _x: th.Tensor
    _y: th.Tensor

    def __init__(
        self,
        frame_channels: int,
        n_points: int,
        height: int,
        width: int,
        geometry: MapGeometry,
        sigma: float = 0.1,
    ) -> None:
        super().__init__()
        self.sigma = sigma
        self._size, self._half_size = (height, width), (-(-height // 2), -(-width // 2))
        self.appearance = nn.Sequential(
            nn.Conv2d(frame_channels, _N_CHANNELS, kernel_size=3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(_N_CHANNELS, _N_CHANNELS, kernel_size=3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(_N_CHANNELS, _N_CHANNELS, kernel_size=3, padding=1),
            nn.SiLU(),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(_N_CHANNELS + n_points, 2 * _N_CHANNELS, kernel_size=3, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * _N_CHANNELS, 2 * _N_CHANNELS, kernel_size=3, padding=1),
            nn.SiLU(),
            nn.Upsample(self._half_size),
            nn.Conv2d(2 * _N_CHANNELS, _N_CHANNELS, kernel_size=3, padding=1),
            nn.SiLU(),
            nn.Conv2d(_N_CHANNELS, 4 * frame_channels, kernel_size=3, padding=1),
            nn.PixelShuffle(2),
        )
        map_height, map_width = geometry.map_size(height, width)
        self.register_buffer("_x", _positions(width, map_width, geometry), persistent=False)
        self.register_buffer("_y", _positions(height, map_height, geometry), persistent=False)

    def forward(self, points: th.Tensor, source: th.Tensor) -> th.Tensor:
        """
        :param points: ``(B, K, 3)`` or ``(B, K, 2)``: the target's points, x and y in [-1, 1]
        :param source: ``(B, C, H, W)`` in [0, 1]
        :return: ``(B, C, H, W)``: the reconstructed target, in [0, 1] where it is correct
        """
        appearance = self.appearance(source.contiguous(memory_format=th.channels_last))
        maps = heat_maps(points, self._x, self._y, self.sigma)
        height, width = self._size
        return self.decoder(th.cat([appearance, maps.to(appearance.dtype)], dim=1))[..., :height, :width]


def _positions(pixels: int, cells: int, geometry: MapGeometry) -> th.Tensor:
    """Positions of every 4th pixel of a frame in the coordinates of points, in which the outermost cells of a map lie at ±1"""
    first, last = geometry.cell_centres(th.tensor([0.0, cells - 1.0]))
    return 2 * (th.arange(0, pixels, _STRIDE) - first) / (last - first) - 1
