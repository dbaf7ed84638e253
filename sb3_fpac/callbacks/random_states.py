"""The random states of training: PyTorch's, NumPy's, Python's, the action space's, and gSDE's noise."""

import random
from typing import Any

import numpy as np
import torch as th
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm


def random_states(model: OffPolicyAlgorithm) -> dict[str, Any]:
    """
    Collect the states of all random generators of training, except those of the environment.

    :param model: Between two rollouts
    :return: The states by name, for :func:`restore_random_states`: numbers, texts and tensors, which ``torch.load`` loads
        with ``weights_only=True``
    """
    noise = getattr(model.actor, "action_dist", None) if model.use_sde else None
    numpy_state: Any = np.random.get_state()
    return {
        "torch": th.get_rng_state(),
        "cuda": th.cuda.get_rng_state(model.device) if model.device.type == "cuda" else None,
        "mps": th.mps.get_rng_state() if model.device.type == "mps" else None,
        "numpy": tuple(each.tolist() if isinstance(each, np.ndarray) else each for each in numpy_state),
        "python": random.getstate(),
        "actions": model.action_space.np_random.bit_generator.state,
        "sde": None if noise is None else (noise.exploration_mat.detach(), noise.exploration_matrices.detach()),
    }


def restore_random_states(model: OffPolicyAlgorithm, states: dict[str, Any]) -> None:
    """
    Restore the random states, so that the same numbers are drawn again.

    :param model: A model of the same spaces, on any device
    :param states: As :func:`random_states` returned them
    """
    if states["sde"] is not None:
        model.actor.reset_noise = _RestoredNoise(model.actor, states["sde"])  # type: ignore[assignment]
    model.action_space.np_random.bit_generator.state = states["actions"]
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    if states["cuda"] is not None and model.device.type == "cuda":
        th.cuda.set_rng_state(states["cuda"], model.device)
    if states["mps"] is not None and model.device.type == "mps":
        th.mps.set_rng_state(states["mps"])
    th.set_rng_state(states["torch"])


class _RestoredNoise:
    """Replaces an actor's ``reset_noise`` once: SB3 draws gSDE's noise before the moment at which a checkpoint is saved"""

    def __init__(self, actor: Any, noise: tuple[th.Tensor, th.Tensor]) -> None:
        self.actor, self.noise = actor, noise

    def __call__(self, batch_size: int = 1) -> None:
        del self.actor.reset_noise
        distribution = self.actor.action_dist
        distribution.exploration_mat, distribution.exploration_matrices = (
            noise.to(self.actor.log_std.device) for noise in self.noise
        )
