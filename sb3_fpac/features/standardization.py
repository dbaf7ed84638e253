"""Features of mean 0 and standard deviation 1."""

import torch as th
from torch import nn

_SMALLEST_WEIGHT = 1e-3  # of a batch in the running statistics
_EPSILON = 1e-12  # of a variance; those of an untrained encoder's features are as small as 1e-7
_LIMIT = 10.0  # standard deviations, as VecNormalize's clip_obs


class Standardization(nn.Module):
    """
    Subtracts the running mean of every feature and divides by its running standard deviation.

    The statistics are updated in training mode, by forward passes that record a gradient: by the batches that train the
    encoder, and not by next observations. The n-th batch has the weight 1/n, and no less than 0.001. A batch
    of one observation has none. Batches are standardized
    by the running statistics, not by their own, so a feature has the same value in training and in acting. The result is
    clipped to ±10: what has been constant so far, as of a camera that was off, may suddenly change.

    The names of the buffers are those of BatchNorm, by which SB3 finds what a target network copies.

    :param n_features: Number of features
    """

    running_mean: th.Tensor
    running_var: th.Tensor
    running_count: th.Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("running_mean", th.zeros(n_features))
        self.register_buffer("running_var", th.ones(n_features))
        self.register_buffer("running_count", th.zeros(()))

    def forward(self, features: th.Tensor) -> th.Tensor:
        """
        :param features: ``(B, n_features)``
        :return: ``(B, n_features)``
        """
        if self.training and th.is_grad_enabled() and len(features) > 1:
            self._update(features.detach())
        return self._normalize(features)

    def _normalize(self, features: th.Tensor) -> th.Tensor:
        return ((features - self.running_mean) * self._scale()).clamp(-_LIMIT, _LIMIT)

    def _scale(self) -> th.Tensor:
        return (self.running_var + _EPSILON).rsqrt()

    def _weight_of_the_next(self) -> th.Tensor:
        return (self.running_count + 1).reciprocal().clamp(min=_SMALLEST_WEIGHT)

    @th.no_grad()
    def _update(self, features: th.Tensor) -> None:
        weight = self._weight_of_the_next()
        self.running_count += 1
        var, mean = th.var_mean(features, dim=0, correction=0)
        spread = var + (1 - weight) * (mean - self.running_mean).square()
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(spread, weight)  # a sum with the initial 1 would round small variances
