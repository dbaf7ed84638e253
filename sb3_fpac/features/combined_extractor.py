"""Feature points for the images of Dict observations."""

from collections.abc import Mapping
from typing import Any

import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_flattened_obs_dim, preprocess_obs
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, CombinedExtractor
from stable_baselines3.common.type_aliases import TensorDict
from torch import nn

from sb3_fpac.arguments import flag
from sb3_fpac.features.extractor import FeaturePointExtractor
from sb3_fpac.observations import check_options, naming, naming_warnings, options_of, split_keys

_OF_THE_ENCODER = ("pretrained", "frozen", "strides", "anti_aliasing", "precision")


class FeaturePointCombinedExtractor(CombinedExtractor):
    """
    Extracts feature points from every image of a Dict observation, each with an encoder of its own. All other keys are
    vectors, which are flattened as in SB3's CombinedExtractor.

    The features are those of every image, then the vectors, each in alphabetical order of the keys.

    >>> import numpy as np
    >>> front, depth = (spaces.Box(0, 255, shape, np.uint8) for shape in ((6, 84, 84), (2, 48, 64)))
    >>> observations = spaces.Dict(front=front, depth=depth, joints=spaces.Box(-1, 1, (7,)))
    >>> extractor = FeaturePointCombinedExtractor(observations, frame_channels=dict(front=3, depth=1), n_points=16)
    >>> list(extractor.images), list(extractor.vectors), extractor.features_dim
    (['depth', 'front'], ['joints'], 199)

    :param observation_space: Dict
    :param normalized_image: As in SB3's CombinedExtractor; pass it together with ``normalize_images=False``
    :param share_encoder: Whether one encoder serves all images, which then need equal ``frame_channels``, ``n_points``,
        ``strides``, ``anti_aliasing`` and ``precision``
    :param point_kwargs: Keyword arguments of :class:`~sb3_fpac.features.extractor.FeaturePointExtractor`. Each is one value
        for all images, or a dict by key, such as ``frame_channels=dict(rgb=3, depth=1)``. Keys that the dict lacks get the
        default.
    :raises ValueError: if the space is no Dict, has no image, an image does not fit, or a dict names a key that is no image
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        normalized_image: bool = False,
        share_encoder: bool = False,
        **point_kwargs: Any,
    ) -> None:
        image_spaces, vectors = split_keys(observation_space, normalized_image)
        check_options(point_kwargs, image_spaces)
        BaseFeaturesExtractor.__init__(self, observation_space, features_dim=1)  # without the networks of CombinedExtractor
        extractors: dict[str, nn.Module] = {}
        shares = flag("share_encoder", share_encoder)
        hint = f"{'Without share_encoder, a' if shares else 'A'} dict by key gives every image its own value."
        for key, space in image_spaces.items():
            with naming(key, hint), naming_warnings(key):
                image = FeaturePointExtractor(space, normalized_image=normalized_image, **options_of(key, point_kwargs))
            image.key = key
            extractors[key] = image
        self.extractors = nn.ModuleDict({**extractors, **{key: nn.Flatten() for key in vectors}})
        self.vectors = vectors
        if shares:
            self._share_encoder(point_kwargs)
        n_numbers = sum(int(get_flattened_obs_dim(space)) for space in vectors.values())
        self._features_dim = sum(extractor.features_dim for extractor in self.images.values()) + n_numbers

    @property
    def images(self) -> dict[str, FeaturePointExtractor]:
        """The extractor of every image, by key, in the order of the features"""
        return {key: part for key, part in self.extractors.items() if isinstance(part, FeaturePointExtractor)}

    @property
    def summary(self) -> str:
        """What the observations are taken for, a line for each image and one for the vectors"""
        lines = [f"{key}: {extractor.summary}" for key, extractor in self.images.items()]
        if self.vectors:
            sizes = ", ".join(f"{key} ({get_flattened_obs_dim(space)})" for key, space in self.vectors.items())
            lines.append(f"vectors: {sizes}")
        return "\n".join(lines)

    def forward(self, observations: TensorDict) -> th.Tensor:
        """
        :param observations: ``(B, …)`` by key, as SB3 preprocesses them
        :return: ``(B, features_dim)``
        """
        return th.cat([extractor(observations[key]) for key, extractor in self.extractors.items()], dim=1)

    def flatten(self, vectors: Mapping[str, th.Tensor]) -> Mapping[str, th.Tensor]:
        """
        Preprocess and flatten vectors as SB3 does: integers become one-hot.

        :param vectors: ``(B, …)`` by key, as the environment returned them
        :return: ``(B, numbers)`` float32 by key
        """
        return {key: th.as_tensor(preprocess_obs(vectors[key], space)).flatten(1) for key, space in self.vectors.items()}

    def combine(self, features: dict[str, th.Tensor], vectors: Mapping[str, th.Tensor]) -> th.Tensor:
        """
        Combine features of images with vectors.

        :param features: ``(B, features_dim)`` of every image
        :param vectors: ``(B, numbers)`` of every other key, as :meth:`flatten` returns them
        :return: ``(B, features_dim)``
        """
        return th.cat([*(features[key] for key in self.images), *(vectors[key] for key in self.vectors)], dim=1)

    def _share_encoder(self, point_kwargs: Mapping[str, Any]) -> None:
        for name in _OF_THE_ENCODER:
            if isinstance(point_kwargs.get(name), Mapping):
                raise ValueError(f"share_encoder=True makes one encoder: pass one value of {name} instead of a dict by key.")
        (first_key, first), *others = self.images.items()
        for key, extractor in others:
            for name in ("frame_channels", "n_points"):
                of_first, of_other = getattr(first, name), getattr(extractor, name)
                if of_first != of_other:
                    raise ValueError(
                        f"share_encoder=True needs equal {name}, but {first_key!r} has {of_first} and {key!r} has {of_other}."
                    )
            extractor.encoder = first.encoder
