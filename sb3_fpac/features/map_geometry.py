"""Where the cells of a feature map lie in the frame."""

from collections.abc import Sequence

import torch as th

from sb3_fpac.arguments import flag, whole_number

_KERNEL_SIZE, _BLURRED_KERNEL_SIZE = 3, 5


class MapGeometry:
    """
    The geometry of the feature maps of a stack of unpadded 3×3 convolutions.

    :param strides: Stride of every convolution; ``(2, 1, 1, 1)`` is the paper's
    :param anti_aliasing: Whether convolutions with a stride above 1 blur what they read, by which they see 5×5 instead of 3×3
    :raises ValueError: if there is no stride, one is no whole number or less than 1, or ``anti_aliasing`` is no bool
    """

    def __init__(self, strides: Sequence[int] = (2, 1, 1, 1), anti_aliasing: bool = False) -> None:
        if not isinstance(strides, Sequence) or isinstance(strides, str) or not strides:
            raise ValueError(f"strides must have one number for each convolution, such as (2, 1, 1, 1), got {strides!r}.")
        self.strides = tuple(whole_number(f"strides[{i}]", stride, at_least=1) for i, stride in enumerate(strides))
        self.anti_aliasing = flag("anti_aliasing", anti_aliasing)

    def blurs(self, stride: int) -> bool:
        """
        Return whether a convolution blurs what it reads.

        :param stride: Stride of the convolution
        :return: True with anti-aliasing if the stride is above 1
        """
        return self.anti_aliasing and stride > 1

    @property
    def cell_distance(self) -> int:
        """Distance between neighbouring cells, in pixels"""
        distance = 1
        for stride in self.strides:
            distance *= stride
        return distance

    @property
    def receptive_field(self) -> int:
        """Height and width of what a cell sees, in pixels"""
        size, distance = 1, 1
        for stride in self.strides:
            kernel_size = _BLURRED_KERNEL_SIZE if self.blurs(stride) else _KERNEL_SIZE
            size += (kernel_size - 1) * distance
            distance *= stride
        return size

    def map_size(self, height: int, width: int) -> tuple[int, int]:
        """
        Return the size of the feature maps of a frame.

        :param height: Height of the frame in pixels
        :param width: Width of the frame in pixels
        :return: (H', W'), (35, 35) for 84×84 and the paper's strides; not positive if the frame is too small
        """
        field, distance = self.receptive_field, self.cell_distance
        return (height - field) // distance + 1, (width - field) // distance + 1

    def smallest_frame(self, n_cells: int) -> int:
        """
        Return the height and width of the smallest frame whose maps have so many cells along each axis.

        :param n_cells: Number of cells
        :return: Pixels
        """
        return self.receptive_field + (n_cells - 1) * self.cell_distance

    def cell_centres(self, cells: th.Tensor) -> th.Tensor:
        """
        Return the positions in the frame of the cells of a feature map.

        :param cells: Column or row indices, not necessarily integers
        :return: The centre of the receptive field of each cell, in pixels; 0 is the middle of the first pixel
        """
        return self.cell_distance * cells + (self.receptive_field - 1) / 2

    def to_pixels(self, positions: th.Tensor, n_cells: int | th.Tensor) -> th.Tensor:
        """
        Convert positions from [-1, 1], the coordinates of a map, to pixels.

        :param positions: x or y, or both
        :param n_cells: Number of cells along that axis, or along both
        :return: Pixels; 0 is the middle of the first pixel
        """
        return self.cell_centres((positions + 1) / 2 * (n_cells - 1))
