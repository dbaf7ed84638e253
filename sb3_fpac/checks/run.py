"""What FPAC checks while it trains."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from sb3_fpac.buffers import BaseFrameReplayBuffer
from sb3_fpac.checks.blank import BlankCheck, StillCheck
from sb3_fpac.checks.continuity import ContinuityCheck
from sb3_fpac.checks.crowding import CrowdingCheck
from sb3_fpac.checks.magnitude import MagnitudeCheck
from sb3_fpac.checks.stacks import check_stacks
from sb3_fpac.checks.values import check_values


class RunChecks:
    """
    The checks of one run: what the environment returns, what the frames show, whether the threads have
    processors, and whether there were updates.

    :param n_envs: Number of environments
    """

    def __init__(self, n_envs: int) -> None:
        self._blank = BlankCheck()
        self._still = StillCheck()
        self._magnitude = MagnitudeCheck()
        self._stacks_are_checked = False
        self._continuity = ContinuityCheck(n_envs)
        self._crowding = CrowdingCheck()

    def before_storing(
        self, buffer: BaseFrameReplayBuffer, new_obs: Any, reward: np.ndarray, infos: Sequence[dict[str, Any]], when: str
    ) -> Any:
        """
        Check what a step has returned.

        :param buffer: The replay buffer
        :param new_obs: ``(n_envs, C, H, W)``, or a dict of arrays
        :param reward: ``(n_envs,)``
        :param infos: An info of every environment
        :param when: The current step, for errors and warnings
        :return: An object whose ``add`` stores in the buffer what continues the observation before
        :raises FloatingPointError: if a reward or a number of an observation is infinite or undefined
        """
        if not np.isfinite(reward).all():
            raise FloatingPointError(
                f"The environment returned the reward {reward.tolist()} at {when}: training was stopped before it was "
                "stored. Correct the environment's reward."
            )
        last_observations = [info["terminal_observation"] for info in infos if info.get("terminal_observation") is not None]
        for observations in (new_obs, *last_observations):
            check_values(buffer, observations, when)
        self._still.update(buffer, new_obs, when)
        self._magnitude.update(buffer, new_obs, reward)
        return self._continuity.before(buffer, new_obs, when)

    def before_updates(self, buffer: BaseFrameReplayBuffer) -> None:
        """
        Check once whether the replay buffer contains stacks of frames, whoever has filled it, and whether they show anything.

        :param buffer: The replay buffer
        :raises ValueError: if it contains no stacks of frames
        """
        if not self._stacks_are_checked:
            check_stacks(buffer)
            self._stacks_are_checked = True
        self._blank.update(buffer)

    def after_updates_on_cpu(self) -> None:
        """Check now and then whether the threads have processors."""
        self._crowding.update()

    def after_learn(self, n_updates: int, n_steps: int, learning_starts: int, gradient_steps: int) -> None:
        """
        Warn if ``learn`` ended without an update.

        :param n_updates: Updates of this call of ``learn``
        :param n_steps: Agent steps
        :param learning_starts: As in FPAC
        :param gradient_steps: As in FPAC
        """
        if gradient_steps == 0:
            warnings.warn(
                "The agent was not trained: gradient_steps=0 makes no updates. Pass 1 or more, or -1 for as many as there "
                "were steps.",
                stacklevel=3,
            )
            return
        if n_updates == 0 and n_steps <= learning_starts:
            warnings.warn(
                f"The agent was not trained: learn ended at agent step {n_steps}, and actions are random up to "
                f"learning_starts={learning_starts}. Pass a larger total_timesteps, or a smaller learning_starts.",
                stacklevel=3,
            )
