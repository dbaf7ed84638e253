"""The encoder's last layer, a 1×1 convolution, and what is computed from its maps, without the maps in memory.

In eager mode, PyTorch's own operations and their gradients would write several tensors of the size of the maps. The functions
of this module read the activations before the last layer once and write their gradient once, a few frames at a time, so that
what lies between stays in the cache of a CPU.
"""

from typing import Any

import torch as th
from torch import nn
from torch.autograd.function import once_differentiable

from sb3_fpac.features.spatial_softmax import coordinates, feature_points

_FRAMES_IN_CACHE = 16


def pooled_marginals(activations: th.Tensor, weight: th.Tensor, bias: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """
    Compute the means of every feature map along either axis: g of Eq. 3. A 1×1 convolution commutes with a mean, so the last
    layer runs on H' + W' pooled positions instead of H'·W' cells.

    :param activations: ``(N, C, H', W')``, channels last
    :param weight: Weight of the last layer, ``(K, C)``
    :param bias: Bias of the last layer, ``(K,)``
    :return: g along x ``(N, K, W')`` and along y ``(N, K, H')``, float32
    """
    pool = _pool if _is_traced() else _Pool.apply
    maps = nn.functional.linear(pool(activations), weight, bias).transpose(1, 2)
    g_x, g_y = maps.split([activations.shape[-1], activations.shape[-2]], dim=-1)
    return g_x, g_y


def softmax_points(activations: th.Tensor, weight: th.Tensor, bias: th.Tensor, temperature: float) -> th.Tensor:
    """
    Compute the feature points of the full softmax (Eq. 1 and 2).

    :param activations: ``(N, C, H', W')``, channels last
    :param weight: Weight of the last layer, ``(K, C)``
    :param bias: Bias of the last layer, ``(K,)``
    :param temperature: β, positive
    :return: ``(N, K, 3)``: x, y, m; float32
    """
    if _is_traced():
        maps = nn.functional.conv2d(activations.float(), weight[..., None, None], bias)
        return feature_points(maps, temperature, softmax="full")
    for_gradient = th.is_grad_enabled() and (activations.requires_grad or weight.requires_grad)
    means = _SoftmaxMeans.apply(activations, weight, temperature, for_gradient)
    return th.cat([means[..., :2], (means[..., 2:] + bias[:, None]).tanh()], dim=-1)


def _is_traced() -> bool:
    return th.compiler.is_compiling() or th.jit.is_tracing()


def _pool(activations: th.Tensor) -> th.Tensor:
    """Means over the height and over the width, (N, C, H', W') → (N, W' + H', C), in float32"""
    activations = activations.float()
    return th.cat([activations.mean(dim=2), activations.mean(dim=3)], dim=2).transpose(1, 2)


class _Pool(th.autograd.Function):
    """The same as :func:`_pool`"""

    @staticmethod
    def forward(ctx: Any, activations: th.Tensor) -> th.Tensor:
        n, c, h, w = activations.shape
        ctx.shape, ctx.dtype = activations.shape, activations.dtype
        pooled = activations.new_empty((n, w + h, c), dtype=th.float32)
        over_height, over_width = (activations.new_full((1, size), 1 / size, dtype=th.float32) for size in (h, w))
        for part, out in _parts(activations.permute(0, 2, 3, 1), pooled):
            part = part.float().contiguous()
            out[:, :w] = (over_height @ part.view(-1, h, w * c)).view(-1, w, c)
            out[:, w:] = (over_width @ part.view(-1, w, c)).view(-1, h, c)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: th.Tensor) -> th.Tensor:
        n, c, h, w = ctx.shape
        grad_activations = grad.new_empty((n, h, w, c), dtype=ctx.dtype)
        for part, out in _parts(grad, grad_activations):
            out.copy_(part[:, None, :w] / h + part[:, w:, None] / w)
        return grad_activations.permute(0, 3, 1, 2)


class _SoftmaxMeans(th.autograd.Function):
    """
    Means of x, y under the softmax over all cells, and of the map itself, without bias: (N, C, H', W') → (N, K, 3).

    The bias does not change the softmax. For the gradient, the probabilities are kept in the precision of the activations.
    """

    @staticmethod
    def forward(ctx: Any, activations: th.Tensor, weight: th.Tensor, temperature: float, for_gradient: bool) -> th.Tensor:
        n, c, h, w = activations.shape
        cells = activations.permute(0, 2, 3, 1).reshape(n, h * w, c)
        positions = _positions(h, w, weight)
        means = weight.new_empty((n, len(weight), 3))
        kept = cells.new_empty((n, len(weight), h * w if for_gradient else 0))
        for part, out, keep in _parts(cells, means, kept):
            logits = _each((weight / temperature)[None], part.float().transpose(1, 2))
            out[..., 2] = logits.mean(dim=-1) * temperature
            probabilities = logits.softmax(dim=-1)
            out[..., :2] = _each(probabilities, positions[None])
            if for_gradient:
                keep.copy_(probabilities)
        ctx.save_for_backward(cells, weight, means, kept)
        ctx.size, ctx.temperature = (h, w), temperature
        return means

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: th.Tensor) -> tuple[th.Tensor, th.Tensor, None, None]:
        cells, weight, means, kept = ctx.saved_tensors
        h, w = ctx.size
        positions = _positions(h, w, weight).T
        # The gradient of a map is p · (d_x (x − mean x) + d_y (y − mean y)) / β + d_map: three products of small matrices
        d_xy, d_map = grad[..., :2] / ctx.temperature, grad[..., 2:] / (h * w)
        factors = th.cat([d_xy, -(d_xy * means[..., :2]).sum(dim=-1, keepdim=True)], dim=-1)
        positions = th.cat([positions, th.ones_like(positions[:1])])
        grad_cells, grad_weight = th.empty_like(cells), th.zeros_like(weight)
        with th.autocast(grad.device.type, enabled=False):  # which the user may have around the backward pass
            for part, probabilities, factor, d, out in _parts(cells, kept, factors, d_map, grad_cells):
                grad_maps = _each(factor, positions[None]).mul_(probabilities).add_(d)
                out.copy_(_each(grad_maps.transpose(1, 2), weight[None]))
                grad_weight += th.bmm(grad_maps, part.float()).sum(dim=0)
        return grad_cells.view(-1, h, w, cells.shape[-1]).permute(0, 3, 1, 2), grad_weight, None, None


def _each(left: th.Tensor, right: th.Tensor) -> th.Tensor:
    """Products of matrices, of which one may be the same for all; ``@`` would copy transposed ones"""
    n = len(left) if len(right) == 1 else len(right)
    return th.bmm(left.expand(n, -1, -1), right.expand(n, -1, -1))


def _positions(height: int, width: int, like: th.Tensor) -> th.Tensor:
    """Every cell's x and y, row by row: (H'·W', 2)"""
    x, y = (coordinates(n_cells, like.device, like.dtype) for n_cells in (width, height))
    return th.stack([x.repeat(height), y.repeat_interleave(width)], dim=-1)


def _parts(*tensors: th.Tensor) -> zip:
    """Corresponding parts of tensors: a few frames each on a CPU, everything at once elsewhere"""
    frames = _FRAMES_IN_CACHE if tensors[0].device.type == "cpu" else max(len(tensors[0]), 1)
    return zip(*(tensor.split(frames) for tensor in tensors), strict=True)
