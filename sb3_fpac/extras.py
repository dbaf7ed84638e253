"""Packages that only some users have."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_viz() -> Iterator[None]:
    """
    For imports of packages that pictures, videos and reports need.

    :raises ImportError: if one is missing; it says which, and how to install them all
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise ImportError(f'{package} is missing: pip install "sb3-fpac[viz]"', name=package) from error
