"""Stores the frames of one image, each once, and hands out references to them."""

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces

from sb3_fpac.buffers.encoded_frames import EncodedFrames, FixedEncoder
from sb3_fpac.buffers.frame_pool import FramePool, to_device
from sb3_fpac.observations import (
    Layout,
    check_is_bytes,
    decode_camera_shift,
    has_channels_first,
    problem_of_header,
    read_layout,
)


class FrameStore:
    """
    The frames of one image of the observations of several environments.

    An observation is a row of references: S slots of :attr:`pool` and, with camera shift, the bytes of the header.

    :param space: uint8 Box of shape ``(C, H, W)``
    :param frame_channels: Channels of one frame
    :param camera_shift: Whether the stack starts with a header plane; None: as in :func:`~sb3_fpac.observations.read_layout`
    :param n_envs: Number of parallel environments
    :param n_transitions: Expected number of transitions, over all environments
    :param device: Where the frames are stored
    :raises ValueError: if the space is no such stack
    """

    _last_frames: np.ndarray  # of the latest next observations: (n_envs, S, c, H, W), or (n_envs, 0, c, H, W) at first
    _last_slots: np.ndarray  # of these frames: (n_envs, S), or (n_envs, 0) at first
    _kept: list[int]  # slots of the latest transition

    def __init__(
        self,
        space: spaces.Space,
        frame_channels: int,
        camera_shift: bool | None,
        n_envs: int,
        n_transitions: int,
        device: th.device,
    ) -> None:
        shape = space.shape or ()
        if len(shape) == 3 and not has_channels_first(shape):
            raise ValueError(f"FrameReplayBuffer needs the channels first, got {space}: use VecTransposeImage.")
        self.layout: Layout = read_layout(space, frame_channels, camera_shift)
        self.shape, self.n_envs, self.n_frames = (n_envs, *shape), n_envs, self.layout.n_frames
        frame_shape = (self.layout.frame_channels, self.layout.height, self.layout.width)
        self.n_header_bytes = 4 * (self.n_frames - 1) if self.layout.camera_shift else 0
        self.n_references = self.n_frames + self.n_header_bytes
        self.pool = FramePool(frame_shape, device, n_transitions + (self.n_frames + 1) * n_envs)
        self._encoded = EncodedFrames(self.pool)
        self._forget_last()

    def split(self, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Check observations, and take them apart.

        :param obs: ``(n_envs, C, H, W)``
        :return: Frames ``(n_envs, S, c, H, W)`` and the header's bytes, ``(n_envs, 4 (S − 1))`` or ``(n_envs, 0)``; uint8
        :raises ValueError: if an observation has another shape, or its header plane contains more than camera shifts
        """
        check_is_bytes(obs)
        obs = np.array(obs, order="C")  # a copy, since an environment may draw into the same memory
        if obs.shape != self.shape:
            raise ValueError(f"Observations must have the shape {self.shape}, got {obs.shape}.")
        n_planes = int(self.layout.camera_shift)
        plane = obs[:, :n_planes].reshape(self.n_envs, -1)
        problem = problem_of_header(plane, self.n_frames - 1) if n_planes else None
        if problem is not None:
            raise ValueError(problem)
        frames = obs[:, n_planes:].reshape(self.n_envs, self.n_frames, *self.pool.frame_shape)
        return frames, plane[:, : self.n_header_bytes]

    def put(
        self, obs: tuple[np.ndarray, np.ndarray], next_obs: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """
        Store the frames of a transition that are new. They are kept until the next transition, or for as long as
        :meth:`acquire` keeps them.

        :param obs: Observations, as :meth:`split` returns them
        :param next_obs: The next ones
        :return: References to the observations and to the next ones, int32, ``(n_envs, n_references)`` each
        """
        (frames, header), (next_frames, next_header) = obs, next_obs
        slots = np.empty((2, self.n_envs, self.n_frames), dtype=np.int32)
        for i in range(self.n_envs):
            slots[0, i] = self._put(frames[i], self._last_frames[i], self._last_slots[i])
            slots[1, i] = self._put(next_frames[i], frames[i, 1:], slots[0, i, 1:])
        self._keep(next_frames, slots[1], slots.ravel().tolist())
        references, next_references = (
            np.concatenate(parts, axis=1) for parts in zip(slots, (header, next_header), strict=True)
        )
        return references, next_references

    def are_latest(self, frames: np.ndarray) -> np.ndarray:
        """
        Check which stacks are the next observations of the latest transition.

        :param frames: ``(n_envs, S, c, H, W)``
        :return: ``(n_envs,)`` bool
        """
        return np.array([np.array_equal(*pair) for pair in zip(frames, self._last_frames, strict=True)])

    def are_continued(self, obs: np.ndarray, next_obs: np.ndarray) -> np.ndarray:
        """
        Check which stacks have the frames of the stacks before, without the oldest.

        :param obs: ``(n_envs, C, H, W)``
        :param next_obs: ``(n_envs, C, H, W)``
        :return: ``(n_envs,)`` bool
        """
        first, n_channels = int(self.layout.camera_shift), self.layout.frame_channels
        parts = zip(obs[:, first + n_channels :], next_obs[:, first : next_obs.shape[1] - n_channels], strict=True)
        return np.array([np.array_equal(*part) for part in parts])

    def continuations(self, obs: np.ndarray, next_obs: np.ndarray, where: np.ndarray) -> np.ndarray:
        """
        Replace stacks by those that continue the stacks before: with all but their oldest frame, and the newest frame.

        :param obs: ``(n_envs, C, H, W)``
        :param next_obs: ``(n_envs, C, H, W)``
        :param where: ``(n_envs,)`` bool: which of the next observations are replaced
        :return: ``(n_envs, C, H, W)``
        """
        if not where.any():
            return next_obs
        first, n_channels = int(self.layout.camera_shift), self.layout.frame_channels
        replaced = np.array(next_obs)
        replaced[where, first : next_obs.shape[1] - n_channels] = obs[where, first + n_channels :]
        return replaced

    def not_continued(self) -> ValueError:
        """The error for stacks that do not continue those before"""
        return ValueError(
            "The observations are not stacks of frames, because the next observations do not continue them: stack frames "
            "oldest first, as FrameStack does, repeat actions and change pixels below it, and check "
            f"frame_channels={self.layout.frame_channels} and camera_shift={self.layout.camera_shift}. If they are several "
            "cameras, join these along the channels and pass frame_channels for all of them, or give each a key of its own."
        )

    def acquire(self, *references: np.ndarray) -> None:
        """
        Keep the frames of references until they are released.

        :param references: ``(n_envs, n_references)``
        """
        for part in references:
            self.pool.acquire(part[..., : self.n_frames].ravel().tolist())

    def release(self, *references: np.ndarray) -> None:
        """
        Forget references that were acquired, and free the frames to which there are no others.

        :param references: ``(n_envs, n_references)``
        """
        for part in references:
            self.pool.release(part[..., : self.n_frames].ravel().tolist())

    def reset(self) -> None:
        """Forget all frames and free their memory."""
        self.pool.clear()
        self._forget_last()

    def some_frames(self, n_frames: int) -> np.ndarray:
        """
        Return frames that are evenly spread over those that have been stored.

        :param n_frames: At most so many
        :return: ``(N, c, H, W)`` uint8
        """
        slots = np.linspace(0, self.pool.n_slots - 1, min(n_frames, self.pool.n_slots)).astype(int)
        return self.pool.gather(slots[:, None], th.device("cpu")).numpy()

    def images(self, references: np.ndarray, device: th.device) -> th.Tensor:
        """
        Make the images again.

        :param references: ``(B, n_references)``
        :param device: Device of the result
        :return: ``(B, C, H, W)`` uint8
        """
        camera_shift = self.layout.camera_shift
        images = self.pool.gather(references[:, : self.n_frames], device, n_header_planes=int(camera_shift))
        if camera_shift:
            header = th.from_numpy(references[:, self.n_frames :].astype(np.uint8))
            images[:, 0].flatten(1)[:, : header.shape[1]] = to_device(header, device)
        return images

    def frames(
        self,
        references: np.ndarray,
        next_references: np.ndarray,
        one_step: bool,
        device: th.device,
        encoder: FixedEncoder | None = None,
    ) -> tuple[th.Tensor, th.Tensor | None]:
        """
        Make the frames of transitions, those that both observations share only once.

        :param references: ``(B, n_references)``
        :param next_references: ``(B, n_references)``
        :param one_step: Whether the next observations follow after one step
        :param device: Device of the result
        :param encoder: Encodes the frames, if they are to be encoded
        :return: Frames and camera shifts, as in :class:`~sb3_fpac.buffers.FrameBatch`
        :raises ValueError: if the next observations should continue the observations, and do not
        """
        slots, next_slots = references[:, : self.n_frames], next_references[:, : self.n_frames]
        if one_step:
            if not np.array_equal(slots[:, 1:], next_slots[:, :-1]):
                raise self.not_continued()
            next_slots = next_slots[:, -1:]
        all_slots = np.concatenate([slots, next_slots], axis=1)
        if encoder is None:
            frames = self.pool.gather(all_slots, device).unflatten(1, (-1, self.layout.frame_channels))
        else:
            frames = self._encoded.gather(all_slots, encoder, device)
        camera_shifts = None
        if self.layout.camera_shift:
            header = th.from_numpy(np.stack([references, next_references], axis=1)[:, :, None, self.n_frames :])
            camera_shifts = to_device(decode_camera_shift(header, self.n_frames - 1), device)
        return frames, camera_shifts

    def _put(self, frames: np.ndarray, known_frames: np.ndarray, known_slots: np.ndarray) -> list[int]:
        """Slots of a stack: that of the known frame in its place or of the previous frame if equal, otherwise a new one"""
        slots: list[int] = []
        for i, frame in enumerate(frames):
            if i < len(known_frames) and np.array_equal(frame, known_frames[i]):
                slots.append(int(known_slots[i]))
            elif i > 0 and np.array_equal(frame, frames[i - 1]):
                slots.append(slots[-1])
            else:
                slots.append(self.pool.put(frame))
        return slots

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_encoded"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._encoded = EncodedFrames(self.pool)

    def _keep(self, next_frames: np.ndarray, next_slots: np.ndarray, slots: list[int]) -> None:
        """Remember the next observations, and hold all slots of the transition in place of those of the one before"""
        self.pool.acquire(slots)
        self.pool.release(self._kept)
        self._last_frames, self._last_slots, self._kept = next_frames, next_slots, slots

    def _forget_last(self) -> None:
        self._last_frames = np.empty((self.n_envs, 0, *self.pool.frame_shape), dtype=np.uint8)
        self._last_slots = np.empty((self.n_envs, 0), dtype=np.int32)
        self._kept = []
