"""From frames to features: the encoder, the spatial softmax, and the extractors that SB3 takes."""

from sb3_fpac.features.combined_extractor import FeaturePointCombinedExtractor
from sb3_fpac.features.encoder import STRIDE, Encoder, Precision, cell_centres, map_size, multiplies_bfloat16
from sb3_fpac.features.extractor import FeaturePointExtractor
from sb3_fpac.features.pixel_extractor import PixelExtractor
from sb3_fpac.features.pretrained import PretrainedPoints, hold_contents
from sb3_fpac.features.spatial_softmax import Softmax, feature_points, joint_probabilities, marginal_probabilities

__all__ = [
    "STRIDE",
    "Encoder",
    "FeaturePointCombinedExtractor",
    "FeaturePointExtractor",
    "PixelExtractor",
    "Precision",
    "PretrainedPoints",
    "Softmax",
    "cell_centres",
    "feature_points",
    "hold_contents",
    "joint_probabilities",
    "map_size",
    "marginal_probabilities",
    "multiplies_bfloat16",
]
