"""The policies of FPAC for SAC and TQC, by their names."""

from typing import Any

from gymnasium import spaces
from sb3_contrib import TQC
from sb3_contrib.tqc import policies as tqc
from stable_baselines3 import SAC
from stable_baselines3.sac import policies as sac

from sb3_fpac.hyperparams import fpac_kwargs
from sb3_fpac.policies.critic_trained_encoder import SACActor, SACCritic, SharedEncoderPolicy, TQCActor, TQCCritic

_DEFAULTS = dict(fpac_kwargs)  # a copy, since SB3 changes the policy_kwargs that it is passed


class SACCnnPolicy(SharedEncoderPolicy, sac.CnnPolicy):
    """SB3's CnnPolicy of SAC; with a feature-point extractor, its one encoder is trained by the critic."""

    actor_class = SACActor
    critic_class = SACCritic


class SACMultiInputPolicy(SharedEncoderPolicy, sac.MultiInputPolicy):
    """SB3's MultiInputPolicy of SAC; with a feature-point extractor, its one encoder is trained by the critic."""

    actor_class = SACActor
    critic_class = SACCritic


class TQCCnnPolicy(SharedEncoderPolicy, tqc.CnnPolicy):
    """sb3-contrib's CnnPolicy of TQC; with a feature-point extractor, its one encoder is trained by the critic."""

    actor_class = TQCActor
    critic_class = TQCCritic


class TQCMultiInputPolicy(SharedEncoderPolicy, tqc.MultiInputPolicy):
    """sb3-contrib's MultiInputPolicy of TQC; with a feature-point extractor, its one encoder is trained by the critic."""

    actor_class = TQCActor
    critic_class = TQCCritic


class FPACPolicy(SACCnnPolicy):
    """
    The policy of the FPAC paper for SAC: ``"CnnPolicy"`` with :data:`~sb3_fpac.hyperparams.fpac_kwargs` as its defaults.
    It takes every keyword argument of SB3's CnnPolicy, and ``target_encoder``, ``actor_update_interval``,
    ``last_layer_init`` and ``layer_norm``.

    For a Dict observation space the extractor is
    :class:`~sb3_fpac.features.combined_extractor.FeaturePointCombinedExtractor`. For TQC there is :class:`FPACTQCPolicy`.

    :param target_encoder: ``"online"`` or ``"polyak"``: which encoder the target critic uses
    :param actor_update_interval: The actor is updated on every n-th update only
    :param last_layer_init: The last layer of every head is drawn from U(±last_layer_init)
    :param layer_norm: Whether every hidden layer of the critic has a LayerNorm before its activation
    :raises ValueError: if an argument is out of range, the extractor has no feature points or pixels, or
        ``share_features_extractor`` is True
    """

    def __init__(self, observation_space: spaces.Space, *args: Any, **kwargs: Any) -> None:
        super().__init__(observation_space, *args, **{**_DEFAULTS, **kwargs})


class FPACTQCPolicy(TQCCnnPolicy):
    """
    The policy of the FPAC paper for TQC, with TQC's distributional critic; for the rest see :class:`FPACPolicy`.

    :param target_encoder: ``"online"`` or ``"polyak"``: which encoder the target critic uses
    :param actor_update_interval: The actor is updated on every n-th update only
    :param last_layer_init: The last layer of every head is drawn from U(±last_layer_init)
    :param layer_norm: Whether every hidden layer of the critic has a LayerNorm before its activation
    :raises ValueError: as FPACPolicy
    """

    def __init__(self, observation_space: spaces.Space, *args: Any, **kwargs: Any) -> None:
        super().__init__(observation_space, *args, **{**_DEFAULTS, **kwargs})


def register_policies() -> None:
    """
    Let ``"CnnPolicy"`` and ``"MultiInputPolicy"`` of SB3's SAC and sb3-contrib's TQC mean the policies of this module.

    Without a feature-point extractor these are the policies of SB3 and sb3-contrib.
    """
    SAC.policy_aliases.update(CnnPolicy=SACCnnPolicy, MultiInputPolicy=SACMultiInputPolicy)
    TQC.policy_aliases.update(CnnPolicy=TQCCnnPolicy, MultiInputPolicy=TQCMultiInputPolicy)
