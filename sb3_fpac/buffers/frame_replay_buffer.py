"""A replay buffer that stores every frame once."""

from typing import Any, cast

import numpy as np
import psutil
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from sb3_fpac.arguments import number, whole_number
from sb3_fpac.buffers.frame_batch import FrameBatch
from sb3_fpac.buffers.frame_pool import FramePool, to_device
from sb3_fpac.observations import decode_camera_shift, has_channels_first, read_layout


class FrameReplayBuffer(NStepReplayBuffer):
    """
    A drop-in replacement for SB3's ReplayBuffer and NStepReplayBuffer that stores every frame of stacked images once.

    Its samples equal theirs bit for bit, including time-outs. A transition of a stack of S frames needs memory for one new
    frame instead of 2S: 2.1 GB instead of 8.5 GB for 100k transitions of two 84×84 RGB frames. Memory is allocated as the
    buffer fills. Observations that are not stacks of frames can be stored too, with up to 2S frames per transition.

    Pass it to SAC, TQC, TD3 or DQN as ``replay_buffer_class=FrameReplayBuffer``, and for grey frames
    ``replay_buffer_kwargs=dict(frame_channels=1)``.

    >>> space = spaces.Box(0, 255, (6, 84, 84), np.uint8)
    >>> buffer = FrameReplayBuffer(1000, space, spaces.Box(-1, 1, (2,)))
    >>> for _ in range(10):
    ...     stack = space.sample()[None]
    ...     buffer.add(stack, np.roll(stack, -3, axis=1), np.zeros((1, 2)), np.zeros(1), np.zeros(1), [{}])
    >>> buffer.sample(4).observations.shape, buffer.sample_frames(4).frames.shape
    (torch.Size([4, 6, 84, 84]), torch.Size([4, 3, 3, 84, 84]))

    ``observations`` and ``next_observations`` contain references instead of images: S slots of :attr:`pool` and, with camera
    shift, the bytes of the header.

    :param buffer_size: Transitions, over all environments
    :param observation_space: uint8 Box of shape ``(C, H, W)``, C = S × ``frame_channels``, plus one header plane in front if
        the stack carries camera shift
    :param action_space: Action space
    :param device: Device of the samples
    :param n_envs: Number of parallel environments
    :param optimize_memory_usage: Must be False; it is SB3's way to save memory
    :param handle_timeout_termination: As in ReplayBuffer
    :param frame_channels: Channels of one frame: 3 for RGB, 1 for grey
    :param camera_shift: Whether the stack starts with a header plane (see :mod:`sb3_fpac.observations`), as in
        :class:`~sb3_fpac.features.extractor.FeaturePointExtractor`
    :param n_steps: Steps of n-step returns, at least 1
    :param gamma: Discount factor of n-step returns; not needed for ``n_steps=1``
    :param storage_device: Device on which frames are stored: ``"cpu"`` or ``"cuda"``
    :raises ValueError: if the space is not such a stack, or an argument is out of range
    :raises MemoryError: if the memory of ``storage_device`` is too small for one frame per transition
    """

    _last_frames: np.ndarray  # of the latest next observations: (n_envs, S, c, H, W), or (n_envs, 0, c, H, W) at first

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        device: th.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        frame_channels: int = 3,
        camera_shift: bool | None = None,
        n_steps: int = 1,
        gamma: float = 0.99,
        storage_device: th.device | str = "cpu",
    ) -> None:
        if isinstance(observation_space, spaces.Dict):
            raise ValueError("FrameReplayBuffer stores a single image, not Dict observations: use SB3's DictReplayBuffer.")
        shape = observation_space.shape or ()
        if len(shape) == 3 and not has_channels_first(shape):
            raise ValueError(f"FrameReplayBuffer needs the channels first, got {observation_space}: use VecTransposeImage.")
        layout = read_layout(observation_space, frame_channels, camera_shift)
        assert isinstance(observation_space, spaces.Box)
        if optimize_memory_usage:
            raise ValueError("FrameReplayBuffer stores every frame once anyway: leave optimize_memory_usage=False.")
        buffer_size = whole_number("buffer_size", buffer_size, at_least=1)
        n_envs = whole_number("n_envs", n_envs, at_least=1)
        n_steps = whole_number("n_steps", n_steps, at_least=1)
        gamma = number("gamma", gamma, at_least=0, at_most=1)
        storage_device = _checked_device(storage_device)
        n_frames = layout.n_frames
        frame_shape = (layout.frame_channels, layout.height, layout.width)
        n_header_bytes = 4 * (n_frames - 1) if layout.camera_shift else 0
        n_transitions = max(buffer_size // n_envs, 1) * n_envs
        _check_memory(n_transitions, frame_shape, storage_device)

        # SB3 stores and samples references in place of images
        references = spaces.Box(0, np.iinfo(np.int32).max, (n_frames + n_header_bytes,), np.int32)
        super().__init__(
            buffer_size,
            references,
            action_space,
            device,
            n_envs=n_envs,
            handle_timeout_termination=handle_timeout_termination,
            n_steps=n_steps,
            gamma=gamma,
        )
        self.observation_space = observation_space
        self.obs_shape = observation_space.shape
        self.n_frames, self.frame_channels, self.camera_shift = layout[:3]
        self.pool = FramePool(frame_shape, storage_device, n_transitions + (n_frames + 1) * n_envs)
        self._forget_last_frames()

    def add(
        self,
        obs: np.ndarray,
        next_obs: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """
        Add one transition of every environment.

        :param obs: ``(n_envs, C, H, W)``
        :param next_obs: ``(n_envs, C, H, W)``; of an episode that ends here, its last observation
        :param action: ``(n_envs, action_dim)``
        :param reward: ``(n_envs,)``
        :param done: ``(n_envs,)``
        :param infos: One for each environment; ``"TimeLimit.truncated"`` tells time-outs
        :raises ValueError: if an observation has another shape, or its header plane contains more than camera shifts
        """
        frames, header = self._split(obs)
        next_frames, next_header = self._split(next_obs)
        slots = np.empty((2, self.n_envs, self.n_frames), dtype=np.int32)
        last_slots = self.next_observations[self.pos - 1]
        for i in range(self.n_envs):
            slots[0, i] = self._put(frames[i], self._last_frames[i], last_slots[i])
            slots[1, i] = self._put(next_frames[i], frames[i, 1:], slots[0, i, 1:])
        overwritten = self._slots_at(self.pos) if self.full else []

        references, next_references = (
            np.concatenate(parts, axis=1) for parts in zip(slots, (header, next_header), strict=True)
        )
        super().add(references, next_references, action, reward, done, infos)
        self.pool.acquire(slots.ravel().tolist())
        self.pool.release(overwritten)
        self._last_frames = next_frames

    def reset(self) -> None:
        """Forget all transitions and free their frames."""
        super().reset()
        self.pool.clear()
        self._forget_last_frames()

    def sample_frames(self, batch_size: int, env: VecNormalize | None = None) -> FrameBatch:
        """
        Sample the transitions that :meth:`sample` would return, with the frames that both observations share only once.

        :param batch_size: B
        :param env: Normalizes the rewards
        :return: The batch, on :attr:`device`
        :raises ValueError: if ``env`` normalizes observations, or a next observation does not continue its observation
        """
        if env is not None and env.norm_obs:
            raise ValueError("sample_frames does not normalize frames: use VecNormalize(norm_obs=False), or sample().")
        batch_inds = np.random.randint(0, self.buffer_size if self.full else self.pos, size=batch_size)  # as SB3's sample()
        samples = self._get_references(batch_inds, env)
        references, next_references = samples.observations.numpy(), samples.next_observations.numpy()
        slots, next_slots = references[:, : self.n_frames], next_references[:, : self.n_frames]
        if self.n_steps == 1:
            if not np.array_equal(slots[:, 1:], next_slots[:, :-1]):
                raise ValueError(
                    "The observations are not stacks of frames, because the next observations do not continue them: stack "
                    "frames oldest first, as FrameStack does, repeat actions below it, and check "
                    f"frame_channels={self.frame_channels}."
                )
            next_slots = next_slots[:, -1:]
        frames = self.pool.gather(np.concatenate([slots, next_slots], axis=1), self.device)
        camera_shifts = None
        if self.camera_shift:
            header = th.from_numpy(np.stack([references, next_references], axis=1)[:, :, None, self.n_frames :])
            camera_shifts = to_device(decode_camera_shift(header, self.n_frames - 1), self.device)
        return FrameBatch(
            frames.unflatten(1, (-1, self.frame_channels)),
            camera_shifts,
            samples.actions,
            samples.rewards,
            samples.dones,
            samples.discounts,
        )

    def to_torch(self, array: np.ndarray | th.Tensor, copy: bool = True) -> th.Tensor:
        """
        Convert an array to a tensor, as SB3 does, without waiting for a CUDA device.

        :param array: Array to convert; a tensor is returned unchanged
        :param copy: Whether to copy the data, on the CPU
        :return: The tensor
        """
        if isinstance(array, th.Tensor):
            return array
        return to_device(th.tensor(array) if copy else th.as_tensor(array), self.device)

    def _get_samples(self, batch_inds: np.ndarray, env: VecNormalize | None = None) -> ReplayBufferSamples:
        samples = self._get_references(batch_inds, env)
        images, next_images = (
            self._images(references.numpy(), env) for references in (samples.observations, samples.next_observations)
        )
        return samples._replace(observations=images, next_observations=next_images)

    def _get_references(self, batch_inds: np.ndarray, env: VecNormalize | None) -> ReplayBufferSamples:
        """SB3's samples, whose observations are references: int32 tensors on the CPU"""
        if self.n_steps == 1:
            return ReplayBuffer._get_samples(self, batch_inds, env)
        return super()._get_samples(batch_inds, env)

    @staticmethod
    def _normalize_obs(references: np.ndarray, env: VecNormalize | None = None) -> th.Tensor:  # type: ignore[override]
        """References stay as they are: images are normalized where they are made"""
        return th.from_numpy(references)

    def _images(self, references: np.ndarray, env: VecNormalize | None) -> th.Tensor:
        """(B, references) → (B, C, H, W), on the device; normalized if VecNormalize normalizes observations"""
        images = self.pool.gather(references[:, : self.n_frames], self.device, n_header_planes=int(self.camera_shift))
        if self.camera_shift:
            header = th.from_numpy(references[:, self.n_frames :].astype(np.uint8))
            images[:, 0].flatten(1)[:, : header.shape[1]] = to_device(header, self.device)
        if env is None or not env.norm_obs:
            return images
        return self.to_torch(cast(np.ndarray, env.normalize_obs(images.cpu().numpy())))

    def _split(self, obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n_envs, C, H, W) → frames, (n_envs, S, c, H, W), and the header's bytes, (n_envs, 4 (S − 1)) or (n_envs, 0)"""
        obs = np.array(obs, dtype=np.uint8, order="C")  # a copy, since an environment may draw into the same memory
        if obs.shape != (self.n_envs, *self.obs_shape):
            raise ValueError(f"Observations must have the shape {(self.n_envs, *self.obs_shape)}, got {obs.shape}.")
        plane = obs[:, : int(self.camera_shift)].reshape(self.n_envs, -1)
        n_header_bytes = self.observations.shape[-1] - self.n_frames
        if plane[:, n_header_bytes:].any():
            raise ValueError(
                f"The first plane of an observation contains more than the camera shift of {self.n_frames - 1} past frames: "
                "pass camera_shift=False if it is part of the image."
            )
        frames = obs[:, int(self.camera_shift) :].reshape(self.n_envs, self.n_frames, *self.pool.frame_shape)
        return frames, plane[:, :n_header_bytes]

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

    def _slots_at(self, pos: int) -> list[int]:
        both = (self.observations[pos, :, : self.n_frames], self.next_observations[pos, :, : self.n_frames])
        return np.concatenate(both).ravel().tolist()

    def _forget_last_frames(self) -> None:
        self._last_frames = np.empty((self.n_envs, 0, *self.pool.frame_shape), dtype=np.uint8)


def _checked_device(device: th.device | str) -> th.device:
    device = th.device(device)
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"storage_device must be 'cpu' or 'cuda', got '{device}'.")
    if device.type == "cuda" and not th.cuda.is_available():
        raise ValueError(f"storage_device='{device}' needs a CUDA GPU, and there is none: use storage_device='cpu'.")
    return device


def _check_memory(n_frames: int, frame_shape: tuple[int, int, int], device: th.device) -> None:
    needed = n_frames * int(np.prod(frame_shape))
    available = psutil.virtual_memory().available if device.type == "cpu" else th.cuda.mem_get_info(device)[0]
    if needed > available:
        channels, height, width = frame_shape
        raise MemoryError(
            f"{n_frames} frames of {channels}×{height}×{width} bytes need {needed / 1e9:.3g} GB, but {available / 1e9:.3g} GB "
            f"are available on {device}: choose a smaller buffer_size."
        )
