"""One encoder for actor and critics: every batch is encoded once, and the critic's loss alone trains the encoder."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch as th
from stable_baselines3.common.policies import BaseModel
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs


class FeatureCache:
    """
    The features of the last two batches: the observations and the next observations of one update of SAC or TQC.

    ``train()`` of SAC and TQC passes the same object to actor and critics, by which a batch is known. The policy clears the
    cache between calls of ``train()``, and detaches the features after every step of the encoder's optimizer. The actor's loss
    follows that step and by design uses the features from before it. Observations that are changed in place, or two backward
    passes of the critic without a step in between, need a call of ``policy.set_training_mode(True)``, which clears the cache.
    """

    def __init__(self) -> None:
        self._batches: list[tuple[PyTorchObs, th.Tensor]] = []

    def __call__(self, obs: PyTorchObs, encode: Callable[[], th.Tensor], with_gradient: bool) -> th.Tensor:
        """
        Return the features of a batch, and encode it if necessary.

        :param obs: The observations as the replay buffer returned them: a tensor, or a dict of tensors
        :param encode: Computes the features of ``obs``
        :param with_gradient: Whether the features must be attached to the encoder
        :return: ``(B, features_dim)``; attached if they were computed with gradient since the last step of the optimizer
        """
        for known, features in self._batches:
            if known is obs and (features.requires_grad or not with_gradient):
                return features
        features = encode()
        self._batches = [(obs, features), *(batch for batch in self._batches if batch[0] is not obs)][:2]
        return features

    def detach(self, *args: Any) -> None:
        """Detach all features, as the post hook of an optimizer's step: their graph has been used, and is freed."""
        self._batches = [(obs, features.detach()) for obs, features in self._batches]

    def clear(self) -> None:
        """Forget all batches and free their memory."""
        self._batches = []

    def __reduce__(self) -> tuple[type["FeatureCache"], tuple[()]]:
        return FeatureCache, ()  # a copied or loaded cache is empty


class SharedEncoderModel(BaseModel):
    """Mixin for an actor or a critic that uses the policy's encoder. An actor's loss does not reach the encoder."""

    feature_cache: FeatureCache

    def extract_features(
        self, obs: PyTorchObs, features_extractor: BaseFeaturesExtractor, with_gradient: bool = False
    ) -> th.Tensor:
        """
        Extract features, in training with the policy's cache.

        :param obs: Observations
        :param features_extractor: The policy's encoder, or that of a target critic
        :param with_gradient: Whether the loss may train the encoder
        :return: ``(B, features_dim)``, detached unless ``with_gradient``
        """
        encode = partial(super().extract_features, obs, features_extractor)
        if features_extractor.training:
            is_trained = any(parameter.requires_grad for parameter in features_extractor.parameters())
            features = self.feature_cache(obs, encode, with_gradient and is_trained)
        else:  # acting, or a target critic with an encoder of its own
            features = encode()
        return features if with_gradient else features.detach()

    def save(self, path: str) -> None:
        """
        Refuse to save a part of the policy, whose file could not be loaded: the encoder belongs to the policy.

        :param path: Not used
        :raises ValueError: always
        """
        raise ValueError(
            f"{type(self).__name__} shares its encoder with the rest of the policy and cannot be saved alone: save the "
            "policy, model.policy.save(path), or the model, model.save(path)."
        )


class EncoderTrainingCritic(SharedEncoderModel):
    """Mixin for a critic: its own loss trains the encoder. The actor's loss, which passes through the critic, does not."""

    features_extractor: BaseFeaturesExtractor

    def q_input(self, obs: PyTorchObs, actions: th.Tensor) -> th.Tensor:
        """
        Concatenate features and actions.

        :param obs: Observations
        :param actions: ``(B, action_dim)``; actions that require a gradient are those of the actor's loss
        :return: ``(B, features_dim + action_dim)``
        """
        with_gradient = th.is_grad_enabled() and not actions.requires_grad
        with th.set_grad_enabled(with_gradient):
            features = self.extract_features(obs, self.features_extractor, with_gradient)
        return th.cat([features, actions], dim=1)
