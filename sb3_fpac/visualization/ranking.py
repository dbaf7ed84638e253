"""Ranks the features of an agent: how much action and value change when a point, or an entry of a vector, is held."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BaseModel
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs

from sb3_fpac.features.extractor import FeaturePointExtractor
from sb3_fpac.visualization.agents import (
    Observations,
    PointsExtractor,
    count_points,
    feature_names,
    find_extractor,
    observation_tensor,
    preprocess,
)

_BATCH = 64  # observations that are encoded at once

_Rows = np.ndarray | th.Tensor
_Decide = Callable[[PyTorchObs], th.Tensor]
_Evaluate = Callable[[PyTorchObs, th.Tensor], th.Tensor]


class NoRankingError(ValueError):
    """An agent whose points cannot be ranked."""


@dataclass(frozen=True)
class PointRanking:
    """
    How much each of N features matters to an agent: the K points of all its images, which come first, and the entries of its
    vectors.
    """

    action: np.ndarray
    """``(N,)``: root mean square change of the action when the feature carries no information"""
    value: np.ndarray | None
    """``(N,)``: root mean square change of the critic's value; None if the critic does not see the actor's points"""
    names: Sequence[str]
    """N names: ``"7"`` for a point of a single image, ``"front:7"`` and ``"joints[3]"`` for Dict observations"""
    n_points: int
    """K"""

    @property
    def order(self) -> np.ndarray:
        """``(N,)``: indices by the sum of their shares in all changes of action and of value, largest first"""
        importance = np.zeros(len(self.action))
        for change in (self.action, self.value):
            if change is not None and change.any():
                importance += change / change.sum()
        return np.argsort(-importance, kind="stable")

    @property
    def points(self) -> np.ndarray:
        """``(K,)``: indices of the points alone, in the same order"""
        order = self.order
        return order[order < self.n_points]


def rank_points(model: BaseAlgorithm, observations: Observations) -> PointRanking:
    """
    Rank an agent's feature points, and the entries of its vectors, by ablation. The features of one point, including its
    velocities, are replaced by their means over the observations, and the changes of action and value are measured. The images
    are encoded once.

    The action is the deterministic one: in [-1, 1] for SAC, TQC and TD3, clipped to the action space for PPO and A2C. For
    discrete actions, it is the probabilities (PPO and A2C) or the Q-values minus their mean (DQN and QR-DQN).

    The value is that of the unchanged agent's action: the minimum of the critics for SAC and TD3, the mean of the quantiles
    for TQC, the Q-value for DQN and QR-DQN. For PPO and A2C it is the value of the state. There is no value if the critic
    has its own extractor, whose points are not the actor's, as in SB3's TD3.

    :param model: Any SB3 algorithm with feature points; it is not changed
    :param observations: ``(T, …)``, as the policy gets them, such as :attr:`Episode.observations
        <sb3_fpac.visualization.Episode.observations>`. For a Dict space, a dict of arrays.
    :return: The ranking
    :raises ValueError: if the agent has no feature points, the observations do not fit or are fewer than two, or the algorithm
        is not supported
    """
    extractor = find_extractor(model)
    decide, evaluate = _heads(model, extractor)
    obs = observation_tensor(model, observations)
    if _length(obs) < 2:
        raise ValueError("Points are ranked by changes between observations: pass at least two observations.")

    def measure(features: th.Tensor, held: th.Tensor | None = None) -> list[th.Tensor]:
        with _features_of(extractor, features):
            action = decide(obs)
            return [action] if evaluate is None else [action, evaluate(obs, action if held is None else held)]

    training = model.policy.training
    model.policy.set_training_mode(False)
    try:
        with th.no_grad():
            batches = (_rows(obs, slice(start, start + _BATCH)) for start in range(0, _length(obs), _BATCH))
            with _without_normalization(extractor) as normalize:  # whitening mixes the points
                features = th.cat([extractor(preprocess(model, batch)) for batch in batches])
            if all(isinstance(module, PointsExtractor) for module in _extractors(model)):
                obs = _without_pixels(obs, extractor)  # no other module reads them, and preprocessing them is slow
            before = measure(normalize(features))
            changes = []
            for columns in _columns(extractor):
                ablated = features.clone()
                ablated[:, columns] = features[:, columns].mean(dim=0)
                after = measure(normalize(ablated), held=before[0])
                changes.append([_root_mean_square(one - other) for one, other in zip(after, before, strict=True)])
    finally:
        model.policy.set_training_mode(training)
    action, value = (*np.transpose(changes), None)[:2]
    return PointRanking(action, value, feature_names(model), count_points(model))


def most_important(model: BaseAlgorithm, observations: Observations) -> np.ndarray:
    """
    Order an agent's points for pictures of the most important ones.

    :param model: Any SB3 algorithm with feature points
    :param observations: As in :func:`rank_points`
    :return: ``(K,)``: indices of the points, the most important first; in their own order where :func:`rank_points` does not
        support the algorithm, or there are fewer than two observations
    """
    in_order = np.arange(count_points(model))
    if _length(observations) < 2:
        return in_order
    try:
        return rank_points(model, observations).points
    except NoRankingError:
        return in_order


def _length(observations: Mapping[str, _Rows] | _Rows) -> int:
    return len(next(iter(observations.values())) if isinstance(observations, Mapping) else observations)


def _rows(observations: PyTorchObs, rows: slice) -> PyTorchObs:
    if isinstance(observations, dict):
        return {key: part[rows] for key, part in observations.items()}
    return observations[rows]


def _without_pixels(observations: PyTorchObs, extractor: PointsExtractor) -> PyTorchObs:
    """The same number of images without channels, and all vectors"""
    if isinstance(extractor, FeaturePointExtractor):
        return observations[:, :0]  # type: ignore[index]
    return {key: part[:, :0] if key in extractor.images else part for key, part in observations.items()}  # type: ignore[union-attr]


def _extractors(model: BaseAlgorithm) -> list[BaseFeaturesExtractor]:
    return [module for module in model.policy.modules() if isinstance(module, BaseFeaturesExtractor)]


@contextmanager
def _without_normalization(extractor: PointsExtractor) -> Iterator[Callable[[th.Tensor], th.Tensor]]:
    """Let an extractor return its features as they are. The function, for use outside, normalizes such features ``(N, D)``"""
    images = [extractor] if isinstance(extractor, FeaturePointExtractor) else list(extractor.images.values())
    normalizations = [image.normalization for image in images]

    def normalize(features: th.Tensor) -> th.Tensor:
        sizes = [image.features_dim for image in images]
        *of_images, vectors = features.split([*sizes, features.shape[1] - sum(sizes)], dim=1)
        pairs = zip(normalizations, of_images, strict=True)
        return th.cat([part if function is None else function(part) for function, part in pairs] + [vectors], dim=1)

    for image in images:
        image.normalization = None
    try:
        yield normalize
    finally:
        for image, normalization in zip(images, normalizations, strict=True):
            image.normalization = normalization


def _columns(extractor: PointsExtractor) -> list[th.Tensor]:
    """The columns in the features of every point, and those of every entry of a vector, one each"""
    if isinstance(extractor, FeaturePointExtractor):  # FeaturePointExtractor.state lays them out
        blocks = th.arange(extractor.features_dim).reshape(extractor.n_frames, extractor.n_points, -1)
        return list(blocks.transpose(0, 1).flatten(start_dim=1))
    columns: list[th.Tensor] = []
    start = 0
    for image in extractor.images.values():
        columns += [start + of_point for of_point in _columns(image)]
        start += image.features_dim
    return columns + list(th.arange(start, extractor.features_dim)[:, None])


def _root_mean_square(change: th.Tensor) -> float:
    """(N, A) → root mean square over N of the Euclidean norm"""
    return float(change.cpu().double().pow(2).sum(dim=1).mean().sqrt())


@contextmanager
def _features_of(extractor: PointsExtractor, features: th.Tensor) -> Iterator[None]:
    """Let an extractor return these features for any input."""
    extractor.forward = lambda observations: features  # type: ignore[method-assign]
    try:
        yield
    finally:
        del extractor.forward  # restores the method of the class


def _heads(model: BaseAlgorithm, extractor: PointsExtractor) -> tuple[_Decide, _Evaluate | None]:
    """
    Functions that compute the actions ``(N, A)`` from observations, and the values ``(N, 1)`` from observations and actions;
    None if the critic does not see the extractor's points.
    """
    policy: Any = model.policy  # SB3's policies have no common type for their heads
    if hasattr(policy, "actor"):
        critic_sees = policy.critic.features_extractor
        decide, evaluate = partial(policy._predict, deterministic=True), partial(_q_value, policy.critic)
    elif isinstance(policy, ActorCriticPolicy) and not hasattr(policy, "lstm_actor"):
        critic_sees = policy.vf_features_extractor
        decide, evaluate = partial(_mean_action, policy), partial(_state_value, policy)
    elif hasattr(policy, "q_net") or hasattr(policy, "quantile_net"):
        critic_sees = extractor
        decide, evaluate = partial(_advantages, policy), partial(_greedy_q_value, policy)
    else:
        raise NoRankingError(
            "Points can be ranked for SAC, TD3, TQC, PPO, A2C, DQN, QR-DQN and their subclasses without memory, not for "
            f"{type(model).__name__}."
        )
    return decide, evaluate if extractor in critic_sees.modules() else None


def _q_value(critic: BaseModel, obs: PyTorchObs, action: th.Tensor) -> th.Tensor:
    q_values = critic(obs, action)
    if isinstance(q_values, tuple):  # (N, 1) of every critic
        return th.cat(q_values, dim=1).amin(dim=1, keepdim=True)
    return q_values.mean(dim=(1, 2))[:, None]  # (N, critics, quantiles)


def _mean_action(policy: ActorCriticPolicy, obs: PyTorchObs) -> th.Tensor:
    distribution = policy.get_distribution(obs)
    if isinstance(policy.action_space, spaces.Box):
        action = distribution.get_actions(deterministic=True)
        if policy.squash_output:
            return action
        low, high = (th.as_tensor(end.flatten()).to(action) for end in (policy.action_space.low, policy.action_space.high))
        return action.clamp(low, high)
    choices: Any = distribution.distribution  # several for MultiDiscrete
    return th.cat([choice.probs for choice in (choices if isinstance(choices, list) else [choices])], dim=1)


def _state_value(policy: ActorCriticPolicy, obs: PyTorchObs, action: th.Tensor) -> th.Tensor:
    return policy.predict_values(obs)


def _advantages(policy: Any, obs: PyTorchObs) -> th.Tensor:
    q_values = _q_values(policy, obs)
    return q_values - q_values.mean(dim=1, keepdim=True)


def _greedy_q_value(policy: Any, obs: PyTorchObs, advantages: th.Tensor) -> th.Tensor:
    return _q_values(policy, obs).gather(1, advantages.argmax(dim=1, keepdim=True))


def _q_values(policy: Any, obs: PyTorchObs) -> th.Tensor:
    return policy.q_net(obs) if hasattr(policy, "q_net") else policy.quantile_net(obs).mean(dim=1)
