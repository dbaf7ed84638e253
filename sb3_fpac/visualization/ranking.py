"""Ranks the feature points of an agent: how much action and value change when one point carries no information."""

from collections.abc import Callable, Iterator
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
from sb3_fpac.visualization.episode import encoder_input, find_extractor

_BATCH = 64  # observations that are encoded at once

_Decide = Callable[[PyTorchObs], th.Tensor]
_Evaluate = Callable[[PyTorchObs, th.Tensor], th.Tensor]


class NoRankingError(ValueError):
    """An agent whose points cannot be ranked."""


@dataclass(frozen=True)
class PointRanking:
    """How much each of K feature points matters to an agent."""

    action: np.ndarray
    """``(K,)``: root mean square change of the action when the point carries no information"""
    value: np.ndarray | None
    """``(K,)``: root mean square change of the critic's value; None if the critic does not see the actor's points"""

    @property
    def order(self) -> np.ndarray:
        """``(K,)``: numbers of the points, by the sum of their shares in all changes of action and of value, largest first"""
        importance = np.zeros(len(self.action))
        for change in (self.action, self.value):
            if change is not None and change.any():
                importance += change / change.sum()
        return np.argsort(-importance, kind="stable")


def rank_points(model: BaseAlgorithm, observations: np.ndarray | dict[str, np.ndarray]) -> PointRanking:
    """
    Rank an agent's feature points by ablation. The features of one point, including its velocities, are replaced by their
    means over the observations, and the changes of action and value are measured. The images are encoded once.

    The action is the deterministic one: in [-1, 1] for SAC, TQC and TD3, clipped to the action space for PPO and A2C. For
    discrete actions, it is the probabilities (PPO and A2C) or the Q-values minus their mean (DQN and QR-DQN).

    The value is that of the unchanged agent's action: the minimum of the critics for SAC and TD3, the mean of the quantiles
    for TQC, the Q-value for DQN and QR-DQN. For PPO and A2C it is the value of the state. There is no value if the critic
    has its own extractor, whose points are not the actor's, as in SB3's TD3.

    :param model: Any SB3 algorithm with feature points; it is not changed
    :param observations: ``(N, …)``, as the policy gets them, such as :attr:`Episode.observations
        <sb3_fpac.visualization.Episode.observations>`. For a Dict space, a dict of arrays; the points of its first
        image are ranked.
    :return: The ranking of its K points
    :raises ValueError: if the agent has no feature points, the observations do not fit or are fewer than two, or the algorithm
        is not supported
    """
    extractor = find_extractor(model)
    decide, evaluate = _heads(model, extractor)
    if isinstance(model.observation_space, spaces.Dict) != isinstance(observations, dict):
        raise ValueError(
            f"Observations must be those of the agent, {model.observation_space}, got {type(observations).__name__}."
        )
    obs, _ = model.policy.obs_to_tensor(observations)
    images = encoder_input(model, observations)
    if len(images) < 2:
        raise ValueError("Points are ranked by changes between observations: pass at least two observations.")

    def measure(features: th.Tensor, held: th.Tensor | None = None) -> list[th.Tensor]:
        with _features_of(extractor, features):
            action = decide(obs)
            return [action] if evaluate is None else [action, evaluate(obs, action if held is None else held)]

    training = model.policy.training
    model.policy.set_training_mode(False)
    try:
        with th.no_grad():
            features = th.cat([extractor(part) for part in images.split(_BATCH)])
            if all(isinstance(module, FeaturePointExtractor) for module in _extractors(model)):
                obs = obs[:, :0]  # type: ignore[index]  # no other module reads the pixels, and preprocessing them every time is slow
            before = measure(features)
            changes = []
            for columns in _columns(extractor):
                ablated = features.clone()
                ablated[:, columns] = features[:, columns].mean(dim=0)
                after = measure(ablated, held=before[0])
                changes.append([_root_mean_square(one - other) for one, other in zip(after, before, strict=True)])
    finally:
        model.policy.set_training_mode(training)
    action, value = (*np.transpose(changes), None)[:2]
    return PointRanking(action, value)


def most_important(model: BaseAlgorithm, observations: np.ndarray | dict[str, np.ndarray]) -> np.ndarray:
    """
    Order an agent's points for pictures of the most important ones.

    :param model: Any SB3 algorithm with feature points
    :param observations: As in :func:`rank_points`
    :return: ``(K,)``: numbers of the points, the most important first; in their own order where :func:`rank_points` does not
        support the algorithm, or there are fewer than two observations
    """
    n_observations = len(next(iter(observations.values())) if isinstance(observations, dict) else observations)
    in_order = np.arange(find_extractor(model).n_points)
    if n_observations < 2:
        return in_order
    try:
        return rank_points(model, observations).order
    except NoRankingError:
        return in_order


def _extractors(model: BaseAlgorithm) -> list[BaseFeaturesExtractor]:
    return [module for module in model.policy.modules() if isinstance(module, BaseFeaturesExtractor)]


def _columns(extractor: FeaturePointExtractor) -> th.Tensor:
    """``(K, n)``: the columns of every point in the features, which FeaturePointExtractor.state lays out"""
    blocks = th.arange(extractor.features_dim).reshape(extractor.n_frames, extractor.n_points, -1)
    return blocks.transpose(0, 1).flatten(start_dim=1)


def _root_mean_square(change: th.Tensor) -> float:
    """(N, A) → root mean square over N of the Euclidean norm"""
    return float(change.double().pow(2).sum(dim=1).mean().sqrt())


@contextmanager
def _features_of(extractor: FeaturePointExtractor, features: th.Tensor) -> Iterator[None]:
    """Let an extractor return these features for any input."""
    extractor.forward = lambda observations: features  # type: ignore[method-assign]
    try:
        yield
    finally:
        del extractor.forward  # restores the method of the class


def _heads(model: BaseAlgorithm, extractor: FeaturePointExtractor) -> tuple[_Decide, _Evaluate | None]:
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
