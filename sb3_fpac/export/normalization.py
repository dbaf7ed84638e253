"""What VecNormalize does to observations, as a module."""

from typing import Any

import torch as th
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn


class ObservationNormalization(nn.Module):
    """
    Normalizes observations by the statistics that VecNormalize has at this moment.

    :param env: None, or normalizing nothing: observations stay as they are
    """

    def __init__(self, env: VecNormalize | None) -> None:
        super().__init__()
        self.keys: list[str] = []
        if env is None or not env.norm_obs:
            return
        statistics: Any = env.obs_rms if isinstance(env.obs_rms, dict) else {"": env.obs_rms}
        self.keys = [key for key in statistics if key == "" or key in (env.norm_obs_keys or ())]
        self.clip = float(env.clip_obs)
        for i, key in enumerate(self.keys):  # keys are no names of buffers
            self.register_buffer(f"mean_{i}", th.as_tensor(statistics[key].mean))
            self.register_buffer(f"deviation_{i}", (th.as_tensor(statistics[key].var) + env.epsilon).sqrt())

    def forward(self, observation: Any) -> Any:
        """
        :param observation: ``(B, …)``, or a dict of these
        :return: The same, normalized as float32 where VecNormalize does
        """
        for i, key in enumerate(self.keys):
            part = observation if key == "" else observation[key]
            mean, deviation = getattr(self, f"mean_{i}"), getattr(self, f"deviation_{i}")
            normalized = ((part - mean) / deviation).clamp(-self.clip, self.clip).float()
            observation = normalized if key == "" else {**observation, key: normalized}
        return observation
