"""What an environment shows under random actions."""

import copy
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch as th
from gymnasium import spaces

from sb3_fpac.doctor.check import Check
from sb3_fpac.doctor.environment import Layouts, name_of
from sb3_fpac.observations import Layout, check_keys, has_channels_first, look_like_grey_frames, problem_of_values, why_blank

_N_STEPS = 20
_PAUSE = 0.02  # seconds after a step
_LARGE = 10.0
_SCALE_REWARDS = "steps of about 1 are learned more steadily: scale them with Gymnasium's TransformReward"


class Played(NamedTuple):
    """Transitions under random actions."""

    past: dict[str | None, np.ndarray]
    """Observations by key of the image, ``(T, C, H, W)`` in the type that the environment returned"""
    now: dict[str | None, np.ndarray]
    """The next ones"""
    vectors: dict[str, tuple[np.ndarray, spaces.Space]]
    """By key the vectors of the next observations, ``(T, …)``, and their space"""
    rewards: np.ndarray
    """``(T,)``"""
    busy: float
    """Processors that the environment's threads go on using after a step, on average"""
    overwritten: list[str | None]
    """Keys of observations that the next step writes into; None for a single image"""


def play(env: gym.Env, layouts: Layouts, n_steps: int = _N_STEPS) -> Played:
    """
    Take random steps.

    :param env: The environment
    :param layouts: Of its images
    :param n_steps: T
    :return: What happened
    :raises ValueError: if a Dict observation has other keys than its space
    """
    env.action_space.seed(0)
    obs, _ = env.reset(seed=0)
    transitions: list[tuple[Any, Any]] = []
    parts = env.observation_space.spaces if isinstance(env.observation_space, spaces.Dict) and layouts else {}
    vectors: dict[str, list[np.ndarray]] = {key: [] for key in parts if key not in layouts}
    rewards, busy_seconds = [], 0.0
    overwritten: set[str | None] = set()
    for _ in range(n_steps):
        if isinstance(env.observation_space, spaces.Dict):
            check_keys(obs, env.observation_space)
        seen = copy.deepcopy(obs)
        next_obs, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        if isinstance(env.observation_space, spaces.Dict):
            check_keys(next_obs, env.observation_space)
        overwritten.update(_different(seen, obs))
        transitions.append((_copies(seen, layouts), _copies(next_obs, layouts)))
        for key, of_key in vectors.items():
            of_key.append(np.array(next_obs[key]))
        rewards.append(float(reward))
        busy_seconds += _seconds_used_in_a_pause()
        obs = env.reset()[0] if terminated or truncated else next_obs
    past, now = ({key: np.stack([each[i][key] for each in transitions]) for key in layouts} for i in (0, 1))
    numbers = {key: (np.stack(of_key), parts[key]) for key, of_key in vectors.items()}
    return Played(past, now, numbers, np.array(rewards), busy_seconds / (n_steps * _PAUSE), sorted(overwritten, key=str))


def examine_played(played: Played, layouts: Layouts) -> Iterator[Check]:
    """
    Check what was seen, the rewards, and what goes on after a step.

    :param played: Transitions
    :param layouts: Of the images
    :return: Two checks for each image, one for each vector, one of the rewards, one for each observation that is lost, and one
        of the environment's threads
    """
    for key, layout in layouts.items():
        past, now = (images[key][:, layout.camera_shift :] for images in (played.past, played.now))
        yield _examine_values(name_of("frames", key), past, now, layout)
        if now.dtype == np.uint8:
            yield _examine_stack(name_of("stack", key), past, now, layout)
    for key, (vectors, space) in played.vectors.items():
        yield _examine_numbers(key, vectors, space)
    lowest, highest = played.rewards.min(), played.rewards.max()
    text = f"from {lowest:g} to {highest:g} in {len(played.rewards)} random steps"
    if np.isfinite(played.rewards).all():
        are_large = max(abs(lowest), abs(highest)) > _LARGE
        yield Check("rewards", True, text + f"; {_SCALE_REWARDS}" * bool(are_large))
    else:
        yield Check("rewards", False, f"{text}, which is not finite", "correct the environment's reward")
    yield from (_examine_kept(key) for key in played.overwritten)
    yield _examine_idle(played.busy)


def _examine_numbers(key: str, vectors: np.ndarray, space: spaces.Space) -> Check:
    name = name_of("numbers", key)
    problem = problem_of_values(vectors, space)
    if problem is not None:
        return Check(name, False, f"the environment returned {problem}", "correct what it returns, or its space")
    lowest, highest = vectors.min(), vectors.max()
    are_large = isinstance(space, spaces.Box) and max(abs(lowest), abs(highest)) > _LARGE
    scale = f"; numbers of about 1 are learned more steadily: scale them, or use VecNormalize(venv, norm_obs_keys=[{key!r}])"
    return Check(name, True, f"from {lowest:g} to {highest:g} in {len(vectors)} random steps" + scale * bool(are_large))


def _examine_kept(key: str | None) -> Check:
    problem = "a step writes into the observation before, so the last one of an episode is lost when the next episode starts"
    return Check(name_of("observation", key), False, problem, "return a new array from every step: observation.copy()")


def _examine_idle(busy: float) -> Check:
    """NumPy's threads wait in a loop for the next product of matrices, for a tenth of a second or more"""
    if busy < 0.5:
        return Check("idle", True, "nothing goes on after a step")
    problem = f"threads of the environment keep {busy:.1f} processors busy after a step, which updates need"
    return Check("idle", False, problem, "set OPENBLAS_NUM_THREADS=1 and MKL_NUM_THREADS=1, for NumPy's products of matrices")


def _seconds_used_in_a_pause() -> float:
    start = time.process_time()
    time.sleep(_PAUSE)
    return time.process_time() - start


def _examine_values(name: str, past: np.ndarray, now: np.ndarray, layout: Layout) -> Check:
    """Images without a header plane"""
    if now.dtype != np.uint8:
        return Check(name, False, f"the space is uint8, but the environment returns {now.dtype}", "return bytes from 0 to 255")
    blank = why_blank(np.concatenate([past, now]))
    if blank is not None:
        problem, cure = blank
        return Check(name, False, f"{problem} in {len(now)} random steps", cure)
    newest = -layout.frame_channels
    changed = 100 * (past[:, newest:] != now[:, newest:]).any(axis=1).mean()
    return Check(name, True, f"values from {now.min()} to {now.max()}, {changed:.3g} % of the pixels change from step to step")


def _examine_stack(name: str, past: np.ndarray, now: np.ndarray, layout: Layout) -> Check:
    """Images without a header plane"""
    n_channels = layout.frame_channels
    if n_channels > 1 and not layout.camera_shift and look_like_grey_frames(th.as_tensor(past), th.as_tensor(now)):
        cure = "pass frame_channels=1 in features_extractor_kwargs, and here --frame-channels 1"
        return Check(name, False, f"the {len(now[0])} channels look like a stack of grey frames", cure)
    if layout.n_frames == 1:
        cure = "wrap the environment in sb3_fpac.FrameStack(env, 2)"
        return Check(name, False, "a single frame does not show velocities", cure)
    if not np.array_equal(past[:, n_channels:], now[:, :-n_channels]):
        problem = f"the next observation does not continue the stack of {layout.n_frames} frames"
        cure = "stack frames oldest first, as sb3_fpac.FrameStack does, and repeat actions and change pixels below it"
        return Check(name, False, problem, cure)
    return Check(name, True, f"{layout.n_frames} frames, oldest first")


def _different(obs: Any, other: Any) -> list[str | None]:
    """Keys under which two observations differ"""
    pairs = {key: (obs[key], other[key]) for key in obs} if isinstance(obs, dict) else {None: (obs, other)}
    return [key for key, pair in pairs.items() if not np.array_equal(*pair, equal_nan=np.asarray(pair[0]).dtype.kind == "f")]


def _copies(obs: Any, layouts: Layouts) -> dict[str | None, np.ndarray]:
    """Every image with the channels first; a copy, since an environment may draw into the same memory"""
    images = {key: np.array(obs if key is None else obs[key]) for key in layouts}
    return {key: image if has_channels_first(image.shape) else image.transpose(2, 0, 1) for key, image in images.items()}
