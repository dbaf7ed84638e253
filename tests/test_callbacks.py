"""The learning-rate drop of the paper's Reacher."""

import pytest
from stable_baselines3 import SAC

from sb3_fpac.callbacks import LearningRateDrop


def rates(model: SAC) -> set[float]:
    optimizers = (model.actor.optimizer, model.critic.optimizer, model.ent_coef_optimizer)
    return {group["lr"] for optimizer in optimizers for group in optimizer.param_groups}


def test_all_learning_rates_drop_after_so_many_steps():
    model = SAC("MlpPolicy", "Pendulum-v1", learning_rate=1e-3, learning_starts=5, policy_kwargs=dict(net_arch=[8]))
    drop = LearningRateDrop(after=20, learning_rate=3e-4)
    model.learn(19, callback=drop)
    assert rates(model) == {1e-3}
    model.learn(3, callback=drop, reset_num_timesteps=False)
    assert rates(model) == {3e-4}


def test_one_callback_serves_two_runs():
    drop = LearningRateDrop(after=10, learning_rate=3e-4)
    for _ in range(2):
        model = SAC("MlpPolicy", "Pendulum-v1", learning_rate=1e-3, learning_starts=5, policy_kwargs=dict(net_arch=[8]))
        assert rates(model.learn(8, callback=drop)) == {1e-3}
        assert rates(model.learn(8, callback=drop, reset_num_timesteps=False)) == {3e-4}


@pytest.mark.parametrize("kwargs", [dict(after=-1, learning_rate=1e-3), dict(after=5, learning_rate=0.0)])
def test_bad_values_are_refused(kwargs):
    with pytest.raises(ValueError, match="LearningRateDrop needs"):
        LearningRateDrop(**kwargs)
