"""A second environment with the statistics of training."""

from stable_baselines3.common.vec_env import VecEnv, VecNormalize


def share_statistics(env: VecEnv, normalized: VecNormalize) -> VecNormalize:
    """
    Normalize the observations of an environment as another one normalizes them, and leave its rewards as they are.

    :param env: The environment
    :param normalized: The other one
    :return: The environment with the statistics of the other one, also when they change
    """
    keys = normalized.norm_obs_keys
    shared = VecNormalize(
        env,
        training=False,
        norm_reward=False,
        clip_obs=normalized.clip_obs,
        epsilon=normalized.epsilon,
        norm_obs_keys=None if keys is None else list(keys),
    )
    shared.obs_rms = normalized.obs_rms
    return shared
