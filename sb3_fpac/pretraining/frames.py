"""Collects frames of a random policy."""

from collections.abc import Callable, Sequence

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from sb3_fpac.arguments import whole_number
from sb3_fpac.features.map_geometry import MapGeometry
from sb3_fpac.observations import has_channels_first, naming, naming_warnings, read_layout, split_keys, why_no_stack

_N_COMPARED = 20  # frames of an episode


def collect_frames(
    env: gym.Env,
    n_frames: int = 10_000,
    seed: int = 0,
    frame_channels: int = 3,
    strides: Sequence[int] = (2, 1, 1, 1),
    anti_aliasing: bool = False,
    on_frame: Callable[[], object] | None = None,
    key: str | None = None,
) -> list[np.ndarray]:
    """
    Collect the frames of an environment under random actions: the newest frame of every observation, without the header plane
    of camera shift.

    :param env: Environment whose observations are uint8 images or stacks of them, channel-first or channel-last, or Dicts
        with such images
    :param n_frames: Number of frames; the last episode ends when it is reached
    :param seed: Seed of the environment and of the actions
    :param frame_channels: Channels of one frame: 3 for RGB, 1 for grey
    :param strides: Strides of the encoder that will be pre-trained, for which the frames must be large enough
    :param anti_aliasing: Whether that encoder has anti-aliasing
    :param on_frame: Called after every frame, for example by a progress bar
    :param key: Key of the image in Dict observations; None: the only one
    :return: The frames of every episode, ``(T, frame_channels, H, W)`` uint8 each
    :raises ValueError: if ``env`` is no single environment, ``n_frames`` is less than two, the observations are not such
        images, or ``key`` does not choose one of them
    """
    if not isinstance(env, gym.Env):
        cure = f"pass gymnasium.make({env!r})" if isinstance(env, str) else "pass one of those that it was made of"
        raise ValueError(f"collect_frames needs a single Gymnasium environment, got {type(env).__name__}: {cure}.")
    n_frames = whole_number("n_frames", n_frames, at_least=2)  # pre-training needs pairs
    key, space = choose_image(env.observation_space, key)
    first = has_channels_first(space.shape)
    shape = space.shape if first else (space.shape[2], *space.shape[:2])
    with naming(key), naming_warnings(key):
        layout = read_layout(spaces.Box(0, 255, shape, np.uint8), frame_channels)
        check_frame_size(layout.height, layout.width, MapGeometry(strides, anti_aliasing))
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
        image = obs if key is None else obs[key]
        channels_first = image if first else image.transpose(2, 0, 1)
        episodes[-1].append(channels_first[-frame_channels:].copy())
        if on_frame is not None:
            on_frame()
    return [np.stack(episode) for episode in episodes]


def choose_image(space: spaces.Space, key: str | None = None) -> tuple[str | None, spaces.Box]:
    """
    Choose the image of an observation space.

    :param space: Observations, which are images, or a Dict with images
    :param key: Key of the image in a Dict; None: the only one
    :return: The key, None if the space is no Dict, and the space of the image
    :raises ValueError: if there is no image, there are several and no key, or the key is that of no image
    """
    if not isinstance(space, spaces.Dict):
        problem = why_no_stack(space)
        if problem is not None:
            raise ValueError(problem)
        if key is not None:
            raise ValueError(f"Only Dict observations have keys, got key={key!r} for {space}: leave it out.")
        assert isinstance(space, spaces.Box)
        return None, space
    images, _ = split_keys(space)
    if key is None and len(images) == 1:
        key = next(iter(images))
    if key not in images:
        asked = "no key" if key is None else f"key={key!r}"
        raise ValueError(
            f"Got {asked}, but the images of the observations are {', '.join(map(repr, images))}: choose one with key, or "
            "with --key on the command line."
        )
    return key, images[key]


def check_episodes(episodes: Sequence[np.ndarray]) -> None:
    """
    Check that episodes consist of single frames.

    :param episodes: The frames of every episode, ``(T, C, H, W)`` uint8 each
    :raises ValueError: if they are no such arrays, have their channels last, or are stacks of frames
    """
    shapes = {episode.shape[1:] for episode in episodes}
    if any(episode.dtype != np.uint8 or episode.ndim != 4 for episode in episodes) or len(shapes) > 1:
        raise ValueError("Every episode must be uint8 frames of shape (T, C, H, W), with the same C, H and W in all of them.")
    for episode in episodes:
        if not has_channels_first(episode.shape[1:]):
            raise ValueError(
                f"Episodes must have the shape (T, C, H, W), got {episode.shape}, whose channels are last: pass "
                "episode.transpose(0, 3, 1, 2)."
            )
        n_channels = _channels_that_move_along(episode[:_N_COMPARED])
        if n_channels is not None:
            raise ValueError(
                f"Episodes must be single frames, got {episode.shape[1]} channels that are stacks of frames of {n_channels}: "
                f"pass the newest ones, episode[:, -{n_channels}:]."
            )


def _channels_that_move_along(images: np.ndarray) -> int | None:
    """By how many channels ``(T, C, H, W)`` stacks move from each to the next, with a header plane or not; None: by none"""
    for stacks in (images, images[:, 1:]):
        n_channels = stacks.shape[1]
        for n in range(1, n_channels):
            moves = n_channels % n == 0 and np.array_equal(stacks[1:, :-n], stacks[:-1, n:])
            if moves and not np.array_equal(stacks[1:, :-n], stacks[1:, n:]):  # as if nothing changes
                return n
    return None


def check_frame_size(height: int, width: int, geometry: MapGeometry) -> None:
    """
    Refuse frames that are too small for pre-training.

    :param height: Height of a frame in pixels
    :param width: Width of a frame in pixels
    :param geometry: Geometry of the encoder's maps
    :raises ValueError: if a feature map is a single cell high or wide, so that a point cannot move
    """
    smallest = geometry.smallest_frame(2)
    if min(height, width) < smallest:
        raise ValueError(f"Points cannot move on frames of {height}×{width} pixels: make them at least {smallest}×{smallest}.")
