"""Finds the feature points in an agent: which extractor it acts with, what that gets, and what its features are called."""

import numpy as np
import torch as th
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import get_flattened_obs_dim, preprocess_obs
from stable_baselines3.common.type_aliases import PyTorchObs

from sb3_fpac.features.combined_extractor import FeaturePointCombinedExtractor
from sb3_fpac.features.extractor import FeaturePointExtractor
from sb3_fpac.observations import check_given

Observations = np.ndarray | dict[str, np.ndarray]
PointsExtractor = FeaturePointExtractor | FeaturePointCombinedExtractor


def find_extractor(model: BaseAlgorithm) -> PointsExtractor:
    """
    Find the extractor of feature points with which an agent acts.

    :param model: Any SB3 algorithm
    :return: The actor's extractor, if actor and critic have one each
    :raises ValueError: if it has none
    """
    policy = model.policy
    acting = next((getattr(policy, name) for name in ("actor", "q_net", "quantile_net") if hasattr(policy, name)), policy)
    extractor = getattr(acting, "features_extractor", None)
    if isinstance(extractor, FeaturePointCombinedExtractor):
        return extractor
    # inside of an extractor for Dict observations, it is unknown which image the points are of
    is_single = not isinstance(model.observation_space, spaces.Dict)
    modules = extractor.modules() if is_single and isinstance(extractor, th.nn.Module) else ()
    for module in modules:
        if isinstance(module, FeaturePointExtractor):
            return module
    raise ValueError(
        f"This {type(model).__name__} agent has no feature points to show, its features extractor is "
        f"{type(extractor).__name__}: train one with FPAC, or with FeaturePointExtractor or FeaturePointCombinedExtractor."
    )


def find_images(model: BaseAlgorithm) -> dict[str | None, FeaturePointExtractor]:
    """
    Find the extractor of every image.

    :param model: Any SB3 algorithm
    :return: By key, in the order of the features; the key of a single image is None
    :raises ValueError: if the agent has no feature points
    """
    extractor = find_extractor(model)
    return {None: extractor} if isinstance(extractor, FeaturePointExtractor) else dict(extractor.images.items())


def count_points(model: BaseAlgorithm) -> int:
    """
    Count the points of all images.

    :param model: Any SB3 algorithm
    :return: K
    :raises ValueError: if the agent has no feature points
    """
    return sum(extractor.n_points for extractor in find_images(model).values())


def encoder_input(model: BaseAlgorithm, observation: Observations) -> PyTorchObs:
    """
    Preprocess observations as the agent does for its extractor of feature points.

    :param model: Any SB3 algorithm with feature points
    :param observation: One or several observations, as ``model.predict`` takes them
    :return: ``(B, C, H, W)``, or ``(B, …)`` by key, on the agent's device
    :raises ValueError: if the observations are not the agent's; for a Dict space, the message names the key
    """
    return preprocess(model, observation_tensor(model, observation))


def image_of(inputs: PyTorchObs, key: str | None) -> th.Tensor:
    """
    Choose an image of what :func:`encoder_input` returns.

    :param inputs: The input of the extractor
    :param key: A key of :func:`find_images`
    :return: ``(B, C, H, W)``
    """
    return inputs[key] if isinstance(inputs, dict) else inputs  # type: ignore[index]


def preprocess(model: BaseAlgorithm, observations: PyTorchObs) -> PyTorchObs:
    """
    Preprocess observations as the agent does.

    :param model: Any SB3 algorithm
    :param observations: As :func:`observation_tensor` returns them
    :return: The same, with images in [0, 1] and vectors as floats
    """
    return preprocess_obs(observations, model.observation_space, normalize_images=model.policy.normalize_images)


def observation_tensor(model: BaseAlgorithm, observation: Observations) -> PyTorchObs:
    """
    Convert observations to tensors as the agent does.

    :param model: Any SB3 algorithm
    :param observation: One or several observations, as ``model.predict`` takes them
    :return: ``(B, …)``, images channel-first; for a Dict space, by key
    :raises ValueError: if the observations are not the agent's; for a Dict space, the message names the key
    """
    check_given(observation, model.observation_space)
    return model.policy.obs_to_tensor(observation)[0]


def feature_names(model: BaseAlgorithm) -> list[str]:
    """
    Name everything that can matter to an agent: its points, and the entries of its vectors.

    :param model: Any SB3 algorithm with feature points
    :return: The points of every image, then the entries of every vector, each in alphabetical order of the keys: ``"7"`` for a
        single image, ``"front:7"`` and ``"joints[3]"`` for a Dict space
    :raises ValueError: if the agent has no feature points
    """
    extractor = find_extractor(model)
    if isinstance(extractor, FeaturePointExtractor):
        return [str(k) for k in range(extractor.n_points)]
    names = [f"{key}:{k}" for key, image in extractor.images.items() for k in range(image.n_points)]
    return names + [name for key, space in extractor.vectors.items() for name in entry_names(key, space)]


def entry_names(key: str, space: spaces.Space) -> list[str]:
    """
    Name the entries of a vector.

    :param key: Key of the vector
    :param space: Its space
    :return: A name for every number that SB3 makes of it: ``"joints[3]"``, ``"joints[1,2]"`` for a matrix, ``"mode[2]"`` for
        the value 2 of Discrete, ``"gears[1,2]"`` for the value 2 of entry 1 of MultiDiscrete, and ``"gripper"`` for a vector
        of a single number
    """
    if get_flattened_obs_dim(space) == 1:
        return [key]
    if isinstance(space, spaces.MultiDiscrete):
        return [f"{key}[{i},{value}]" for i, n_values in enumerate(space.nvec) for value in range(n_values)]
    shape = (int(space.n),) if isinstance(space, spaces.Discrete) else space.shape
    return [f"{key}[{','.join(map(str, place))}]" for place in np.ndindex(shape or ())]
