"""Pre-trained feature points and their file format."""

import io
import pickle
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch as th

from sb3_fpac.features.spatial_softmax import Softmax
from sb3_fpac.files import check_zip, writing
from sb3_fpac.observations import naming

_FORMAT = "sb3-fpac feature points"


@dataclass(frozen=True, eq=False)
class PretrainedPoints:
    """
    The weights of an encoder and the settings of their pre-training, for
    ``FeaturePointExtractor(pretrained=…)``: ``pretrain(…).points``. A saved agent contains them and does not need the file.
    """

    weights: dict[str, th.Tensor] = field(repr=False)
    """State dict of an :class:`~sb3_fpac.features.encoder.Encoder`, on the CPU"""
    n_points: int
    """K"""
    frame_channels: int
    """Channels of a frame"""
    height: int
    """Size of a frame, in pixels"""
    width: int
    """Size of a frame, in pixels"""
    temperature: float
    """β of the softmax"""
    softmax: Softmax
    """``"separable"`` or ``"full"``"""
    strides: tuple[int, ...]
    """Strides of the 3×3 convolutions"""
    anti_aliasing: bool
    """Whether convolutions with a stride above 1 blur what they read"""
    versions: dict[str, str]
    """Versions of the packages of pre-training, for information"""

    def save(self, path: str | Path) -> None:
        """
        Write the points to a file.

        :param path: The file, such as ``points.pt``; a missing folder is made
        """
        content = io.BytesIO()  # PyTorch itself does not say that the disk is full
        th.save(dict(format=_FORMAT, **{key: getattr(self, key) for key in _KEYS}), content)
        with writing(path) as unfinished:
            unfinished.write_bytes(content.getvalue())

    @classmethod
    def load(cls, path: str | Path) -> "PretrainedPoints":
        """
        Read points from a file. No code in the file is executed.

        :param path: The file
        :return: The points
        :raises ValueError: if the file does not exist, is damaged, or was not written by :meth:`save`
        """
        if not Path(path).is_file():
            raise ValueError(
                f"There is no file of pre-trained feature points {str(path)!r}: create one with python -m sb3_fpac pretrain, "
                "or correct the path."
            )
        content: Any = None
        if zipfile.is_zipfile(path):  # as torch.save writes it
            check_zip(path)  # PyTorch does not compare checksums
            with suppress(RuntimeError, pickle.UnpicklingError):  # another archive, or one with code
                content = th.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict) or content.get("format") != _FORMAT or not content.keys() >= _KEYS:
            raise ValueError(
                f"{str(path)!r} holds no pre-trained feature points: give the .pt file of python -m sb3_fpac pretrain."
            )
        return cls(**{key: content[key] for key in _KEYS})

    def check(self, **asked: Any) -> None:
        """
        Check that the points fit an extractor.

        :param asked: ``n_points``, ``frame_channels``, ``height``, ``width``, ``temperature``, ``softmax``, ``strides`` and
            ``anti_aliasing`` of the extractor
        :raises ValueError: if one of them differs from pre-training
        """
        differing = {name: getattr(self, name) for name, value in asked.items() if getattr(self, name) != value}
        if differing:
            made, wanted = (", ".join(f"{name}={values[name]!r}" for name in differing) for values in (differing, asked))
            raise ValueError(
                f"The pre-trained feature points were made for {made}, but the extractor has {wanted}: use the same "
                "values, or pre-train points for this extractor."
            )

    def __getstate__(self) -> dict[str, Any]:
        """With arrays, which are read from a saved agent without trusting it"""
        return {**self.__dict__, "weights": {name: weight.numpy() for name, weight in self.weights.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        weights = {name: th.from_numpy(weight.copy()) for name, weight in state["weights"].items()}
        self.__dict__.update(state, weights=weights)

    def __eq__(self, other: object) -> bool:  # SB3 compares policy_kwargs
        if not isinstance(other, PretrainedPoints):
            return NotImplemented
        return (
            all(getattr(self, key) == getattr(other, key) for key in _KEYS - {"weights"})
            and self.weights.keys() == other.weights.keys()
            and all(th.equal(weight, other.weights[name]) for name, weight in self.weights.items())
        )


_KEYS = {entry.name for entry in fields(PretrainedPoints)}


def resolve_pretrained(features_extractor_kwargs: dict[str, Any]) -> None:
    """
    Replace paths of files of pre-trained points by their contents, so that a saved agent loads without the files.

    :param features_extractor_kwargs: Keyword arguments of the extractor; changed in place. ``pretrained`` is one value, or a
        dict by key, which is replaced by another dict.
    :raises ValueError: if :meth:`PretrainedPoints.load` refuses a file; for a dict, the message names the key
    """
    pretrained = features_extractor_kwargs.get("pretrained")
    if isinstance(pretrained, Mapping):
        features_extractor_kwargs["pretrained"] = {key: _load_of_image(key, value) for key, value in pretrained.items()}
    elif isinstance(pretrained, (str, Path)):
        features_extractor_kwargs["pretrained"] = PretrainedPoints.load(pretrained)


def _load_of_image(key: str, pretrained: Any) -> Any:
    """The contents of a file for its path, and anything else as it is"""
    with naming(key):
        return PretrainedPoints.load(pretrained) if isinstance(pretrained, (str, Path)) else pretrained
