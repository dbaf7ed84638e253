"""From frames to features: the encoder, the spatial softmax, and the extractors that SB3 takes."""

from sb3_fpac.features.combined_extractor import FeaturePointCombinedExtractor
from sb3_fpac.features.encoder import Encoder, Precision, has_native_bfloat16
from sb3_fpac.features.extractor import FeaturePointExtractor
from sb3_fpac.features.frame_extractor import FrameExtractor
from sb3_fpac.features.map_geometry import MapGeometry
from sb3_fpac.features.pixel_extractor import PixelExtractor
from sb3_fpac.features.pretrained import PretrainedPoints, resolve_pretrained
from sb3_fpac.features.spatial_softmax import Softmax, feature_points, joint_probabilities, marginal_probabilities
from sb3_fpac.hooks import run_hooks

__all__ = [
    "Encoder",
    "FeaturePointCombinedExtractor",
    "FeaturePointExtractor",
    "FrameExtractor",
    "MapGeometry",
    "PixelExtractor",
    "Precision",
    "PretrainedPoints",
    "Softmax",
    "feature_points",
    "has_native_bfloat16",
    "joint_probabilities",
    "marginal_probabilities",
    "resolve_pretrained",
]

run_hooks(__name__)
