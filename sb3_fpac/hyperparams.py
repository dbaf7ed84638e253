"""The hyperparameters of the paper's Table I, as SB3 takes them, and a preset for learning in minutes."""

from typing import Any

from torch import nn

from sb3_fpac.features.extractor import FeaturePointExtractor

__all__ = ["fpac_fast", "fpac_hyperparams", "fpac_kwargs"]

fpac_kwargs: dict[str, Any] = dict(
    features_extractor_class=FeaturePointExtractor,
    net_arch=[1024, 1024],
    activation_fn=nn.SiLU,
    last_layer_init=3e-3,
    actor_update_interval=2,
)
"""``policy_kwargs`` that make SB3's ``"CnnPolicy"`` the policy of the paper (Table I), for SAC and TQC."""

fpac_hyperparams: dict[str, Any] = dict(
    learning_rate=3e-4,
    buffer_size=100_000,
    learning_starts=1000,
    batch_size=128,
    tau=0.01,
    gamma=0.99,
    train_freq=2,
    gradient_steps=2,
    ent_coef="auto_0.1",
    target_update_interval=2,
)
"""
Table I as keyword arguments of SAC and TQC. There are two gradient steps after every two agent steps, because SAC counts
``target_update_interval`` within one call of ``train()``: with one gradient step per call, every step would update the target.
"""

fpac_fast: dict[str, Any] = dict(
    learning_rate=1e-3,
    n_steps=3,
    policy_kwargs=dict(
        net_arch=[256, 256],
        layer_norm=True,
        features_extractor_kwargs=dict(
            strides=(2,), anti_aliasing=True, softmax="full", temperature=0.1, standardize=True, frozen=True
        ),
    ),
)
"""
Keyword arguments of FPAC for learning on a small machine: ``FPAC("CnnPolicy", env, **fpac_fast)``, with frames of about
64×64 pixels. It is not the paper's algorithm: the encoder is a single convolution with random weights. It is not trained, so
that every frame is encoded once.
"""
