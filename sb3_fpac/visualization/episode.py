"""Records what an agent with feature points sees and does in an episode, as arrays."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from sb3_fpac.features.combined_extractor import FeaturePointCombinedExtractor
from sb3_fpac.features.extractor import FeaturePointExtractor


@dataclass(frozen=True)
class Episode:
    """T steps of an agent with K feature points on frames of H×W pixels with C channels."""

    observations: np.ndarray | dict[str, np.ndarray]
    """``(T, …)``: the observations as ``model.predict`` takes them; for a Dict space, a dict of arrays"""
    frames: np.ndarray
    """``(T, H, W, C)`` uint8: the current frame of every observation"""
    points: np.ndarray
    """``(T, K, 3)``: x, y, m of the current frame, x and y in [-1, 1]"""
    positions: np.ndarray
    """``(T, K, 2)``: the same points, x and y in pixels of the frame; (0, 0) is the middle of the upper left pixel"""
    past_positions: np.ndarray
    """``(T, K, 2)``: the points of the previous frame, seen by the current camera; equal to positions for a single frame"""
    actions: np.ndarray
    """``(T, A)``, or ``(T,)`` for discrete actions"""
    rewards: np.ndarray
    """``(T,)``"""

    def draw_arguments(self, at: int | slice | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """
        Return the arguments of :func:`~sb3_fpac.visualization.draw_points` (for one step) or
        :func:`~sb3_fpac.visualization.draw_strip` (for several).

        :param at: Index of a step, or of several
        :return: Frames, positions, presences, past positions
        """
        return self.frames[at], self.positions[at], self.points[at][..., 2], self.past_positions[at]

    @property
    def speeds(self) -> np.ndarray:
        """``(T, K)``: how far every point moved since the previous frame, in pixels, compensated for camera shift"""
        return np.linalg.norm(self.positions - self.past_positions, axis=-1)


def find_extractor(model: BaseAlgorithm) -> FeaturePointExtractor:
    """
    Find the feature-point extractor with which an agent acts.

    :param model: Any SB3 algorithm
    :return: The actor's extractor, if actor and critic have one each; that of the first image of a Dict space
    :raises ValueError: if it has none
    """
    return _find(model)[1]


def encoder_input(model: BaseAlgorithm, observation: np.ndarray | dict[str, np.ndarray]) -> th.Tensor:
    """
    Preprocess observations as the agent does for its feature-point extractor.

    :param model: Any SB3 algorithm with feature points
    :param observation: One or several observations, as ``model.predict`` takes them
    :return: ``(B, C, H, W)``, on the agent's device
    :raises ValueError: if the agent has no feature points
    """
    key, _ = _find(model)
    obs, _ = model.policy.obs_to_tensor(observation)
    obs = preprocess_obs(obs, model.observation_space, normalize_images=model.policy.normalize_images)
    image = obs if key is None else obs[key]  # type: ignore[index]
    assert isinstance(image, th.Tensor)
    return image


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
    :param env: An environment with the observations that the agent was trained on; vectorized ones must have one environment
    :param deterministic: Whether the agent takes the mean action
    :param max_steps: Maximum number of agent steps; None: no limit
    :param on_step: Called after every step, for example by a progress bar
    :return: The episode
    :raises ValueError: if the agent has no feature points, the observations are not the agent's, or there are several
        environments
    """
    if not isinstance(env, VecEnv):
        single = env
        env = DummyVecEnv([lambda: single])
    if env.num_envs != 1:
        raise ValueError(f"An episode is recorded from one environment, got {env.num_envs}.")
    extractor = find_extractor(model)
    is_masked = isinstance(model, MaskablePPO) and is_masking_supported(env)
    observations: list[np.ndarray | dict[str, np.ndarray]] = []
    steps: list[tuple[np.ndarray, ...]] = []
    obs, state, over = env.reset(), None, False
    while not over and (max_steps is None or len(steps) < max_steps):
        assert isinstance(obs, (np.ndarray, dict))
        observations.append(deepcopy(obs))  # some environments write the next one into it
        start = np.array([len(steps) == 0])
        masks = dict(action_masks=get_action_masks(env)) if is_masked else {}
        action, state = model.predict(obs, state=state, episode_start=start, deterministic=deterministic, **masks)
        seen = _see(model, extractor, obs)
        obs, reward, done, _ = env.step(action)
        steps.append((*seen, action[0], reward[0]))
        over = bool(done[0])
        if on_step is not None:
            on_step()
    return Episode(_concatenate(observations), *(np.stack(column) for column in zip(*steps, strict=True)))


def _concatenate(observations: list[Any]) -> np.ndarray | dict[str, np.ndarray]:
    if isinstance(observations[0], dict):
        return {key: np.concatenate([obs[key] for obs in observations]) for key in observations[0]}
    return np.concatenate(observations)


def _see(
    model: BaseAlgorithm, extractor: FeaturePointExtractor, obs: np.ndarray | dict[str, np.ndarray]
) -> tuple[np.ndarray, ...]:
    images = encoder_input(model, obs)
    with th.no_grad():
        points = extractor.points(images, current_camera=True)[0]
        positions = extractor.to_pixels(points)
        frame = (extractor.frames(images)[0, -1] * 255).round().to(th.uint8).permute(1, 2, 0)
        seen = (frame, points[-1], positions[-1], positions[max(extractor.n_frames - 2, 0)])
    return tuple(tensor.cpu().numpy() for tensor in seen)


def _find(model: BaseAlgorithm) -> tuple[str | None, FeaturePointExtractor]:
    policy = model.policy
    acting = next((getattr(policy, name) for name in ("actor", "q_net", "quantile_net") if hasattr(policy, name)), policy)
    extractor = getattr(acting, "features_extractor", None)
    if isinstance(extractor, FeaturePointCombinedExtractor):
        return next((key, module) for key, module in extractor.extractors.items() if isinstance(module, FeaturePointExtractor))
    modules = extractor.modules() if isinstance(extractor, th.nn.Module) else ()
    for module in modules:
        if isinstance(module, FeaturePointExtractor):
            if isinstance(model.observation_space, spaces.Dict):
                break  # it is unknown which image it gets
            return None, module
    raise ValueError(
        f"This {type(model).__name__} agent has no feature points to show, its features extractor is "
        f"{type(extractor).__name__}: train one with FPAC, or with FeaturePointExtractor or FeaturePointCombinedExtractor."
    )
