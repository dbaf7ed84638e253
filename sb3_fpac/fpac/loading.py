"""An algorithm whose files are checked when they are loaded."""

import copy
import inspect
import io
import json
import pathlib
import zipfile
from typing import Any, TypeVar

from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import VectorizedActionNoise
from stable_baselines3.common.save_util import json_to_data, open_path

from sb3_fpac.arguments import keywords
from sb3_fpac.buffers import BaseFrameReplayBuffer, end_episodes
from sb3_fpac.checks.arguments import check_loaded_buffer
from sb3_fpac.files import check_zip, reading
from sb3_fpac.sb3.saved_by import check_saved_by, read_attributes

SelfCheckedLoading = TypeVar("SelfCheckedLoading", bound="CheckedLoading")

_FIXED = ("ent_coef", "policy_kwargs", "use_sde")
"""Arguments whose networks, optimizers or value of α are in the file"""


class CheckedLoading(SAC):
    """Base class of FPAC. Loading a file that is damaged or does not fit raises an error and leaves the model unchanged."""

    replay_buffer: BaseFrameReplayBuffer

    @classmethod
    def load(
        cls: type[SelfCheckedLoading], path: str | pathlib.Path | io.BufferedIOBase, *args: Any, **kwargs: Any
    ) -> SelfCheckedLoading:
        """
        Load a model that :meth:`save` saved.

        :param path: The file, with or without ``.zip``
        :param args: As in SAC
        :param kwargs: As in SAC
        :return: The model
        :raises ValueError: if the file is damaged, another algorithm saved it, the model does not fit the environment, there
            is no such argument, or ``ent_coef``, ``policy_kwargs`` or ``use_sde`` differ from those of the file
        """
        unknown = sorted(kwargs.keys() - inspect.signature(super().load).parameters.keys() - keywords(cls))
        if unknown:
            raise ValueError(  # SB3 would set an attribute of this name, which nothing reads
                f"{cls.__name__}.load can change arguments of {cls.__name__}, and {unknown[0]!r} is none: leave it out. "
                "Policy and encoder of a saved agent are those of its training."
            )
        if isinstance(path, (str, pathlib.Path)):
            if str(path).endswith(".safetensors"):
                raise ValueError(f"{path} is a file of save_weights: use sb3_fpac.load_weights.")
            with open_path(path, "r", suffix="zip") as file:
                archive: Any = file.name
            check_zip(archive)
            source = str(archive)
        else:
            archive, source = path, "This file"
        with reading(source):
            attributes = read_attributes(archive)
        check_saved_by(cls, attributes, source)
        fixed = {name: kwargs[name] for name in _FIXED if name in kwargs}
        if fixed:
            arguments = inspect.signature(super().load).bind(path, *args, **kwargs).arguments
            saved = _read_arguments(archive, list(fixed), arguments.get("custom_objects"))
            for name in fixed:
                if not are_same_arguments(fixed[name], saved[name]):
                    raise ValueError(
                        f"{cls.__name__}.load cannot change {name}, which was {saved[name]!r} in training, to "
                        f"{fixed[name]!r}: leave it out, or train a new agent with it."
                    )
        kwargs.pop("policy_kwargs", None)  # SB3 would find (2,) different from [2]
        model = super().load(path, *args, **kwargs)
        noise = model.action_noise
        if isinstance(noise, VectorizedActionNoise) and noise.n_envs != model.n_envs:
            model.action_noise = noise.base_noise  # learn makes one for each environment
        return model

    def set_parameters(self, *args: Any, **kwargs: Any) -> None:
        """
        Set weights and states of optimizers, as SAC does, or change nothing.

        :raises ValueError: if they are of an agent with other optimizers, such as one whose encoder is frozen
        :raises RuntimeError: if they are of an agent with other networks
        """
        before: Any = copy.deepcopy(self.get_parameters())
        try:
            super().set_parameters(*args, **kwargs)
        except (ValueError, RuntimeError) as error:
            super().set_parameters(before)
            kind = RuntimeError if isinstance(error, RuntimeError) else ValueError
            raise kind(
                f"These parameters do not fit this agent, which is left as it was: {error} If only the trained parts differ "
                "(frozen), copy the networks alone: model.policy.load_state_dict(other.policy.state_dict())."
            ) from error

    def load_replay_buffer(self, path: str | pathlib.Path | io.BufferedIOBase, truncate_last_traj: bool = True) -> None:
        """
        Load a replay buffer that :meth:`save_replay_buffer` saved. It gets the ``n_steps`` and ``gamma`` of this model, which
        are used when transitions are sampled, and its last episode ends.

        :param path: The file
        :param truncate_last_traj: As in SAC; no effect on a FrameReplayBuffer
        :raises ValueError: if the file is damaged, or contains no FrameReplayBuffer, or one of other spaces, frames
            or another number of environments
        """
        if isinstance(path, (str, pathlib.Path)) and zipfile.is_zipfile(path):
            raise ValueError(f"{path} is a model, and no replay buffer: use {type(self).__name__}.load.")
        previous = self.replay_buffer
        try:
            with reading(path):
                super().load_replay_buffer(path, truncate_last_traj)
            loaded = self.replay_buffer
        finally:
            self.replay_buffer = previous
        self.use_replay_buffer(loaded, path)
        end_episodes(self.replay_buffer)

    def use_replay_buffer(self, buffer: ReplayBuffer, path: str | pathlib.Path | io.BufferedIOBase) -> None:
        """
        Go on with a replay buffer from a file.

        :param buffer: It has the device and, for goals, the environment of this model
        :param path: The file, for the error
        :raises ValueError: if it does not fit; the model then keeps its own
        """
        try:
            check_loaded_buffer(buffer, self.replay_buffer)
        except ValueError as error:
            raise ValueError(f"{path} does not fit: {error}") from error
        assert isinstance(buffer, BaseFrameReplayBuffer)
        buffer.n_steps, buffer.gamma = self.replay_buffer.n_steps, self.replay_buffer.gamma
        self.replay_buffer = buffer


def are_same_arguments(given: Any, saved: Any) -> bool:
    """
    Compare arguments of an agent, such as ``policy_kwargs``, with those of a saved one.

    :param given: As the user writes it
    :param saved: As the file has it
    :return: True if they make the same agent
    """
    return bool(_plain(given) == _plain(saved))


def _plain(value: Any) -> Any:
    """As JSON has it, without what SB3 adds to policy_kwargs, and for pre-trained points only whether there are any"""
    if isinstance(value, dict):
        plain = {key: _plain(each) for key, each in value.items() if key != "use_sde"}
        if plain.get("pretrained") is not None:
            by_key = value["pretrained"]
            plain["pretrained"] = sorted(by_key) if isinstance(by_key, dict) else True
        return plain
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _read_arguments(archive: Any, names: list[str], custom_objects: dict[str, Any] | None) -> dict[str, Any]:
    """Some arguments of a saved model, without loading anything else"""
    attributes = read_attributes(archive)
    return json_to_data(json.dumps({name: attributes[name] for name in names}), custom_objects)
