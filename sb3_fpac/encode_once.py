"""Encoding a batch of observations once, however often an algorithm asks for its features."""

import weakref
from collections.abc import Callable

import torch as th
from stable_baselines3.common.type_aliases import PyTorchObs


class EncodeOnce:
    """
    Remembers the features of the last two batches (SAC's observations and next observations).

    A batch is known by the very tensors that hold it, so that features are never handed out for other observations. They
    are computed anew when the encoder's weights or the tensors have been written to since, except for the actor's loss,
    which by design gets the features of the pass that trained the critic.
    """

    def __init__(self) -> None:
        self._batches: list[_EncodedBatch] = []

    def __call__(self, obs: PyTorchObs, encode: Callable[[], th.Tensor], weights: int, for_actor_loss: bool) -> th.Tensor:
        """
        :param obs: The observations as the replay buffer gave them: a tensor, or a dict of tensors
        :param encode: Computes the features of ``obs``
        :param weights: Version of the encoder's weights
        :param for_actor_loss: Whether features from before the last change of weights will do
        :return: ``(B, features_dim)``, attached to the encoder if gradients are on
        """
        tensors = list(obs.values()) if isinstance(obs, dict) else [obs]
        for batch in self._batches:
            if batch.holds(tensors) and (for_actor_loss or batch.serves(weights, th.is_grad_enabled())):
                return batch.features
        batch = _EncodedBatch(tensors, encode(), weights)
        self._batches = [batch, *(other for other in self._batches if not other.holds(tensors))][:2]
        return batch.features

    def clear(self) -> None:
        """Forget everything."""
        self._batches = []

    def __reduce__(self) -> tuple[type["EncodeOnce"], tuple[()]]:
        return EncodeOnce, ()  # a copy, or one from disk, has encoded nothing yet


class _EncodedBatch:
    def __init__(self, tensors: list[th.Tensor], features: th.Tensor, weights: int) -> None:
        self.features = features
        self._tensors = [(weakref.ref(tensor), tensor._version) for tensor in tensors]
        self._weights = weights
        if features.requires_grad:
            this = weakref.ref(self)

            def free_graph(grad: th.Tensor) -> None:
                batch = this()
                if batch is not None:
                    batch.features = batch.features.detach()

            features.register_hook(free_graph)

    def holds(self, tensors: list[th.Tensor]) -> bool:
        return len(tensors) == len(self._tensors) and all(
            ref() is tensor and version == tensor._version
            for tensor, (ref, version) in zip(tensors, self._tensors, strict=True)
        )

    def serves(self, weights: int, with_gradient: bool) -> bool:
        return weights == self._weights and (self.features.requires_grad or not with_gradient)
