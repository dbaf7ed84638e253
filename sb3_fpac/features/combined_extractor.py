"""Feature points for the images of Dict observations."""

from typing import Any

from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import CombinedExtractor

from sb3_fpac.features.extractor import FeaturePointExtractor
from sb3_fpac.observations import why_no_stack


class FeaturePointCombinedExtractor(CombinedExtractor):
    """
    Extracts feature points from every image of a Dict observation. SB3's CombinedExtractor handles the other keys.

    >>> import numpy as np
    >>> images = dict(front=spaces.Box(0, 255, (6, 84, 84), np.uint8), depth=spaces.Box(0, 255, (2, 48, 64), np.uint8))
    >>> extractor = FeaturePointCombinedExtractor(spaces.Dict(images), frame_channels=dict(depth=1), n_points=16)
    >>> extractor.features_dim
    192

    :param observation_space: Dict
    :param normalized_image: As in CombinedExtractor; SB3 passes it when ``normalize_images=False``
    :param point_kwargs: Keyword arguments of :class:`~sb3_fpac.features.extractor.FeaturePointExtractor`. Each is one value
        for all images, or a dict by key, such as ``frame_channels=dict(rgb=3, depth=1)``. Keys that the dict lacks get the
        default.
    :raises ValueError: if the space is no Dict, has no image, an image does not fit, or a dict names a key that is no image
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
            problems = (f"{key!r}: {why_no_stack(space, normalized_image)}" for key, space in observation_space.items())
            raise ValueError(f"No key of the observation space holds an image. {' '.join(problems)}")
        for name, value in point_kwargs.items():
            for key in value if isinstance(value, dict) else ():
                if key not in images:
                    raise ValueError(f"{name} has the key {key!r}, but the images are {', '.join(map(repr, images))}.")
        # SB3's extractor handles everything else
        rest = spaces.Dict({key: space for key, space in observation_space.items() if key not in images})
        super().__init__(rest, normalized_image=normalized_image)
        self._observation_space = observation_space
        for key, space in images.items():
            assert isinstance(space, spaces.Box)
            kwargs = {name: value for name, value in point_kwargs.items() if not isinstance(value, dict)}
            kwargs |= {name: value[key] for name, value in point_kwargs.items() if isinstance(value, dict) and key in value}
            try:
                extractor = FeaturePointExtractor(space, normalized_image=normalized_image, **kwargs)
            except ValueError as error:
                raise ValueError(f"Image {key!r}: {error} A dict by key gives every image its own value.") from error
            self.extractors[key] = extractor
            self._features_dim += extractor.features_dim
