"""Visualizes the feature points during training."""

import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Image, TensorBoardOutputFormat
from stable_baselines3.common.vec_env import VecEnv, unwrap_vec_normalize

from sb3_fpac.arguments import whole_number
from sb3_fpac.callbacks.another_env import another_env
from sb3_fpac.checks.evaluation import share_environments
from sb3_fpac.files import UnwritableFileError, make_folder
from sb3_fpac.visualization.agents import find_extractor, observation_tensor
from sb3_fpac.visualization.episode import Episode, record_episode
from sb3_fpac.visualization.ranking import most_important


class FeaturePointCallback(BaseCallback):
    """
    Visualizes the feature points during training. Every ``freq`` agent steps it plays an episode with the mean action. It
    writes a video of the episode with the points (``points_<steps>.mp4``) and a picture of the feature maps that matter most
    (``maps_<steps>.png``). If training logs to TensorBoard, it also logs both there, with histograms of presence and of speed
    (in pixels per agent step), for Dict observations by key. It does not change training.

    Needs the extra ``viz``. In a YAML of RL Zoo, where a relative path starts at the run's log folder::

        callback:
          - sb3_fpac.callbacks.FeaturePointCallback:
              freq: 10000

    :param freq: Agent steps, as SB3 counts them (over all environments), between episodes
    :param save_path: Folder of the files
    :param eval_env: The environment to play in; None: a new environment like the first one of training, with the same
        wrappers. If it has a VecNormalize, this one gets the statistics of training.
    :param max_steps: Maximum number of agent steps of an episode; None: no limit
    :param n_maps: Number of feature maps to draw
    :param scale: Size of a pixel of the frame in the video, in pixels; of several cameras, that of the largest frame
    :raises ValueError: if an argument is wrong or, at the start of training, if the agent has no feature points, nothing can
        be written to the folder, the environment has other observations, or a wrapper of training cannot be applied again
    :raises ImportError: if a package is missing
    """

    def __init__(
        self,
        freq: int = 10_000,
        save_path: str | Path = "feature_points",
        eval_env: gym.Env | VecEnv | None = None,
        max_steps: int | None = 250,
        n_maps: int = 4,
        scale: int = 4,
    ) -> None:
        super().__init__()
        self.freq = whole_number("freq", freq, at_least=1)
        self.max_steps = None if max_steps is None else whole_number("max_steps", max_steps, at_least=1)
        self.n_maps = whole_number("n_maps", n_maps, at_least=1)
        self.scale = whole_number("scale", scale, at_least=1)
        import sb3_fpac.visualization.video  # noqa: F401  a missing package fails here and not after hours

        self.save_path = Path(save_path)
        if eval_env is not None and not isinstance(eval_env, (gym.Env, VecEnv)):
            raise ValueError(f"eval_env must be an environment, got {eval_env!r}: make it with gym.make.")
        self.eval_env = eval_env
        self._env: gym.Env | VecEnv
        self._drawn_at = 0  # agent steps

    def _on_training_start(self) -> None:
        find_extractor(self.model)
        make_folder(self.save_path)
        if self.eval_env is not None and share_environments(self.eval_env, self.training_env):
            raise ValueError(
                "eval_env is the environment of training, whose episodes it would interrupt: make another one, such as by "
                "gym.make, or leave eval_env out if gym.make made that of training."
            )
        self._env = another_env(self.training_env) if self.eval_env is None else self.eval_env
        self._share_statistics()
        obs = self._env.reset() if isinstance(self._env, VecEnv) else self._env.reset()[0]
        try:
            observation_tensor(self.model, obs)  # type: ignore[arg-type]
        except ValueError as error:
            raise ValueError(
                f"FeaturePointCallback needs an environment with the observations of training: pass one as eval_env ({error})"
            ) from error
        self._pictures(record_episode(self.model, self._env, max_steps=2))  # what fails, fails before the first step
        self._drawn_at = self.num_timesteps

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:  # all steps so far have been stored and learned from
        if self.num_timesteps // self.freq > self._drawn_at // self.freq:
            self._drawn_at = self.num_timesteps
            self._draw()

    def _on_training_end(self) -> None:
        self._on_rollout_start()
        if self.eval_env is None:
            self._env.close()

    def _share_statistics(self) -> None:
        """A VecNormalize of eval_env normalizes observations as that of training does, also when its statistics change"""
        ours = self.model.get_vec_normalize_env()
        theirs = unwrap_vec_normalize(self._env) if isinstance(self._env, VecEnv) else None
        if ours is not None and ours.norm_obs and theirs is not None and theirs.norm_obs:
            theirs.obs_rms, theirs.training = ours.obs_rms, False

    def _pictures(self, episode: Episode) -> tuple[list[np.ndarray], np.ndarray]:
        """The frames of the episode with their points, and the feature maps that matter most"""
        from sb3_fpac.visualization import video

        pictures = list(video.render_episode(episode, scale=self.scale))
        order = most_important(self.model, episode.observations)
        return pictures, video.render_maps(self.model, episode, len(pictures) // 2, order[: self.n_maps])

    def _draw(self) -> None:
        from sb3_fpac.visualization import video

        episode = record_episode(self.model, self._env, max_steps=self.max_steps)
        pictures, maps = self._pictures(episode)
        fps: Any = self._env.metadata.get("render_fps") or 30
        try:
            video.write_video(self.save_path / f"points_{self.num_timesteps}.mp4", pictures, fps)
            video.write_image(self.save_path / f"maps_{self.num_timesteps}.png", maps)
        except UnwritableFileError as error:  # training is worth more than a picture
            warnings.warn(str(error), stacklevel=2)

        for output in self.logger.output_formats:
            if isinstance(output, TensorBoardOutputFormat):
                from tensorboard.compat.proto.summary_pb2 import Summary

                values: dict[str, Any] = {"feature_points/maps": Image(maps, "HWC")}
                for key, view in episode.views.items():
                    prefix = "feature_points" if key is None else f"feature_points/{key}"
                    values |= {f"{prefix}/presence": view.points[..., 2], f"{prefix}/speed": view.speeds}
                output.write(values, dict.fromkeys(values, ()), self.num_timesteps)
                # TensorBoard plays GIFs that are logged as images; PyTorch's add_video needs MoviePy 1
                height, width, channels = pictures[0].shape  # without which Weights & Biases drops the GIF
                image = Summary.Image(
                    height=height, width=width, colorspace=channels, encoded_image_string=video.gif(pictures, fps)
                )
                summary = Summary(value=[Summary.Value(tag="feature_points/video", image=image)])
                assert output.writer.file_writer is not None
                output.writer.file_writer.add_summary(summary, self.num_timesteps)
