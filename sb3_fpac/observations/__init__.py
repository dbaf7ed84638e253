"""How an observation is laid out: a stack of S frames, oldest first, and optionally a header plane with the camera shift."""

from sb3_fpac.observations.camera_shift import (
    UNITS_PER_PIXEL,
    check_header_fits,
    decode_camera_shift,
    encode_camera_shift,
    problem_of_header,
)
from sb3_fpac.observations.grey_frames import look_like_grey_frames
from sb3_fpac.observations.keys import check_keys, check_options, is_nearly_image, naming, options_of, split_keys
from sb3_fpac.observations.layout import Layout, check_channels_are_fewest, has_channels_first, read_layout, why_no_stack

__all__ = [
    "UNITS_PER_PIXEL",
    "Layout",
    "check_channels_are_fewest",
    "check_header_fits",
    "check_keys",
    "check_options",
    "decode_camera_shift",
    "encode_camera_shift",
    "has_channels_first",
    "is_nearly_image",
    "look_like_grey_frames",
    "naming",
    "options_of",
    "problem_of_header",
    "read_layout",
    "split_keys",
    "why_no_stack",
]
