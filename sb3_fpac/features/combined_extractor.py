"""Feature points for the images of Dict observations."""

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import CombinedExtractor

from sb3_fpac.features.extractor import FeaturePointExtractor


class FeaturePointCombinedExtractor(CombinedExtractor):
    """
    Extracts feature points from every image of a Dict observation. SB3's CombinedExtractor handles the other keys.

    :param observation_space: Dict; keys of different image shapes need a ``camera_shift`` and ``frame_channels`` that fit all
    :param normalized_image: As in CombinedExtractor; SB3 passes it when ``normalize_images=False``
    :param point_kwargs: Keyword arguments of :class:`~sb3_fpac.features.extractor.FeaturePointExtractor`
    :raises ValueError: if the space is no Dict, has no image, or an image does not fit
    """

    def __init__(self, observation_space: spaces.Dict, normalized_image: bool = False, **point_kwargs: Any) -> None:
        if not isinstance(observation_space, spaces.Dict):
            raise ValueError(
                f"FeaturePointCombinedExtractor needs a Dict observation space, got {observation_space}: "
                "use FeaturePointExtractor for a single image."
            )
        images = {
            key: space for key, space in observation_space.items() if is_image_space(space, normalized_image=normalized_image)
        }
        if not images:
            raise ValueError(f"No key of the observation space holds an image: {observation_space}.")
        # SB3's extractor handles everything else
        rest = spaces.Dict({key: space for key, space in observation_space.items() if key not in images})
        super().__init__(rest, normalized_image=normalized_image)
        self._observation_space = observation_space
        for key, space in images.items():
            assert isinstance(space, spaces.Box)
            extractor = FeaturePointExtractor(space, normalized_image=normalized_image, **point_kwargs)
            self.extractors[key] = extractor
            self._features_dim += extractor.features_dim
