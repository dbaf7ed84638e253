"""A trained agent as one module: observations in, actions and feature points out."""

import copy
from typing import Any

import numpy as np
import torch as th
from gymnasium import spaces
from sb3_contrib import QRDQN, TRPO
from stable_baselines3 import A2C, DQN, PPO, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.vec_env import VecTransposeImage, unwrap_vec_wrapper
from stable_baselines3.sac.policies import Actor as SACActor
from torch import nn

from sb3_fpac.checks.environments import check_normalized
from sb3_fpac.export.normalization import ObservationNormalization
from sb3_fpac.features import FrameExtractor
from sb3_fpac.fpac.loss_tracker import check_finite
from sb3_fpac.visualization.agents import find_extractor, find_images

_ONLY_FOR_TRAINING = ("actor_target", "critic", "critic_target", "q_net_target")

TOLERANCE = 1e-4
"""Of outputs, relative to the largest of them if that exceeds 1"""

_N_COMPARED = 7  # observations

_HUGE = 1e6  # of such numbers, float32 has fewer digits than the outputs are compared in

Observation = Any
"""A tensor ``(B, …)``, or a dict of tensors by key"""


class ExportedAgent(nn.Module):
    """
    What an agent does with observations of its environment, without exploration, on the CPU and in float32, whatever the
    precision of training was.

    Its input is what the environment returns, with a batch axis: images of uint8, with the channels where the environment has
    them, and vectors that are not normalized. Its outputs are the actions, scaled to the action space, and the feature points
    of the current frame of every image: ``(B, K, 3)``, x and y in pixels of the frame, and the presence.

    :param model: An agent with feature points: SAC, TQC, FPAC, PPO, A2C, TRPO, TD3, DDPG, DQN or QRDQN. If it has its
        environment, what SB3 and VecNormalize do to observations is part of the module.
    :raises ValueError: if the agent has no feature points, is of another algorithm, was trained with VecNormalize and has none
        now, or its ``predict`` returns other actions, as that of a subclass may
    """

    low: th.Tensor
    high: th.Tensor

    def __init__(self, model: BaseAlgorithm) -> None:
        super().__init__()
        find_extractor(model)
        check_normalized(model, "The agent")
        check_finite(model.policy, f"agent step {model.num_timesteps}")
        self._act = _find_act(model)
        self.algorithm = type(model).__name__
        self.space, self.action_space = model.observation_space, model.action_space
        self.normalize_images = model.policy.normalize_images
        self.layouts = {key: image.layout for key, image in find_images(model).items()}
        self.channels_last = _channels_last(model)
        self.normalization = ObservationNormalization(model.get_vec_normalize_env())
        self.policy = _copied(model.policy)
        holder: Any = _Holder(self.policy, self.space)
        self._images = find_images(holder)
        if isinstance(self.action_space, spaces.Box):
            for name in ("low", "high"):
                self.register_buffer(name, th.as_tensor(getattr(self.action_space, name)).float().flatten())
        self._check_predict(model)
        for name in _ONLY_FOR_TRAINING:
            self.policy._modules.pop(name, None)

    def _check_predict(self, model: BaseAlgorithm) -> None:
        """The actions are computed here anew, and a subclass of an algorithm or a policy may act in another way"""
        acting = copy.copy(model)
        acting.policy = self.policy
        observation = self.example(_N_COMPARED)
        seen = self.normalization(self._channels_first(observation))
        numpy = {key: part.numpy() for key, part in seen.items()} if isinstance(seen, dict) else seen.numpy()
        with th.no_grad():
            actions = self(observation)[0].numpy()
        error = difference(acting.predict(numpy, deterministic=True)[0], actions)
        if not error <= TOLERANCE:
            raise ValueError(
                f"{self.algorithm} with {type(model.policy).__name__} cannot be exported, because its predict returns actions "
                f"that differ by {error:.2g} from those of its networks: use an agent whose class and policy do not change "
                "predict or _predict, or act with predict itself."
            )

    @property
    def input_names(self) -> list[str]:
        """``observation``, or the keys of a Dict space, in the order of the space"""
        return list(self.space) if isinstance(self.space, spaces.Dict) else ["observation"]

    @property
    def output_names(self) -> list[str]:
        """``actions`` and ``points``, or for a Dict space ``points_<key>`` for every image"""
        return ["actions", *("points" if key is None else f"points_{key}" for key in self._images)]

    def forward(self, observation: Observation) -> tuple[th.Tensor, ...]:
        """
        :param observation: ``(B, …)``, or a dict of these
        :return: Actions ``(B, *action_space.shape)``, ``(B,)`` for Discrete; points ``(B, K, 3)`` of every image
        """
        observation = self.normalization(self._channels_first(observation))
        actions = self._act(self.policy, observation)
        if isinstance(self.action_space, spaces.Box):
            if self.policy.squash_output:
                actions = self.low + 0.5 * (actions + 1) * (self.high - self.low)
            actions = th.maximum(th.minimum(actions, self.high), self.low).reshape(-1, *self.action_space.shape)
        inputs: Any = preprocess_obs(observation, self.space, normalize_images=self.normalize_images)
        points = []
        for key, image in self._images.items():
            now = image.points(inputs if key is None else inputs[key])[:, -1]
            points.append(th.cat([image.to_pixels(now), now[..., 2:]], dim=-1))
        return (actions, *points)

    def example(self, batch_size: int, seed: int = 0) -> Observation:
        """
        Make observations at random.

        :param batch_size: B
        :param seed: Seed
        :return: ``(B, …)``, or a dict of these, as the environment would return them
        """
        space = copy.deepcopy(self.space)
        if isinstance(space, spaces.Dict):
            space.spaces.update({key: _without_huge_bounds(part) for key, part in space.items()})
        space.seed(seed)
        samples = [space.sample() for _ in range(batch_size)]
        keys: list[str | None] = list(space) if isinstance(space, spaces.Dict) else [None]
        parts = {key: np.stack([sample if key is None else sample[key] for sample in samples]) for key in keys}
        for key, layout in self.layouts.items():
            if layout.camera_shift:  # nothing is behind the shifts
                parts[key][:, 0].reshape(batch_size, -1)[:, 4 * (layout.n_frames - 1) :] = 0
        observation = {key: self._as_environment(key, part) for key, part in parts.items()}
        return observation.get(None, observation)

    def _as_environment(self, key: str | None, batch: np.ndarray) -> th.Tensor:
        return th.as_tensor(np.ascontiguousarray(np.moveaxis(batch, 1, -1)) if key in self.channels_last else batch)

    def _channels_first(self, observation: Observation) -> Observation:
        if isinstance(observation, dict):
            return {key: part.movedim(-1, 1) if key in self.channels_last else part for key, part in observation.items()}
        return observation.movedim(-1, 1) if None in self.channels_last else observation


def difference(expected: np.ndarray, got: np.ndarray) -> float:
    """
    Compare outputs.

    :param expected: What they must be
    :param got: What they are
    :return: The largest difference, relative to the largest output if that exceeds 1; infinite if the shapes differ
    """
    if expected.shape != got.shape:
        return np.inf
    return float(np.abs(expected.astype(np.float64) - got).max() / max(1.0, np.abs(expected).max()))


def _without_huge_bounds(space: spaces.Space) -> spaces.Space:
    """Bounds such as the largest float mean that there are none; a range of such numbers cannot be sampled"""
    if not isinstance(space, spaces.Box) or space.dtype.kind != "f":
        return space
    low = np.where(space.low < -_HUGE, -np.inf, space.low).astype(space.dtype)
    high = np.where(space.high > _HUGE, np.inf, space.high).astype(space.dtype)
    return spaces.Box(low, high, dtype=space.dtype)


def _copied(policy: BasePolicy) -> Any:
    """A copy on the CPU and in float32 that learns nothing"""
    exploration = [getattr(part, "action_dist", None) for part in (policy, getattr(policy, "actor", None))]
    kept = {id(each): each for each in exploration}  # tensors with a gradient, which cannot be copied
    copied = copy.deepcopy(policy, kept).to("cpu").requires_grad_(False)
    copied.set_training_mode(False)
    for module in copied.modules():
        if isinstance(module, FrameExtractor):
            module.prepare_for_export()
    return copied


class _Holder:
    """Has of an algorithm what :func:`find_images` asks for"""

    def __init__(self, policy: Any, space: spaces.Space) -> None:
        self.policy, self.observation_space = policy, space


def _find_act(model: BaseAlgorithm) -> Any:
    policy = model.policy
    actor = getattr(policy, "actor", None)
    if isinstance(actor, SACActor) or (hasattr(actor, "latent_pi") and hasattr(actor, "mu")):
        return _act_squashed
    if isinstance(model, TD3):
        return lambda policy, observation: policy.actor(observation)
    if isinstance(model, DQN):
        return lambda policy, observation: policy.q_net(observation).argmax(dim=1)
    if isinstance(model, QRDQN):
        return lambda policy, observation: policy.quantile_net(observation).mean(dim=1).argmax(dim=1)
    if isinstance(model, (A2C, PPO, TRPO)) and isinstance(policy, ActorCriticPolicy):
        return _act_on_policy
    raise ValueError(
        f"{type(model).__name__} with {type(policy).__name__} cannot be exported, because how it acts is not known: train "
        "SAC, TQC, FPAC, PPO, A2C, TRPO, TD3, DDPG, DQN or QRDQN, or act with predict itself."
    )


def _act_squashed(policy: Any, observation: Observation) -> th.Tensor:
    """SAC, TQC, FPAC"""
    actor = policy.actor
    return actor.mu(actor.latent_pi(actor.extract_features(observation, actor.features_extractor))).tanh()


def _act_on_policy(policy: Any, observation: Observation) -> th.Tensor:
    """PPO, A2C, TRPO: the mode of the distribution"""
    features = BasePolicy.extract_features(policy, observation, policy.pi_features_extractor)  # the policy's own may be a pair
    logits = policy.action_net(policy.mlp_extractor.forward_actor(features))
    space = policy.action_space
    if isinstance(space, spaces.Discrete):
        return logits.argmax(dim=1)
    if isinstance(space, spaces.MultiDiscrete):
        return th.stack([part.argmax(dim=1) for part in logits.split(space.nvec.tolist(), dim=1)], dim=1)
    if isinstance(space, spaces.MultiBinary):
        return (logits > 0).float()
    return logits.tanh() if policy.squash_output else logits


def _channels_last(model: BaseAlgorithm) -> list[str | None]:
    """Keys of the images that SB3 transposes; the key of a single image is None"""
    env = model.get_env()
    transposing = None if env is None else unwrap_vec_wrapper(env, VecTransposeImage)
    if not isinstance(transposing, VecTransposeImage) or transposing.skip:
        return []
    return list(transposing.image_space_keys) if isinstance(model.observation_space, spaces.Dict) else [None]
