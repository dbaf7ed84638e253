"""Optional packages, which the extras of this package install, and dm_control, which needs a command of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NO_DEPS = "--no-deps " if sys.version_info >= (3, 13) else ""  # as one of its requirements, labmaze, has no wheel
INSTALL_DM_CONTROL = f'pip install {_NO_DEPS}"dm_control>=1.0.50"'
"""The command that installs dm_control with this version of Python"""


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """
    Guard imports of packages that an extra installs.

    :param extra: Name of the extra; that of pictures, videos and reports is ``"viz"``
    :raises ImportError: if a package is missing; the message names it and the command that installs it
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise ImportError(f'{package} is missing: pip install "sb3-fpac[{extra}]"', name=package) from error
