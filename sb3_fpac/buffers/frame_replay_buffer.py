"""A replay buffer that stores every frame once."""

from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import NStepReplayBuffer, ReplayBuffer
from stable_baselines3.common.preprocessing import get_obs_shape
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize

from sb3_fpac.arguments import number, whole_number
from sb3_fpac.buffers.base_frame_replay_buffer import BaseFrameReplayBuffer, References
from sb3_fpac.buffers.frame_pool import FramePool

_REFERENCE = np.int32


class FrameReplayBuffer(BaseFrameReplayBuffer, NStepReplayBuffer):
    """
    A drop-in replacement for SB3's ReplayBuffer, NStepReplayBuffer and DictReplayBuffer that stores every frame of stacked
    images once.

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

    ``observations`` and ``next_observations`` contain references instead of images: S slots of a pool of frames and, with
    camera shift, the bytes of the header. For Dict observations they have a field for every key.

    :param buffer_size: Transitions, over all environments
    :param observation_space: uint8 Box of shape ``(C, H, W)``, C = S × ``frame_channels``, plus one header plane in front if
        the stack carries camera shift; or a Dict of at least one such image and vectors
    :param action_space: Action space
    :param device: Device of the samples
    :param n_envs: Number of parallel environments
    :param optimize_memory_usage: Must be False; it is SB3's way to save memory
    :param handle_timeout_termination: As in ReplayBuffer
    :param frame_channels: Channels of one frame: 3 for RGB, 1 for grey; for several images one value, or a dict by key
    :param camera_shift: Whether the stack starts with a header plane (see :mod:`sb3_fpac.observations`), as in
        :class:`~sb3_fpac.features.extractor.FeaturePointExtractor`; for several images one value, or a dict by key
    :param n_steps: Steps of n-step returns, at least 1
    :param gamma: Discount factor of n-step returns; not needed for ``n_steps=1``
    :param storage_device: Device on which frames are stored: ``"cpu"`` or ``"cuda"``
    :raises ValueError: if the space is not such a stack, or an argument is out of range
    :raises MemoryError: if the memory of ``storage_device`` is too small for one frame per transition
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        device: th.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        frame_channels: int | dict[str, int] = 3,
        camera_shift: bool | dict[str, bool | None] | None = None,
        n_steps: int = 1,
        gamma: float = 0.99,
        storage_device: th.device | str = "cpu",
    ) -> None:
        n_steps = whole_number("n_steps", n_steps, at_least=1)
        gamma = number("gamma", gamma, at_least=0, at_most=1)
        self._make_stores(
            observation_space,
            buffer_size,
            n_envs,
            optimize_memory_usage,
            storage_device,
            frame_channels=frame_channels,
            camera_shift=camera_shift,
        )

        # SB3 stores and samples references in place of images
        n_references = 1 if isinstance(observation_space, spaces.Dict) else self.stores[None].n_references
        super().__init__(
            buffer_size,
            spaces.Box(0, np.iinfo(_REFERENCE).max, (n_references,), _REFERENCE),
            action_space,
            device,
            n_envs=n_envs,
            handle_timeout_termination=handle_timeout_termination,
            n_steps=n_steps,
            gamma=gamma,
        )
        self.observation_space = observation_space
        self.obs_shape = get_obs_shape(observation_space)  # type: ignore[assignment]
        if isinstance(observation_space, spaces.Dict):
            fields: Any = [(key, _REFERENCE, (store.n_references,)) for key, store in self.stores.items()]
            fields += [(key, observation_space[key].dtype, shape) for key, shape in self._vector_shapes.items()]
            self.observations, self.next_observations = (np.zeros(self.observations.shape, fields) for _ in range(2))

    @property
    def pool(self) -> FramePool:
        """The frames of a single image"""
        return self.stores[None].pool

    @property
    def n_frames(self) -> int:
        """S of a single image"""
        return self.stores[None].layout.n_frames

    @property
    def frame_channels(self) -> int:
        """Channels of one frame of a single image"""
        return self.stores[None].layout.frame_channels

    @property
    def camera_shift(self) -> bool:
        """Whether a single image has a header plane"""
        return self.stores[None].layout.camera_shift

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> Any:
        """
        Sample transitions, as SB3's buffers do.

        :param batch_size: B
        :param env: Normalizes observations and rewards
        :return: The batch, on :attr:`device`
        :raises ValueError: if the buffer is empty
        """
        self._check_not_empty()
        return super().sample(batch_size, env)

    def _check_not_empty(self) -> None:
        if self.size() == 0:
            raise ValueError(
                "The replay buffer is empty: store transitions, or load them with load_replay_buffer. A callback sees the "
                "first step before it is stored, so let it sample from the second one on."
            )

    def _get_samples(self, batch_inds: np.ndarray, env: VecNormalize | None = None) -> Any:
        return self._with_observations(self._references_of(batch_inds, env), env)

    def _sample_references(self, batch_size: int, env: VecNormalize | None) -> Any:
        self._check_not_empty()
        batch_inds = np.random.randint(0, self.buffer_size if self.full else self.pos, size=batch_size)  # as SB3's sample()
        return self._references_of(batch_inds, env)

    def _references_of(self, batch_inds: np.ndarray, env: VecNormalize | None) -> Any:
        samples = (
            ReplayBuffer._get_samples(self, batch_inds, env) if self.n_steps == 1 else super()._get_samples(batch_inds, env)
        )
        return samples if isinstance(samples.observations, th.Tensor) else DictReplayBufferSamples(*samples)

    def _next_rows(self, observations: np.ndarray) -> References:
        row = observations[self.pos].copy()
        return {None: row} if row.dtype.names is None else {key: row[key][:, 0] for key in row.dtype.names}

    def _as_rows(self, references: References) -> np.ndarray:
        if None in references:
            return references[None]
        row = np.empty((self.n_envs, 1), dtype=self.observations.dtype)
        for key, part in references.items():
            row[key][:, 0] = part
        return row
