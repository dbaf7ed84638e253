"""
Runs RL Zoo's scripts for the Hugging Face hub: what they lack is added while they run. What they upload gets a model card that
names this package and shows the agent's feature points.
"""

import argparse
import re
import runpy
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import gymnasium as gym
import huggingface_hub.repocard
import huggingface_sb3
import numpy as np
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError
from requests.exceptions import HTTPError
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from sb3_fpac.visualization.agents import count_points, find_extractor
from sb3_fpac.visualization.episode import record_episode
from sb3_fpac.visualization.video import render_moments, write_image
from sb3_fpac.zoo.integration import ZooFPAC

PICTURE = "feature_points.png"
MAX_STEPS = 1000  # of the episode in the picture
_PIXELS = 420  # height of a frame in the picture
_PAPER = "https://arxiv.org/abs/2106.07995"
_NO_ANSWER: type[Exception] = HfHubHTTPError.__bases__[0]  # of the library for HTTP that the Hub library uses
_pushing = import_module("huggingface_sb3.push_to_hub")  # the package has a function of the same name


def run_script(name: str, arguments: Sequence[str]) -> None:
    """
    Run a script of RL Zoo as ``python -m rl_zoo3.<name>`` would, with the algorithms and environments of this package.

    :param name: ``"push_to_hub"``, ``"load_from_hub"``, ``"record_training"``
    :param arguments: Arguments of the script
    :raises ValueError: if ``record_training`` finds no ffmpeg, or the hub cannot be reached
    """
    if name == "record_training" and not {"-h", "--help"} & set(arguments) and shutil.which("ffmpeg") is None:
        raise ValueError(
            "record_training joins its videos with ffmpeg, which is not on the PATH: install it, for example with apt-get "
            "install ffmpeg."
        )
    card = _Card(arguments)
    replacements: list[tuple[Any, str, Any]] = [
        (sys, "argv", [name, *arguments]),
        (_pushing, "_evaluate_agent", card.watch(_pushing._evaluate_agent)),
        (huggingface_hub.repocard, "metadata_save", card.complete(huggingface_hub.repocard.metadata_save)),
        # RL Zoo writes this name on the card; ZooFPAC is not for users.
        (ZooFPAC, "__name__", "FPAC"),
    ]
    # RL Zoo imports a name that the Hub package has made private. It expects a dict.
    if not hasattr(_pushing, "generate_metadata"):
        replacements.append((_pushing, "generate_metadata", _generate_metadata))
    # RL Zoo loads agents without vec_normalize.pkl only after an error of requests, which the Hub library no longer uses.
    if not issubclass(EntryNotFoundError, HTTPError):
        replacements.append((huggingface_sb3, "load_from_hub", _as_requests_would(huggingface_sb3.load_from_hub)))
    with ExitStack() as stack:
        for replacement in replacements:
            stack.enter_context(_replaced(*replacement))
        stack.enter_context(_unreachable_in_one_sentence())
        runpy.run_module(f"rl_zoo3.{name}", run_name="__main__", alter_sys=True)


@contextmanager
def _unreachable_in_one_sentence() -> Iterator[None]:
    try:
        yield
    except _NO_ANSWER as error:
        if isinstance(error, OSError):  # an answer of the hub
            raise
        raise ValueError(f"The Hugging Face hub cannot be reached ({error}): check the network and try again.") from error


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    is_new, old = not hasattr(owner, name), getattr(owner, name, None)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if is_new:
            delattr(owner, name)
        else:
            setattr(owner, name, old)


def _generate_metadata(*args: Any) -> dict[str, Any]:
    return _pushing._generate_metadata(*args).to_dict()


class _MissingFileError(EntryNotFoundError, HTTPError):
    """A file that is not in a repository, for those who expect the error of the Hub library or that of requests"""


def _as_requests_would(load: Callable[..., str]) -> Callable[..., str]:
    @wraps(load)
    def load_from_hub(repo_id: str, filename: str) -> str:
        try:
            return load(repo_id, filename)
        except EntryNotFoundError as error:
            # A LocalEntryNotFoundError says that there is no network
            if filename != "vec_normalize.pkl" or isinstance(error, LocalEntryNotFoundError):
                raise
            raise _MissingFileError(str(error)) from error

    return load_from_hub


class _Card:
    """
    What this package adds to the model card, while ``push_to_hub`` evaluates the agent and saves the card.

    :param arguments: Those of ``push_to_hub``
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = arguments
        self.is_ours = False
        self.points = ""
        self.result = ""

    def watch(self, evaluate: Callable[..., tuple[float, float]]) -> Callable[..., tuple[float, float]]:
        """
        Extend the evaluation by a picture, which is uploaded with the other files of the folder.

        :param evaluate: Function of the Hub package
        :return: The same, which also draws
        """

        @wraps(evaluate)
        def evaluate_and_draw(
            model: BaseAlgorithm, env: VecEnv, n_episodes: int, is_deterministic: bool, folder: Path
        ) -> tuple[float, float]:
            mean, std = evaluate(model, env, n_episodes, is_deterministic, folder)
            actions = "deterministic" if is_deterministic else "sampled"
            self.result = f"**{mean:.2f} ± {std:.2f}** over {n_episodes} episodes with {actions} actions"
            self.is_ours = any(_is_of_this_package(type(each)) for each in (model, *model.policy.modules()))
            self.points = _draw(model, env, is_deterministic, folder / PICTURE)
            return mean, std

        return evaluate_and_draw

    def complete(self, save: Callable[[Path, dict[str, Any]], None]) -> Callable[[Path, dict[str, Any]], None]:
        """
        Extend the card and its tags, if the agent needs this package.

        :param save: Function of the Hub library that adds metadata to the file of the card
        :return: The same, which also adds what it says about this package
        """

        @wraps(save)
        def complete_and_save(path: Path, data: dict[str, Any]) -> None:
            text = path.read_text(encoding="utf-8")
            parser = argparse.ArgumentParser()
            parser.add_argument("--algo")
            parser.add_argument("--env")
            run = parser.parse_known_args(self.arguments)[0]
            # RL Zoo has written the names of wrappers, among the hyperparameters
            if self.is_ours or "sb3_fpac." in text or _is_of_this_package(gym.spec(run.env).entry_point):
                text = text.replace("\n## ", f"\n{self._section(run.algo, run.env)}\n## ", 1)
                path.write_text(_with_commands_of_this_package(text, path.parent), encoding="utf-8")
                data = {**data, "tags": [*data["tags"], "sb3-fpac"]}
            save(path, data)

        return complete_and_save

    def _section(self, algo: str, env: str) -> str:
        lines = ["## Usage (with sb3-fpac)"]
        if self.points:
            lines += [f"![Feature points of the agent]({PICTURE})", self.points]
        lines += [
            f"Mean return on `{env}`: {self.result}.",
            f"The agent needs sb3-fpac ({_links()}), a package for Stable-Baselines3, with its extra `viz`. "
            "In Python, `import sb3_fpac` registers its environments.",
        ]
        if self.points:
            lines += [
                "After the download below, this command writes a video of the agent with its feature points:",
                f"```bash\npython -m sb3_fpac watch --algo {algo} --env {env} -f logs/ -o agent.mp4\n```",
            ]
        return "\n\n".join(lines) + "\n"


def _draw(model: BaseAlgorithm, env: VecEnv, is_deterministic: bool, path: Path) -> str:
    """Write a picture of the agent's feature points, and describe it; empty if there are none"""
    try:
        find_extractor(model)
    except ValueError:
        return ""
    episode = record_episode(model, _FirstEnv(env), is_deterministic, MAX_STEPS)
    largest = max(view.frames.shape[1] for view in episode.views.values())
    write_image(path, render_moments(episode, scale=max(_PIXELS // largest, 1)))
    cameras = " and ".join(f"`{key}`" for key in episode.views if key is not None)
    whose = f" of the camera{'s' * (len(episode.views) > 1)} {cameras}" if cameras else ""
    return (
        f"The discs are the agent's {count_points(model)} feature points{whose}, at moments of an episode. "
        "A point that the agent does not see is small and faint."
    )


class _FirstEnv(VecEnvWrapper):
    """The first of several environments; the others get its actions"""

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self.num_envs = 1

    def reset(self) -> VecEnvObs:
        return _first(self.venv.reset())

    def step_async(self, actions: np.ndarray) -> None:
        self.venv.step_async(np.repeat(actions, self.venv.num_envs, axis=0))

    def step_wait(self) -> VecEnvStepReturn:
        obs, rewards, dones, infos = self.venv.step_wait()
        return _first(obs), rewards[:1], dones[:1], infos[:1]


def _first(obs: Any) -> Any:
    return {key: part[:1] for key, part in obs.items()} if isinstance(obs, dict) else obs[:1]


def _is_of_this_package(what: Any) -> bool:
    """Whether a class, a function, or what ``"module:name"`` stands for is of this package"""
    module = what if isinstance(what, str) else getattr(what, "__module__", "")
    return re.split("[.:]", module)[0] == "sb3_fpac"


def _with_commands_of_this_package(text: str, repository: Path) -> str:
    """RL Zoo's own ``load_from_hub`` and ``push_to_hub`` do not know the algorithms, nor does the card a name of the user's"""
    name = "" if Path(repository, f"{repository.name}.zip").is_file() else f" -name {repository.name}"
    for script, variable in (("load_from_hub", "TRUST_REMOTE_CODE=True "), ("push_to_hub", "")):
        text = text.replace(f"python -m rl_zoo3.{script}", f"{variable}python -m sb3_fpac zoo {script}{name}")
    return text


def _links() -> str:
    """The addresses in this package's metadata, as links"""
    try:
        addresses = metadata("sb3-fpac").get_all("Project-URL") or []
    except PackageNotFoundError:  # a checkout that is not installed
        addresses = [f"Paper, {_PAPER}"]
    pairs = (address.split(", ", 1) for address in addresses)
    return ", ".join(f"[{name}]({address})" for name, address in pairs)
