"""Losses that stay on their device until they are logged, and what tells that training has diverged."""

import torch as th
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.policies import BasePolicy

from sb3_fpac.fpac.update import Losses


class LossTracker:
    """Sums of losses since the last log: adding to them waits for nothing, reading them waits for the device."""

    def __init__(self) -> None:
        self._sums: dict[str, th.Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, losses: Losses) -> None:
        """
        Count an update.

        :param losses: Its losses; what it did not update is left out
        """
        for name, loss in losses._asdict().items():
            if loss is not None:
                self._sums[name] = self._sums[name] + loss if name in self._sums else loss.clone()
                self._counts[name] = self._counts.get(name, 0) + 1

    def check(self, when: str) -> None:
        """
        Refuse to go on from nonsense.

        :param when: The step, for the error
        :raises FloatingPointError: if a loss since the last log was infinite or undefined
        """
        for name, total in self._sums.items():
            if not total.isfinite():
                raise FloatingPointError(
                    f"The {name} loss is {total.item()} at {when}: training has diverged and was stopped, and what was saved "
                    "before is untouched. Try a lower learning rate or smaller rewards."
                )

    def record(self, logger: Logger) -> None:
        """
        Log the means under SB3's names, and start anew.

        :param logger: Of the algorithm
        """
        for name, total in self._sums.items():
            logger.record(f"train/{name}_loss", total.item() / self._counts[name])
        self._sums, self._counts = {}, {}


def check_finite(policy: BasePolicy, when: str) -> None:
    """
    Refuse to save nonsense.

    :param policy: The policy
    :param when: The step, for the error
    :raises FloatingPointError: if a weight is infinite or undefined
    """
    if not all(parameter.isfinite().all() for parameter in policy.parameters()):
        raise FloatingPointError(
            f"The networks hold infinite or undefined weights at {when}: training has diverged, and what was saved before is "
            "kept. Try a lower learning rate or smaller rewards."
        )
