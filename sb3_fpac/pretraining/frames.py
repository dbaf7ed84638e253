"""Collects frames of a random policy."""

from collections.abc import Callable, Sequence

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from sb3_fpac.arguments import whole_number
from sb3_fpac.features.map_geometry import MapGeometry
from sb3_fpac.observations import has_channels_first, read_layout, why_no_stack


def collect_frames(
    env: gym.Env,
    n_frames: int = 10_000,
    seed: int = 0,
    frame_channels: int = 3,
    strides: Sequence[int] = (2, 1, 1, 1),
    on_frame: Callable[[], object] | None = None,
) -> list[np.ndarray]:
    """
    Collect the frames of an environment under random actions: the newest frame of every observation, without the header plane
    of camera shift.

    :param env: Environment whose observations are uint8 images or stacks of them, channel-first or channel-last
    :param n_frames: Number of frames; the last episode ends when it is reached
    :param seed: Seed of the environment and of the actions
    :param frame_channels: Channels of one frame: 3 for RGB, 1 for grey
    :param strides: Strides of the encoder that will be pre-trained, for which the frames must be large enough
    :param on_frame: Called after every frame, for example by a progress bar
    :return: The frames of every episode, ``(T, frame_channels, H, W)`` uint8 each
    :raises ValueError: if ``n_frames`` is less than two, or the observations are not such images
    """
    n_frames = whole_number("n_frames", n_frames, at_least=2)  # pre-training needs pairs
    space = env.observation_space
    problem = why_no_stack(space)
    if problem is not None:
        raise ValueError(problem)
    assert isinstance(space, spaces.Box)
    first = has_channels_first(space.shape)
    shape = space.shape if first else (space.shape[2], *space.shape[:2])
    layout = read_layout(spaces.Box(0, 255, shape, np.uint8), frame_channels)
    check_frame_size(layout.height, layout.width, strides)
    env.action_space.seed(seed)
    episodes: list[list[np.ndarray]] = []
    over = True
    for i in range(n_frames):
        if over:
            obs, _ = env.reset(seed=seed if i == 0 else None)
            over = False
            episodes.append([])
        else:
            obs, _, terminated, truncated, _ = env.step(env.action_space.sample())
            over = terminated or truncated
        channels_first = obs if first else obs.transpose(2, 0, 1)
        episodes[-1].append(channels_first[-frame_channels:].copy())
        if on_frame is not None:
            on_frame()
    return [np.stack(episode) for episode in episodes]


def check_frame_size(height: int, width: int, strides: Sequence[int]) -> None:
    """
    Refuse frames that are too small for pre-training.

    :param height: Height of a frame in pixels
    :param width: Width of a frame in pixels
    :param strides: Strides of the encoder
    :raises ValueError: if a feature map is a single cell high or wide, so that a point cannot move
    """
    smallest = MapGeometry(strides).smallest_frame(2)
    if min(height, width) < smallest:
        raise ValueError(f"Points cannot move on frames of {height}×{width} pixels: make them at least {smallest}×{smallest}.")
