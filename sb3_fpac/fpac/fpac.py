"""FPAC as one Stable-Baselines3 algorithm."""

import copy
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, TypeVar, cast

import gymnasium as gym
import numpy as np
import torch as th
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, RolloutReturn, Schedule
from stable_baselines3.common.utils import configure_logger
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.her import HerReplayBuffer

from sb3_fpac.arguments import number
from sb3_fpac.buffers import BaseFrameReplayBuffer, FixedEncoder, FrameBatch, FrameReplayBuffer
from sb3_fpac.checks.arguments import (
    check_gamma,
    check_hyperparameters,
    check_methods,
    check_policy,
    check_random_shift,
    check_replay_buffer_class,
    check_same_layout,
    check_trained,
)
from sb3_fpac.checks.environments import check_env, check_not_replaced, check_observations
from sb3_fpac.checks.policy_kwargs import check_places
from sb3_fpac.checks.run import RunChecks
from sb3_fpac.checks.values import check_values
from sb3_fpac.envs import AsReturned
from sb3_fpac.envs.action_repeat import env_steps_of
from sb3_fpac.fpac.compilation import Compile, compile_update, configure_optimizer
from sb3_fpac.fpac.fixed_encoders import fixed_encoders
from sb3_fpac.fpac.loading import CheckedLoading
from sb3_fpac.fpac.loss_tracker import LossTracker, check_finite
from sb3_fpac.fpac.update import Losses, StackEncoder, Update
from sb3_fpac.fpac.while_stepping import WhileStepping, has_processes, may_wait
from sb3_fpac.policies.policies import FPACPolicy
from sb3_fpac.sb3.points import frame_options

SelfFPAC = TypeVar("SelfFPAC", bound="FPAC")


class FPAC(CheckedLoading):
    """
    Feature point actor-critic (arXiv 2106.07995): SAC from pixels on [points, velocities], with the hyperparameters of the
    paper's Table I as defaults.

    The same algorithm as ``SAC(FPACPolicy, …)``, but faster: with one-step returns, S + 1 frames of a transition are encoded
    instead of 2S, the actor and α are updated with the features of the critic's update, every frame is stored once, and the
    whole update is one function that can be compiled and, on a GPU, replayed as a graph. Environments of a ``SubprocVecEnv``
    take their next step while the agent is updated.

    >>> import sb3_fpac
    >>> model = sb3_fpac.FPAC("CnnPolicy", "dmc-cheetah-run")  # doctest: +SKIP
    >>> model.learn(250_000)  # agent steps: a million env steps  # doctest: +SKIP

    All other parameters are those of SAC.

    :param policy: ``"CnnPolicy"`` for one stack of images, ``"MultiInputPolicy"`` for a Dict of stacks and vectors: both are
        :class:`~sb3_fpac.FPACPolicy`; or a subclass of it
    :param env: Environment whose observations are image stacks, such as ``dmc-cheetah-run``, or its id
    :param learning_rate: Learning rate of all networks and of α: a number, or a function of the remaining progress (1 to 0)
    :param buffer_size: Size of the replay buffer in transitions
    :param train_freq: Agent steps between updates
    :param gradient_steps: Number of updates after every ``train_freq`` steps
    :param replay_buffer_class: :class:`~sb3_fpac.buffers.FrameReplayBuffer`, for goals
        :class:`~sb3_fpac.buffers.HerFrameReplayBuffer`, or a subclass of either
    :param replay_buffer_kwargs: Keyword arguments of the replay buffer, such as ``dict(storage_device="cuda")``
    :param n_steps: Steps of n-step returns
    :param ent_coef: α: ``"auto_0.1"`` is learned and starts at 0.1
    :param target_update_interval: The target critic moves on every n-th update, counted over all of training
    :param policy_kwargs: Keyword arguments of :class:`~sb3_fpac.FPACPolicy`; its ``actor_update_interval`` is
        ``policy_delay``
    :param policy_delay: Actor and α are updated on every n-th update of the critic, counted over all of training
    :param random_shift: Padding, in pixels, of DrQ's random shift (arXiv 2004.13649), which uses 4; 0: no shift. All frames of
        a transition are shifted alike. Several images are shifted each on its own, by one padding or a dict by key.
    :param compile: ``True``: compile the losses with ``torch.compile`` and, on CUDA, replay updates as a graph; ``False``:
        neither; ``"auto"``: True on CUDA. If compilation fails, training continues without it, with a warning. With
        ``use_sde=True`` nothing is compiled.
    :raises ValueError: if the observations are not stacks of images, or an argument is out of range
    :raises MemoryError: if the full replay buffer does not fit into memory
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "CnnPolicy": FPACPolicy,
        "MultiInputPolicy": FPACPolicy,
    }
    policy: FPACPolicy
    replay_buffer: BaseFrameReplayBuffer

    def __init__(
        self,
        policy: str | type[FPACPolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 3e-4,
        buffer_size: int = 100_000,
        learning_starts: int = 1000,
        batch_size: int = 128,
        tau: float = 0.01,
        gamma: float = 0.99,
        train_freq: int | tuple[int, str] = 1,
        gradient_steps: int = 1,
        action_noise: ActionNoise | None = None,
        replay_buffer_class: type[ReplayBuffer] | None = FrameReplayBuffer,
        replay_buffer_kwargs: dict[str, Any] | None = None,
        optimize_memory_usage: bool = False,
        n_steps: int = 1,
        ent_coef: str | float = "auto_0.1",
        target_update_interval: int = 2,
        target_entropy: str | float = "auto",
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        use_sde_at_warmup: bool = False,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "auto",
        policy_delay: int = 2,
        random_shift: int | dict[str, int] = 0,
        compile: Compile = "auto",
        _init_setup_model: bool = True,
    ) -> None:
        check_policy(policy, policy_kwargs or {}, policy_delay)
        policy_kwargs = copy.deepcopy(policy_kwargs or {})  # the policy changes them, and so may the user, for another model
        super().__init__(
            policy,
            env,
            learning_rate=learning_rate,
            buffer_size=buffer_size,
            learning_starts=learning_starts,
            batch_size=batch_size,
            tau=tau,
            gamma=gamma,
            train_freq=train_freq,
            gradient_steps=gradient_steps,
            action_noise=action_noise,
            replay_buffer_class=replay_buffer_class,
            replay_buffer_kwargs=replay_buffer_kwargs,
            optimize_memory_usage=optimize_memory_usage,
            n_steps=n_steps,
            ent_coef=ent_coef,
            target_update_interval=target_update_interval,
            target_entropy=target_entropy,
            use_sde=use_sde,
            sde_sample_freq=sde_sample_freq,
            use_sde_at_warmup=use_sde_at_warmup,
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            policy_kwargs=policy_kwargs,
            verbose=verbose,
            seed=seed,
            device=device,
            _init_setup_model=False,
        )
        self.num_env_steps = 0
        self._n_updates_at_start = 0
        self.policy_delay = policy_delay
        self.random_shift = random_shift
        self.compile = compile
        if _init_setup_model:
            self._setup_model()

    @staticmethod
    def _wrap_env(env: GymEnv, verbose: int = 0, monitor_wrapper: bool = True) -> VecEnv:
        check_env(env)
        return SAC._wrap_env(AsReturned(env) if isinstance(env, gym.Env) else env, verbose, monitor_wrapper)

    def _setup_model(self) -> None:
        if not hasattr(self, "observation_space"):
            check_env(self.env)
        check_hyperparameters(self)
        check_places(self)  # before the buffer takes its options from there
        if self.replay_buffer is None:
            self.replay_buffer = self._make_replay_buffer()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`n_steps=", UserWarning)  # the buffer gets n_steps
            super()._setup_model()
        self.policy.actor_update_interval = 1  # the update delays the actor
        check_methods(self.policy, self.replay_buffer)
        check_same_layout(self.policy.features_extractor, self.replay_buffer)  # type: ignore[arg-type]
        self.random_shift = check_random_shift(self.random_shift, self.replay_buffer.layouts)
        self._reset_update()

    def _make_replay_buffer(self) -> BaseFrameReplayBuffer:
        check_observations(self.observation_space, self._vec_normalize_env)
        buffer_class = check_replay_buffer_class(self.replay_buffer_class or FrameReplayBuffer)
        self.replay_buffer_class = buffer_class
        self.replay_buffer_kwargs = self.replay_buffer_kwargs or {}  # None in load, as in the constructor
        check_gamma(self.replay_buffer_kwargs, self.gamma)
        kwargs = frame_options(self.policy_kwargs)
        if issubclass(buffer_class, HerReplayBuffer):
            kwargs["env"] = self.env
        return buffer_class(
            self.buffer_size,
            self.observation_space,
            self.action_space,
            device=self.device,
            n_envs=self.n_envs,
            optimize_memory_usage=self.optimize_memory_usage,
            **{**kwargs, "n_steps": self.n_steps, "gamma": self.gamma, **self.replay_buffer_kwargs},
        )

    def _optimizers(self) -> list[th.optim.Optimizer]:
        optimizers = [self.actor.optimizer, self.critic.optimizer]
        return optimizers if self.ent_coef_optimizer is None else [*optimizers, self.ent_coef_optimizer]

    def set_parameters(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().set_parameters(*args, **kwargs)
        finally:
            self._reset_update()

    def _reset_update(self) -> None:
        """New tensors need new graphs, and loaded optimizers may come from another device"""
        self._update: Callable[[FrameBatch, bool, bool], Losses] | None = None
        self._update_settings: tuple[Any, ...] = ()
        self._losses = LossTracker()
        self._checks = RunChecks(self.n_envs)
        self._while_stepping: WhileStepping | None = None
        self._train_in_next_step = False
        self._configure_optimizers()

    def _configure_optimizers(self) -> None:
        for optimizer in self._optimizers():
            configure_optimizer(optimizer, self.device)

    def _update_learning_rate(self, optimizers: list[th.optim.Optimizer] | th.optim.Optimizer) -> None:
        learning_rate = number("learning_rate", self.lr_schedule(self._current_progress_remaining), at_least=0)
        self.logger.record("train/learning_rate", learning_rate)
        for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
            for group in optimizer.param_groups:
                if isinstance(group["lr"], th.Tensor):
                    group["lr"].fill_(learning_rate)
                else:
                    group["lr"] = learning_rate

    def collect_rollouts(self, env: VecEnv, *args: Any, **kwargs: Any) -> RolloutReturn:
        check_not_replaced(self._last_obs)
        if self._while_stepping is None or self._while_stepping.venv is not env:
            self._while_stepping = WhileStepping(env) if has_processes(env) else None
        self._train_in_next_step = False
        rollout = super().collect_rollouts(self._while_stepping or env, *args, **kwargs)
        there_is_a_next = rollout.continue_training and self.num_timesteps < self._total_timesteps
        self._train_in_next_step = self._while_stepping is not None and there_is_a_next and may_wait(self, FPAC.train)
        return rollout

    def train(self, gradient_steps: int, batch_size: int = 128) -> None:
        """
        Update the agent. Where environments run in processes of their own, the updates follow while these make their next
        step.

        :param gradient_steps: Number of updates
        :param batch_size: Transitions in an update
        :raises FloatingPointError: if training has diverged
        """
        if self._train_in_next_step:
            assert self._while_stepping is not None
            self._while_stepping.job = partial(self._train_between_actions, gradient_steps, batch_size)
            self._train_in_next_step = False
            return
        if not hasattr(self, "_logger"):  # before learn, on transitions that are in the buffer already
            self._logger = configure_logger(self.verbose, self.tensorboard_log, "FPAC")
        self._checks.before_updates(self.replay_buffer)
        self.policy.set_training_mode(True)
        self._update_learning_rate(self._optimizers())
        encoders = self._encoders_of_frames()
        settings = self._current_settings(batch_size, encoders)
        if settings != self._update_settings:  # as callbacks may change them
            check_hyperparameters(self)
            self.random_shift = check_random_shift(self.random_shift, self.replay_buffer.layouts)
            check_trained(self.policy.features_extractor, self.critic.optimizer)
            self.replay_buffer.gamma = self.gamma  # of n-step returns
            self._configure_optimizers()
            self._update, self._update_settings = None, settings
        for _ in range(gradient_steps):
            batch = self.replay_buffer.sample_frames(batch_size, self._vec_normalize_env, encoders)
            if self._update is None:
                self._update = compile_update(self._make_update, self.compile, batch)
            self._n_updates += 1
            losses = self._update(
                batch,
                self._n_updates % self.policy_delay == 0,
                self._n_updates % self.target_update_interval == 0,
            )
            self._losses.add(losses)
        if self.device.type == "cpu":  # elsewhere, reading losses would wait for the device
            self._record_losses()
            self._checks.after_updates_on_cpu()

    def _current_settings(self, batch_size: int, encoders: Mapping[str | None, FixedEncoder]) -> tuple[Any, ...]:
        """What the update is made of, and what is checked again if it changes"""
        intervals = self.policy_delay, self.target_update_interval
        trained = tuple(weight.requires_grad for weight in self.policy.features_extractor.parameters())
        numbers = batch_size, self.gamma, self.tau, self.target_entropy
        ent_coef = self.ent_coef_tensor if self.log_ent_coef is None else self.log_ent_coef
        parts = self.policy, ent_coef, *self._optimizers()
        return (*numbers, *intervals, self.random_shift, self.compile, tuple(encoders), trained, tuple(map(id, parts)))

    def _train_between_actions(self, gradient_steps: int, batch_size: int) -> None:
        self.train(gradient_steps, batch_size)
        self.policy.set_training_mode(False)  # as collect_rollouts has it

    def _encoders_of_frames(self) -> dict[str | None, FixedEncoder]:
        """A frame is encoded only once if its encoder is frozen, and it is not shifted at random"""
        images = cast(StackEncoder, self.policy.features_extractor).images
        target_images = cast(StackEncoder, self.critic_target.features_extractor).images
        return fixed_encoders({key: image for key, image in images.items() if not self._random_shift_of(key)}, target_images)

    def _make_update(self, compile_losses: bool) -> Update:
        assert isinstance(self.target_entropy, float)
        return Update(
            self.policy,
            log_ent_coef=self.log_ent_coef,
            ent_coef=None if self.log_ent_coef is not None else self.ent_coef_tensor,
            ent_coef_optimizer=self.ent_coef_optimizer,
            target_entropy=self.target_entropy,
            gamma=self.gamma,
            tau=self.tau,
            shift_pixels={key: self._random_shift_of(key) for key in self.replay_buffer.layouts},
            compile_losses=compile_losses,
        )

    def _random_shift_of(self, key: str | None) -> int:
        return self.random_shift.get(key or "", 0) if isinstance(self.random_shift, dict) else self.random_shift

    def _check_losses(self) -> None:
        self._losses.check(self._when)

    @property
    def _when(self) -> str:
        return f"agent step {self.num_timesteps} (update {self._n_updates})"

    def _record_losses(self) -> None:
        self._check_losses()
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self._losses.record(self.logger)
        ent_coef = self.log_ent_coef.exp() if self.log_ent_coef is not None else self.ent_coef_tensor
        self.logger.record("train/ent_coef", ent_coef.item())

    def dump_logs(self) -> None:
        self._record_losses()
        self._losses.reset()
        self.logger.record("time/env_steps", self.num_env_steps)
        seconds = max((time.time_ns() - self.start_time) / 1e9, 1e-9)
        self.logger.record("time/updates_per_second", (self._n_updates - self._n_updates_at_start) / seconds)
        super().dump_logs()

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        reset_num_timesteps: bool = True,
        tb_log_name: str = "FPAC",
        progress_bar: bool = False,
    ) -> Any:
        if reset_num_timesteps:
            self.num_env_steps = 0
        self._n_updates_at_start = self._n_updates
        of_learn = super()._setup_learn(total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar)
        check_values(self.replay_buffer, self._last_obs, self._when)
        return of_learn

    def learn(
        self: SelfFPAC,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 4,
        tb_log_name: str = "FPAC",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> SelfFPAC:
        super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)
        n_updates = self._n_updates - self._n_updates_at_start
        self._checks.after_learn(n_updates, self.num_timesteps, self.learning_starts, self.gradient_steps)
        return self

    def _update_info_buffer(self, infos: list[dict[str, Any]], dones: np.ndarray | None = None) -> None:
        super()._update_info_buffer(infos, dones)
        self.num_env_steps += sum(map(env_steps_of, infos))

    def _store_transition(
        self,
        replay_buffer: ReplayBuffer,
        buffer_action: np.ndarray,
        new_obs: np.ndarray | dict[str, np.ndarray],
        reward: np.ndarray,
        dones: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        assert isinstance(replay_buffer, BaseFrameReplayBuffer)
        check_not_replaced(self._last_obs)
        checked = self._checks.before_storing(replay_buffer, new_obs, reward, infos, self._when)
        super()._store_transition(checked, buffer_action, new_obs, reward, dones, infos)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """
        Save the model, as SAC does, unless training has diverged: then a file from before is not overwritten.

        :raises FloatingPointError: if a loss or a weight is infinite or undefined
        """
        if self._while_stepping is not None:
            self._while_stepping.do_job()  # whoever continues from the file has no update that waits for a step
        self._check_losses()
        check_finite(self.policy, self._when)
        super().save(*args, **kwargs)

    def _excluded_save_params(self) -> list[str]:
        parts = ["_update", "_update_settings", "_losses", "_checks", "_while_stepping", "_train_in_next_step"]
        return [*super()._excluded_save_params(), *parts]
