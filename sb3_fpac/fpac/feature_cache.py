"""Encoding a batch of observations once, however often an algorithm asks for its features, and for whom."""

import weakref
from collections.abc import Callable
from typing import Any

import torch as th
from stable_baselines3.common.policies import BaseModel
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs
from torch import nn


class FeatureCache:
    """
    Remembers the features of the last two batches (SAC's observations and next observations).

    A batch is known by the very tensors that hold it, so that features are never handed out for other observations. They
    are computed anew when the encoder's weights or the tensors have been written to since, except for the actor's loss,
    which by design gets the features of the pass that trained the critic.
    """

    def __init__(self) -> None:
        self._batches: list[_EncodedBatch] = []
        self._steps = 0

    def __call__(
        self, obs: PyTorchObs, encoder: nn.Module, encode: Callable[[], th.Tensor], for_actor_loss: bool
    ) -> th.Tensor:
        """
        The features of a batch, computed or remembered.

        :param obs: The observations as the replay buffer gave them: a tensor, or a dict of tensors
        :param encoder: The encoder
        :param encode: Computes the features of ``obs`` with it
        :param for_actor_loss: Whether features from before the last change of weights will do
        :return: ``(B, features_dim)``, attached to the encoder if gradients are on
        """
        tensors = list(obs.values()) if isinstance(obs, dict) else [obs]
        weights = (id(encoder), self._steps, sum(parameter._version for parameter in encoder.parameters()))
        with_gradient = th.is_grad_enabled() and any(parameter.requires_grad for parameter in encoder.parameters())
        for batch in self._batches:
            if batch.holds(tensors) and (for_actor_loss or batch.serves(weights, with_gradient)):
                return batch.features if th.is_grad_enabled() else batch.features.detach()
        batch = _EncodedBatch(tensors, encode(), weights)
        self._batches = [batch, *(other for other in self._batches if not other.holds(tensors))][:2]
        return batch.features

    def clear(self) -> None:
        """Forget everything, which frees its memory."""
        self._batches = []

    def note_step(self, *args: Any) -> None:
        """A hook for the encoder's optimizer: fused ones write to the weights without PyTorch's knowing."""
        self._steps += 1

    def __reduce__(self) -> tuple[type["FeatureCache"], tuple[()]]:
        return FeatureCache, ()  # a copy, or one from disk, has encoded nothing yet


class _EncodedBatch:
    def __init__(self, tensors: list[th.Tensor], features: th.Tensor, weights: tuple[int, ...]) -> None:
        self.features = features
        self._tensors = [(weakref.ref(tensor), tensor._version) for tensor in tensors]
        self._weights = weights
        if features.requires_grad:  # once the critic's loss has gone backward, the graph is gone
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

    def serves(self, weights: tuple[int, ...], with_gradient: bool) -> bool:
        return weights == self._weights and (self.features.requires_grad or not with_gradient)


class _SharedEncoder(BaseModel):
    """An actor or a critic that gets its features from the policy's encoder."""

    feature_cache: FeatureCache

    def extract_features(self, obs: PyTorchObs, features_extractor: BaseFeaturesExtractor) -> th.Tensor:
        return self._features(obs, features_extractor, for_actor_loss=False)

    def _features(self, obs: PyTorchObs, encoder: BaseFeaturesExtractor, for_actor_loss: bool) -> th.Tensor:
        if not encoder.training:  # acting, or a target critic with an encoder of its own
            return super().extract_features(obs, encoder)
        extract = super().extract_features
        return self.feature_cache(obs, encoder, lambda: extract(obs, encoder), for_actor_loss)


class DetachedActor(_SharedEncoder):
    """Mixin for an actor: it sees the features, and its losses do not reach the encoder."""

    def extract_features(self, obs: PyTorchObs, features_extractor: BaseFeaturesExtractor) -> th.Tensor:
        return super().extract_features(obs, features_extractor).detach()


class TrainingCritic(_SharedEncoder):
    """Mixin for a critic: its own loss trains the encoder, the actor's loss that goes through it does not."""

    _for_actor_loss = False
    _without_gradient = False

    def forward(self, obs: PyTorchObs, actions: th.Tensor) -> Any:
        # Actions with a gradient are the actor's: its loss goes through the critic, but not into the encoder
        self._for_actor_loss = actions.requires_grad
        # SB3 turns gradients on around the encoder, even that of a target critic
        self._without_gradient = not th.is_grad_enabled()
        try:
            return super().forward(obs, actions)
        finally:
            self._for_actor_loss = self._without_gradient = False

    def extract_features(self, obs: PyTorchObs, features_extractor: BaseFeaturesExtractor) -> th.Tensor:
        with th.set_grad_enabled(th.is_grad_enabled() and not self._without_gradient):
            features = self._features(obs, features_extractor, self._for_actor_loss)
        return features.detach() if self._for_actor_loss else features
