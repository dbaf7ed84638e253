"""The section of a report about an agent: what it sees and does in one episode."""

import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from sb3_fpac.evaluation.runs import Run
from sb3_fpac.files import UntrustedFileError
from sb3_fpac.optional import needs
from sb3_fpac.visualization import point_colours, to_rgb
from sb3_fpac.visualization.agents import count_points, feature_names, find_extractor
from sb3_fpac.visualization.episode import Episode, record_episode
from sb3_fpac.visualization.ranking import NoRankingError, rank_points
from sb3_fpac.visualization.video import render_episode, render_maps, write_video

with needs("viz"):
    from PIL import Image
    from tqdm import tqdm

    from sb3_fpac.zoo.saved_agents import load_agent

MAX_STEPS = 1000  # of the episode
MAPS = 8  # feature maps in the figure: those of the most important points


@dataclass(frozen=True)
class AgentSection:
    """One episode of an agent with K feature points over all its cameras."""

    name: str
    """Name of the run and file of the model, ``"fpac, seed 1 (best_model.zip)"``, or of the file alone"""
    episode: Episode
    fps: float
    """Agent steps per second in real time"""
    video_mp4: bytes
    """The episode with its points"""
    maps_png: bytes
    """Feature maps of the most important points"""
    names: list[str]
    """Of the K points and of the entries of vectors behind them, N in all, see
    :func:`~sb3_fpac.visualization.feature_names`"""
    ranking_action: np.ndarray | None
    """``(N,)``: importance of each for the action; None if the points of the algorithm cannot be ranked"""
    ranking_value: np.ndarray | None
    """``(N,)``: importance of each for the value; None if the critic does not see the agent's points"""
    order: np.ndarray
    """``(N,)``: indices of the names, the most important first; ``(K,)``, of the points alone, if they cannot be ranked"""
    colours: np.ndarray
    """``(K, 3)`` uint8, RGB: colours of the points"""

    @property
    def summary(self) -> str:
        """``"64 feature points of the cameras front and wrist, 7 entries of vectors"``"""
        keys = [key for key in self.episode.views if key is not None]
        cameras = f" of the camera{'s' * (len(keys) > 1)} {' and '.join(keys)}" * bool(keys)
        n_entries = len(self.names) - len(self.colours)
        entries = f", {n_entries} {'entry' if n_entries == 1 else 'entries'} of vectors" if n_entries else ""
        return f"{len(self.colours)} feature points{cameras}{entries}"


def first_agent_section(
    runs: Sequence[Run], seed: int, quiet: bool = False, trust: bool = False
) -> tuple[AgentSection | None, list[str]]:
    """
    Find the first run whose agent can be shown.

    :param runs: Runs in the order in which they are tried; after the first success, only missing models are reported
    :param seed: Seed of the environment
    :param quiet: Whether to show no progress
    :param trust: Whether the files of the runs may run code
    :return: The agent, or None if no agent can be shown; and one sentence for each reason why others cannot be shown
    :raises UntrustedFileError: if a file is more than data and ``trust`` is False
    """
    found = None
    reasons: dict[str, list[str]] = {}
    for run in runs:
        try:
            _require_model(run)
            found = found or show_agent(run, seed, quiet, trust)
        except UntrustedFileError:
            raise  # whoever made the report decides
        except (ValueError, gym.error.Error) as error:
            reasons.setdefault(str(error), []).append(run.name)
    return found, [f"Not shown: {'; '.join(names)}. {reason}" for reason, names in reasons.items()]


def show_agent(run: Run, seed: int = 0, quiet: bool = False, trust: bool = False) -> AgentSection:
    """
    Load the agent of a run and play one episode.

    :param run: The run
    :param seed: Seed of the environment
    :param quiet: Whether to show no progress
    :param trust: Whether the files of the run may run code
    :return: The section
    :raises ValueError: if there is no model, it does not load, or it has no feature points
    """
    path = _require_model(run)
    model, env = load_agent(path, run.algorithm, run.env_id, seed=seed, trust=trust, named_by_run=True)
    return _play(model, env, path, f"{run.name} ({path.name})", quiet)


def show_weights(
    path: Path,
    env_id: str,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
    gym_packages: Sequence[str] = (),
    quiet: bool = False,
) -> AgentSection:
    """
    Load the agent of a file of weights and play one episode.

    :param path: File of :func:`~sb3_fpac.save_weights`; nothing else is read
    :param env_id: The environment
    :param seed: Seed of the environment
    :param env_kwargs: Keyword arguments of the environment
    :param gym_packages: Modules that register environments
    :param quiet: Whether to show no progress
    :return: The section
    :raises ValueError: if the file is damaged, the environment is another, or the agent has no feature points
    """
    model, env = load_agent(path, "fpac", env_id, env_kwargs, seed, gym_packages=gym_packages)
    return _play(model, env, path, path.name, quiet)


def _play(model: BaseAlgorithm, env: VecEnv, path: Path, name: str, quiet: bool) -> AgentSection:
    try:
        find_extractor(model)  # raises before the episode is played
        with tqdm(unit=" steps", desc=f"Playing {path}", disable=quiet) as progress:
            episode = record_episode(model, env, max_steps=MAX_STEPS, on_step=progress.update)
        fps = env.get_attr("metadata")[0].get("render_fps") or 30.0
    finally:
        env.close()
    try:
        ranking = rank_points(model, episode.observations)
    except NoRankingError:
        ranking = None
    n_points = count_points(model)
    order = np.arange(n_points) if ranking is None else ranking.order
    middle = len(episode.rewards) // 2
    return AgentSection(
        name=name,
        episode=episode,
        fps=fps,
        video_mp4=_video(episode, fps),
        maps_png=_png(render_maps(model, episode, middle, order[order < n_points][:MAPS])),
        names=feature_names(model),
        ranking_action=None if ranking is None else ranking.action,
        ranking_value=None if ranking is None else ranking.value,
        order=order,
        colours=np.concatenate([point_colours(view.points.shape[1]) for view in episode.views.values()]),
    )


def _require_model(run: Run) -> Path:
    if run.model is None:
        raise ValueError("No model has been saved.")
    return run.model


def sprite(frames: np.ndarray, columns: int) -> bytes:
    """
    Arrange all frames in one picture, row by row.

    :param frames: ``(T, H, W, C)`` uint8
    :param columns: Frames in a row
    :return: A PNG of ``(⌈T / columns⌉ · H, columns · W)`` pixels
    """
    n_frames, height, width, _ = frames.shape
    rows = -(-n_frames // columns)
    padded = np.zeros((rows * columns, height, width, 3), np.uint8)
    padded[:n_frames] = to_rgb(frames)
    grid = padded.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return _png(grid.reshape(rows * height, columns * width, 3))


def _png(picture: np.ndarray) -> bytes:
    png = io.BytesIO()
    Image.fromarray(picture).save(png, "PNG", optimize=True)
    return png.getvalue()


def _video(episode: Episode, fps: float) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "episode.mp4")
        write_video(path, render_episode(episode), fps)
        return path.read_bytes()
