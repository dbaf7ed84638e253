"""Callbacks for training."""

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import ConstantSchedule


class LearningRateDrop(BaseCallback):
    """
    Lowers the learning rate of all optimizers once, as the paper does for Reacher (Table I).

    In a YAML of RL Zoo, which itself knows constant and linear learning rates only::

        callback:
          - sb3_fpac.callbacks.LearningRateDrop:
              after: 50000
              learning_rate: 0.0003

    :param after: Agent steps, as SB3 counts them (over all environments), after which the new rate holds
    :param learning_rate: The new rate
    :param verbose: 1 to say when it happens
    """

    def __init__(self, after: int, learning_rate: float, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.after = after
        self.learning_rate = learning_rate
        self._dropped = False

    def _on_step(self) -> bool:
        if not self._dropped and self.num_timesteps >= self.after:
            self._dropped = True
            self.model.lr_schedule = ConstantSchedule(self.learning_rate)
            if self.verbose:
                print(f"Learning rate {self.learning_rate} from step {self.num_timesteps} on")
        return True
