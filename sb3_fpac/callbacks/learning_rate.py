"""A learning rate that changes once."""

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import ConstantSchedule


class LearningRateDrop(BaseCallback):
    """
    Lowers the learning rate of all optimizers once, as the paper does for Reacher (Table I).

    In a YAML of RL Zoo, which itself supports only constant and linear learning rates::

        callback:
          - sb3_fpac.callbacks.LearningRateDrop:
              after: 50000
              learning_rate: 0.0003

    :param after: Agent steps, as SB3 counts them (over all environments), after which the new rate applies
    :param learning_rate: The new rate. It is not saved with the model: pass the callback again to continue training.
    :raises ValueError: if ``after`` is negative or the rate is not positive
    """

    def __init__(self, after: int, learning_rate: float) -> None:
        super().__init__()
        if after < 0 or not learning_rate > 0:
            raise ValueError(
                f"LearningRateDrop needs after ≥ 0 and a positive learning_rate, got {after} and {learning_rate}."
            )
        self.after = after
        self.schedule = ConstantSchedule(learning_rate)

    def _on_step(self) -> bool:
        if self.num_timesteps >= self.after:
            self.model.lr_schedule = self.schedule
        return True
