"""Records what an agent with feature points sees and does in an episode, as arrays."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, unwrap_vec_normalize

from sb3_fpac.arguments import whole_number
from sb3_fpac.checks.environments import check_normalized
from sb3_fpac.features.extractor import FeaturePointExtractor
from sb3_fpac.visualization.agents import Observations, encoder_input, find_images, image_of
from sb3_fpac.visualization.normalization import share_statistics

Indices = Sequence[int] | np.ndarray

_DrawArguments = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class View:
    """What an agent sees in T steps with one camera: frames of H×W pixels with C channels, and K feature points."""

    frames: np.ndarray
    """``(T, H, W, C)`` uint8: the current frame of every observation"""
    points: np.ndarray
    """``(T, K, 3)``: x, y, m of the current frame, x and y in [-1, 1]"""
    positions: np.ndarray
    """``(T, K, 2)``: the same points, x and y in pixels of the frame; (0, 0) is the middle of the upper left pixel"""
    past_positions: np.ndarray
    """``(T, K, 2)``: the points of the previous frame, seen by the current camera; equal to positions for a single frame"""

    def draw_arguments(self, at: int | slice | np.ndarray) -> _DrawArguments:
        """
        Return the arguments of :func:`~sb3_fpac.visualization.draw_points` (for one step) or
        :func:`~sb3_fpac.visualization.draw_strip` (for several).

        :param at: Index of a step, or of several
        :return: Frames ``(H, W, C)``, positions ``(K, 2)``, presences ``(K,)`` and past positions ``(K, 2)``; for several
            steps, with their axis in front
        """
        return self.frames[at], self.positions[at], self.points[at][..., 2], self.past_positions[at]

    @property
    def speeds(self) -> np.ndarray:
        """``(T, K)``: how far every point moved since the previous frame, in pixels, compensated for camera shift"""
        return np.linalg.norm(self.positions - self.past_positions, axis=-1)


@dataclass(frozen=True)
class Episode:
    """T steps of an agent with feature points. If it has one camera, the attributes of its :class:`View` are here, too."""

    observations: Observations
    """``(T, …)``: the observations as ``model.predict`` takes them; for a Dict space, a dict of arrays"""
    views: dict[str | None, View]
    """What each camera saw, by key in alphabetical order; the key of a single image is None"""
    actions: np.ndarray
    """``(T, A)``, or ``(T,)`` for discrete actions"""
    rewards: np.ndarray
    """``(T,)``"""

    @property
    def view(self) -> View:
        """
        The view of the only camera.

        :raises ValueError: if there are several
        """
        if len(self.views) > 1:
            first, *_ = keys = [repr(key) for key in self.views]
            raise ValueError(f"The agent has the cameras {', '.join(keys)}: choose one, such as episode.views[{first}].")
        return next(iter(self.views.values()))

    @property
    def frames(self) -> np.ndarray:
        """Of the only camera, see :attr:`View.frames`"""
        return self.view.frames

    @property
    def points(self) -> np.ndarray:
        """Of the only camera, see :attr:`View.points`"""
        return self.view.points

    @property
    def positions(self) -> np.ndarray:
        """Of the only camera, see :attr:`View.positions`"""
        return self.view.positions

    @property
    def past_positions(self) -> np.ndarray:
        """Of the only camera, see :attr:`View.past_positions`"""
        return self.view.past_positions

    @property
    def speeds(self) -> np.ndarray:
        """Of the only camera, see :attr:`View.speeds`"""
        return self.view.speeds

    def draw_arguments(self, at: int | slice | np.ndarray) -> _DrawArguments:
        """
        Return those of the only camera.

        :param at: Index of a step, or of several
        :return: As :meth:`View.draw_arguments`
        """
        return self.view.draw_arguments(at)

    def numbers_in_views(self, indices: Indices | None = None) -> dict[str | None, np.ndarray]:
        """
        Translate indices of points, which count on from view to view, to the numbers of the points in each view.

        :param indices: Indices, as :class:`~sb3_fpac.visualization.PointRanking` has them; None: all
        :return: ``(k,)`` for every view
        :raises ValueError: if there is no such point
        """
        ends = np.cumsum([view.points.shape[1] for view in self.views.values()])
        chosen = np.arange(ends[-1]) if indices is None else np.asarray(indices, dtype=int)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < ends[-1]:
            raise ValueError(
                f"The agent has {ends[-1]} points, got the indices {chosen.tolist()}: leave out the others, which may be "
                "entries of vectors."
            )
        starts = [0, *ends[:-1]]
        return {
            key: chosen[(chosen >= start) & (chosen < end)] - start
            for key, start, end in zip(self.views, starts, ends, strict=True)
        }


def record_episode(
    model: BaseAlgorithm,
    env: gym.Env | VecEnv,
    deterministic: bool = True,
    max_steps: int | None = None,
    on_step: Callable[[], object] | None = None,
) -> Episode:
    """
    Play one episode and record what the agent sees.

    :param model: Any SB3 algorithm with feature points; MaskablePPO gets the masks of the environment
    :param env: An environment with the observations that the agent was trained on; vectorized ones must have one environment.
        Without a VecNormalize, it gets the statistics of the agent's, if that has one.
    :param deterministic: Whether the agent takes the mean action
    :param max_steps: Maximum number of agent steps; None: no limit
    :param on_step: Called after every step, for example by a progress bar
    :return: The episode
    :raises ValueError: if ``env`` is no environment, the agent has no feature points, the observations are not the agent's,
        there are several environments, ``max_steps`` is less than 1, a reward is not finite, or the statistics of VecNormalize
        are missing
    """
    if max_steps is not None:
        max_steps = whole_number("max_steps", max_steps, at_least=1)
    if not isinstance(env, (gym.Env, VecEnv)):
        made = f"gymnasium.make({env!r})" if isinstance(env, str) else "what gymnasium.make returns"
        raise ValueError(f"An episode is recorded from an environment or a VecEnv, got {env!r}: pass {made}.")
    if not isinstance(env, VecEnv):
        single = env
        env = DummyVecEnv([lambda: single])
    if env.num_envs != 1:
        raise ValueError(f"An episode is recorded from one environment, got {env.num_envs}.")
    env = _as_in_training(env, model)
    images = find_images(model)
    is_masked = isinstance(model, MaskablePPO) and is_masking_supported(env)
    observations: list[Observations] = []
    seen: dict[str | None, list[tuple[np.ndarray, ...]]] = {key: [] for key in images}
    actions: list[np.ndarray] = []
    rewards: list[float] = []
    obs, state, over = env.reset(), None, False
    while not over and (max_steps is None or len(rewards) < max_steps):
        assert isinstance(obs, (np.ndarray, dict))
        observations.append(deepcopy(obs))  # some environments write the next one into it
        start = np.array([len(rewards) == 0])
        masks = dict(action_masks=get_action_masks(env)) if is_masked else {}
        action, state = model.predict(obs, state=state, episode_start=start, deterministic=deterministic, **masks)
        inputs = encoder_input(model, obs)
        for key, extractor in images.items():
            seen[key].append(_see(extractor, image_of(inputs, key)))
        obs, reward, done, _ = env.step(action)
        if not np.isfinite(reward[0]):
            raise ValueError(f"The environment returned the reward {reward[0]} at step {len(rewards) + 1} of the episode.")
        actions.append(action[0])
        rewards.append(reward[0])
        over = bool(done[0])
        if on_step is not None:
            on_step()
    views = {key: View(*map(np.stack, zip(*steps, strict=True))) for key, steps in seen.items()}
    return Episode(_concatenate(observations), views, np.stack(actions), np.stack(rewards))


def _as_in_training(env: VecEnv, model: BaseAlgorithm) -> VecEnv:
    """With the statistics of the agent's VecNormalize, unless the environment has one"""
    if unwrap_vec_normalize(env) is not None:
        return env
    ours = model.get_vec_normalize_env()
    if ours is None or not ours.norm_obs:
        check_normalized(model, "This agent")
        return env
    return share_statistics(env, ours)


def _concatenate(observations: list[Any]) -> Observations:
    if isinstance(observations[0], dict):
        return {key: np.concatenate([obs[key] for obs in observations]) for key in observations[0]}
    return np.concatenate(observations)


def _see(extractor: FeaturePointExtractor, images: th.Tensor) -> tuple[np.ndarray, ...]:
    """Frame, points, positions and past positions of a step"""
    with th.no_grad():
        points = extractor.points(images, current_camera=True)[0]
        positions = extractor.to_pixels(points)
        frame = (extractor.frames(images)[0, -1] * 255).round().to(th.uint8).permute(1, 2, 0)
        seen = (frame, points[-1], positions[-1], positions[max(extractor.n_frames - 2, 0)])
    return tuple(tensor.cpu().numpy() for tensor in seen)
