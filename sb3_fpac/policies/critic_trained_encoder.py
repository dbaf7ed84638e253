"""One encoder for actor and critics in the policies of SAC and TQC, which only the critic's loss trains.

SB3's own policies either give the actor an encoder of its own or, with ``share_features_extractor=True``, train the shared
encoder with the *actor's* loss. FPAC does the opposite: actor and target critic use the critic's encoder, and the actor gets
its features without gradient. ``SAC.train`` and ``TQC.train`` run unchanged.
"""

from copy import deepcopy
from typing import Any, ClassVar, Literal, cast

import numpy as np
import torch as th
from gymnasium import spaces
from sb3_contrib.tqc import policies as tqc
from stable_baselines3.common.policies import BaseModel, BasePolicy, ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.sac import policies as sac
from torch import nn

from sb3_fpac.arguments import flag, number, one_of, whole_number
from sb3_fpac.features.combined_extractor import FeaturePointCombinedExtractor
from sb3_fpac.features.extractor import FeaturePointExtractor
from sb3_fpac.features.frame_extractor import FrameExtractor
from sb3_fpac.features.pretrained import resolve_pretrained
from sb3_fpac.observations import check_given
from sb3_fpac.policies.feature_cache import EncoderTrainingCritic, FeatureCache, SharedEncoderModel

TargetEncoder = Literal["online", "polyak"]

OWN_OPTIONS: dict[str, Any] = dict(target_encoder="online", actor_update_interval=1, last_layer_init=None, layer_norm=False)
"""The keyword arguments that SB3's policies lack, and the values with which the policies are SB3's own"""


class SACActor(SharedEncoderModel, sac.Actor):
    pass


class SACCritic(EncoderTrainingCritic, ContinuousCritic):
    def forward(self, obs: PyTorchObs, actions: th.Tensor) -> tuple[th.Tensor, ...]:
        q_input = self.q_input(obs, actions)
        return tuple(q_network(q_input) for q_network in self.q_networks)


class TQCActor(SharedEncoderModel, tqc.Actor):
    pass


class TQCCritic(EncoderTrainingCritic, tqc.Critic):
    def forward(self, obs: PyTorchObs, action: th.Tensor) -> th.Tensor:
        q_input = self.q_input(obs, action)
        return th.stack([q_network(q_input) for q_network in self.q_networks], dim=1)


class SharedEncoderPolicy(BasePolicy):
    """
    Mixin for SACPolicy and TQCPolicy. With a feature-point extractor there is one encoder, ``policy.features_extractor``.
    With any other extractor the policy is SB3's own.

    :param target_encoder: ``"online"``: the target critic has its own Q heads and uses the online encoder, as in the authors'
        code; ``"polyak"``: it also has a Polyak-averaged encoder
    :param actor_update_interval: The actor's optimizer takes a step on every n-th update only. α's optimizer, which belongs to
        SAC, takes a step on every update. The actor's loss is always computed, so this saves no time.
    :param last_layer_init: Weights and biases of the last layer of every head are drawn from U(±last_layer_init); None: as in
        SB3
    :param layer_norm: Whether every hidden layer of the critic has a LayerNorm before its activation
    """

    actor_class: ClassVar[type[nn.Module]]
    critic_class: ClassVar[type[nn.Module]]
    share_features_extractor: bool
    actor_kwargs: dict[str, Any]
    critic_kwargs: dict[str, Any]
    actor: Any
    critic: Any
    critic_target: Any

    def __init__(
        self,
        observation_space: spaces.Space,
        *args: Any,
        target_encoder: TargetEncoder = "online",
        actor_update_interval: int = 1,
        last_layer_init: float | None = None,
        layer_norm: bool = False,
        **kwargs: Any,
    ) -> None:
        self.target_encoder = one_of("target_encoder", target_encoder, ("online", "polyak"))
        self.actor_update_interval = whole_number("actor_update_interval", actor_update_interval, at_least=1)
        if last_layer_init is not None:
            last_layer_init = number("last_layer_init", last_layer_init, at_least=0)
        self.last_layer_init = last_layer_init
        self.layer_norm = flag("layer_norm", layer_norm)
        if isinstance(observation_space, spaces.Dict) and kwargs.get("features_extractor_class") is FeaturePointExtractor:
            kwargs["features_extractor_class"] = FeaturePointCombinedExtractor  # fpac_kwargs serve both policies
        super().__init__(observation_space, *args, **kwargs)

    @property
    def _has_shared_encoder(self) -> bool:
        return issubclass(self.features_extractor_class, (FrameExtractor, FeaturePointCombinedExtractor))

    def _build(self, lr_schedule: Schedule) -> None:
        if not self._has_shared_encoder:
            changed = [name for name, value in self._own_options().items() if value != OWN_OPTIONS[name]]
            if changed:
                raise ValueError(
                    f"policy_kwargs with {', '.join(changed)} need a feature-point extractor, not "
                    f"{self.features_extractor_class.__name__}: add features_extractor_class=FeaturePointExtractor."
                )
            super()._build(lr_schedule)  # type: ignore[misc]
            return
        if self.share_features_extractor:
            raise ValueError(
                "share_features_extractor=True would train the encoder with the actor's loss: leave it out. "
                "Feature points always come from one shared encoder."
            )
        resolve_pretrained(self.features_extractor_kwargs)
        self.feature_cache = FeatureCache()
        self.features_extractor = self.make_features_extractor()
        encoder_parameters = [parameter for parameter in self.features_extractor.parameters() if parameter.requires_grad]
        self.actor = self.make_actor(self.features_extractor)
        self.critic = self.make_critic(self.features_extractor)
        self._initialize_last_layers()
        if self.target_encoder == "online" or not encoder_parameters:  # a frozen encoder equals its average
            self.critic_target = self.make_critic(self.features_extractor)
            sharing_models = [self.actor, self.critic, self.critic_target]
        else:
            self.critic_target = self.make_critic(deepcopy(self.features_extractor))
            sharing_models = [self.actor]
        for model in sharing_models:
            _share_features_extractor(model)
        for model in (self.actor, self.critic, self.critic_target):
            model.feature_cache = self.feature_cache
        self.critic_target.load_state_dict(self.critic.state_dict())
        self.critic_target.set_training_mode(False)

        heads = [parameter for q_network in self.critic.q_networks for parameter in q_network.parameters()]
        critic_parameters = [*encoder_parameters, *heads]
        learning_rate = lr_schedule(1)
        self.critic.optimizer = self.optimizer_class(critic_parameters, lr=learning_rate, **self.optimizer_kwargs)  # type: ignore[call-arg]
        self.actor.optimizer = self.optimizer_class(self.actor.parameters(), lr=learning_rate, **self.optimizer_kwargs)  # type: ignore[call-arg]
        self._register_hooks()

    def _register_hooks(self) -> None:
        self.actor.optimizer.register_step_pre_hook(self._drop_gradients_between_updates)
        self.critic.optimizer.register_step_post_hook(self.feature_cache.detach)

    def _drop_gradients_between_updates(self, optimizer: th.optim.Optimizer, *args: Any) -> None:
        """
        Let an optimizer update on every n-th step only: it skips parameters without gradient. The count is stored in the
        optimizer's state dict, so that saved training continues with the right step.
        """
        group = optimizer.param_groups[0]
        group["updates"] = group.get("updates", 0) + 1
        if group["updates"] % self.actor_update_interval:
            optimizer.zero_grad(set_to_none=True)

    def predict(self, observation: Any, *args: Any, **kwargs: Any) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        if self._has_shared_encoder:
            check_given(observation, self.observation_space)
        return super().predict(observation, *args, **kwargs)

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        kwargs = self.features_extractor_kwargs
        if not self.normalize_images and issubclass(self.features_extractor_class, FrameExtractor):
            kwargs = {**kwargs, "normalized_image": True}  # as SB3 does for NatureCNN
        return self.features_extractor_class(self.observation_space, **kwargs)

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        if not self._has_shared_encoder:
            return super().make_actor(features_extractor)  # type: ignore[misc]
        return self.actor_class(**self._update_features_extractor(self.actor_kwargs, features_extractor)).to(self.device)

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> Any:
        if not self._has_shared_encoder:
            return super().make_critic(features_extractor)  # type: ignore[misc]
        critic: Any = self.critic_class(**self._update_features_extractor(self.critic_kwargs, features_extractor))
        if self.layer_norm:
            for q_network in critic.q_networks:
                add_layer_norm(q_network)
        return critic.to(self.device)

    def set_training_mode(self, mode: bool) -> None:
        super().set_training_mode(mode)
        if self._has_shared_encoder:
            self.features_extractor.train(mode)
            self.feature_cache.clear()

    def _initialize_last_layers(self) -> None:
        bound = self.last_layer_init
        if bound is None:
            return
        for head in (self.actor.mu, self.actor.log_std, *self.critic.q_networks):
            if isinstance(head, nn.Module):  # with gSDE, log_std is a parameter with its own initial value
                last = [layer for layer in head.modules() if isinstance(layer, nn.Linear)][-1]
                nn.init.uniform_(last.weight, -bound, bound)
                nn.init.uniform_(last.bias, -bound, bound)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        parameters = super()._get_constructor_parameters()
        if self._has_shared_encoder:
            parameters.update(self._own_options())
        return parameters

    def _own_options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in OWN_OPTIONS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self._has_shared_encoder:
            self._register_hooks()  # optimizers lose them when they are copied or pickled


def add_layer_norm(q_network: nn.Sequential) -> None:
    """
    Insert a LayerNorm after every linear layer but the last.

    :param q_network: A critic's network; changed in place
    """
    *hidden, _ = (i for i, layer in enumerate(q_network) if isinstance(layer, nn.Linear))
    for i in reversed(hidden):
        q_network.insert(i + 1, nn.LayerNorm(cast(nn.Linear, q_network[i]).out_features))


def _share_features_extractor(model: BaseModel) -> None:
    """Let a model use its features extractor without owning it: the extractor is not in its parameters and state dict."""
    features_extractor = model.features_extractor
    del model.features_extractor
    model.__dict__["features_extractor"] = features_extractor
