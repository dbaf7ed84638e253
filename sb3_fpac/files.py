"""
Reads files that may be damaged or hostile, and reports one error that names the file. Checks that folders are writable before
the work starts.
"""

import os
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_CHUNK = 2**24  # bytes


class UntrustedFileError(ValueError):
    """A file that would run code of whoever wrote it."""

    def __init__(self, path: Any, code: str) -> None:
        super().__init__(
            f"Opening {path} would run {code}: pass --trust (trust=True in Python) if you trust its author, or ask for a file "
            "of save_weights, which contains no code."
        )


class DamagedFileError(ValueError):
    """A file of which bytes are missing or have changed."""

    def __init__(self, path: Any, reason: str) -> None:
        super().__init__(f"{path} is damaged or half written: copy or save it again ({reason}).")


class UnreadableFileError(DamagedFileError):
    """A file that cannot be read. It may be damaged, or what it contains may not exist in the versions that are installed."""

    def __init__(self, path: Any, reason: str) -> None:
        ValueError.__init__(
            self,
            f"{path} cannot be read, because it is damaged, half written, or of other versions ({reason}): copy or save it "
            "again, or install the versions that saved it.",
        )


class UnwritableFileError(ValueError):
    """A file that cannot be written."""

    def __init__(self, path: Any, reason: object) -> None:
        super().__init__(f"{path} cannot be written: {reason}. Make room, or choose another place.")


@contextmanager
def reading(path: Any) -> Iterator[None]:
    """
    Name the file in any error of the code that reads it. Pickled bytes that have changed can raise anything.

    :param path: The file
    :raises DamagedFileError: instead of the error, unless a module or memory is missing; an UnreadableFileError unless bytes
        are missing for certain
    """
    try:
        yield
    except (FileNotFoundError, DamagedFileError, UntrustedFileError):
        raise
    except MemoryError as error:
        raise MemoryError(f"{path} does not fit into memory, or is damaged: {error}") from error
    except ImportError as error:
        raise ValueError(f"{path} needs a module that cannot be imported: {error}") from error
    except Exception as error:
        kind = DamagedFileError if isinstance(error, (zipfile.BadZipFile, EOFError)) else UnreadableFileError
        raise kind(path, " ".join(f"{type(error).__name__}: {error}".split())) from error


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """
    Write a file as a whole: under another name in its folder, until it is finished. What had the name before is kept if
    writing fails.

    :param path: The file; its folder is made
    :return: Where to write to, with the same suffix
    :raises UnwritableFileError: if the disk is full, or the folder cannot be written to
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.unfinished{path.suffix}")  # another process may write it, too
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield unfinished
        os.replace(unfinished, path)
    except OSError as error:
        raise UnwritableFileError(path, error) from error
    finally:
        unfinished.unlink(missing_ok=True)


def make_folder(path: str | Path) -> Path:
    """
    Make a folder unless it exists, and check that files can be written in it.

    :param path: The folder
    :return: The folder
    :raises ValueError: if it cannot be made, or nothing can be written in it
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"Nothing can be written to the folder {folder}: {error}. Choose another one.") from error
    return folder


def checksum(path: str | Path) -> int:
    """
    :param path: A file
    :return: The CRC-32 of its bytes, by which :func:`check_bytes` sees whether one has changed
    """
    value = 0
    with Path(path).open("rb") as file:
        while chunk := file.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def check_bytes(path: str | Path, expected: int) -> None:
    """
    Check that every byte of a file is what was written.

    :param path: The file
    :param expected: Its :func:`checksum` when it was written
    :raises DamagedFileError: if a byte has changed or is missing
    """
    if checksum(path) != expected:
        raise DamagedFileError(path, "its checksum is wrong")


def check_zip(path: str | Path) -> None:
    """
    Check that every byte of a zip archive is what was written, by the checksums in the archive. The models of SB3 and the
    files of ``torch.save`` are zip archives.

    :param path: The file
    :raises FileNotFoundError: if there is none
    :raises DamagedFileError: if it is no zip archive, not complete, or a byte has changed
    """
    with reading(path), zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
        start = min((member.header_offset for member in archive.infolist()), default=0)
    if start:  # the end is missing, and zipfile found a smaller archive inside
        raise DamagedFileError(path, "it is not complete")
    if broken is not None:
        raise DamagedFileError(path, f"the checksum of {broken} is wrong")
