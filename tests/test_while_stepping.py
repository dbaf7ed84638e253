"""FPAC updates the agent while environments in processes of their own take a step."""

import os
import signal
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from helpers.environments import Robot, StackedNoise
from helpers.models import same, snapshot
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnvWrapper, VecNormalize

from sb3_fpac import FPAC, HerFrameReplayBuffer, ResumableCheckpoint, resume
from sb3_fpac.fpac.while_stepping import WhileStepping, has_processes

POLICY = dict(net_arch=[16, 16], features_extractor_kwargs=dict(n_points=3, precision="float32"))
SHORT = dict(buffer_size=200, learning_starts=10, batch_size=8, compile=False, seed=0, policy_kwargs=POLICY)


@pytest.fixture
def in_process():
    env = make_vec_env(StackedNoise, 1, vec_env_cls=SubprocVecEnv)
    yield env
    env.close()


class Recorded(FPAC):
    """Notes what happens in which order"""

    def __init__(self, *args, **kwargs):
        self.events: list = []
        super().__init__(*args, **kwargs)

    def sample_and_note(self, sample, *args):
        self.events.append(("update", self.num_timesteps, self.replay_buffer.size()))
        return sample(*args)

    def noted(self):
        """Without the first step of an environment: the updates, the steps' beginnings and ends"""
        buffer, env = self.replay_buffer, self.env
        buffer.sample_frames = partial(self.sample_and_note, buffer.sample_frames)
        begin, end = env.step_async, env.step_wait
        env.step_async = lambda actions: (self.events.append("begin"), begin(actions))[-1]
        env.step_wait = lambda: (self.events.append("end"), end())[-1]
        return self


def updates(events):
    return [event for event in events if isinstance(event, tuple)]


@pytest.mark.parametrize("kwargs", [{}, dict(train_freq=3, gradient_steps=2), dict(gradient_steps=-1)])
def test_updates_find_the_same_transitions_as_without_processes(in_process, kwargs):
    models = [Recorded("CnnPolicy", env, **SHORT, **kwargs).noted() for env in (DummyVecEnv([StackedNoise]), in_process)]
    for model in models:
        model.learn(30)
    here, there = (updates(model.events) for model in models)
    assert len(here) >= 10
    assert here == there
    assert models[0]._n_updates == models[1]._n_updates == len(here)


def test_updates_fall_between_beginning_and_end_of_a_step(in_process):
    model = Recorded("CnnPolicy", in_process, **SHORT).noted()
    model.learn(14)
    kinds = [event if isinstance(event, str) else event[0] for event in model.events]
    assert kinds == ["begin", "end"] * 11 + ["begin", "update", "end"] * 3 + ["update"]  # the last has no step to hide in


def test_environments_in_this_process_are_updated_after_their_step():
    model = Recorded("CnnPolicy", DummyVecEnv([StackedNoise]), **SHORT).noted()
    model.learn(12)
    kinds = [event if isinstance(event, str) else event[0] for event in model.events]
    assert kinds == ["begin", "end"] * 11 + ["update", "begin", "end", "update"]


def test_normalized_rewards_and_several_environments():
    env = VecNormalize(make_vec_env(StackedNoise, 2, vec_env_cls=SubprocVecEnv), norm_obs=False)
    assert has_processes(env)
    model = Recorded("CnnPolicy", env, gradient_steps=-1, **SHORT).noted()
    model.learn(40)
    assert model.replay_buffer.size() == 20
    assert model._n_updates == 30  # after 12, 14, … 40 agent steps
    assert model.get_env() is env
    env.close()


class RaisedRewards(VecEnvWrapper):
    """Changes whole steps, as a wrapper may that was written for environments in this process"""

    def reset(self):
        return self.venv.reset()

    def step_wait(self):
        return self.venv.step_wait()

    def step(self, actions):
        observations, rewards, dones, infos = super().step(actions)
        return observations, rewards + 100, dones, infos


def test_a_wrapper_that_changes_whole_steps_is_not_passed_over(in_process):
    models = [FPAC("CnnPolicy", RaisedRewards(env), **SHORT).learn(20) for env in (DummyVecEnv([StackedNoise]), in_process)]
    here, there = (model.replay_buffer.rewards[:20] for model in models)
    assert here.min() > 50
    assert np.array_equal(here, there)


class Steady(StackedNoise):
    """The same episode again and again"""

    def reset(self, *, seed=None, options=None):
        return super().reset(seed=0, options=options)


class At(BaseCallback):
    """Does something at a number of agent steps, and at the end"""

    def __init__(self, step, do, at_the_end=None):
        super().__init__()
        self.step, self.do, self.at_the_end = step, do, at_the_end

    def _on_step(self):
        return self.do() is not False if self.num_timesteps == self.step else True

    def _on_training_end(self):
        if self.at_the_end:
            self.at_the_end()


def test_no_update_is_left_over_when_training_ends(in_process):
    seen = []
    model = FPAC("CnnPolicy", in_process, **SHORT)
    model.learn(20, callback=At(0, None, lambda: seen.append(model._n_updates)))
    assert seen == [10]
    model.learn(20, callback=At(35, lambda: False, lambda: model.train(3, 8)), reset_num_timesteps=False)
    assert model.num_timesteps == 35
    assert model._n_updates == 10 + 14 + 3
    model.train(1, 8)
    assert model._n_updates == 28


def test_a_callback_sees_the_agent_of_the_step_and_may_update_it(in_process):
    seen = []
    model = FPAC("CnnPolicy", in_process, **SHORT)
    model.learn(20, callback=At(15, lambda: (seen.append(model._n_updates), model.train(2, 8), seen.append(model._n_updates))))
    assert seen == [4, 6]  # after 11, 12, 13, 14 agent steps, and two more
    assert model._n_updates == 12


def test_a_callback_finds_the_policy_as_it_acts(in_process):
    seen = []
    model = FPAC("CnnPolicy", in_process, **SHORT)
    model.learn(16, callback=At(15, lambda: seen.append((model._n_updates, model.policy.training, model.actor.training))))
    assert seen == [(4, False, False)]


def test_saved_and_trained_on(in_process, tmp_path):
    model = FPAC("CnnPolicy", in_process, **SHORT).learn(20)
    model.save(tmp_path / "model")
    loaded = FPAC.load(tmp_path / "model", env=in_process)
    assert same(snapshot(model.policy), snapshot(loaded.policy))
    loaded.learn(20)
    assert loaded._n_updates == 20


def failing(env, fail):
    """An agent whose update after 15 agent steps fails, once"""
    model = FPAC("CnnPolicy", env, **SHORT)
    sample, failed = model.replay_buffer.sample_frames, []

    def sample_or_fail(*args):
        if model.num_timesteps == 15 and not failed:
            failed.append(True)
            fail()
        return sample(*args)

    model.replay_buffer.sample_frames = sample_or_fail
    return model


@pytest.mark.parametrize("error", [KeyboardInterrupt(), FloatingPointError("the loss is nan")])
def test_after_an_update_that_fails_the_next_step_gets_its_own_results(in_process, error):
    def fail():
        raise error

    model = failing(in_process, fail)
    with pytest.raises(type(error)):
        model.learn(30)
    assert model.num_timesteps == 15
    in_process.env_method("reset", seed=3)
    after_reset = in_process.get_attr("frames")[0]
    new_obs, *_ = in_process.step(np.zeros((1, 2), np.float32))
    assert np.array_equal(new_obs[0, :3], after_reset[-1])
    with pytest.warns(UserWarning, match="is not stored"):
        model.learn(20, reset_num_timesteps=False)
    assert model.num_timesteps == 35


def test_an_interrupt_that_also_ends_the_processes_stays_an_interrupt(in_process):
    def fail():
        for process in in_process.processes:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failing(in_process, fail).learn(30)
    in_process.closed = True  # there is nothing left to close


def test_an_interrupt_during_a_step_leaves_no_result_behind(monkeypatch):
    """A signal that reaches this process alone, while one of two environments has answered"""
    envs = make_vec_env(StackedNoise, 2, vec_env_cls=SubprocVecEnv)
    model = FPAC("CnnPolicy", envs, **SHORT).learn(10)

    class Interrupted:
        def __init__(self, remote):
            self.remote, self.is_interrupted = remote, True

        def recv(self):
            if self.is_interrupted:
                self.is_interrupted = False
                raise KeyboardInterrupt
            return self.remote.recv()

        def __getattr__(self, name):
            return getattr(self.remote, name)

    envs.remotes = (envs.remotes[0], Interrupted(envs.remotes[1]))
    with pytest.raises(KeyboardInterrupt):
        model.learn(10, reset_num_timesteps=False)
    actions = np.array([[8, 8], [-8, -8]], np.float32)
    _, rewards, *_ = envs.step(actions)
    assert np.allclose(rewards, actions.sum(axis=1), atol=1)  # and something of the frame
    envs.close()


def test_processes_that_have_ended_are_named_with_the_cure(in_process):
    model = FPAC("CnnPolicy", in_process, **SHORT).learn(20)
    for process in in_process.processes:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    in_process.closed = True
    with pytest.raises(ConnectionError, match=r"has ended.*model\.set_env\(SubprocVecEnv") as caught:
        model.learn(20, reset_num_timesteps=False)
    assert caught.value.__cause__ is not None and caught.value.__cause__.__traceback__ is None
    new = make_vec_env(StackedNoise, 1, vec_env_cls=SubprocVecEnv)
    model.set_env(new)
    assert model.learn(20, reset_num_timesteps=False)._n_updates == 30
    new.close()


def test_hindsight_asks_the_environments_for_rewards_between_their_steps():
    env = make_vec_env(partial(Robot, goals=True), 2, vec_env_cls=SubprocVecEnv)
    encoder = dict(n_points=3, precision="float32", frame_channels=dict(wrist=1, front=3))
    policy_kwargs = dict(net_arch=[16, 16], features_extractor_kwargs=encoder)
    kwargs = SHORT | dict(policy_kwargs=policy_kwargs, learning_starts=100)
    model = FPAC("MultiInputPolicy", env, replay_buffer_class=HerFrameReplayBuffer, **kwargs)
    model.learn(140)
    assert model._n_updates == 20
    env.close()


@pytest.mark.parametrize("kwargs", [{}, dict(train_freq=7, gradient_steps=-1)])
def test_a_checkpoint_continues_as_if_it_had_not_been_interrupted(kwargs, tmp_path):
    def train(steps, folder):
        env = make_vec_env(partial(Steady, length=7), 1, vec_env_cls=SubprocVecEnv)
        model = resume(folder, env) if folder.exists() else FPAC("CnnPolicy", env, **SHORT, **kwargs)
        model.learn(steps - model.num_timesteps, callback=ResumableCheckpoint(20, folder), reset_num_timesteps=False)
        env.close()
        return model

    uninterrupted = train(70, tmp_path / "whole")
    train(30, tmp_path / "parts")
    assert [path.name for path in (tmp_path / "parts").glob("step_*")] == ["step_21"]
    resumed = train(70, tmp_path / "parts")
    assert resumed._n_updates == uninterrupted._n_updates
    assert same(snapshot(resumed.policy), snapshot(uninterrupted.policy))


def test_a_train_of_ones_own_is_called_once_and_updates_before_it_returns(in_process):
    class Counting(FPAC):
        counted = 0

        def train(self, *args, **kwargs):
            before = self._n_updates
            super().train(*args, **kwargs)
            self.counted += self._n_updates - before

    model = Counting("CnnPolicy", in_process, **SHORT).learn(20)
    assert model.counted == model._n_updates == 10


def test_a_train_that_is_replaced_is_called_once(in_process):
    model = FPAC("CnnPolicy", in_process, **SHORT)
    train = model.train
    model.train = lambda gradient_steps, batch_size: train(2 * gradient_steps, batch_size)
    assert model.learn(20)._n_updates == 20


def test_a_step_of_its_own():
    order = []

    class Steps(DummyVecEnv):
        def step_async(self, actions):
            order.append("sent")
            super().step_async(actions)

        def step_wait(self):
            order.append("received")
            return super().step_wait()

    env = WhileStepping(Steps([StackedNoise]))
    env.reset()
    env.job = lambda: order.append("done")
    for _ in range(2):
        env.step(np.zeros((1, 2), np.float32))
    assert order == ["sent", "done", "received", "sent", "received"]


def test_updates_between_episodes_come_before_the_next_action(in_process):
    model = Recorded("CnnPolicy", in_process, **SHORT, train_freq=(1, "episode")).noted()
    model.learn(60)
    kinds = [event if isinstance(event, str) else event[0] for event in model.events]
    assert "update" in kinds
    assert all(before == "end" for before, kind in pairwise(kinds) if kind == "update")
