"""Packages that only some users have."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """
    For imports of packages that an extra brings.

    :param extra: Its name
    :raises ImportError: if one is missing; it says which, and how to install them all
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        raise ImportError(f'{package} is missing: pip install "sb3-fpac[{extra}]"', name=package) from error


def needs_viz() -> AbstractContextManager[None]:
    """
    For imports of packages that pictures, videos and reports need.

    :raises ImportError: as :func:`needs`
    """
    return needs("viz")
