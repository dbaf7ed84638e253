"""Which frames need to be encoded only once."""

from collections.abc import Mapping
from typing import Any

import torch as th

from sb3_fpac.buffers import FixedEncoder
from sb3_fpac.features import FeaturePointExtractor, FrameExtractor


def fixed_encoders(images: Mapping[Any, FrameExtractor]) -> dict[str | None, FixedEncoder]:
    """
    Find the encoders of feature points that are frozen.

    :param images: The extractor of every image, by key; the key of a single image is None
    :return: Their encoders, by key
    """
    return {
        key: _fixed(image) for key, image in images.items() if isinstance(image, FeaturePointExtractor) and image.is_frozen
    }


def _fixed(extractor: FeaturePointExtractor) -> FixedEncoder:
    # PyTorch counts the changes of a weight, except of one whose .data is replaced, as load_from_vector does
    weights = [(id(weight), weight._version, weight.data_ptr()) for weight in extractor.parameters()]
    settings = extractor.temperature, extractor.softmax, extractor.encoder.precision
    return FixedEncoder(th.no_grad()(extractor.encode_frames), (*weights, *settings))
