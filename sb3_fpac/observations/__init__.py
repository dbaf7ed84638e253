"""
How an observation is laid out: a stack of S frames along the channels, oldest first, and with camera shift one header plane in
front.

The first ``4 (S − 1)`` bytes of the header plane, row by row, contain the x and the y shift of every past frame, oldest first.
Each is a 16-bit two's complement number in 1/64 pixel, high byte first. The rest is zero. A plane of zeros means that the
camera stood still.
"""

from sb3_fpac.observations.blank_frames import why_blank
from sb3_fpac.observations.camera_shift import (
    UNITS_PER_PIXEL,
    check_header_fits,
    decode_camera_shift,
    encode_camera_shift,
    problem_of_header,
)
from sb3_fpac.observations.given import check_given
from sb3_fpac.observations.grey_frames import look_like_grey_frames
from sb3_fpac.observations.keys import (
    VECTORS,
    check_keys,
    check_options,
    is_nearly_image,
    naming,
    naming_warnings,
    options_of,
    split_keys,
    write_option,
)
from sb3_fpac.observations.layout import (
    Layout,
    check_channels_are_fewest,
    has_channels_first,
    is_image,
    read_layout,
    why_no_stack,
)
from sb3_fpac.observations.returned import check_image, check_is_bytes, check_vector, entry_of, problem_of_values, reward_of

__all__ = [
    "UNITS_PER_PIXEL",
    "VECTORS",
    "Layout",
    "check_channels_are_fewest",
    "check_given",
    "check_header_fits",
    "check_image",
    "check_is_bytes",
    "check_keys",
    "check_options",
    "check_vector",
    "decode_camera_shift",
    "encode_camera_shift",
    "entry_of",
    "has_channels_first",
    "is_image",
    "is_nearly_image",
    "look_like_grey_frames",
    "naming",
    "naming_warnings",
    "options_of",
    "problem_of_header",
    "problem_of_values",
    "read_layout",
    "reward_of",
    "split_keys",
    "why_blank",
    "why_no_stack",
    "write_option",
]
