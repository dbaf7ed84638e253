"""Which frames need to be encoded only once."""

from collections.abc import Mapping
from typing import Any

import torch as th
from torch.nn.utils import parameters_to_vector

from sb3_fpac.buffers import FixedEncoder
from sb3_fpac.features import FeaturePointExtractor, FrameExtractor


def fixed_encoders(
    images: Mapping[Any, FrameExtractor], target_images: Mapping[Any, FrameExtractor]
) -> dict[str | None, FixedEncoder]:
    """
    Find the frozen encoders of feature points whose weights the target critic has, too.

    :param images: The extractor of every image, by key; the key of a single image is None
    :param target_images: Those of the target critic
    :return: Their encoders, by key
    """
    fixed: dict[str | None, FixedEncoder] = {}
    for key, image in images.items():
        if not isinstance(image, FeaturePointExtractor) or not image.is_frozen:
            continue
        target, version = target_images[key], _version(image)
        if target is image or _version(target) == version:
            fixed[key] = FixedEncoder(th.no_grad()(image.encode_frames), version)
    return fixed


def _version(image: FrameExtractor) -> tuple[Any, ...]:
    """The weights themselves: PyTorch does not count changes through ``.data``"""
    weights = parameters_to_vector(image.parameters()).detach().cpu().numpy().tobytes()
    settings = (image.temperature, image.softmax) if isinstance(image, FeaturePointExtractor) else ()
    return (weights, image.encoder.precision, *settings)
