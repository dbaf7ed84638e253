"""The encoder of FPAC without its bottleneck, to compare with: SAC from pixels."""

from collections.abc import Sequence

import torch as th
from gymnasium import spaces

from sb3_fpac.features.encoder import Precision
from sb3_fpac.features.frame_extractor import FrameExtractor


class PixelExtractor(FrameExtractor):
    """
    The K feature maps of every frame, flattened, in place of feature points: "SAC from pixels" of Fig. 2.

    In FPAC and with :class:`~sb3_fpac.FPACPolicy` the critic trains it, as it trains feature points. It has ``S·K·H'·W'``
    features, 78,400 for two 84×84 frames, which make the first layer of every head large.

    :param observation_space: As in FeaturePointExtractor; a header plane is ignored
    :param n_maps: K, number of feature maps
    :param frame_channels: As in FeaturePointExtractor
    :param camera_shift: As in FeaturePointExtractor
    :param normalized_image: As in FeaturePointExtractor
    :param precision: As in FeaturePointExtractor
    :param strides: As in FeaturePointExtractor
    :param anti_aliasing: As in FeaturePointExtractor
    :raises ValueError: as FeaturePointExtractor
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        n_maps: int = 32,
        frame_channels: int = 3,
        camera_shift: bool | None = None,
        normalized_image: bool = False,
        precision: Precision = "auto",
        strides: Sequence[int] = (2, 1, 1, 1),
        anti_aliasing: bool = False,
    ) -> None:
        super().__init__(
            observation_space,
            n_maps,
            frame_channels=frame_channels,
            camera_shift=camera_shift,
            normalized_image=normalized_image,
            precision=precision,
            strides=strides,
            anti_aliasing=anti_aliasing,
        )
        map_height, map_width = self.map_size
        self._features_dim = self.n_frames * n_maps * map_height * map_width

    def encode_frames(self, frames: th.Tensor) -> th.Tensor:
        """
        Compute the feature maps of single frames.

        :param frames: ``(N, frame_channels, H, W)``: uint8 from 0 to 255, or floats in [0, 1]
        :return: ``(N, K, H'·W')``
        """
        return self.encoder.feature_maps(frames).flatten(start_dim=2)

    def state(self, encoded: th.Tensor, camera_shifts: th.Tensor | None = None) -> th.Tensor:
        """
        Flatten the maps of all frames.

        :param encoded: ``(B, S, K, H'·W')``: the maps of every frame, oldest first
        :param camera_shifts: Not used
        :return: ``(B, features_dim)``
        """
        return encoded.flatten(start_dim=1)
