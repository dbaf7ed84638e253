"""Feature points that were trained before the agent: what a file of them holds."""

import io
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch as th

from sb3_fpac.features.spatial_softmax import Softmax

_FORMAT = "sb3-fpac feature points"


@dataclass(frozen=True, eq=False)
class PretrainedPoints:
    """
    An encoder's weights and what they were made for, as :func:`~sb3_fpac.pretraining.training.pretrain` gives them and
    ``FeaturePointExtractor(pretrained=…)`` takes them. Pickled, with a saved agent say, it needs no file.
    """

    weights: dict[str, th.Tensor] = field(repr=False)
    """State dict of an :class:`~sb3_fpac.features.encoder.Encoder`, on the CPU"""
    n_points: int
    """K"""
    frame_channels: int
    """Channels of a frame"""
    height: int
    """Of a frame, in pixels"""
    width: int
    """Of a frame, in pixels"""
    temperature: float
    """β of the softmax"""
    softmax: Softmax
    """``"separable"`` or ``"full"``"""
    versions: dict[str, str]
    """Of the packages that it was made with; for whoever wants to know"""

    def save(self, path: str | Path) -> None:
        """
        Write the file.

        :param path: The file, ``points.pt`` say; its folder must be there
        """
        th.save(dict(format=_FORMAT, **{key: getattr(self, key) for key in _KEYS}), path)

    @classmethod
    def load(cls, path: str | Path) -> "PretrainedPoints":
        """
        Read the file. Nothing in it is executed.

        :param path: The file
        :return: What :meth:`save` has written
        :raises ValueError: if there is no such file, or it is not such a file
        """
        if not Path(path).is_file():
            raise ValueError(
                f"There is no file of pre-trained feature points {str(path)!r}: make one with python -m sb3_fpac pretrain, "
                "or correct the path."
            )
        file = io.BytesIO(Path(path).read_bytes())
        try:
            content: Any = th.load(file, map_location="cpu", weights_only=True)
        except Exception:  # PyTorch has many for files that are not its own, or cut off
            content = None
        if not isinstance(content, dict) or content.get("format") != _FORMAT or not content.keys() >= _KEYS:
            raise ValueError(
                f"{str(path)!r} holds no pre-trained feature points: give the .pt file of python -m sb3_fpac pretrain."
            )
        return cls(**{key: content[key] for key in _KEYS})

    def check(self, **asked: Any) -> None:
        """
        :param asked: ``n_points``, ``frame_channels``, ``height``, ``width``, ``temperature``, ``softmax`` of an extractor
            that is to have the weights
        :raises ValueError: if something is another than it was in pre-training
        """
        differing = {name: getattr(self, name) for name, value in asked.items() if getattr(self, name) != value}
        if differing:
            made, wanted = (", ".join(f"{name}={values[name]!r}" for name in differing) for values in (differing, asked))
            raise ValueError(
                f"The pre-trained feature points were made for {made}, but the extractor has {wanted}: give it the same, or "
                "pre-train points for it."
            )

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
    Put what a file of pre-trained points holds in the place of its path, so that a saved agent loads where there is no file.

    :param features_extractor_kwargs: Of a policy whose extractor has feature points; it is written into
    :raises ValueError: if :meth:`PretrainedPoints.load` refuses the file
    """
    pretrained = features_extractor_kwargs.get("pretrained")
    if isinstance(pretrained, (str, Path)):
        features_extractor_kwargs["pretrained"] = PretrainedPoints.load(pretrained)
