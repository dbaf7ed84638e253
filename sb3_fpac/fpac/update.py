"""One update of FPAC: tensors in, tensors out."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import torch as th
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN, Actor
from torch import nn
from torch.func import functional_call

from sb3_fpac.buffers import FrameBatch
from sb3_fpac.features.combined_extractor import FeaturePointCombinedExtractor
from sb3_fpac.features.frame_extractor import FrameExtractor
from sb3_fpac.fpac.random_shift import random_shift
from sb3_fpac.policies.policies import FPACPolicy

StackEncoder = FrameExtractor | FeaturePointCombinedExtractor
_LOG_2_PI = math.log(2 * math.pi)


class Losses(NamedTuple):
    """
    The losses of an update: 0-d tensors on the model's device.

    :param critic: ½ Σ over the critics of the mean squared Bellman error
    :param actor: α log π − min Q; None when the actor was not updated
    :param ent_coef: Loss of log α; None when it was not updated
    """

    critic: th.Tensor
    actor: th.Tensor | None
    ent_coef: th.Tensor | None


class Update:
    """
    One update of SAC with the encoder of FPAC. All shapes are static, nothing waits for the device, and random numbers are
    drawn outside the two loss functions, so that eager, compiled and graph-captured updates share this code.

    A transition of a stack of S frames is encoded as S + 1 frames with one-step returns: the observation with gradient, and
    the last frame of the next observation without. With n-step returns, all S frames of the next observation are encoded. The
    actor and α use the features of the same pass.

    :param policy: Its networks and optimizers
    :param log_ent_coef: ``(1,)``: log α if it is learned; otherwise None
    :param ent_coef: α if it is fixed; otherwise None
    :param ent_coef_optimizer: Optimizer of log α; None if α is fixed
    :param target_entropy: Target entropy of the policy
    :param gamma: Discount factor of one-step transitions
    :param tau: How far the target critic moves towards the critic, in [0, 1]
    :param shift_pixels: Padding of DrQ's random shift for every image, by key; the key of a single image is None
    :param compile_losses: Whether both losses go through ``torch.compile``
    """

    def __init__(
        self,
        policy: FPACPolicy,
        log_ent_coef: th.Tensor | None,
        ent_coef: th.Tensor | None,
        ent_coef_optimizer: th.optim.Optimizer | None,
        target_entropy: float,
        gamma: float,
        tau: float,
        shift_pixels: Mapping[str | None, int] = MappingProxyType({}),
        compile_losses: bool = False,
    ) -> None:
        self.has_learned = False  # whether the latest update has changed a weight, even if it failed later
        self.actor, self.critic, self.critic_target = policy.actor, policy.critic, policy.critic_target
        self.extractor = cast(StackEncoder, policy.features_extractor)
        self.target_extractor = cast(StackEncoder, self.critic_target.features_extractor)
        self._parameters, self._target_parameters = list(self.critic.parameters()), list(self.critic_target.parameters())
        self._statistics, self._target_statistics = list(self.critic.buffers()), list(self.critic_target.buffers())
        self.log_ent_coef, self.ent_coef, self.ent_coef_optimizer = log_ent_coef, ent_coef, ent_coef_optimizer
        self.target_entropy, self.gamma, self.tau, self.shift_pixels = target_entropy, gamma, tau, shift_pixels
        self._critic_loss = th.compile(self.critic_loss, dynamic=False) if compile_losses else self.critic_loss
        self._actor_loss = th.compile(self.actor_loss, dynamic=False) if compile_losses else self.actor_loss

    def __call__(self, batch: FrameBatch, update_actor: bool, update_target: bool) -> Losses:
        """
        :param batch: Transitions, on the model's device
        :param update_actor: Whether actor and α are updated
        :param update_target: Whether the target critic is
        :return: The losses
        """
        self.has_learned = False
        batch = self._flattened(self._shifted(batch))
        if self.actor.use_sde:
            self.actor.reset_noise()
        noise = self._draw_noise(batch) if update_actor else None
        next_noise = self._draw_noise(batch)
        ent_coef = self._current_ent_coef()
        critic_loss, features = self._critic_loss(batch, ent_coef, next_noise)
        self.critic.optimizer.zero_grad()
        critic_loss.backward()
        self.critic.optimizer.step()
        self.has_learned = True

        actor_loss = ent_coef_loss = None
        if update_actor:
            actor_loss, log_prob = self._actor_loss(features, ent_coef, noise)
            self.actor.optimizer.zero_grad()
            actor_loss.backward()
            self.actor.optimizer.step()
            if self.ent_coef_optimizer is not None:
                ent_coef_loss = self._update_ent_coef(self.ent_coef_optimizer, log_prob)
        if update_target:
            self._move_target()
        return Losses(critic_loss.detach(), None if actor_loss is None else actor_loss.detach(), ent_coef_loss)

    def _shifted(self, batch: FrameBatch) -> FrameBatch:
        """Every image by a random shift of its own"""
        if not any(self.shift_pixels.values()):
            return batch
        frames = {}
        for key, pixels in self.shift_pixels.items():
            image, _ = batch.image(key)
            frames[key] = random_shift(image, pixels) if pixels else image
        return batch._replace(frames=frames.get(None, frames))

    def _flattened(self, batch: FrameBatch) -> FrameBatch:
        """Flat vectors: SB3 makes them in a way that cannot be compiled"""
        flatten = self.extractor.flatten
        return batch._replace(vectors=flatten(batch.vectors), next_vectors=flatten(batch.next_vectors))

    def dry_run(self, batch: FrameBatch) -> None:
        """
        Compute both losses and their gradients once, without changing any weight or running statistic.

        :param batch: Transitions
        """
        batch = self._flattened(batch)
        statistics = [buffer.clone() for buffer in self.extractor.buffers()]
        noise, ent_coef = th.zeros_like(batch.actions), self._current_ent_coef()
        critic_loss, features = self._critic_loss(batch, ent_coef, noise)
        critic_loss.backward()
        self.critic.optimizer.zero_grad()
        actor_loss, _ = self._actor_loss(features, ent_coef, noise)
        actor_loss.backward()
        self.actor.optimizer.zero_grad()
        for buffer, before in zip(self.extractor.buffers(), statistics, strict=True):
            buffer.copy_(before)

    @property
    def optimizers(self) -> list[th.optim.Optimizer]:
        """All optimizers of the update"""
        optimizers = [self.actor.optimizer, self.critic.optimizer]
        return optimizers if self.ent_coef_optimizer is None else [*optimizers, self.ent_coef_optimizer]

    @th.no_grad()
    def _current_ent_coef(self) -> th.Tensor:
        if self.log_ent_coef is not None:
            return self.log_ent_coef.exp()
        assert self.ent_coef is not None
        return self.ent_coef

    def _draw_noise(self, batch: FrameBatch) -> th.Tensor | None:
        return None if self.actor.use_sde else th.randn_like(batch.actions)

    def critic_loss(self, batch: FrameBatch, ent_coef: th.Tensor, next_noise: th.Tensor | None) -> tuple[th.Tensor, th.Tensor]:
        """
        :param batch: Transitions
        :param ent_coef: α, ``(1,)`` or 0-d
        :param next_noise: ``(B, action_dim)``, standard normal, of the next actions; None with gSDE
        :return: The loss, and the features of the observations ``(B, features_dim)`` without gradient
        """
        features, next_features, target_features = self._encode(batch)
        with th.no_grad():
            next_actions, next_log_prob = sample_actions(self.actor, next_features, next_noise)
            next_q_values = _q_values(self.critic_target.q_networks, target_features, next_actions).amin(dim=1, keepdim=True)
            next_q_values = next_q_values - ent_coef * next_log_prob
            discounts = self.gamma if batch.discounts is None else batch.discounts
            target_q_values = batch.rewards + (1 - batch.dones) * discounts * next_q_values
        current_q_values = _q_values(self.critic.q_networks, features, batch.actions)
        critic_loss = 0.5 * (current_q_values - target_q_values).square().mean(dim=0).sum()
        return critic_loss, features.detach()

    def actor_loss(self, features: th.Tensor, ent_coef: th.Tensor, noise: th.Tensor | None) -> tuple[th.Tensor, th.Tensor]:
        """
        :param features: ``(B, features_dim)``
        :param ent_coef: α, ``(1,)`` or 0-d
        :param noise: ``(B, action_dim)``, standard normal; None with gSDE
        :return: The loss, and the log probabilities of the actions ``(B, 1)`` without gradient
        """
        actions, log_prob = sample_actions(self.actor, features, noise)
        q_values = _q_values(self.critic.q_networks, features, actions, frozen=True)
        return (ent_coef * log_prob - q_values.amin(dim=1, keepdim=True)).mean(), log_prob.detach()

    def _encode(self, batch: FrameBatch) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
        """Features of the observations, of the next observations, and of these as the target critic sees them"""
        now: dict[Any, th.Tensor] = {}
        after: dict[Any, th.Tensor] = {}
        of_target: dict[Any, th.Tensor] = {}
        target_extractors: Mapping[Any, FrameExtractor] = self.target_extractor.images
        for key, extractor in self.extractor.images.items():
            now[key], after[key], of_target[key] = _features_of_image(extractor, target_extractors[key], *batch.image(key))
        features = self.extractor.combine(now, batch.vectors)
        with th.no_grad():
            next_features = target_features = self.extractor.combine(after, batch.next_vectors)
            if self.target_extractor is not self.extractor:
                target_features = self.target_extractor.combine(of_target, batch.next_vectors)
        return features, next_features, target_features

    @th.no_grad()
    def _move_target(self) -> None:
        th._foreach_lerp_(self._target_parameters, self._parameters, self.tau)
        if self._statistics:  # of an encoder that the target has a copy of
            th._foreach_copy_(self._target_statistics, self._statistics)

    def _update_ent_coef(self, optimizer: th.optim.Optimizer, log_prob: th.Tensor) -> th.Tensor:
        assert self.log_ent_coef is not None
        ent_coef_loss = -(self.log_ent_coef * (log_prob + self.target_entropy)).mean()
        optimizer.zero_grad()
        ent_coef_loss.backward()
        optimizer.step()
        return ent_coef_loss.detach()


def sample_actions(actor: Actor, features: th.Tensor, noise: th.Tensor | None) -> tuple[th.Tensor, th.Tensor]:
    """
    Sample actions of the current policy and compute their log probabilities, as SB3's distributions do.

    :param actor: The actor
    :param features: ``(B, features_dim)``
    :param noise: ``(B, action_dim)``, standard normal; None with gSDE, whose noise the actor stores
    :return: Actions ``(B, action_dim)`` in [-1, 1], log probabilities ``(B, 1)``
    """
    latent_pi = actor.latent_pi(features)
    mean_actions = actor.mu(latent_pi)
    if noise is None:
        actions, log_prob = actor.action_dist.log_prob_from_params(mean_actions, actor.log_std, latent_sde=latent_pi)
        return actions, log_prob.reshape(-1, 1)
    log_std = cast(nn.Linear, actor.log_std)(latent_pi).clamp(LOG_STD_MIN, LOG_STD_MAX)
    actions = th.tanh(mean_actions + log_std.exp() * noise)
    log_gaussian = -0.5 * noise**2 - log_std - 0.5 * _LOG_2_PI
    log_squash = th.log(1 - actions**2 + actor.action_dist.epsilon)
    return actions, (log_gaussian - log_squash).sum(dim=1, keepdim=True)


def _features_of_image(
    extractor: FrameExtractor, target_extractor: FrameExtractor, frames: th.Tensor, camera_shifts: th.Tensor | None
) -> tuple[th.Tensor, th.Tensor, th.Tensor]:
    """Of the observations, of the next ones, and of these as the target critic sees them"""
    n_frames = extractor.n_frames
    shifts, next_shifts = (None, None) if camera_shifts is None else camera_shifts.unbind(dim=1)
    points = _points(extractor, frames[:, :n_frames])
    features = extractor.state(points, shifts)
    with th.no_grad():
        next_points = _points(extractor, frames[:, n_frames:])
        next_points = th.cat([points, next_points], dim=1)[:, -n_frames:]  # they share what they have in common
        next_features = target_features = extractor.state(next_points, next_shifts)
        if target_extractor is not extractor:
            target_points = _points(target_extractor, frames[:, -n_frames:])
            target_features = target_extractor.state(target_points, next_shifts)
    return features, next_features, target_features


def _points(extractor: FrameExtractor, frames: th.Tensor) -> th.Tensor:
    """(B, S, c, H, W) → (B, S, K, 3); points stay as they are"""
    if frames.ndim == 4:
        return frames
    return extractor.encode_frames(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])


def _q_values(q_networks: list[nn.Module], features: th.Tensor, actions: th.Tensor, frozen: bool = False) -> th.Tensor:
    """(B, number of critics); frozen: no gradient is computed for their weights"""
    q_input = th.cat([features, actions], dim=1)
    if not frozen:
        return th.cat([q_network(q_input) for q_network in q_networks], dim=1)
    weights = ({name: weight.detach() for name, weight in net.named_parameters()} for net in q_networks)
    return th.cat([functional_call(net, fixed, (q_input,)) for net, fixed in zip(q_networks, weights, strict=True)], dim=1)
