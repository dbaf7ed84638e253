"""Accumulates losses on their device until they are logged, and detects that training has diverged."""

import torch as th
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import BasePolicy

from sb3_fpac.fpac.update import Losses


class LossTracker:
    """Sums of the losses since the last log. Adding does not wait for the device; reading does."""

    def __init__(self) -> None:
        self._sums: dict[str, th.Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, losses: Losses) -> None:
        """
        Add the losses of an update.

        :param losses: The losses; those that are None are skipped
        """
        for name, loss in losses._asdict().items():
            if loss is not None:
                self._sums[name] = self._sums[name] + loss if name in self._sums else loss.clone()
                self._counts[name] = self._counts.get(name, 0) + 1

    def check(self, when: str) -> None:
        """
        Check that all losses are finite.

        :param when: The current step, for the error message
        :raises FloatingPointError: if a loss since the last log was infinite or undefined
        """
        for name, total in self._sums.items():
            if not total.isfinite():
                raise FloatingPointError(
                    f"The {name} loss is {total.item()} at {when}: training has diverged and was stopped. Models that were "
                    "saved before are untouched. Try a lower learning rate, or smaller rewards and vectors."
                )

    def record(self, logger: Logger) -> None:
        """
        Record the means under SB3's names. This waits for the device.

        :param logger: Logger of the algorithm
        """
        for name, total in self._sums.items():
            logger.record(f"train/{name}_loss", total.item() / self._counts[name])

    def reset(self) -> None:
        """Forget the losses so far, after they have been logged."""
        self._sums, self._counts = {}, {}


def check_finite(policy: BasePolicy, when: str) -> None:
    """
    Check that all weights are finite.

    :param policy: The policy
    :param when: The current step, for the error message
    :raises FloatingPointError: if a weight is infinite or undefined
    """
    if not all(parameter.isfinite().all() for parameter in policy.parameters()):
        raise FloatingPointError(
            f"The networks have infinite or undefined weights at {when}: training has diverged. Models that were saved before "
            "are untouched. Try a lower learning rate, or smaller rewards and vectors."
        )
