"""Models with something in their buffer, their updates under one seed, and copies of their parameters."""

from typing import TypeVar

import numpy as np
import torch as th
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

Model = TypeVar("Model", bound=OffPolicyAlgorithm)


def filled(model: Model, n_steps: int) -> Model:
    """The model with transitions in its buffer, no update done, and updates from now on"""
    model.learning_starts = n_steps
    model.learn(n_steps)
    assert model._n_updates == 0
    model.learning_starts = 0
    return model


def train(model: OffPolicyAlgorithm, gradient_steps: int, batch_size: int | None = None, seed: int = 1) -> None:
    """Updates that depend on nothing but the model and the seed"""
    th.manual_seed(seed)
    np.random.seed(seed)
    model.train(gradient_steps, batch_size or model.batch_size)


def snapshot(*modules: th.nn.Module) -> list[th.Tensor]:
    """Copies of all parameters"""
    return [parameter.detach().clone() for module in modules for parameter in module.parameters()]


def same(before: list[th.Tensor], after: list[th.Tensor]) -> bool:
    """Whether two snapshots are equal to the bit"""
    return len(before) == len(after) > 0 and all(th.equal(a, b) for a, b in zip(before, after, strict=True))
