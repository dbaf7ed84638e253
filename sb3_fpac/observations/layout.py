"""What an observation space is taken for."""

from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from sb3_fpac.arguments import flag, whole_number
from sb3_fpac.observations.camera_shift import check_header_fits


class Layout(NamedTuple):
    """A stack of S frames of C channels each, oldest first, and possibly a header plane in front."""

    n_frames: int
    """S"""
    frame_channels: int
    """C, channels of one frame"""
    camera_shift: bool
    """Whether a header plane with the camera shift is in front"""
    height: int
    """Height of a frame in pixels"""
    width: int
    """Width of a frame in pixels"""

    @property
    def frame_bytes(self) -> int:
        """Memory of one frame"""
        return self.frame_channels * self.height * self.width

    def __str__(self) -> str:
        kind = {1: "grey", 3: "RGB"}.get(self.frame_channels, f"{self.frame_channels}-channel")
        frames = f"{self.n_frames} {kind} frame{'s' * (self.n_frames > 1)} of {self.height}×{self.width}"
        return f"{frames}, camera shift" if self.camera_shift else frames


def read_layout(
    space: spaces.Space, frame_channels: int = 3, camera_shift: bool | None = None, normalized: bool = False
) -> Layout:
    """
    Determine what an observation space is taken for.

    :param space: Box of shape ``(channels, height, width)``: uint8 from 0 to 255
    :param frame_channels: Channels of one frame: 3 for RGB, 1 for grey
    :param camera_shift: Whether there is a header plane; None: yes if one channel is left over and there are at least
        two frames
    :param normalized: Whether floats, and values from 0 to 1, are accepted as well
    :return: The layout
    :raises ValueError: if the space is no such stack; the message names the cause and the cure
    """
    problem = why_no_stack(space, normalized)
    if problem is not None:
        raise ValueError(problem)
    assert isinstance(space, spaces.Box)
    n_channels, height, width = space.shape
    if width < min(n_channels, height):
        raise ValueError(
            f"Images are expected with the axes channels, height and width, got {space.shape}: put the channels first, with "
            "Gymnasium's TransformObservation."
        )
    n_frames, camera_shift = _split_channels(n_channels, frame_channels, camera_shift)
    if camera_shift:
        check_header_fits(n_frames - 1, height, width)
    return Layout(n_frames, int(frame_channels), camera_shift, height, width)


def is_image(space: spaces.Space) -> bool:
    """
    Check whether SB3 takes a space for an image. This is SB3's ``is_image_space``, without loading PyTorch.

    :param space: Any space
    :return: True for a Box of uint8 from 0 to 255 with three axes
    """
    is_bytes = isinstance(space, spaces.Box) and len(space.shape) == 3 and space.dtype == np.uint8
    return is_bytes and bool((space.low == 0).all() and (space.high == 255).all())  # type: ignore[attr-defined]


def has_channels_first(shape: tuple[int, ...]) -> bool:
    """
    Check where the channels of an image are, by SB3's rule that they are the smallest axis.

    :param shape: ``(C, H, W)`` or ``(H, W, C)``
    :return: True for the first, False for the second
    """
    return int(np.argmin(shape)) == 0


def check_channels_are_fewest(n_channels: int, height: int, width: int) -> None:
    """
    Check that SB3 takes stacks for what they are.

    :param n_channels: Channels of a stack, with the header plane
    :param height: Height in pixels
    :param width: Width in pixels
    :raises ValueError: if a side of the image is shorter than the axis of the channels
    """
    if not has_channels_first((n_channels, height, width)):
        raise ValueError(
            f"A stack of {n_channels} channels of {height}×{width} pixels has more channels than pixels on a side, and "
            "Stable-Baselines3 takes the shortest axis for the channels: stack fewer frames, or make them larger."
        )


def why_no_stack(space: spaces.Space, normalized: bool = False) -> str | None:
    """
    Say why a space contains no stacks of images, and what to do.

    :param space: Any space
    :param normalized: Whether floats, and values from 0 to 1, are accepted as well
    :return: One or two sentences; None if the space is a 3-d image
    """
    if isinstance(space, spaces.Dict):
        return (
            f"A single image is expected, got Dict observations with the keys {', '.join(map(repr, space))}: with "
            "'MultiInputPolicy' pass features_extractor_class=FeaturePointCombinedExtractor."
        )
    if isinstance(space, spaces.Tuple):
        return f"Images are expected, got {space}: make it a Dict with a key for each, with Gymnasium's TransformObservation."
    if not isinstance(space, spaces.Space):
        return (
            f"observation_space must be one of gymnasium.spaces, such as Box, or Dict for several images, got {type(space)}."
        )
    if not isinstance(space, spaces.Box):
        return f"Images are expected, got {space}."
    shape = space.shape
    if len(shape) < 2:
        return f"Images are expected, got a vector of shape {shape}: for state vectors use SAC('MlpPolicy', …)."
    if len(shape) == 2:
        return f"Images need an axis of channels, got {space}: wrap the environment in FrameStack, which adds it."
    if len(shape) == 4:
        return (
            f"Images are expected with three axes, got {space}, stacks with an axis of their own: wrap the environment in "
            f"FrameStack(env, n={max(2, shape[0])}), which joins frames and channels."
        )
    if len(shape) > 4:
        return f"Images are expected with three axes, got {space}."
    lowest, highest = space.low.min(), space.high.max()
    is_byte, is_float = space.dtype == np.uint8, np.issubdtype(space.dtype, np.floating)
    in_range = lowest >= 0 and highest in (1, 255)
    if is_image(space) or (in_range and normalized):
        return None
    if is_byte and in_range and highest == 255:
        return (
            f"Images are expected in a Box with the limits 0 and 255 for every pixel, got {lowest} to {space.low.max()} and "
            f"{space.high.min()} to {highest}: give it these limits, with Gymnasium's TransformObservation(env, lambda obs: "
            f"obs, Box(0, 255, {shape}, np.uint8))."
        )
    what = f"Images are expected as uint8 from 0 to 255, got {space.dtype} from {lowest:g} to {highest:g}"
    if is_float and highest == 1:
        other_way = (
            ", or with SAC pass policy_kwargs=dict(normalize_images=False, "
            "features_extractor_kwargs=dict(normalized_image=True))"
        )
        return (
            f"{what}: convert them with Gymnasium's DtypeObservation(RescaleObservation(env, 0, 255), np.uint8)"
            f"{other_way if in_range else ''}."
        )
    if in_range and highest == 255:
        return f"{what}: convert them with Gymnasium's DtypeObservation(env, np.uint8)."
    return f"{what}: scale them to 0 to 255 and convert them to uint8 with Gymnasium's TransformObservation."


def _split_channels(n_channels: int, frame_channels: int, camera_shift: bool | None) -> tuple[int, bool]:
    """S, and whether there is a header plane"""
    whole_number("frame_channels", frame_channels, at_least=1)
    if camera_shift is not None:
        flag("camera_shift", camera_shift)
    n_frames, left_over = divmod(n_channels, frame_channels)
    if camera_shift is None:
        camera_shift = left_over == 1 and n_frames >= 2
    if camera_shift:
        n_frames, left_over = divmod(n_channels - 1, frame_channels)
    if left_over or n_frames < 1 + camera_shift:
        behind = " behind a camera-shift plane" if camera_shift else ""
        whole = "" if n_channels in (1, 3, 4) else f", {n_channels} for one frame of {n_channels} channels"
        raise ValueError(
            f"{n_channels} channels are not a stack of frames of {frame_channels} channels{behind}: pass frame_channels=1 for "
            f"grey frames or depth, 3 for RGB, 4 for RGBA or RGB-D{whole}, and camera_shift=True only for at least two frames "
            "behind a header plane."
        )
    return n_frames, camera_shift
