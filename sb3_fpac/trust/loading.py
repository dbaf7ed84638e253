"""Loads SB3's files: as data, or with all the code that they contain if they are trusted."""

import base64
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any, TypeVar

from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

from sb3_fpac.files import check_zip, reading
from sb3_fpac.trust.unpickler import DataUnpickler

Algorithm = TypeVar("Algorithm", bound=BaseAlgorithm)


def load_pickle(path: str | Path, trust: bool = False) -> Any:
    """
    Load a pickled object, such as a replay buffer or the statistics of VecNormalize.

    :param path: The file
    :param trust: Whether the file may run code
    :return: The object
    :raises UntrustedFileError: if the file is more than data and ``trust`` is False
    :raises DamagedFileError: if it cannot be read
    """
    with reading(path), Path(path).open("rb") as file:
        return pickle.load(file) if trust else DataUnpickler(file, path).load()


def load_normalization(path: str | Path, trust: bool = False) -> VecNormalize:
    """
    Load the statistics of VecNormalize.

    :param path: File of its ``save``
    :param trust: Whether the file may run code
    :return: A VecNormalize without environment
    :raises UntrustedFileError: if the file is more than data and ``trust`` is False
    :raises DamagedFileError: if it cannot be read
    :raises ValueError: if it contains something else
    """
    saved = load_pickle(path, trust)
    if not isinstance(saved, VecNormalize):
        raise ValueError(f"{path} contains no statistics of VecNormalize, but a {type(saved).__name__}.")
    return saved


def load_model(
    algorithm: type[Algorithm],
    path: str | Path,
    trust: bool = False,
    custom_objects: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Algorithm:
    """
    Load what ``model.save`` saved.

    :param algorithm: The class that saved it
    :param path: The zip file
    :param trust: Whether the file may run code
    :param custom_objects: As in SB3's ``load``: replace what the file says, which then is not read
    :param kwargs: As in SB3's ``load``
    :return: The agent
    :raises UntrustedFileError: if the file is more than data and ``trust`` is False
    :raises DamagedFileError: if it cannot be read
    """
    check_zip(path)
    if trust:
        return algorithm.load(path, custom_objects=custom_objects, **kwargs)
    content = io.BytesIO(Path(path).read_bytes())  # what is checked is what is loaded
    custom_objects = dict(custom_objects or {})
    with reading(path):
        for name, pickled in _pickles(content).items():
            if name not in custom_objects:
                custom_objects[name] = DataUnpickler(io.BytesIO(pickled), f"{path} ({name})").load()
    return algorithm.load(content, custom_objects=custom_objects, **kwargs)  # its tensors are loaded with weights_only


def _pickles(model: io.BytesIO) -> dict[str, bytes]:
    """The attributes that SB3 would unpickle unless they are among the custom objects"""
    with zipfile.ZipFile(model) as archive:
        attributes = json.loads(archive.read("data").decode()) if "data" in archive.namelist() else {}
    serialized = {name: each for name, each in attributes.items() if isinstance(each, dict) and ":serialized:" in each}
    return {name: base64.b64decode(each[":serialized:"].encode()) for name, each in serialized.items()}
