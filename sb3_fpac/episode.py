"""What an agent with feature points sees and does in an episode, as arrays: for whoever wants to look."""

from collections.abc import Callable
from dataclasses import dataclass

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from sb3_fpac.extractor import FeaturePointCombinedExtractor, FeaturePointExtractor
from sb3_fpac.pixels import PixelExtractor


@dataclass(frozen=True)
class Episode:
    """T agent steps of an agent with K feature points on frames of H×W pixels with C channels."""

    observations: np.ndarray
    """``(T, …)``: what the policy was given, channel-first, as the environment gave it; of a Dict space its image"""
    frames: np.ndarray
    """``(T, H, W, C)`` uint8: the current frame of every observation"""
    points: np.ndarray
    """``(T, K, 3)``: x, y, m of the current frame, x and y in [-1, 1]"""
    positions: np.ndarray
    """``(T, K, 2)``: the same points, x and y in pixels of the frame; (0, 0) is the middle of the upper left pixel"""
    past_positions: np.ndarray
    """``(T, K, 2)``: where the points of the frame before lie, seen by the current camera; for a single frame as positions"""
    actions: np.ndarray
    """``(T, A)``, or ``(T,)`` for discrete actions"""
    rewards: np.ndarray
    """``(T,)``"""

    @property
    def speeds(self) -> np.ndarray:
        """``(T, K)``: pixels that every point moved since the frame before, camera shift compensated"""
        return np.linalg.norm(self.positions - self.past_positions, axis=-1)


def find_extractor(model: BaseAlgorithm) -> FeaturePointExtractor:
    """
    The feature-point extractor that an agent acts with.

    :param model: Any SB3 algorithm
    :return: That of the actor, where actor and critic have one each; the first image's of a Dict space
    :raises ValueError: if it has none
    """
    return _find(model)[1]


def encoder_input(model: BaseAlgorithm, observation: np.ndarray | dict[str, np.ndarray]) -> th.Tensor:
    """
    Observations as they reach the agent's feature-point extractor.

    :param model: Any SB3 algorithm with feature points
    :param observation: One or several observations, as ``model.predict`` takes them
    :return: ``(B, C, H, W)``, on the agent's device
    :raises ValueError: if the agent has no feature points
    """
    key, _ = _find(model)
    obs, _ = model.policy.obs_to_tensor(observation)
    obs = preprocess_obs(obs, model.observation_space, normalize_images=model.policy.normalize_images)
    return _image(obs, key)


def record_episode(
    model: BaseAlgorithm,
    env: gym.Env | VecEnv,
    deterministic: bool = True,
    max_steps: int | None = None,
    on_step: Callable[[], object] | None = None,
) -> Episode:
    """
    Play one episode and keep what the agent saw.

    :param model: Any SB3 algorithm with feature points
    :param env: An environment with the observations that the agent was trained on; vectorized ones must have one environment
    :param deterministic: Whether it acts with the mean action
    :param max_steps: Agent steps after which the episode is broken off; None: it is played to its end
    :param on_step: Called after every step, for a progress bar, say
    :return: The episode
    :raises ValueError: if the agent has no feature points, the observations are not the agent's, or there are several
        environments
    """
    if not isinstance(env, VecEnv):
        single = env
        env = DummyVecEnv([lambda: single])
    if env.num_envs != 1:
        raise ValueError(f"An episode is recorded from one environment, got {env.num_envs}.")
    key, extractor = _find(model)
    steps: list[tuple[np.ndarray, ...]] = []
    obs, over = env.reset(), False
    while not over and (max_steps is None or len(steps) < max_steps):
        action, _ = model.predict(obs, deterministic=deterministic)  # type: ignore[arg-type]
        seen = _see(model, extractor, key, obs)  # type: ignore[arg-type]
        obs, reward, done, _ = env.step(action)
        steps.append((*seen, action[0], reward[0]))
        over = bool(done[0])
        if on_step is not None:
            on_step()
    return Episode(*(np.stack(column) for column in zip(*steps, strict=True)))


def _see(
    model: BaseAlgorithm, extractor: FeaturePointExtractor, key: str | None, obs: np.ndarray | dict[str, np.ndarray]
) -> tuple[np.ndarray, ...]:
    raw, _ = model.policy.obs_to_tensor(obs)
    images = encoder_input(model, obs)
    with th.no_grad():
        points = extractor.points(images, current_camera=True)[0]
        positions = extractor.to_pixels(points)
        frame = (extractor.frames(images)[0, -1] * 255).round().to(th.uint8).permute(1, 2, 0)
        seen = (_image(raw, key)[0], frame, points[-1], positions[-1], positions[max(extractor.n_frames - 2, 0)])
    return tuple(tensor.cpu().numpy() for tensor in seen)


def _find(model: BaseAlgorithm) -> tuple[str | None, FeaturePointExtractor]:
    policy = model.policy
    acting = next((getattr(policy, name) for name in ("actor", "q_net", "quantile_net") if hasattr(policy, name)), policy)
    extractor = getattr(acting, "features_extractor", None)
    if isinstance(extractor, FeaturePointCombinedExtractor):
        return next(
            (key, module) for key, module in extractor.extractors.items() if isinstance(module, FeaturePointExtractor)
        )
    modules = extractor.modules() if isinstance(extractor, th.nn.Module) else ()
    for module in modules:
        if isinstance(module, FeaturePointExtractor) and not isinstance(module, PixelExtractor):
            if isinstance(model.observation_space, spaces.Dict):
                break  # which image it gets is not to be seen
            return None, module
    raise ValueError(
        f"This {type(model).__name__} agent has no feature points to show, its features extractor is "
        f"{type(extractor).__name__}: train one with FPAC, or with FeaturePointExtractor or FeaturePointCombinedExtractor."
    )


def _image(obs: PyTorchObs, key: str | None) -> th.Tensor:
    image = obs if key is None else obs[key]  # type: ignore[index]
    assert isinstance(image, th.Tensor)
    return image
