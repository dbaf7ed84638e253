"""Features of mean 0 and variance 1 that are hardly correlated."""

import torch as th

from sb3_fpac.features.standardization import Standardization

_LEAST_VARIANCE = 1e-3  # less than that of a single feature that varies, as the mean over a thousand
_NOISE = 0.05  # in variances of a feature: variation far below this is not amplified to 1


class Whitening(Standardization):
    """
    Standardizes the features and removes their running correlations. Whatever varies in the features then varies by about 1,
    also where it is a small difference between features that otherwise move together.

    With z the standardized features, C their running correlations and L Lᵀ = C + 0.05 I the Cholesky factors, the output is
    s L⁻¹ z. The number s makes the mean variance 1. The 0.05 limits how far noise is amplified.

    The statistics are updated as those of :class:`Standardization`.

    :param n_features: Number of features
    """

    running_covariance: th.Tensor
    running_matrix: th.Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("running_covariance", th.eye(n_features))
        self.register_buffer("running_matrix", th.eye(n_features))

    def _normalize(self, features: th.Tensor) -> th.Tensor:
        matrix = self.running_matrix.clone()  # the backward pass needs the one of this forward pass
        return super()._normalize(features) @ matrix.T

    @th.no_grad()
    def _update(self, features: th.Tensor) -> None:
        weight = self._weight_of_the_next()
        mean = features.mean(dim=0)
        centred, moved = features - mean, mean - self.running_mean
        covariance = centred.T @ centred / len(features) + (1 - weight) * th.outer(moved, moved)
        self.running_covariance.lerp_(covariance, weight)
        super()._update(features)
        scale = self._scale()
        self.running_matrix.copy_(_whitening_matrix(self.running_covariance * scale[:, None] * scale))


def _whitening_matrix(correlations: th.Tensor) -> th.Tensor:
    identity = th.eye(len(correlations), dtype=correlations.dtype, device=correlations.device)
    factor, _ = th.linalg.cholesky_ex(correlations + _NOISE * identity)  # without waiting for a GPU
    inverse = th.linalg.solve_triangular(factor, identity, upper=False)
    variances = ((inverse @ correlations) * inverse).sum(dim=1)
    return inverse * variances.mean().clamp(min=_LEAST_VARIANCE).rsqrt()
