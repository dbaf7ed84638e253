"""Pre-training of feature points by reconstruction."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.utils import get_device
from torch import nn

from sb3_fpac.arguments import number, whole_number
from sb3_fpac.features.encoder import Precision, has_native_bfloat16
from sb3_fpac.features.extractor import FeaturePointExtractor
from sb3_fpac.features.map_geometry import MapGeometry
from sb3_fpac.features.pretrained import PretrainedPoints
from sb3_fpac.features.spatial_softmax import Softmax
from sb3_fpac.pretraining.frames import check_episodes, check_frame_size
from sb3_fpac.pretraining.reconstruction import Reconstruction
from sb3_fpac.version import __version__


@dataclass(frozen=True)
class Pretraining:
    """The result of pre-training."""

    points: PretrainedPoints
    """The points, for ``FeaturePointExtractor(pretrained=…)``"""
    losses: np.ndarray
    """``(n_updates,)``: the reconstruction loss of every update"""
    extractor: FeaturePointExtractor
    """The same encoder, for single frames"""
    reconstruction: Reconstruction
    """The network that reconstructs frames; agents do not use it"""

    def save(self, path: str | Path) -> None:
        """
        Write the file of the points.

        :param path: The file, such as ``points.pt``; a missing folder is made
        """
        self.points.save(path)

    @th.no_grad()
    def reconstruct(self, targets: np.ndarray, sources: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Reconstruct frames.

        :param targets: ``(N, C, H, W)`` uint8; only their points are used
        :param sources: ``(N, C, H, W)`` uint8: another frame of the episode for each
        :return: The reconstructed targets, ``(N, C, H, W)`` uint8, and their points, ``(N, K, 3)``: x, y, m
        """
        device = next(self.reconstruction.parameters()).device
        points = self.extractor.encode_frames(th.as_tensor(targets, device=device))
        rebuilt = self.reconstruction(points, th.as_tensor(sources, device=device) / 255)
        return (rebuilt.clamp(0, 1) * 255).round().to(th.uint8).cpu().numpy(), points.cpu().numpy()


def pretrain(
    episodes: Sequence[np.ndarray],
    n_points: int = 32,
    temperature: float = 0.5,
    softmax: Softmax = "separable",
    sigma: float = 0.1,
    n_updates: int = 4000,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    seed: int = 0,
    precision: Precision = "auto",
    strides: Sequence[int] = (2, 1, 1, 1),
    anti_aliasing: bool = False,
    device: th.device | str = "auto",
    on_update: Callable[[float], object] | None = None,
) -> Pretraining:
    """
    Pre-train feature points by reconstruction, in the manner of Jakab et al. (arXiv 1806.07823): one frame is reconstructed
    from its points and from the appearance of another frame of the same episode.

    The loss is the mean squared error of pixels in [0, 1]. The perceptual loss of the original is left out, because it needs a
    pre-trained VGG. The loss does not train presence.

    :param episodes: The frames of every episode, ``(T, C, H, W)`` uint8 each, as
        :func:`~sb3_fpac.collect_frames` returns them; T may differ
    :param n_points: K, number of feature points
    :param temperature: β of the softmax
    :param softmax: ``"separable"`` or ``"full"``
    :param sigma: σ of the Gaussians that represent the points, in their coordinates; 0.1 is 3.4 pixels for 84×84
    :param n_updates: Number of updates
    :param batch_size: Pairs of frames in an update
    :param learning_rate: Learning rate of Adam
    :param seed: Seed of the initial weights and of the pairs
    :param precision: As in FeaturePointExtractor
    :param strides: As in FeaturePointExtractor
    :param anti_aliasing: As in FeaturePointExtractor
    :param device: PyTorch device; ``"auto"``: CUDA where there is a GPU
    :param on_update: Called after every update with its loss, for example by a progress bar
    :return: The points, and the network that reconstructs frames from them
    :raises ValueError: if the frames are not such arrays, have their channels last, are stacks or too small, no two of
        them share an episode, or a parameter is out of range
    :raises FloatingPointError: if the loss is infinite or undefined
    """
    n_updates = whole_number("n_updates", n_updates, at_least=1)
    batch_size = whole_number("batch_size", batch_size, at_least=1)
    learning_rate = number("learning_rate", learning_rate, above=0)
    sigma = number("sigma", sigma, above=0)
    pairs = _Pairs(episodes, seed)
    channels, height, width = pairs.frames.shape[1:]
    geometry = MapGeometry(strides, anti_aliasing)
    check_frame_size(height, width, geometry)
    device = get_device(device)
    with th.random.fork_rng(devices=[]):
        th.manual_seed(seed)
        space = spaces.Box(0, 255, (channels, height, width), np.uint8)
        extractor = FeaturePointExtractor(
            space,
            n_points,
            temperature,
            softmax,
            frame_channels=channels,
            camera_shift=False,
            velocity=False,
            precision=precision,
            strides=strides,
            anti_aliasing=anti_aliasing,
        ).to(device)
        reconstruction = Reconstruction(channels, n_points, height, width, geometry, sigma)
    reconstruction = reconstruction.to(device, memory_format=th.channels_last)  # type: ignore[call-overload]
    in_bfloat16 = precision == "bfloat16" or (precision == "auto" and has_native_bfloat16(device))
    losses = np.empty(n_updates)
    for i, loss in enumerate(_updates(pairs, batch_size, extractor, reconstruction, learning_rate, in_bfloat16, n_updates)):
        losses[i] = loss
        if on_update is not None:
            on_update(loss)
    points = PretrainedPoints(
        weights={name: weight.detach().cpu().clone() for name, weight in extractor.encoder.state_dict().items()},
        n_points=extractor.n_points,
        frame_channels=channels,
        height=height,
        width=width,
        temperature=extractor.temperature,
        softmax=extractor.softmax,
        strides=geometry.strides,
        anti_aliasing=geometry.anti_aliasing,
        versions={"sb3_fpac": __version__, "torch": str(th.__version__)},
    )
    return Pretraining(points, losses, extractor, reconstruction)


def _updates(
    pairs: "_Pairs",
    batch_size: int,
    extractor: FeaturePointExtractor,
    reconstruction: Reconstruction,
    learning_rate: float,
    in_bfloat16: bool,
    n_updates: int,
) -> Iterator[float]:
    """The loss of every update"""
    device = next(extractor.parameters()).device
    optimizer = th.optim.Adam([*extractor.parameters(), *reconstruction.parameters()], lr=learning_rate)
    for i in range(n_updates):
        target, source = (frames.to(device) for frames in pairs.draw(batch_size))
        points = extractor.encode_frames(target)
        with th.autocast(device.type, th.bfloat16, enabled=in_bfloat16):
            rebuilt = reconstruction(points, source / 255)
        loss = nn.functional.mse_loss(rebuilt.float(), target / 255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not math.isfinite(loss.item()):
            raise FloatingPointError(
                f"The loss of update {i + 1} is {loss.item()}: try a learning rate below {learning_rate}."
            )
        yield loss.item()


class _Pairs:
    """Draws pairs of frames of one episode: the target from all frames, the source from the others of its episode"""

    def __init__(self, episodes: Sequence[np.ndarray], seed: int) -> None:
        check_episodes(episodes)
        pairable = [episode for episode in episodes if len(episode) > 1]
        if not pairable:
            raise ValueError("Pre-training needs at least two frames of one episode: collect more frames.")
        self.frames = th.as_tensor(np.concatenate(pairable))
        lengths = th.tensor([len(episode) for episode in pairable])
        self._lengths = lengths.repeat_interleave(lengths)
        self._firsts = (lengths.cumsum(0) - lengths).repeat_interleave(lengths)
        self._generator = th.Generator().manual_seed(seed)

    def draw(self, batch_size: int) -> tuple[th.Tensor, th.Tensor]:
        """Targets and sources, ``(B, C, H, W)`` uint8 each"""
        target = th.randint(len(self.frames), (batch_size,), generator=self._generator)
        lengths, firsts = self._lengths[target], self._firsts[target]
        further = 1 + (th.rand(batch_size, generator=self._generator) * (lengths - 1)).long()
        source = firsts + (target - firsts + further) % lengths
        return self.frames[target], self.frames[source]
