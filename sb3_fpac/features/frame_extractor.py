"""The base class of extractors that encode every frame of a stack on its own."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch as th
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from sb3_fpac.features.encoder import Encoder, Precision
from sb3_fpac.features.first_images import FirstImages
from sb3_fpac.observations import decode_camera_shift, read_layout


class FrameExtractor(BaseFeaturesExtractor):
    """
    Encodes every frame of a stack on its own, and assembles the features of the stack from the encoded frames. This is what
    :class:`~sb3_fpac.FPAC` needs: two observations that share a frame share its encoding.

    Subclasses implement :meth:`encode_frames` and :meth:`state`, and set ``_features_dim``.

    :param observation_space: Box of shape ``(C, H, W)``, C = S × ``frame_channels``, plus one header plane in front if the
        stack carries camera shift (see :class:`~sb3_fpac.envs.CameraShift`). The maps must have at least one cell, two along
        each axis with camera shift: 15×15 and 17×17 pixels for the paper's strides.
    :param n_maps: K, number of feature maps of a frame
    :param frame_channels: Channels of one frame: 3 for RGB, 1 for grey
    :param camera_shift: Whether the stack starts with a header plane. None: yes if one plane is left over and there are at
        least two frames. With grey frames this cannot be inferred; pass it explicitly.
    :param normalized_image: As in SB3's NatureCNN: pass True together with ``normalize_images=False``. Images of 0…255 are
        then divided here, and images in [0, 1] are taken as they are. The policies of SAC and TQC set it themselves.
    :param precision: Precision of the convolutions: ``"auto"`` is bfloat16 where the hardware multiplies bfloat16, and float32
        elsewhere; ``"float32"`` and ``"bfloat16"`` force it. Parameters and features are float32.
    :param strides: Stride of every 3×3 convolution. ``(2, 1, 1, 1)`` are the paper's; larger ones cost less and locate
        less precisely.
    :param anti_aliasing: Whether convolutions with a stride above 1 read their input blurred by [1, 2, 1] / 4 along both axes
        (Zhang, arXiv 1904.11486), so that points move evenly when what they follow moves by a pixel or less
    :raises ValueError: if the space is no image space, its channels do not fit, the image is too small, or a parameter is out
        of range
    """

    key: str | None = None
    """Key of the image in a Dict observation, for errors and warnings"""

    def __init__(
        self,
        observation_space: spaces.Box,
        n_maps: int,
        frame_channels: int = 3,
        camera_shift: bool | None = None,
        normalized_image: bool = False,
        precision: Precision = "auto",
        strides: Sequence[int] = (2, 1, 1, 1),
        anti_aliasing: bool = False,
    ) -> None:
        layout = read_layout(observation_space, frame_channels, camera_shift, normalized_image)
        encoder = Encoder(frame_channels, n_maps, precision, strides, anti_aliasing)
        height, width = layout.height, layout.width
        # one cell has no scale to measure a shift by
        smallest = encoder.geometry.smallest_frame(2 if layout.camera_shift else 1)
        if min(height, width) < smallest:
            raise ValueError(
                f"Images of {height}×{width} pixels are too small for the encoder, which needs at least "
                f"{smallest}×{smallest}: render or resize them larger, or flatten them if they are no images."
            )
        super().__init__(observation_space, features_dim=1)  # a subclass knows the number
        self.layout = layout
        self.n_frames, self.frame_channels, self.camera_shift = layout[:3]
        self.encoder = encoder
        self.map_size = encoder.geometry.map_size(height, width)
        # forward multiplies its input by this number to get [0, 1]
        self._scale = 1 / 255 if normalized_image and observation_space.high.max() > 1 else 1.0
        self.first_images = FirstImages(layout, self._scale, type(self).__name__)

    @property
    def summary(self) -> str:
        """What the observations are taken for: ``"2 RGB frames of 84×84, camera shift, 192 features"``"""
        return f"{self.layout}, {self.features_dim} features"

    @property
    def images(self) -> dict[str | None, "FrameExtractor"]:
        """By key, as FeaturePointCombinedExtractor has them: this extractor, of a single image, whose key is None"""
        return {None: self}

    def flatten(self, vectors: Mapping[str, th.Tensor]) -> Mapping[str, th.Tensor]:
        """There are no vectors beside a single image"""
        return vectors

    def combine(self, features: dict[str | None, th.Tensor], vectors: Mapping[str, th.Tensor]) -> th.Tensor:
        """
        Return the features of the single image, as FeaturePointCombinedExtractor combines those of several.

        :param features: ``(B, features_dim)`` of the key None
        :param vectors: Empty
        :return: ``(B, features_dim)``
        """
        return features[None]

    @abstractmethod
    def encode_frames(self, frames: th.Tensor) -> th.Tensor:
        """
        Encode single frames, whatever stacks they come from.

        :param frames: ``(N, frame_channels, H, W)``: uint8 from 0 to 255, or floats in [0, 1]
        :return: ``(N, K, …)``
        """

    @abstractmethod
    def state(self, encoded: th.Tensor, camera_shifts: th.Tensor | None = None) -> th.Tensor:
        """
        Assemble the features of stacks from their encoded frames.

        :param encoded: ``(B, S, K, …)``: every frame as :meth:`encode_frames` encodes it, oldest first
        :param camera_shifts: ``(B, S − 1, 2)``: how far the camera moved since each past frame, x and y in pixels, as
            :func:`~sb3_fpac.decode_camera_shift` returns them; None: the camera stood still
        :return: ``(B, features_dim)``
        """

    def forward(self, observations: th.Tensor) -> th.Tensor:
        """
        :param observations: ``(B, C, H, W)`` as SB3 preprocesses them
        :return: ``(B, features_dim)``
        """
        return self.state(self._encode(observations), self._camera_shifts(observations))

    def frames(self, observations: th.Tensor) -> th.Tensor:
        """
        Return the frames of every stack, without the header plane.

        :param observations: ``(B, C, H, W)`` as SB3 preprocesses them
        :return: ``(B, S, frame_channels, H, W)`` in [0, 1]; oldest frame first
        """
        return self._frames(observations).unflatten(0, (-1, self.n_frames))

    def feature_maps(self, observations: th.Tensor) -> th.Tensor:
        """
        Compute the feature maps of every frame. The features themselves may not need them.

        :param observations: ``(B, C, H, W)`` as SB3 preprocesses them
        :return: ``(B, S, K, H', W')``; oldest frame first
        """
        return self.encoder.feature_maps(self._frames(observations)).unflatten(0, (-1, self.n_frames))

    def prepare_for_export(self) -> None:
        """Compute in float32, and without the checks of the first observations, whose outcome a trace would contain."""
        self.encoder.precision = "float32"
        self.first_images.skip()

    def _encode(self, observations: th.Tensor) -> th.Tensor:
        """(B, C, H, W) → (B, S, K, …)"""
        return self.encode_frames(self._frames(observations)).unflatten(0, (-1, self.n_frames))

    def _frames(self, observations: th.Tensor) -> th.Tensor:
        """(B, C, H, W) → (B·S, frame_channels, H, W), in [0, 1]"""
        if not self.training:
            self.first_images.look(observations, self.key)
        frames = observations[:, 1:] if self.camera_shift else observations
        frames = frames.reshape(frames.shape[0] * self.n_frames, self.frame_channels, *frames.shape[-2:])
        return frames if self._scale == 1 else frames * self._scale

    def _camera_shifts(self, observations: th.Tensor) -> th.Tensor | None:
        if not self.camera_shift:
            return None
        return decode_camera_shift((observations[:, 0] * (255 * self._scale)).round(), self.n_frames - 1)
