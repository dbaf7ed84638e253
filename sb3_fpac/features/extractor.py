"""Feature points as features of an SB3 policy."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch as th
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from sb3_fpac.features.encoder import STRIDE, Encoder, Precision, cell_centres, map_size
from sb3_fpac.features.pretrained import PretrainedPoints
from sb3_fpac.features.spatial_softmax import Softmax, feature_points, points_from_marginals
from sb3_fpac.observations import check_header_fits, decode_camera_shift, split_channels

SelfExtractor = TypeVar("SelfExtractor", bound="FeaturePointExtractor")


class FeaturePointExtractor(BaseFeaturesExtractor):
    """
    The state of the FPAC paper (arXiv 2106.07995): the feature points of the current frame and their velocities.

    Every frame of the stack is encoded on its own into K points (x, y, m). For a stack of S frames the features are
    ``[points_t, points_t − points_{t−1}, …]``: the points of the last frame, then the S − 1 successive differences, oldest
    first, each flattened point by point as (x, y, m): ``3 K S`` numbers, 6K for a stack of two. A single frame gives its
    points alone.

    Takes any image space that SB3 takes: channel-first or, through SB3's own transposing, channel-last; RGB or grey.

    :param observation_space: Box of shape ``(C, H, W)``, C = S × ``frame_channels``, plus one header plane in front if the
        stack carries camera shift (see :class:`~sb3_fpac.envs.wrappers.CameraShift`); at least 15×15 pixels, 17×17 with
        camera shift
    :param n_points: K, number of feature points
    :param temperature: β of the softmax
    :param softmax: ``"separable"`` (Eq. 3) or ``"full"`` (Eq. 1, Fig. 13)
    :param presence: Whether the presence m is part of a point (Fig. 11)
    :param velocity: Whether past frames enter as differences (Fig. 12); if not, as the points themselves, oldest first
    :param relative: Whether positions are given relative to their mean over the K points (Fig. 14); velocities are those
        of the absolute positions all the same
    :param frame_channels: Channels of one frame: 3 for RGB, 1 for grey
    :param camera_shift: Whether the stack starts with a header plane, by which the past points are moved into the frame of
        the current camera (Fig. 3). None: yes if one plane is left over and there are at least two frames. For grey
        frames no plane can be left over, so that it must be said.
    :param normalized_image: As in SB3's NatureCNN: pass True together with ``normalize_images=False``, so that images of
        0…255 are divided here and images in [0, 1] are taken as they are. The policies of SAC and TQC do so by themselves.
    :param precision: ``"auto"``: bfloat16 convolutions where the hardware multiplies bfloat16, float32 elsewhere;
        ``"float32"``, ``"bfloat16"``: as said. Parameters and features are float32.
    :param pretrained: Weights that the encoder starts with, made by :func:`~sb3_fpac.pretraining.training.pretrain`: what a
        file of them holds, or its path. FPAC and the policies of SAC and TQC put the contents in the place of a path, so that
        agents load without the file; other algorithms save what they are given.
    :param frozen: Whether the encoder keeps its weights, pre-trained or random. Its gradient is not computed then.
    :raises ValueError: if the space is no image space, its channels do not fit, the image is too small, a parameter is out of
        range, or the pre-trained weights do not exist or were made for something else
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
        pretrained: PretrainedPoints | str | Path | None = None,
        frozen: bool = False,
    ) -> None:
        _check_image_space(observation_space, normalized_image)
        if n_points < 1:
            raise ValueError(f"n_points must be at least 1, got {n_points}.")
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}.")
        if softmax not in ("separable", "full"):
            raise ValueError(f"softmax must be 'separable' or 'full', got {softmax!r}.")
        n_channels, height, width = observation_space.shape
        n_frames, camera_shift = split_channels(n_channels, frame_channels, camera_shift)
        map_height, map_width = map_size(height, width)
        smallest = 2 if camera_shift else 1  # one cell has no scale to measure a shift by
        if min(map_height, map_width) < smallest:
            raise ValueError(
                f"Images of {height}×{width} pixels are too small for the encoder, which needs at least "
                f"{13 + 2 * smallest}×{13 + 2 * smallest}: render or resize them larger."
            )
        if camera_shift:
            check_header_fits(n_frames - 1, height, width)
        if isinstance(pretrained, (str, Path)):
            pretrained = PretrainedPoints.load(pretrained)
        if pretrained is not None:
            if not isinstance(pretrained, PretrainedPoints):
                raise ValueError(f"pretrained must be a path or PretrainedPoints, got {type(pretrained).__name__}.")
            pretrained.check(
                n_points=n_points,
                frame_channels=frame_channels,
                height=height,
                width=width,
                temperature=temperature,
                softmax=softmax,
            )

        super().__init__(observation_space, n_points * n_frames * (3 if presence else 2))
        self.n_points = n_points
        self.n_frames = n_frames
        self.frame_channels = frame_channels
        self.camera_shift = camera_shift
        self.temperature = temperature
        self.softmax: Softmax = softmax
        self.presence = presence
        self.velocity = velocity
        self.relative = relative
        # what forward multiplies its input with to get [0, 1], and [0, 1] with to get the header's bytes
        self._scale = 1 / 255 if normalized_image and observation_space.high.max() > 1 else 1.0
        self._range_is_checked = False
        self.encoder = Encoder(frame_channels, n_points, precision)
        self._is_pretrained = pretrained is not None
        if pretrained is not None:
            self.encoder.load_state_dict(pretrained.weights)
        self.encoder.requires_grad_(not frozen)
        if camera_shift:
            units_per_pixel = th.tensor([2 / ((cells - 1) * STRIDE) for cells in (map_width, map_height)])
            self.register_buffer("_units_per_pixel", units_per_pixel, persistent=False)

    def forward(self, observations: th.Tensor) -> th.Tensor:
        """
        :param observations: ``(B, C, H, W)`` as SB3 preprocesses them
        :return: ``(B, features_dim)``
        """
        return self.state(self.points(observations), self._camera_shifts(observations))

    def frames(self, observations: th.Tensor) -> th.Tensor:
        """
        The frames of every stack, without the header plane.

        :param observations: ``(B, C, H, W)`` as SB3 preprocesses them
        :return: ``(B, S, frame_channels, H, W)`` in [0, 1]; oldest frame first
        """
        return self._frames(observations).unflatten(0, (-1, self.n_frames))

    def points(self, observations: th.Tensor, current_camera: bool = False) -> th.Tensor:
        """
        The feature points of every frame.

        :param observations: ``(B, C, H, W)`` as SB3 preprocesses them
        :param current_camera: Whether past points are moved into the frame of the current camera, where the stack carries
            camera shift; if not, each lies in the coordinates of its own frame
        :return: ``(B, S, K, 3)``: x, y, m; oldest frame first
        """
        points = self.frame_points(self._frames(observations)).unflatten(0, (-1, self.n_frames))
        camera_shifts = self._camera_shifts(observations) if current_camera else None
        return points if camera_shifts is None else self._to_current_camera(points, camera_shifts)

    def frame_points(self, frames: th.Tensor) -> th.Tensor:
        """
        The feature points of single frames, whatever stacks they come from.

        :param frames: ``(N, frame_channels, H, W)``: uint8 from 0 to 255, or floats in [0, 1]
        :return: ``(N, K, 3)``: x, y, m
        """
        if self.softmax == "separable":
            return points_from_marginals(*self.encoder.marginals(frames), self.temperature)
        return feature_points(self.encoder.feature_maps(frames), self.temperature, self.softmax)

    def state(self, points: th.Tensor, camera_shifts: th.Tensor | None = None) -> th.Tensor:
        """
        The features of stacks whose points are known.

        :param points: ``(B, S, K, 3)``: x, y, m of every frame, oldest first, each in the coordinates of its own frame
        :param camera_shifts: ``(B, S − 1, 2)``: how far the camera moved since each past frame, x and y in pixels, as
            :func:`~sb3_fpac.observations.decode_camera_shift` gives them; None: it stood still
        :return: ``(B, features_dim)``
        """
        if camera_shifts is not None:
            points = self._to_current_camera(points, camera_shifts)
        state = points
        if self.relative:
            centred = points[..., :2] - points[..., :2].mean(dim=2, keepdim=True)
            state = th.cat([centred, points[..., 2:]], dim=-1)
        if self.velocity:
            state = th.cat([state[:, -1:], points[:, 1:] - points[:, :-1]], dim=1)
        return (state if self.presence else state[..., :2]).flatten(start_dim=1)

    def feature_maps(self, observations: th.Tensor) -> th.Tensor:
        """
        The feature maps of every frame, for whoever wants to look.

        :param observations: ``(B, C, H, W)`` as SB3 preprocesses them
        :return: ``(B, S, K, H', W')``; oldest frame first
        """
        return self.encoder.feature_maps(self._frames(observations)).unflatten(0, (-1, self.n_frames))

    def apply(self: SelfExtractor, fn: Callable[[th.nn.Module], None]) -> SelfExtractor:
        """
        As of every module, but a pre-trained encoder is left out: this is how initial weights are drawn, and how PPO and A2C
        (``ortho_init``) would draw those of the encoder anew.

        :param fn: Called with every module of the encoder, unless it is pre-trained, and with this one
        :return: This module
        """
        if not self._is_pretrained:
            return super().apply(fn)
        fn(self)
        return self

    def to_pixels(self, points: th.Tensor) -> th.Tensor:
        """
        Where in the frame feature points lie.

        :param points: ``(..., 3)`` or ``(..., 2)``: x and y in [-1, 1], as :meth:`points` gives them
        :return: ``(..., 2)``: x and y in pixels of the frame; (0, 0) is the middle of the upper left pixel
        """
        _, height, width = self._observation_space.shape  # type: ignore[misc]
        map_height, map_width = map_size(height, width)
        last_cell = points.new_tensor([map_width - 1, map_height - 1])
        return cell_centres((points[..., :2] + 1) / 2 * last_cell)

    def _frames(self, observations: th.Tensor) -> th.Tensor:
        """(B, C, H, W) → (B·S, frame_channels, H, W), in [0, 1]"""
        if not (self._range_is_checked or self.training):  # the first images that it acts on show how they arrive
            self._check_range(observations)
            self._range_is_checked = True
        frames = observations[:, 1:] if self.camera_shift else observations
        frames = frames.reshape(frames.shape[0] * self.n_frames, self.frame_channels, *frames.shape[-2:])
        return frames if self._scale == 1 else frames * self._scale

    def _camera_shifts(self, observations: th.Tensor) -> th.Tensor | None:
        if not self.camera_shift:
            return None
        return decode_camera_shift((observations[:, 0] * (255 * self._scale)).round(), self.n_frames - 1)

    def _to_current_camera(self, points: th.Tensor, camera_shifts: th.Tensor) -> th.Tensor:
        shift = camera_shifts * self._units_per_pixel  # (B, S − 1, 2)
        now = th.zeros_like(points[:, -1:, :1, :2])
        shift = th.cat([shift[:, :, None], now], dim=1)  # (B, S, 1, 2)
        return th.cat([points[..., :2] + shift, points[..., 2:]], dim=-1)

    def _check_range(self, observations: th.Tensor) -> None:
        highest = 1 / self._scale
        if observations.numel() and not (observations.min() >= 0 and observations.max() <= highest * (1 + 1e-6)):
            raise ValueError(
                f"Images reach FeaturePointExtractor with values from {observations.min():.4g} to {observations.max():.4g} "
                f"instead of 0 to {highest:.0f}: use a uint8 space, or with normalize_images=False pass "
                "features_extractor_kwargs=dict(normalized_image=True)."
            )


def _check_image_space(space: spaces.Space, normalized_image: bool) -> None:
    if not is_image_space(space, check_channels=False, normalized_image=normalized_image):
        raise ValueError(
            f"FeaturePointExtractor needs images, a uint8 Box of shape (channels, height, width) from 0 to 255, got {space}: "
            "for images that are already divided by 255 pass policy_kwargs=dict(normalize_images=False, "
            "features_extractor_kwargs=dict(normalized_image=True)); for Dict observations use "
            "FeaturePointCombinedExtractor."
        )
    assert isinstance(space, spaces.Box)
    if not (space.low.min() >= 0 and space.high.max() in (1, 255)):
        raise ValueError(f"Images must range from 0 to 255, or from 0 to 1 with normalized_image=True, got {space}.")
