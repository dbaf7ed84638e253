"""The search space of RL Zoo's ``-optimize`` for FPAC."""

from typing import Any

import optuna


def sample_fpac_params(trial: optuna.Trial, n_actions: int, n_envs: int, additional_args: dict[str, Any]) -> dict[str, Any]:
    """
    Sample the hyperparameters of a trial, within a factor of about three around the paper's Table I. The temperature can be
    lower, as the preset's is.

    The search space contains what depends on the task: the speed of learning (``learning_rate``, ``tau`` of the target,
    ``policy_delay`` of the actor), the amount of exploration (the initial α), how far a reward reaches back in one update
    (``n_steps``), and the bottleneck (K = ``n_points`` and β = ``temperature``). The rest of Table I is fixed: γ and the
    action repeat change the task, ``batch_size`` and the networks trade time for return, and ``target_update_interval``
    has the same effect as ``tau``.

    :param trial: Stores the sampled values; :func:`convert_fpac_params` converts them to hyperparameters
    :param n_actions: Not used; part of RL Zoo's interface
    :param n_envs: Not used; part of RL Zoo's interface
    :param additional_args: Not used; part of RL Zoo's interface
    :return: Keyword arguments of FPAC
    """
    sampled_params = dict(
        learning_rate=trial.suggest_float("learning_rate", 1e-4, 1e-3, log=True),  # 3e-4; Reacher: 1e-3
        tau=trial.suggest_float("tau", 0.003, 0.03, log=True),  # 0.01
        initial_ent_coef=trial.suggest_float("initial_ent_coef", 0.03, 0.3, log=True),  # 0.1
        policy_delay=trial.suggest_int("policy_delay", 1, 4),  # 2
        n_steps=trial.suggest_int("n_steps", 1, 3),  # 1
        n_points_pow=trial.suggest_int("n_points_pow", 3, 6),  # 2^5 = 32
        temperature=trial.suggest_float("temperature", 0.05, 1.5, log=True),  # 0.5; the preset: 0.1
    )
    trial.set_user_attr("n_points", 2 ** sampled_params["n_points_pow"])
    return convert_fpac_params(sampled_params)


def convert_fpac_params(sampled_params: dict[str, Any]) -> dict[str, Any]:
    """
    Convert the sampled values of a trial, which RL Zoo may have read from a storage, to hyperparameters.

    :param sampled_params: The sampled values under Optuna's names
    :return: Keyword arguments of FPAC
    """
    hyperparams = sampled_params.copy()
    extractor_kwargs = dict(n_points=2 ** hyperparams.pop("n_points_pow"), temperature=hyperparams.pop("temperature"))
    hyperparams["ent_coef"] = f"auto_{hyperparams.pop('initial_ent_coef')}"
    hyperparams["policy_kwargs"] = dict(features_extractor_kwargs=extractor_kwargs)
    return hyperparams
