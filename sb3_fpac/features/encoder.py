"""The convolutional encoder, from frames to feature maps, and its precision."""

from collections.abc import Sequence
from typing import Literal

import torch as th
from torch import nn

from sb3_fpac.arguments import one_of, whole_number
from sb3_fpac.features.last_layer import pooled_marginals, softmax_points
from sb3_fpac.features.map_geometry import MapGeometry

Precision = Literal["auto", "float32", "bfloat16"]

_N_CHANNELS = 32


class Encoder(nn.Module):
    """
    3×3 convolutions of 32 channels, none padded, Swish after each; then a 1×1 convolution to K maps. Weights of the
    convolutions start orthogonal with ReLU's gain, biases at zero.

    The layers are those of the authors' code; the paper names the first four only.

    :param in_channels: Channels of a frame: 3 for RGB, 1 for grey
    :param n_maps: K, number of feature maps
    :param precision: ``"auto"``: bfloat16 autocast where the hardware multiplies bfloat16 natively, float32 elsewhere;
        ``"float32"`` and ``"bfloat16"`` force it. Parameters are float32 in any case.
    :param strides: Stride of every 3×3 convolution
    :param anti_aliasing: Whether every convolution with a stride above 1 reads its input blurred by [1, 2, 1] / 4 along both
        axes (Zhang, arXiv 1904.11486), so that a point moves evenly when what it follows moves by less than a stride. Blur and
        convolution are computed as one convolution of 5×5.
    :raises ValueError: if the precision is unknown, a stride is no whole number or less than 1, or ``anti_aliasing`` no bool
    """

    def __init__(
        self,
        in_channels: int,
        n_maps: int,
        precision: Precision = "auto",
        strides: Sequence[int] = (2, 1, 1, 1),
        anti_aliasing: bool = False,
    ) -> None:
        super().__init__()
        self.precision = one_of("precision", precision, ("auto", "float32", "bfloat16"))
        n_maps = whole_number("n_maps", n_maps, at_least=1)
        self.geometry = MapGeometry(strides, anti_aliasing)
        layers: list[nn.Module] = []
        for i, stride in enumerate(self.geometry.strides):
            layers += [nn.Conv2d(_N_CHANNELS if i else in_channels, _N_CHANNELS, kernel_size=3, stride=stride), nn.SiLU()]
        self.convolutions = nn.Sequential(*layers)
        self.to_maps = nn.Conv2d(_N_CHANNELS, n_maps, kernel_size=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.orthogonal_(module.weight, gain=nn.init.calculate_gain("relu"))
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def feature_maps(self, frames: th.Tensor) -> th.Tensor:
        """
        :param frames: ``(N, C, H, W)``: uint8 from 0 to 255, or floats in [0, 1]
        :return: ``(N, K, H', W')``, float32
        """
        with th.autocast(frames.device.type, enabled=False):
            return self.to_maps(self._convolve(frames).float())

    def marginals(self, frames: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
        """
        Compute the means of every feature map along either axis, without the maps.

        :param frames: ``(N, C, H, W)``: uint8 from 0 to 255, or floats in [0, 1]
        :return: g along x ``(N, K, W')`` and along y ``(N, K, H')``, float32
        """
        with th.autocast(frames.device.type, enabled=False):
            return pooled_marginals(self._convolve(frames), *self._last_layer())

    def joint_points(self, frames: th.Tensor, temperature: float) -> th.Tensor:
        """
        Compute the feature points of the full softmax, without the maps.

        :param frames: ``(N, C, H, W)``: uint8 from 0 to 255, or floats in [0, 1]
        :param temperature: β, positive
        :return: ``(N, K, 3)``: x, y, m; float32
        """
        with th.autocast(frames.device.type, enabled=False):
            return softmax_points(self._convolve(frames), *self._last_layer(), temperature)

    def _last_layer(self) -> tuple[th.Tensor, th.Tensor]:
        assert self.to_maps.bias is not None
        return self.to_maps.weight.flatten(start_dim=1), self.to_maps.bias

    def _convolve(self, frames: th.Tensor) -> th.Tensor:
        """(N, C, H, W) → (N, 32, H', W'), channels last, in the dtype of the computation"""
        # The parameters stay float32 and contiguous, as optimizers and SB3's ortho_init need them
        dtype = th.bfloat16 if self._uses_bfloat16(frames.device) else th.float32
        activations = frames.to(dtype)
        if frames.dtype == th.uint8:
            activations = activations.div_(255)
        activations = activations.contiguous(memory_format=th.channels_last)
        for layer in self.convolutions:
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                weight = blurred(layer.weight) if self.geometry.blurs(layer.stride[0]) else layer.weight
                weight = weight.to(dtype, memory_format=th.channels_last)
                activations = nn.functional.conv2d(activations, weight, layer.bias.to(dtype), layer.stride)
            else:
                activations = layer(activations)
        return activations

    def _uses_bfloat16(self, device: th.device) -> bool:
        return self.precision == "bfloat16" or (self.precision == "auto" and has_native_bfloat16(device))


def blurred(kernel: th.Tensor) -> th.Tensor:
    """
    Return the kernel of a convolution whose input is blurred by [1, 2, 1] / 4 along both axes.

    :param kernel: ``(O, I, H, W)``
    :return: ``(O, I, H + 2, W + 2)``
    """
    mean = nn.functional.avg_pool2d(nn.functional.pad(kernel, (2, 2, 2, 2)), kernel_size=2, stride=1)
    return nn.functional.avg_pool2d(mean, kernel_size=2, stride=1)  # two means of neighbours are [1, 2, 1] / 4


@th.compiler.assume_constant_result
def has_native_bfloat16(device: th.device) -> bool:
    """
    Check whether the hardware has instructions that multiply bfloat16, which makes it faster than float32.

    :param device: CPU (AVX-512 BF16 or AMX) or CUDA (compute capability 8.0 and later); False for any other
    :return: True if it has such instructions
    """
    if device.type == "cuda":
        return th.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        return th.cpu._is_avx512_bf16_supported() or th.cpu._is_amx_tile_supported()
    return False
