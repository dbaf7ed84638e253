"""Hindsight experience replay with every frame stored once."""

import warnings
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.type_aliases import DictReplayBufferSamples
from stable_baselines3.common.vec_env import VecEnv, VecNormalize
from stable_baselines3.her import GoalSelectionStrategy, HerReplayBuffer
from stable_baselines3.her.goal_selection_strategy import KEY_TO_GOAL_STRATEGY

from sb3_fpac.arguments import number, one_of, whole_number
from sb3_fpac.buffers.base_frame_replay_buffer import BaseFrameReplayBuffer, References

_GOALS = ("achieved_goal", "desired_goal")
_N_COMPARED = 50  # rewards of real transitions


class HerFrameReplayBuffer(BaseFrameReplayBuffer, HerReplayBuffer):
    """
    A drop-in replacement for SB3's HerReplayBuffer (arXiv 1707.01495) that stores every frame of stacked images once. Its
    samples equal HerReplayBuffer's bit for bit.

    Goals are vectors, which are relabelled as in SB3; images are not relabelled. An image that shows the goal would
    contradict a relabelled one, so draw the images without it.

    :param buffer_size: Transitions, over all environments
    :param observation_space: Dict with ``achieved_goal``, ``desired_goal``, and at least one stack of images
    :param action_space: Action space
    :param env: The training environment, which has ``compute_reward``
    :param device: Device of the samples
    :param n_envs: Number of parallel environments
    :param optimize_memory_usage: Must be False; it is SB3's way to save memory
    :param handle_timeout_termination: As in ReplayBuffer
    :param n_sampled_goal: Number of relabelled transitions for each real one
    :param goal_selection_strategy: ``"future"``, ``"final"`` or ``"episode"``
    :param copy_info_dict: Whether ``compute_reward`` gets the info dicts
    :param frame_channels: Channels of one frame, one value or a dict by key
    :param camera_shift: Whether a stack starts with a header plane, one value or a dict by key
    :param gamma: Not used; FPAC passes it to all its buffers
    :param n_steps: Must be 1: SB3's HER has no n-step returns
    :param storage_device: Device on which frames are stored: ``"cpu"`` or ``"cuda"``
    :raises ValueError: if the space is no such Dict, or an argument is out of range
    :raises MemoryError: if the memory of ``storage_device`` is too small for one frame of every image per transition
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Dict,
        action_space: spaces.Space,
        env: VecEnv,
        device: th.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        n_sampled_goal: int = 4,
        goal_selection_strategy: GoalSelectionStrategy | str = "future",
        copy_info_dict: bool = False,
        frame_channels: int | dict[str, int] = 3,
        camera_shift: bool | dict[str, bool | None] | None = None,
        gamma: float = 0.99,
        n_steps: int = 1,
        storage_device: th.device | str = "cpu",
    ) -> None:
        if whole_number("n_steps", n_steps, at_least=1) > 1:
            raise ValueError(f"HER relabels single steps, got n_steps={n_steps}: pass n_steps=1.")
        if not isinstance(goal_selection_strategy, GoalSelectionStrategy):
            one_of("goal_selection_strategy", goal_selection_strategy, list(KEY_TO_GOAL_STRATEGY))
        self.gamma, self.n_steps = number("gamma", gamma, at_least=0, at_most=1), 1
        self._make_stores(
            observation_space,
            buffer_size,
            n_envs,
            optimize_memory_usage,
            storage_device,
            frame_channels=frame_channels,
            camera_shift=camera_shift,
        )
        for goal in _GOALS:
            if goal not in self._vector_shapes:
                keys = ", ".join(map(repr, observation_space)) if isinstance(observation_space, spaces.Dict) else "none"
                raise ValueError(f"HER needs the key {goal!r} with a vector; the keys are {keys}.")

        # SB3 stores, relabels and samples references in place of images
        references = {
            str(key): spaces.Box(0, np.iinfo(np.int32).max, (store.n_references,), np.int32)
            for key, store in self.stores.items()
        }
        super().__init__(
            buffer_size,
            spaces.Dict({**observation_space.spaces, **references}),
            action_space,
            env,
            device,
            n_envs=n_envs,
            handle_timeout_termination=handle_timeout_termination,
            n_sampled_goal=n_sampled_goal,
            goal_selection_strategy=goal_selection_strategy,
            copy_info_dict=copy_info_dict,
        )
        self.observation_space = observation_space
        self._rewards_are_checked = False
        self._n_compared = self._n_different = 0

    def add(  # type: ignore[override]
        self,
        obs: dict[str, np.ndarray],
        next_obs: dict[str, np.ndarray],
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """
        Add one transition of every environment, as :meth:`FrameReplayBuffer.add` does.

        :param obs: ``(n_envs, …)`` by key
        :param next_obs: As in FrameReplayBuffer
        :param action: As in FrameReplayBuffer
        :param reward: As in FrameReplayBuffer
        :param done: As in FrameReplayBuffer
        :param infos: As in FrameReplayBuffer
        :raises ValueError: as in FrameReplayBuffer; also at the first transition, if the environment has no
            ``compute_reward`` that returns a finite reward for each of several goals
        """
        if not self._rewards_are_checked:
            self._check_rewards(next_obs, infos)
        if self._n_compared < _N_COMPARED:
            self._compare_rewards(next_obs, reward, infos)
        super().add(obs, next_obs, action, reward, done, infos)

    def _check_rewards(self, obs: dict[str, np.ndarray], infos: list[dict[str, Any]]) -> None:
        """Two goals in one call, as later a batch"""
        assert self.env is not None
        if not self.env.has_attr("compute_reward"):
            raise ValueError(
                "HER asks the environment for the rewards of other goals: give it a method "
                "compute_reward(achieved_goal, desired_goal, info)."
            )
        goals = (np.repeat(obs[goal][:1], 2, axis=0) for goal in _GOALS)
        of_goals = infos[:1] * 2 if self.copy_info_dict else [{}, {}]  # as SB3 passes them
        (rewards,) = self.env.env_method("compute_reward", *goals, of_goals, indices=[0])
        if not isinstance(rewards, np.ndarray) or rewards.shape != (2,) or not np.isfinite(rewards).all():
            raise ValueError(
                f"compute_reward must return an array of one finite reward for each goal, got {rewards!r} for two goals of "
                f"{self._vector_shapes['desired_goal'][-1]} numbers: compute along the last axis, such as "
                "np.linalg.norm(achieved_goal - desired_goal, axis=-1)."
            )
        self._rewards_are_checked = True

    def _compare_rewards(self, obs: dict[str, np.ndarray], reward: np.ndarray, infos: list[dict[str, Any]]) -> None:
        """Warn if most of the first rewards are not what the environment gives for the same goals when it is asked"""
        goals = (obs[goal][:1] for goal in _GOALS)
        (of_goals,) = self.env.env_method(  # type: ignore[union-attr]
            "compute_reward", *goals, infos[:1] if self.copy_info_dict else [{}], indices=[0]
        )
        self._n_compared += 1
        self._n_different += not np.allclose(of_goals, reward[:1], rtol=1e-3, atol=1e-6)
        if self._n_compared == _N_COMPARED and self._n_different > _N_COMPARED // 2:
            warnings.warn(
                f"In {self._n_different} of {_N_COMPARED} steps the environment's reward was not that of its compute_reward, "
                f"such as {reward[0]:g} and {np.asarray(of_goals).ravel()[0]:g}: relabelled transitions get others than real "
                "ones. Let compute_reward return what step returns; wrappers that change rewards need one of their own.",
                stacklevel=2,
            )

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> DictReplayBufferSamples:  # type: ignore[override]
        """
        Sample transitions, some of them with other goals.

        :param batch_size: B
        :param env: Normalizes observations and rewards
        :return: The samples, on :attr:`device`
        :raises RuntimeError: if it contains no complete episode
        """
        return self._with_observations(self._sample_references(batch_size, env), env)

    def _sample_references(self, batch_size: int, env: VecNormalize | None) -> DictReplayBufferSamples:
        if not self.ep_length.any():
            raise RuntimeError(self._why_no_episode())
        return super().sample(batch_size, env)

    def _why_no_episode(self) -> str:
        if not self.full:
            return (
                "Hindsight needs a complete episode, and none has ended yet: raise learning_starts above the length of an "
                "episode of each environment, or limit the length with Gymnasium's TimeLimit."
            )
        return (
            f"Hindsight needs a complete episode, and an episode longer than {self.buffer_size} steps has overwritten all "
            f"others: raise buffer_size above {self.n_envs} (environments) times the length of the longest episode."
        )

    def _next_rows(self, observations: dict[str, np.ndarray]) -> References:
        return {key: rows[self.pos].copy() for key, rows in observations.items()}

    def _as_rows(self, references: References) -> References:
        return references
