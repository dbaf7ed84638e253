"""Which observations VecNormalize normalizes."""

from stable_baselines3.common.vec_env import VecNormalize


def normalized_keys(env: VecNormalize | None) -> list[str | None]:
    """
    :param env: None: nothing is normalized
    :return: Keys of the observations that VecNormalize normalizes; the key of a single image is None
    """
    if env is None or not env.norm_obs:
        return []
    return [*(env.norm_obs_keys or [])] if isinstance(env.obs_rms, dict) else [None]
