"""A learning rate that changes once."""

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import ConstantSchedule

from sb3_fpac.arguments import number, whole_number


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
        self.after = whole_number("after", after, at_least=0)
        self.schedule = ConstantSchedule(number("learning_rate", learning_rate, above=0))

    def _on_step(self) -> bool:
        if self.num_timesteps >= self.after:
            self.model.lr_schedule = self.schedule
        return True
