"""Feature points as features of an SB3 policy."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import torch as th
from gymnasium import spaces

from sb3_fpac.arguments import flag, number, one_of, whole_number
from sb3_fpac.features.encoder import Precision
from sb3_fpac.features.frame_extractor import FrameExtractor
from sb3_fpac.features.pretrained import PretrainedPoints
from sb3_fpac.features.spatial_softmax import Softmax, points_from_marginals
from sb3_fpac.features.standardization import Standardization
from sb3_fpac.features.whitening import Whitening

SelfExtractor = TypeVar("SelfExtractor", bound="FeaturePointExtractor")


class FeaturePointExtractor(FrameExtractor):
    """
    The state of the FPAC paper (arXiv 2106.07995): the feature points of the current frame and their velocities.

    Every frame of the stack is encoded on its own into K points (x, y, m). For a stack of S frames the features are
    ``[points_t, points_t − points_{t−1}, …]``: the points of the last frame, then the S − 1 successive differences, oldest
    first, each flattened point by point as (x, y, m). These are ``3 K S`` numbers, 6K for a stack of two. The features of a
    single frame are its points alone.

    The extractor takes any image space that SB3 takes: channel-first or, through SB3's own transposing, channel-last; RGB or
    grey.

    :param observation_space: Box of shape ``(C, H, W)``, C = S × ``frame_channels``, plus one header plane in front if the
        stack carries camera shift (see :class:`~sb3_fpac.envs.CameraShift`). The maps must have at least one cell, two along
        each axis with camera shift: 15×15 and 17×17 pixels for the paper's strides.
    :param n_points: K, number of feature points
    :param temperature: β of the softmax
    :param softmax: ``"separable"`` (Eq. 3) or ``"full"`` (Eq. 1, Fig. 13)
    :param presence: Whether the presence m is part of a point (Fig. 11)
    :param velocity: Whether past frames enter as differences (Fig. 12); if not, as the points themselves, oldest first
    :param relative: Whether positions are relative to their mean over the K points (Fig. 14). Velocities are always those of
        the absolute positions.
    :param frame_channels: Channels of one frame: 3 for RGB, 1 for grey
    :param camera_shift: Whether the stack starts with a header plane, by which the past points are moved into the frame of
        the current camera (Fig. 3). None: yes if one plane is left over and there are at least two frames. With grey frames
        this cannot be inferred; pass it explicitly.
    :param normalized_image: As in SB3's NatureCNN: pass True together with ``normalize_images=False``. Images of 0…255 are
        then divided here, and images in [0, 1] are taken as they are. The policies of SAC and TQC set it themselves.
    :param precision: Precision of the convolutions: ``"auto"`` is bfloat16 where the hardware multiplies bfloat16, unless
        ``frozen``, and float32 elsewhere; ``"float32"`` and ``"bfloat16"`` force it. Parameters and features are float32.
    :param strides: Stride of every 3×3 convolution. ``(2, 1, 1, 1)`` are the paper's; larger ones cost less and locate
        less precisely.
    :param anti_aliasing: Whether convolutions with a stride above 1 read their input blurred by [1, 2, 1] / 4 along both axes
        (Zhang, arXiv 1904.11486), so that points move evenly when what they follow moves by a pixel or less
    :param standardize: Whether every feature is standardized by its running mean and standard deviation
    :param whiten: Whether the features are, beyond that, decorrelated by their running correlations
    :param pretrained: Initial weights of the encoder: the :class:`~sb3_fpac.PretrainedPoints` of ``pretrain(…).points``,
        or the path of their file. FPAC and the policies of SAC and TQC replace the path by the contents of the file, so that
        saved agents load without the file. Other algorithms save the path.
    :param frozen: Whether the encoder keeps its weights, pre-trained or random. Its gradient is then not computed, and
        :class:`~sb3_fpac.FPAC` encodes every frame once, unless ``random_shift`` shifts it.
    :raises ValueError: if the space is no image space, its channels do not fit, the image is too small, a parameter is out of
        range, or the pre-trained weights do not exist or do not fit
    """

    _units_per_pixel: th.Tensor

    def __init__(
        self,
        observation_space: spaces.Box,
        n_points: int = 32,
        temperature: float = 0.5,
        softmax: Softmax = "separable",
        presence: bool = True,
        velocity: bool = True,
        relative: bool = False,
        frame_channels: int = 3,
        camera_shift: bool | None = None,
        normalized_image: bool = False,
        precision: Precision = "auto",
        strides: Sequence[int] = (2, 1, 1, 1),
        anti_aliasing: bool = False,
        standardize: bool = False,
        whiten: bool = False,
        pretrained: PretrainedPoints | str | Path | None = None,
        frozen: bool = False,
    ) -> None:
        n_points = whole_number("n_points", n_points, at_least=1)
        if flag("frozen", frozen) and precision == "auto":
            precision = "float32"  # the points of random weights vary by little more than the rounding of bfloat16
        super().__init__(
            observation_space,
            n_points,
            frame_channels=frame_channels,
            camera_shift=camera_shift,
            normalized_image=normalized_image,
            precision=precision,
            strides=strides,
            anti_aliasing=anti_aliasing,
        )
        self._features_dim = n_points * self.n_frames * (3 if presence else 2)
        self.n_points = n_points
        self.temperature = number("temperature", temperature, above=0)
        self.softmax = one_of("softmax", softmax, ("separable", "full"))
        self.presence = flag("presence", presence)
        self.velocity = flag("velocity", velocity)
        self.relative = flag("relative", relative)
        normalization = Whitening if flag("whiten", whiten) else Standardization if flag("standardize", standardize) else None
        self.normalization = None if normalization is None else normalization(self._features_dim)
        if self.n_frames == 1 and self.velocity:
            warnings.warn(
                f"The observations are taken for {self.layout}, which has no velocities: stack frames with FrameStack or "
                "VecFrameStack, pass frame_channels if its channels are several frames, or velocity=False if one frame is "
                "enough.",
                stacklevel=2,
            )
        self._is_pretrained = pretrained is not None
        if pretrained is not None:
            self._load(pretrained)
        self.encoder.requires_grad_(not frozen)
        if self.camera_shift:
            map_height, map_width = self.map_size
            distance = self.encoder.geometry.cell_distance
            units_per_pixel = th.tensor([2 / ((cells - 1) * distance) for cells in (map_width, map_height)])
            self.register_buffer("_units_per_pixel", units_per_pixel, persistent=False)

    @property
    def summary(self) -> str:
        """What the observations are taken for: ``"2 RGB frames of 84×84, camera shift, 32 points, 192 features"``"""
        return f"{self.layout}, {self.n_points} points, {self.features_dim} features{', frozen' * self.is_frozen}"

    @property
    def is_frozen(self) -> bool:
        """Whether no weight is trained"""
        return not any(weight.requires_grad for weight in self.parameters())

    def encode_frames(self, frames: th.Tensor) -> th.Tensor:
        """
        Find the feature points of single frames, whatever stacks they come from.

        :param frames: ``(N, frame_channels, H, W)``: uint8 from 0 to 255, or floats in [0, 1]
        :return: ``(N, K, 3)``: x, y, m
        """
        if self.softmax == "separable":
            return points_from_marginals(*self.encoder.marginals(frames), self.temperature)
        return self.encoder.joint_points(frames, self.temperature)

    def state(self, encoded: th.Tensor, camera_shifts: th.Tensor | None = None) -> th.Tensor:
        """
        Assemble the features of stacks from the points of their frames.

        :param encoded: ``(B, S, K, 3)``: x, y, m of every frame, oldest first, each in the coordinates of its own frame
        :param camera_shifts: ``(B, S − 1, 2)``: how far the camera moved since each past frame, x and y in pixels, as
            :func:`~sb3_fpac.decode_camera_shift` returns them; None: the camera stood still
        :return: ``(B, features_dim)``
        """
        points = encoded if camera_shifts is None else self._to_current_camera(encoded, camera_shifts)
        state = points
        if self.relative:
            centred = points[..., :2] - points[..., :2].mean(dim=2, keepdim=True)
            state = th.cat([centred, points[..., 2:]], dim=-1)
        if self.velocity:
            state = th.cat([state[:, -1:], points[:, 1:] - points[:, :-1]], dim=1)
        features = (state if self.presence else state[..., :2]).flatten(start_dim=1)
        return features if self.normalization is None else self.normalization(features)

    def points(self, observations: th.Tensor, current_camera: bool = False) -> th.Tensor:
        """
        Find the feature points of every frame.

        :param observations: ``(B, C, H, W)`` as SB3 preprocesses them
        :param current_camera: Whether past points are moved into the frame of the current camera, where the stack carries
            camera shift; if not, each lies in the coordinates of its own frame
        :return: ``(B, S, K, 3)``: x, y, m; oldest frame first
        """
        points = self._encode(observations)
        camera_shifts = self._camera_shifts(observations) if current_camera else None
        return points if camera_shifts is None else self._to_current_camera(points, camera_shifts)

    def to_pixels(self, points: th.Tensor) -> th.Tensor:
        """
        Convert positions of feature points to pixels of the frame.

        :param points: ``(..., 3)`` or ``(..., 2)``: x and y in [-1, 1], as :meth:`points` returns them
        :return: ``(..., 2)``: x and y in pixels; (0, 0) is the middle of the upper left pixel
        """
        map_height, map_width = self.map_size
        return self.encoder.geometry.to_pixels(points[..., :2], points.new_tensor([map_width, map_height]))

    def apply(self: SelfExtractor, fn: Callable[[th.nn.Module], None]) -> SelfExtractor:
        """
        Apply a function to every module, except to those of a pre-trained encoder. SB3 draws initial weights this way
        (``ortho_init`` of PPO and A2C), which would overwrite the pre-trained ones.

        :param fn: Called with every module of the encoder, unless it is pre-trained, and with this one
        :return: This module
        """
        if not self._is_pretrained:
            return super().apply(fn)
        fn(self)
        return self

    def _load(self, pretrained: PretrainedPoints | str | Path) -> None:
        if isinstance(pretrained, (str, Path)):
            pretrained = PretrainedPoints.load(pretrained)
        if not isinstance(pretrained, PretrainedPoints):
            raise ValueError(
                f"pretrained must be a path or PretrainedPoints, got {type(pretrained).__name__}: pass pretrain(…).points "
                "or the path of its file."
            )
        _, height, width = self._observation_space.shape  # type: ignore[misc]
        pretrained.check(
            n_points=self.n_points,
            frame_channels=self.frame_channels,
            height=height,
            width=width,
            temperature=self.temperature,
            softmax=self.softmax,
            strides=self.encoder.geometry.strides,
            anti_aliasing=self.encoder.geometry.anti_aliasing,
        )
        try:
            self.encoder.load_state_dict(pretrained.weights)
        except RuntimeError as error:
            raise ValueError(f"The pre-trained weights are not those of this encoder: {error}") from error

    def _to_current_camera(self, points: th.Tensor, camera_shifts: th.Tensor) -> th.Tensor:
        shift = camera_shifts * self._units_per_pixel  # (B, S − 1, 2)
        now = th.zeros_like(points[:, -1:, :1, :2])
        shift = th.cat([shift[:, :, None], now], dim=1)  # (B, S, 1, 2)
        return th.cat([points[..., :2] + shift, points[..., 2:]], dim=-1)
