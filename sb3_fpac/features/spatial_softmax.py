"""From feature maps to feature points: pure functions of tensors.

A feature point is ``(x, y, m)``: the expected position of one feature map in ``[-1, 1]²`` (x to the right along the
width, y downwards along the height, the centres of the outermost cells at ±1) and its presence ``m`` in ``(-1, 1)``.

Equations and figures are those of the FPAC paper, arXiv 2106.07995.
"""

import math
from typing import Literal

import torch as th

Softmax = Literal["separable", "full"]


def coordinates(n_cells: int, device: th.device | str | None = None, dtype: th.dtype = th.float32) -> th.Tensor:
    """
    Return the positions of the cells along one axis of a feature map.

    :param n_cells: Number of cells, at least 1
    :param device: Device of the result
    :param dtype: Dtype of the result
    :return: ``(n_cells,)``, evenly spaced from -1 to 1; a single cell lies at 0
    """
    if n_cells == 1:
        return th.zeros(1, device=device, dtype=dtype)
    return th.linspace(-1, 1, n_cells, device=device, dtype=dtype)


def marginals(feature_maps: th.Tensor) -> tuple[th.Tensor, th.Tensor]:
    """
    Average every feature map along its height and along its width: g in Eq. 3.

    :param feature_maps: ``(B, K, H', W')``, any float dtype
    :return: g along x ``(B, K, W')`` and along y ``(B, K, H')``; float32, or float64 for float64 maps
    """
    # sum, then divide: the gradient of a mean writes a whole map per axis, that of a sum is a view
    maps = feature_maps.to(_working_dtype(feature_maps))
    height, width = maps.shape[-2:]
    return maps.sum(dim=-2) / height, maps.sum(dim=-1) / width


def marginal_probabilities(feature_maps: th.Tensor, temperature: float = 0.5) -> tuple[th.Tensor, th.Tensor]:
    """
    Compute the probabilities of the separable softmax along either axis: p(x) and p(y) of Eq. 3.

    :param feature_maps: ``(B, K, H', W')``, any float dtype
    :param temperature: β, positive
    :return: p(x) ``(B, K, W')`` and p(y) ``(B, K, H')``, each summing to 1 over its last axis
    :raises ValueError: if the maps are not 4-d floats or the temperature is not positive
    """
    _check(feature_maps, temperature)
    g_x, g_y = marginals(feature_maps)
    return (g_x / temperature).softmax(dim=-1), (g_y / temperature).softmax(dim=-1)


def joint_probabilities(feature_maps: th.Tensor, temperature: float = 0.5) -> th.Tensor:
    """
    Compute the probabilities of the full softmax: p(x, y) of Eq. 1.

    :param feature_maps: ``(B, K, H', W')``, any float dtype
    :param temperature: β, positive
    :return: ``(B, K, H', W')``, summing to 1 over the last two axes
    :raises ValueError: if the maps are not 4-d floats or the temperature is not positive
    """
    _check(feature_maps, temperature)
    logits = feature_maps.to(_working_dtype(feature_maps)).flatten(start_dim=2) / temperature
    return logits.softmax(dim=-1).unflatten(-1, feature_maps.shape[2:])


def points_from_marginals(g_x: th.Tensor, g_y: th.Tensor, temperature: float = 0.5) -> th.Tensor:
    """
    Compute the feature points of the separable softmax (Eq. 3 and 2) from the two marginals.

    The mean of a map is the mean of either marginal, so presence does not need the map.

    :param g_x: Means over the height, ``(B, K, W')``
    :param g_y: Means over the width, ``(B, K, H')``
    :param temperature: β, positive
    :return: ``(B, K, 3)``: x, y, m
    """
    x, y = (_expectation((g / temperature).softmax(dim=-1)) for g in (g_x, g_y))
    return th.stack([x, y, g_x.mean(dim=-1).tanh()], dim=-1)


def feature_points(feature_maps: th.Tensor, temperature: float = 0.5, softmax: Softmax = "separable") -> th.Tensor:
    """
    Compute the feature points of a batch of feature maps.

    Reductions and softmax are computed in float32 for bfloat16 and float16 maps, and in float64 for float64 maps.

    :param feature_maps: ``(B, K, H', W')``, any float dtype and device
    :param temperature: β, positive; the lower it is, the closer the position is to the maximum of the map
    :param softmax: ``"separable"``: a softmax over the mean of the map along each axis (Eq. 3, the paper's choice);
        ``"full"``: one softmax over all cells (Eq. 1, the ablation of Fig. 13)
    :return: ``(B, K, 3)``: x and y in ``[-1, 1]``, m = tanh(mean of the map) in ``(-1, 1)`` (Eq. 2)
    :raises ValueError: if the maps are not 4-d floats, the temperature is not positive or the softmax is unknown
    """
    _check(feature_maps, temperature)
    if softmax == "separable":
        return points_from_marginals(*marginals(feature_maps), temperature)
    if softmax != "full":
        raise ValueError(f"softmax must be 'separable' or 'full', got {softmax!r}.")
    probabilities = joint_probabilities(feature_maps, temperature)
    x, y = _expectation(probabilities.sum(dim=-2)), _expectation(probabilities.sum(dim=-1))
    mean = feature_maps.sum(dim=(-2, -1), dtype=x.dtype) / feature_maps.shape[-2:].numel()
    return th.stack([x, y, mean.tanh()], dim=-1)


def _expectation(probabilities: th.Tensor) -> th.Tensor:
    """Expected position along the last axis; no matrix product, which the user's autocast would make bfloat16"""
    return (probabilities * coordinates(probabilities.shape[-1], probabilities.device, probabilities.dtype)).sum(dim=-1)


def _working_dtype(maps: th.Tensor) -> th.dtype:
    return th.float64 if maps.dtype == th.float64 else th.float32


def _check(maps: th.Tensor, temperature: float) -> None:
    if maps.dim() != 4 or not maps.is_floating_point():
        raise ValueError(
            f"Feature maps must be floats of shape (B, K, H', W'), got {maps.dtype} of shape {tuple(maps.shape)}."
        )
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be a finite number greater than 0, got {temperature}.")
