"""The base class of replay buffers that store every frame once."""

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.preprocessing import get_obs_shape
from stable_baselines3.common.type_aliases import DictReplayBufferSamples, ReplayBufferSamples
from stable_baselines3.common.vec_env import VecNormalize
from stable_baselines3.her import HerReplayBuffer

from sb3_fpac.arguments import whole_number
from sb3_fpac.buffers.encoded_frames import FixedEncoder
from sb3_fpac.buffers.episodes import end_episodes, is_mid_episode
from sb3_fpac.buffers.frame_batch import FrameBatch
from sb3_fpac.buffers.frame_pool import to_device
from sb3_fpac.buffers.frame_store import FrameStore
from sb3_fpac.buffers.memory import check_memory, check_storage_device
from sb3_fpac.buffers.normalization import normalized_keys
from sb3_fpac.buffers.transitions import check_transition
from sb3_fpac.observations import (
    Layout,
    check_keys,
    check_options,
    naming,
    naming_warnings,
    options_of,
    problem_of_values,
    split_keys,
)

Samples = TypeVar("Samples", ReplayBufferSamples, DictReplayBufferSamples)

References = dict[str | None, np.ndarray]
"""What is stored of observations, by key: references to frames, and vectors; the key of a single image is None"""


class BaseFrameReplayBuffer(ReplayBuffer):
    """
    Mixin for one of SB3's replay buffers, which then stores references in place of images.

    The class of SB3 samples references: ``_normalize_obs`` and ``to_torch`` leave them as they are, and images are made and
    observations normalized afterwards.
    """

    n_steps: int
    gamma: float
    stores: dict[str | None, FrameStore]
    """The frames of every image, by key; the key of a single image is None"""

    @abstractmethod
    def _as_rows(self, references: References) -> Any:
        """References of one step, as the class of SB3 adds them"""

    @abstractmethod
    def _next_rows(self, observations: Any) -> References:
        """A copy of the references that the next step overwrites"""

    @abstractmethod
    def _sample_references(self, batch_size: int, env: VecNormalize | None) -> Any:
        """What SB3 samples: references as tensors on the CPU, or dicts of them"""

    def add(
        self,
        obs: Any,
        next_obs: Any,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """
        Add one transition of every environment.

        :param obs: ``(n_envs, C, H, W)``, or a dict of arrays ``(n_envs, …)``
        :param next_obs: As ``obs``; of an episode that ends here, its last observation
        :param action: ``(n_envs, action_dim)``
        :param reward: ``(n_envs,)``
        :param done: ``(n_envs,)``
        :param infos: One for each environment; ``"TimeLimit.truncated"`` tells time-outs
        :raises ValueError: if an observation has another shape or other keys, or its header plane contains more than camera
            shifts
        """
        added = self._put(obs, next_obs, action, reward, done, infos)
        overwritten = [self._next_rows(each) for each in (self.observations, self.next_observations)] if self.full else []
        super().add(*map(self._as_rows, added), action, reward, done, infos)  # type: ignore[call-arg]
        for key, store in self.stores.items():
            store.acquire(*(references[key] for references in added))
            store.release(*(references[key] for references in overwritten))

    def sample_frames(
        self,
        batch_size: int,
        env: VecNormalize | None = None,
        encoders: Mapping[str | None, FixedEncoder] = MappingProxyType({}),
    ) -> FrameBatch:
        """
        Sample the transitions that ``sample`` would return, with the frames that both observations share only once.

        :param batch_size: B
        :param env: Normalizes the rewards, and vectors of Dict observations
        :param encoders: Encoders of images that are to be returned encoded, by key; each frame is encoded once
        :return: The batch, on :attr:`device`
        :raises ValueError: if the buffer is empty, ``env`` normalizes images, or a next observation does not continue its
            observation
        :raises RuntimeError: with hindsight, if no episode has ended yet
        """
        images = [key for key in normalized_keys(env) if key in self.stores]
        if images:
            cure = "norm_obs=False" if images[0] is None else f"norm_obs_keys without {', '.join(map(repr, images))}"
            raise ValueError(f"sample_frames does not normalize frames: use VecNormalize({cure}), or sample().")
        return self._frame_batch(self._sample_references(batch_size, env), env, encoders)

    def _make_stores(
        self,
        space: spaces.Space,
        buffer_size: int,
        n_envs: int,
        optimize_memory_usage: bool,
        storage_device: th.device | str,
        **options: Any,
    ) -> None:
        """Options: frame_channels and camera_shift, each one value or a dict by key"""
        if optimize_memory_usage:
            raise ValueError(f"{type(self).__name__} stores every frame once anyway: leave optimize_memory_usage=False.")
        buffer_size = whole_number("buffer_size", buffer_size, at_least=1)
        n_envs = whole_number("n_envs", n_envs, at_least=1)
        n_transitions = max(buffer_size // n_envs, 1) * n_envs
        device = check_storage_device(storage_device)
        images: dict[Any, spaces.Space] = {None: space}
        vectors: dict[str, spaces.Space] = {}
        if isinstance(space, spaces.Dict):
            image_spaces, vectors = split_keys(space)
            images = dict(image_spaces)
        check_options(options, [key for key in images if key is not None])
        self.stores = {}
        for key, image in images.items():
            kwargs = {"frame_channels": 3, "camera_shift": None, **options_of(key, options)}
            with naming(key), naming_warnings(key):
                self.stores[key] = FrameStore(image, n_envs=n_envs, n_transitions=n_transitions, device=device, **kwargs)
        self._vector_shapes = {key: cast(tuple[int, ...], get_obs_shape(vector)) for key, vector in vectors.items()}
        check_memory(n_transitions, list(self.layouts.values()), vectors, device)

    @property
    def layouts(self) -> dict[str | None, Layout]:
        """What every image is taken for, by key; the key of a single image is None"""
        return {key: store.layout for key, store in self.stores.items()}

    def _put(
        self, obs: Any, next_obs: Any, action: np.ndarray, reward: np.ndarray, done: np.ndarray, infos: Any
    ) -> tuple[References, References]:
        """Store the frames of a transition and return references to them; store nothing if a part does not fit"""
        check_transition(action, reward, done, infos, self.n_envs, self.action_space)
        if isinstance(self.observation_space, spaces.Dict):
            for observation in (obs, next_obs):
                check_keys(observation, self.observation_space)
        references: References = {}
        next_references: References = {}
        for vector_key, shape in self._vector_shapes.items():
            for of_observation, observation in ((references, obs), (next_references, next_obs)):
                of_observation[vector_key] = self._vector(vector_key, observation[vector_key], shape)
        stacks = {}
        for key, store in self.stores.items():  # all before the first frame is stored
            with naming(key):
                stacks[key] = [store.split(each) for each in ((obs, next_obs) if key is None else (obs[key], next_obs[key]))]
        self._end_left_episodes({key: obs_parts for key, (obs_parts, _) in stacks.items()})
        for key, store in self.stores.items():
            references[key], next_references[key] = store.put(*stacks[key])
        return references, next_references

    def _end_left_episodes(self, obs: dict[str | None, tuple[np.ndarray, np.ndarray]]) -> None:
        """End episodes whose last transition was not marked: n-step returns and hindsight would continue into the next one"""
        are_next = np.all(
            [store.are_latest(frames) for store, (frames, _) in zip(self.stores.values(), obs.values(), strict=True)], axis=0
        )
        if not (is_mid_episode(self) & ~are_next).any():
            return
        if self.n_steps > 1 or isinstance(self, HerReplayBuffer):
            warnings.warn(
                "An observation is not the next observation of the transition before, which has done=False: its episode is "
                "taken to end there, as by a time-out. Mark the last transition of every episode: done=True, and "
                'infos[i]["TimeLimit.truncated"]=True unless it has terminated.',
                stacklevel=4,
            )
        end_episodes(self)

    def _vector(self, key: str, vector: Any, shape: tuple[int, ...]) -> np.ndarray:
        vector = np.asarray(vector)
        if vector.size != self.n_envs * int(np.prod(shape)):
            raise ValueError(f"{key!r} must have the shape {(self.n_envs, *shape)}, got {vector.shape}.")
        problem = problem_of_values(vector, cast(spaces.Dict, self.observation_space)[key])
        if problem is not None:
            raise ValueError(f"A transition has {key!r} with {problem}: correct it, or leave the transition out.")
        return vector.reshape(self.n_envs, *shape)

    def reset(self) -> None:
        """Forget all transitions and free their frames."""
        super().reset()
        for store in self.stores.values():
            store.reset()

    def to_torch(self, array: Any, copy: bool = True) -> Any:
        """
        Convert an array to a tensor, as SB3 does, without waiting for a CUDA device.

        :param array: Array to convert; a tensor, or a dict of tensors, is returned unchanged
        :param copy: Whether to copy the data, on the CPU
        :return: The tensor
        """
        if isinstance(array, (th.Tensor, dict)):
            return array
        return to_device(th.tensor(array) if copy else th.as_tensor(array), self.device)

    @staticmethod
    def _normalize_obs(obs: Any, env: VecNormalize | None = None) -> Any:
        """References stay as they are: tensors on the CPU"""
        if isinstance(obs, dict):
            return {key: th.from_numpy(np.ascontiguousarray(part)) for key, part in obs.items()}
        if obs.dtype.names is not None:
            return {key: th.from_numpy(np.ascontiguousarray(obs[key][:, 0])) for key in obs.dtype.names}
        return th.from_numpy(obs)

    def _with_observations(self, samples: Samples, env: VecNormalize | None) -> Samples:
        """Samples of references → samples of observations"""
        return samples._replace(
            observations=self._observations(samples.observations, env),
            next_observations=self._observations(samples.next_observations, env),
        )

    def _observations(self, references: Any, env: VecNormalize | None) -> Any:
        if isinstance(references, th.Tensor):
            images = self.stores[None].images(references.numpy(), self.device)
            return self._normalized({None: images}, env)[None]
        observations = {
            key: self.stores[key].images(part.numpy(), self.device) if key in self.stores else part
            for key, part in references.items()
        }
        return self._normalized(observations, env)

    def _normalized(self, observations: dict[Any, th.Tensor], env: VecNormalize | None) -> dict[Any, th.Tensor]:
        """On the device, and normalized as VecNormalize normalizes them"""
        keys = normalized_keys(env)
        if env is not None and keys:
            arrays: dict[Any, np.ndarray] = {key: observations[key].cpu().numpy() for key in keys}
            normalized: Any = {None: env.normalize_obs(arrays[None])} if None in arrays else env.normalize_obs(arrays)
            observations |= {key: th.tensor(normalized[key]) for key in keys}
        return {key: to_device(tensor, self.device) for key, tensor in observations.items()}

    def _frame_batch(self, samples: Any, env: VecNormalize | None, encoders: Mapping[str | None, FixedEncoder]) -> FrameBatch:
        """Samples of references → a batch of frames"""
        references: Any
        next_references: Any
        references, next_references = (
            {None: part} if isinstance(part, th.Tensor) else part for part in (samples.observations, samples.next_observations)
        )
        frames, camera_shifts = {}, {}
        for key, store in self.stores.items():
            with naming(key):
                frames[key], camera_shifts[key] = store.frames(
                    references[key].numpy(), next_references[key].numpy(), self.n_steps == 1, self.device, encoders.get(key)
                )
        vectors, next_vectors = (
            self._normalized({key: of_observations[key] for key in self._vector_shapes}, env)
            for of_observations in (references, next_references)
        )
        return FrameBatch(
            frames.get(None, frames),
            camera_shifts.get(None, None if None in frames else camera_shifts),
            samples.actions,
            samples.rewards,
            samples.dones,
            samples.discounts,
            vectors,
            next_vectors,
        )
