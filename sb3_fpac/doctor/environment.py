"""What an environment's spaces and cameras are taken for."""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
from gymnasium import spaces
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.vec_env import VecTransposeImage

from sb3_fpac.checks import environments
from sb3_fpac.doctor.check import Check, refusal
from sb3_fpac.envs.cameras import camera_name, follows, mujoco_model_and_data
from sb3_fpac.envs.drawn_cameras import drawn_cameras
from sb3_fpac.observations import Layout, has_channels_first, options_of, read_layout, split_keys, why_no_stack

_DRAW_IT = 'make it with render_mode="rgb_array", and wrap it in sb3_fpac.PixelFrames'

Layouts = dict[str | None, Layout]
"""What every image is taken for, by key; the key of a single image is None"""


def name_of(what: str, key: str | None) -> str:
    """
    Name the check of an image.

    :param what: What is checked
    :param key: Key of the image
    :return: ``"camera"``, or ``"camera of 'wrist'"``
    """
    return what if key is None else f"{what} of {key!r}"


def examine_observations(space: spaces.Space, frame_channels: int | dict[str, int]) -> tuple[list[Check], Layouts]:
    """
    Say what observations are taken for, as SB3 wraps the environment.

    :param space: Observation space of the environment
    :param frame_channels: Channels of one frame; for several images one value, or a dict by key
    :return: The checks, one for each image and one for the vectors; and the layouts of the images, empty if the space cannot
        be used
    """
    name = "observation"
    if not isinstance(space, spaces.Dict):
        problem = why_no_stack(space)
        if problem is not None:
            check = refusal(name, problem, _DRAW_IT)
            is_vector = isinstance(space, spaces.Box) and len(space.shape) < 2
            return [check._replace(cure=f"{check.cure}; to learn from images, {_DRAW_IT}") if is_vector else check], {}
        images: dict[Any, spaces.Space] = {None: space}
        vectors: dict[str, spaces.Space] = {}
    else:
        try:
            boxes, vectors = split_keys(space)
            environments.check_axes(space)
        except ValueError as error:
            return [refusal(name, str(error))], {}
        images = dict(boxes.items())
    checks: list[Check] = []
    layouts: Layouts = {}
    for key, image in images.items():
        try:
            options = options_of(key, {"frame_channels": frame_channels})
            layouts[key] = read_layout(as_seen(image), **options)
        except ValueError as error:
            checks.append(refusal(name_of("observation", key), str(error)))
            continue
        checks.append(Check(name_of("observation", key), True, f"taken for {layouts[key]}"))
    if vectors:
        described = ", ".join(f"{key!r} ({spaces.flatdim(vector)})" for key, vector in vectors.items())
        checks.append(Check("vectors", True, f"the networks also get {described}"))
    return checks, layouts if len(layouts) == len(images) else {}


def as_seen(space: spaces.Space) -> spaces.Space:
    """
    Transpose images as SB3 does.

    :param space: Space of the environment
    :return: The space that an agent sees: with the channels first if it is an image
    """
    if is_image_space(space) and not has_channels_first(space.shape or ()):
        assert isinstance(space, spaces.Box)
        return VecTransposeImage.transpose_space(space)
    return space


def examine_actions(space: spaces.Space) -> Check:
    """
    Check that FPAC can choose such actions.

    :param space: Action space of the environment
    :return: Ok for what FPAC takes
    """
    try:
        environments.check_actions(space)
    except ValueError as error:
        return refusal("actions", str(error))
    assert isinstance(space, spaces.Box)
    n_actions = spaces.flatdim(space)
    text = f"{n_actions} number{'s' * (n_actions > 1)} from {space.low.min():g} to {space.high.max():g}"
    return Check("actions", True, text)


def examine_cameras(env: gym.Env, layouts: Layouts) -> Iterator[Check]:
    """
    Check that observations tell how a camera of MuJoCo moves, if it does.

    :param env: The environment
    :param layouts: Of its images
    :return: A check for each image of which the camera is known
    """
    for key, camera in drawn_cameras(env).items():
        if key not in layouts:
            continue
        layout, name = layouts[key], name_of("camera", key)
        model, _ = mujoco_model_and_data(env)
        label = f"camera {camera_name(model, camera)!r}" if camera_name(model, camera) else f"camera {camera}"
        if not follows(model, camera):
            is_attached = bool(model.cam_bodyid[camera])
            where = "is attached to the robot, so its shift is not defined" if is_attached else "does not move"
            yield Check(name, True, f"{label} {where}")
        elif layout.camera_shift or layout.n_frames == 1:
            yield Check(name, True, f"{label} follows the robot" + ", and its shift is known" * layout.camera_shift)
        else:
            is_ours = key is not None or (env.spec is not None and env.spec.id.startswith("dmc-"))
            cure = "leave out camera_shift=False" if is_ours else f"wrap the stacks in sb3_fpac.CameraShift(env, {camera})"
            yield Check(name, False, f"{label} follows the robot, so objects at rest seem to move", cure)
