"""Training that is interrupted goes on as if it had not been, and a kill at any moment leaves a whole checkpoint."""

import argparse
import multiprocessing
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import optuna
import pytest
import torch as th
import yaml
from filelock import FileLock
from gymnasium import spaces
from helpers.environments import Robot
from optuna.trial import TrialState
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback, CallbackList, ConvertCallback
from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_fpac import FPAC, HerFrameReplayBuffer
from sb3_fpac.callbacks import ResumableCheckpoint, checkpoint, latest_checkpoint, resume, save_checkpoint
from sb3_fpac.callbacks.random_states import random_states

EPISODE = 7


class Clockwork(gym.Env):
    """What it shows depends on the step of the episode and the last two actions, its reward also on Python's random numbers"""

    observation_space: spaces.Space = spaces.Box(0, 255, (6, 17, 17), np.uint8)
    action_space = spaces.Box(-2, 2, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed = seed
        self.steps = 0
        self.frames = [self.frame(np.zeros(2))] * 2
        return self.observation(), {}

    def step(self, action):
        self.steps += 1
        self.frames = [self.frames[1], self.frame(action)]
        return self.observation(), float(random.random() - (action**2).sum()), False, self.steps == EPISODE, {}

    def frame(self, action):
        frame = np.random.default_rng(self.steps).integers(0, 256, (3, 17, 17), np.uint8)
        return (frame * (action.sum() + 4) / 8).astype(np.uint8)

    def observation(self):
        return np.concatenate(self.frames)


class Needles(Clockwork):
    """The same as numbers"""

    observation_space = spaces.Box(0, 255, (4,), np.float32)

    def observation(self):
        return np.concatenate([frame[0, 0, :2] for frame in self.frames]).astype(np.float32)


class StopAt(BaseCallback):
    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def _on_step(self) -> bool:
        return self.num_timesteps < self.steps


SMALL = dict(net_arch=[16], features_extractor_kwargs=dict(n_points=4, precision="float32"))
SHORT = dict(buffer_size=30, learning_starts=8, batch_size=8, seed=3, device="cpu")
NOISE = OrnsteinUhlenbeckActionNoise(np.zeros(2), 0.3 * np.ones(2))


def envs(env_class: type[gym.Env] = Clockwork, n_envs: int = 1, normalize: dict[str, Any] | None = None) -> Any:
    env = DummyVecEnv([env_class] * n_envs)
    return env if normalize is None else VecNormalize(env, **normalize)


def make(env: Any = None, **kwargs: Any) -> FPAC:
    return FPAC("CnnPolicy", env or envs(), policy_kwargs=SMALL, compile=False, **{**SHORT, **kwargs})


def flat(tree: Any, name: str = "") -> dict[str, Any]:
    if isinstance(tree, dict):
        tree = list(tree.items())
    elif isinstance(tree, (list, tuple)):
        tree = list(enumerate(tree))
    else:
        return {name: tree}
    return {key: leaf for part, branch in tree for key, leaf in flat(branch, f"{name}.{part}").items()}


def everything(model: Any) -> dict[str, Any]:
    """All that the rest of a run depends on. Draws from the buffer, so that it comes last."""
    buffer = model.replay_buffer
    tree = dict(
        parameters=model.get_parameters(),
        log_ent_coef=getattr(model, "log_ent_coef", None),
        random=random_states(model),
        buffer=[getattr(buffer, name) for name in ("actions", "rewards", "dones", "timeouts", "pos", "full")],
        counters=[getattr(model, name, None) for name in ("num_timesteps", "num_env_steps", "_n_updates", "_episode_num")],
        progress=model._current_progress_remaining,
        samples=tuple(buffer.sample(16, model.get_vec_normalize_env())),
        afterwards=random_states(model),
    )
    return flat(tree)


def differences(left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    assert left.keys() == right.keys()

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, th.Tensor):
            return a.dtype == b.dtype and th.equal(a, b)
        return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b

    return [name for name in left if not same(left[name], right[name])]


def disturb() -> None:
    """Another process has other random states"""
    random.seed(99)
    np.random.seed(99)
    th.manual_seed(99)


def check_resumed_equals_uninterrupted(
    make_model: Callable[[], Any], make_env: Callable[[], Any], folder: Path, steps: int = 60, resumed_at: int = 28
) -> None:
    uninterrupted = everything(make_model().learn(steps))

    stopped = make_model()
    stopped.learn(steps, callback=[StopAt(resumed_at + 5), ResumableCheckpoint(save_freq=25, save_path=folder)])
    disturb()
    model = resume(folder, make_env(), device="cpu", algorithm=type(stopped))
    assert model.num_timesteps == resumed_at
    model.learn(steps - model.num_timesteps, reset_num_timesteps=False)
    assert model._total_timesteps == steps
    assert differences(uninterrupted, everything(model)) == []


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        dict(use_sde=True),
        dict(use_sde=True, sde_sample_freq=3, use_sde_at_warmup=True, n_steps=3),
        dict(action_noise=NOISE, learning_rate=LinearSchedule(1e-3, 0.0, 1.0), train_freq=2, gradient_steps=3),
        dict(n_steps=3, random_shift=2, ent_coef=0.1),
        dict(buffer_size=1000, train_freq=(1, "episode"), gradient_steps=-1),
    ],
    ids=lambda kwargs: "-".join(kwargs) or "default",
)
def test_a_resumed_run_equals_the_uninterrupted_one(kwargs, tmp_path):
    check_resumed_equals_uninterrupted(lambda: make(**kwargs), envs, tmp_path)


@pytest.mark.parametrize("kwargs", [{}, dict(use_sde=True), dict(action_noise=NOISE, n_steps=3)], ids="-".join)
def test_it_does_with_several_environments_and_normalized_rewards(kwargs, tmp_path):
    def make_env():
        return envs(n_envs=2, normalize=dict(norm_obs=False))

    check_resumed_equals_uninterrupted(lambda: make(make_env(), **kwargs), make_env, tmp_path, steps=84)


@pytest.mark.parametrize("algorithm", [SAC, TD3, TQC])
@pytest.mark.parametrize("kwargs", [{}, dict(optimize_memory_usage=True)], ids=["plain", "optimize_memory_usage"])
def test_it_does_with_stock_algorithms_and_normalized_observations(algorithm, kwargs, tmp_path):
    if kwargs:
        kwargs = dict(kwargs, replay_buffer_kwargs=dict(handle_timeout_termination=False))

    def make_env():
        return envs(Needles, n_envs=2, normalize={})

    def make_model():
        return algorithm("MlpPolicy", make_env(), policy_kwargs=dict(net_arch=[16]), **SHORT, **kwargs)

    check_resumed_equals_uninterrupted(make_model, make_env, tmp_path, steps=84)


class Moments(ResumableCheckpoint):
    """Which checkpoints there were"""

    def _on_training_start(self) -> None:
        super()._on_training_start()
        self.moments: list[int] = []

    def _on_rollout_start(self) -> None:
        before = self._saved_at
        super()._on_rollout_start()
        if self._saved_at != before:
            self.moments.append(self._saved_at)
            assert [path.name for path in self.save_path.glob("step_*")] == [f"step_{self._saved_at}"]  # older ones are gone


@pytest.mark.parametrize(
    "save_freq, n_envs, moments",
    [
        (10, 1, [14, 21, 35, 42, 56]),  # the first start of an episode, every 7 steps, after every 10 steps
        (3, 1, [6, 12, 18, 21, 27, 33, 39, 42, 48, 54]),  # at one of them, or after another 3 steps
        (20, 2, [28, 42]),  # every 14 steps
    ],
)
def test_it_saves_at_the_next_episodes_start_but_does_not_wait_for_ever(save_freq, n_envs, moments, tmp_path):
    callback = Moments(save_freq, tmp_path / "new" / "folder")
    make(envs(n_envs=n_envs), learning_starts=1000).learn(60, callback=callback)
    assert callback.moments == moments


def test_environments_that_never_start_together_are_not_waited_for(tmp_path):
    class Longer(Clockwork):
        def step(self, action):
            *result, _, info = super().step(action)
            return *result, self.steps == EPISODE + 4, info

    callback = Moments(save_freq=10, save_path=tmp_path)
    make(DummyVecEnv([Clockwork, Longer]), learning_starts=1000).learn(60, callback=callback)
    assert callback.moments == [20, 40]


def test_an_episode_that_was_broken_off_ends_in_the_buffer_as_if_timed_out(tmp_path):
    model = make(n_steps=3, learning_starts=1000)
    model.learn(10)
    save_checkpoint(model, tmp_path)
    resumed = resume(tmp_path, envs(), device="cpu")
    resumed.learn(3, reset_num_timesteps=False)
    buffer = resumed.replay_buffer
    assert (buffer.dones[9], buffer.timeouts[9]) == (1, 1) and buffer.timeouts.sum() == 2  # the other at step 7
    sample = buffer._get_samples(np.array([8, 9, 10]))
    gamma = model.gamma
    np.testing.assert_allclose(sample.discounts.numpy()[:, 0], [gamma**2, gamma, gamma**3], rtol=1e-6)
    assert not sample.dones.any()


def test_without_next_observations_of_their_own_a_broken_episode_ends(tmp_path):
    kwargs = dict(optimize_memory_usage=True, replay_buffer_kwargs=dict(handle_timeout_termination=False))
    model = SAC("MlpPolicy", envs(Needles), policy_kwargs=dict(net_arch=[16]), **{**SHORT, "learning_starts": 1000}, **kwargs)
    save_checkpoint(model.learn(10), tmp_path)
    buffer = resume(tmp_path, envs(Needles), algorithm=SAC).replay_buffer
    assert (buffer.dones[9], buffer.timeouts[9]) == (1, 0)


def test_the_environment_goes_on_with_another_seed(tmp_path):
    model = make(learning_starts=1000)
    assert model.env is not None
    save_checkpoint(model.learn(14), tmp_path)
    env = envs()
    resume(tmp_path, env)
    assert env.get_attr("seed") == [3 + 14]
    save_checkpoint(make(learning_starts=1000, seed=None).learn(21), tmp_path)
    resume(tmp_path, env)
    assert env.get_attr("seed") == [None]


def train_to_the_end(folder: Path, steps: int) -> None:
    """What a script does that is started again and again until it ends"""
    th.set_num_threads(1)
    model = make(n_steps=3) if latest_checkpoint(folder) is None else resume(folder, envs(), device="cpu")
    callback = ResumableCheckpoint(save_freq=EPISODE, save_path=folder)
    model.learn(steps - model.num_timesteps, callback=callback, reset_num_timesteps=False)
    th.save(everything(model), folder / "end.pth")


@pytest.mark.slow
@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="needs SIGKILL and fork")
def test_killed_again_and_again_it_ends_as_the_uninterrupted_run(tmp_path):
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["pytest", "sb3_contrib", "sb3_fpac"])
    steps, rng, folder = 24 * EPISODE, random.Random(0), tmp_path / "killed"
    n_kills, n_while_saving = 0, 0
    for attempt in range(6):
        process = processes.Process(target=train_to_the_end, args=(folder, steps))
        process.start()
        before = latest_checkpoint(folder)
        while process.is_alive() and latest_checkpoint(folder) == before:
            time.sleep(0.001)  # it has got going
        time.sleep(rng.uniform(0, 0.05))
        while process.is_alive() and attempt % 2 == 0 and not list(folder.glob("*.tmp")):
            pass  # it is saving
        time.sleep(rng.uniform(0, 0.004) * attempt)
        process.kill()
        process.join()
        n_kills += process.exitcode == -signal.SIGKILL
        n_while_saving += bool(list(folder.glob("*.tmp")))
        newest = latest_checkpoint(folder)
        assert newest is not None
        assert resume(folder, envs(), device="cpu").num_timesteps == int(newest.name.removeprefix("step_")) > 0
    assert n_kills >= 3 and n_while_saving >= 1

    for end in (folder, tmp_path / "uninterrupted"):
        process = processes.Process(target=train_to_the_end, args=(end, steps))
        process.start()
        process.join()
        assert process.exitcode == 0
    ends = [th.load(tmp_path / name / "end.pth", weights_only=False) for name in ("uninterrupted", "killed")]
    assert differences(*ends) == []


class Killed(BaseException):
    pass


def kill(*args: Any, **kwargs: Any) -> Any:
    raise Killed


@pytest.mark.parametrize(
    "owner, name",
    [
        (FPAC, "save"),
        (FPAC, "save_replay_buffer"),
        (checkpoint.th, "save"),
        (checkpoint, "random_states"),
        (checkpoint, "_sync"),
        (Path, "rename"),
    ],
)
def test_a_kill_before_a_checkpoint_is_whole_leaves_the_one_before(owner, name, tmp_path, monkeypatch):
    model = make(learning_starts=1000)
    save_checkpoint(model.learn(7), tmp_path)
    model.learn(7, reset_num_timesteps=False)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, name, kill)
        save_checkpoint(model, tmp_path)
    assert (tmp_path / "step_14.tmp").is_dir()
    assert latest_checkpoint(tmp_path) == tmp_path / "step_7"
    assert resume(tmp_path, envs()).num_timesteps == 7
    for nothing in (tmp_path / "step_14.tmp", latest_checkpoint(tmp_path / "step_14.tmp")):
        with pytest.raises(FileNotFoundError, match="no complete checkpoint"):
            resume(nothing, envs())

    save_checkpoint(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step_14"]


def test_a_kill_while_the_one_before_is_deleted_leaves_the_new_one(tmp_path, monkeypatch):
    def delete_half(path: Path) -> None:
        (path / "model.zip").unlink()
        raise Killed

    model = make(learning_starts=1000)
    save_checkpoint(model.learn(7), tmp_path)
    model.learn(7, reset_num_timesteps=False)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(shutil, "rmtree", delete_half)
        save_checkpoint(model, tmp_path)
    assert latest_checkpoint(tmp_path) == tmp_path / "step_14"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_14", "step_7.tmp"]


@pytest.mark.filterwarnings("ignore:A reward has numbers up to")
@pytest.mark.parametrize("reward, save_freq, saved_at", [(np.nan, 7, 14), (1e38, 1, 21)])
def test_divergence_stops_training_and_leaves_the_checkpoint_from_before(reward, save_freq, saved_at, tmp_path):
    class Breaks(Clockwork):
        def step(self, action):
            observation, good, *rest = super().step(action)
            Breaks.n_steps += 1
            return observation, good if Breaks.n_steps <= 20 else reward, *rest

    Breaks.n_steps = 0
    with pytest.raises(FloatingPointError):
        make(envs(Breaks)).learn(60, callback=ResumableCheckpoint(save_freq, tmp_path))
    model = resume(tmp_path, envs())
    assert all(parameter.isfinite().all() for parameter in model.policy.parameters())
    assert model.num_timesteps == saved_at


@pytest.mark.parametrize("algorithm, policy, env_class", [(FPAC, "CnnPolicy", Clockwork), (SAC, "MlpPolicy", Needles)])
def test_diverged_networks_are_not_saved(algorithm, policy, env_class, tmp_path):
    policy_kwargs = SMALL if algorithm is FPAC else dict(net_arch=[16])
    model = algorithm(policy, env_class(), policy_kwargs=policy_kwargs, **SHORT).learn(10)
    save_checkpoint(model, tmp_path)
    model.learn(1, reset_num_timesteps=False)
    next(model.actor.parameters()).data[0] = np.nan
    with pytest.raises(FloatingPointError, match="agent step 11: training has diverged"):
        save_checkpoint(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step_10"]


def test_a_checkpoint_of_a_later_step_is_not_deleted(tmp_path):
    path = save_checkpoint(make(learning_starts=1000).learn(9), tmp_path)
    with pytest.raises(ValueError, match="step_9 has more steps than this run, which is at agent step 7"):
        save_checkpoint(make(learning_starts=1000).learn(7), tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_resumed_agent_can_have_other_n_step_returns(tmp_path):
    save_checkpoint(make(learning_starts=1000).learn(7), tmp_path)
    model = resume(tmp_path, envs(), n_steps=3, gamma=0.9)
    buffer = model.replay_buffer
    assert model.n_steps == buffer.n_steps == 3 and model.gamma == buffer.gamma == 0.9


def test_what_cannot_be_resumed_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no complete checkpoint"):
        resume(tmp_path / "nowhere", envs())
    model = make(learning_starts=1000).learn(7)
    path = save_checkpoint(model, tmp_path)
    assert path == latest_checkpoint(path) == latest_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"model\.zip is a file: pass the folder of the checkpoint, such as .*step_7"):
        resume(path / "model.zip", envs())
    assert save_checkpoint(model, tmp_path) == path
    with pytest.raises(ValueError, match="Observation spaces do not match"):
        resume(tmp_path, envs(Needles))
    with pytest.raises(ValueError, match=r"replay_buffer\.pkl does not fit: its n_envs is 1, that of the model is 2"):
        resume(tmp_path, envs(n_envs=2))
    with pytest.raises(ValueError, match="saved without VecNormalize, got an environment with it"):
        resume(tmp_path, envs(normalize=dict(norm_obs=False)))
    with pytest.raises(ValueError, match="was trained by FPAC, got the algorithm SAC: pass algorithm=FPAC"):
        resume(tmp_path, envs(), algorithm=SAC)
    (path / "replay_buffer.pkl").unlink()
    with pytest.raises(FileNotFoundError, match="no complete checkpoint"):
        resume(tmp_path, envs())


def test_another_number_of_environments_of_sb3s_buffer_is_refused_with_the_right_one(tmp_path):
    model = SAC("MlpPolicy", envs(Needles, 2), policy_kwargs=dict(net_arch=[8]), buffer_size=40, learning_starts=1000)
    save_checkpoint(model.learn(8), tmp_path)
    with pytest.raises(ValueError, match=r"saved with 2 environment\(s\), got 1: pass env with 2\."):
        resume(tmp_path, envs(Needles), algorithm=SAC)


def test_a_checkpoint_of_another_version_is_refused(tmp_path):
    path = save_checkpoint(make(learning_starts=1000).learn(7), tmp_path) / "random_states.pth"
    states = th.load(path, weights_only=True)
    del states["checksums"]  # as versions before 0.1.0 saved them
    th.save(states, path)
    with pytest.raises(ValueError, match="was saved by another version of sb3-fpac: resume with that version, or train again"):
        resume(tmp_path, envs())


@pytest.mark.parametrize("name", ["model.zip", "replay_buffer.pkl", "random_states.pth"])
@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[: len(data) // 2]], ids=["empty", "half"])
def test_a_damaged_file_is_named(name, damage, tmp_path):
    path = save_checkpoint(make(learning_starts=1000).learn(7), tmp_path) / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        ValueError, match=rf"{name} (is|cannot be read, because it is) damaged(,| or) half written.*: copy or save it again"
    ):
        resume(tmp_path, envs())


@pytest.mark.parametrize("name", ["model.zip", "replay_buffer.pkl", "vecnormalize.pkl", "random_states.pth"])
def test_a_byte_that_has_changed_is_noticed(name, tmp_path):
    normalize = dict(norm_obs=False)
    path = save_checkpoint(make(envs(normalize=normalize), learning_starts=1000).learn(7), tmp_path) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"{re.escape(name)} is damaged"):
        resume(tmp_path, envs(normalize=normalize))


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (FPAC, "save_replay_buffer", OSError(28, "No space left on device")),
        (th, "save", RuntimeError("[enforce fail at inline_container.cc:672] PytorchStreamWriter failed writing file")),
    ],
)
def test_a_full_disk_keeps_the_checkpoint_before_and_leaves_nothing_half_written(owner, name, error, tmp_path, monkeypatch):
    model = make(learning_starts=1000).learn(7)
    before = save_checkpoint(model, tmp_path)
    model.learn(7, reset_num_timesteps=False)

    def full(*args, **kwargs):
        raise error

    monkeypatch.setattr(owner, name, full)
    with pytest.raises(OSError, match=r"step_14 could not be written, and \d+\.\d\d GB were free: .*Older checkpoints"):
        save_checkpoint(model, tmp_path)
    assert list(tmp_path.iterdir()) == [before] == [latest_checkpoint(tmp_path)]


def test_a_subclass_with_the_same_update_resumes(tmp_path):
    class Renamed(FPAC):
        pass

    save_checkpoint(make(learning_starts=1000).learn(7), tmp_path)
    assert isinstance(resume(tmp_path, envs(), algorithm=Renamed), Renamed)


def test_a_run_does_not_start_over_another_ones_checkpoint(tmp_path):
    save_checkpoint(make(learning_starts=1000).learn(7), tmp_path)
    with pytest.raises(ValueError, match="step_7 has more steps than this run, which is at agent step 0"):
        make().learn(7, callback=ResumableCheckpoint(7, tmp_path))
    assert latest_checkpoint(tmp_path) == tmp_path / "step_7"


@pytest.mark.filterwarnings("ignore:The transition before")  # learn was interrupted in the middle of a step
def test_two_runs_do_not_share_a_folder(tmp_path):
    other = FileLock(tmp_path / ".lock")  # as another process holds it
    with other, pytest.raises(ValueError, match=f"{tmp_path} is used by another run: choose another save_path"):
        make().learn(7, callback=ResumableCheckpoint(7, tmp_path))
    model = make().learn(7, callback=ResumableCheckpoint(7, tmp_path))
    with other:  # it was released at the end
        pass
    failing = CallbackList([ResumableCheckpoint(7, tmp_path), ConvertCallback(lambda *_: 1 / 0)])
    with pytest.raises(ZeroDivisionError):
        model.learn(7, callback=failing, reset_num_timesteps=False)
    model.learn(7, callback=ResumableCheckpoint(7, tmp_path), reset_num_timesteps=False)  # the same process goes on


def test_bad_use_is_refused(tmp_path):
    with pytest.raises(ValueError, match="save_freq must be at least 1, got 0"):
        ResumableCheckpoint(0, tmp_path)
    ppo = PPO("MlpPolicy", envs(Needles), n_steps=8, batch_size=8)
    with pytest.raises(ValueError, match=r"algorithms with a replay buffer.*use SB3's CheckpointCallback with PPO"):
        ppo.learn(8, callback=ResumableCheckpoint(1, tmp_path))


@pytest.fixture
def experiment(tmp_path, monkeypatch) -> Callable[..., Any]:
    """Makes RL Zoo's ExperimentManager, as ``python -m rl_zoo3.train`` does"""
    from rl_zoo3.exp_manager import ExperimentManager

    import sb3_fpac.zoo  # noqa: F401

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(gym.envs.registry, "Clockwork-v0", gym.envs.registration.EnvSpec("Clockwork-v0", Clockwork))

    def make_experiment(algo: str, hyperparams: dict[str, Any], trained_agent: str = "") -> ExperimentManager:
        Path("own.yml").write_text(yaml.safe_dump({"Clockwork-v0": hyperparams}))
        options = dict(
            eval_freq=-1, log_interval=-1, config="own.yml", seed=3, trained_agent=trained_agent, device="cpu", verbose=0
        )
        return ExperimentManager(argparse.Namespace(), algo, "Clockwork-v0", "logs", **options)  # type: ignore[arg-type]

    return make_experiment


@pytest.mark.parametrize("name", ["HerFrameReplayBuffer", "sb3_fpac.HerFrameReplayBuffer"])
def test_rl_zoo_finds_the_replay_buffer_of_a_yaml_file(name, experiment, monkeypatch):
    goals = gym.envs.registration.EnvSpec("Clockwork-v0", lambda: Robot(goals=True))
    monkeypatch.setitem(gym.envs.registry, "Clockwork-v0", goals)
    kwargs = dict(net_arch=[8], features_extractor_kwargs=dict(n_points=3, frame_channels=dict(front=3, wrist=1)))
    hyperparams = dict(policy="MultiInputPolicy", policy_kwargs=repr(kwargs), n_timesteps=20, replay_buffer_class=name)
    manager = experiment("fpac", {**hyperparams, "learning_starts": 10, "batch_size": 4, "buffer_size": 50, "compile": False})
    model, saved = manager.setup_experiment()
    assert type(model.replay_buffer) is HerFrameReplayBuffer and saved["replay_buffer_class"] == name
    manager.learn(model)
    assert model._n_updates == 10


def test_trials_of_rl_zoo_make_no_checkpoints_of_which_the_first_would_stop_the_others(experiment, capsys):
    saves = {"sb3_fpac.callbacks.ResumableCheckpoint": dict(save_freq=15, save_path="checkpoint")}
    rate = {"sb3_fpac.callbacks.LearningRateDrop": dict(after=5, learning_rate=1e-5)}
    of_yaml = dict(buffer_size=30, learning_starts=8, batch_size=8, compile=False, callback=[saves, rate])
    manager = experiment("fpac", dict(policy="CnnPolicy", policy_kwargs=repr(SMALL), n_timesteps=40, **of_yaml))
    manager.optimize_hyperparameters, manager.n_evaluations = True, 1
    manager.setup_experiment()
    study = optuna.create_study(direction="maximize")
    study.optimize(manager.objective, n_trials=2)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 2
    assert latest_checkpoint("checkpoint") is None and manager.specified_callbacks == [rate]
    assert capsys.readouterr().out.count("Left out of trials, which have no log folder: [{'sb3_fpac.callbacks.Resum") == 1


@pytest.mark.parametrize(
    "algo, policy, more",
    [
        ("fpac", "CnnPolicy", dict(normalize="dict(norm_obs=False)", n_steps=3, compile=False)),
        ("sac", "sb3_fpac.FPACPolicy", dict(use_sde=True)),
    ],
)
def test_rl_zoo_goes_on_from_a_checkpoint(algo, policy, more, experiment):
    callback = {"sb3_fpac.callbacks.checkpoint.ResumableCheckpoint": dict(save_freq=25, save_path="checkpoint")}
    hyperparams = dict(
        policy=policy,
        policy_kwargs=repr(SMALL),
        n_timesteps=60,
        n_envs=2,
        learning_rate="lin_1e-3",
        buffer_size=30,
        learning_starts=8,
        batch_size=8,
        callback=[callback],
        **more,
    )

    def run(trained_agent: str = "", stop_at: int = 1000) -> Any:
        manager = experiment(algo, hyperparams, trained_agent)
        model, _ = manager.setup_experiment()
        assert model.num_timesteps == (28 if trained_agent else 0)
        manager.callbacks.append(StopAt(stop_at))
        manager.learn(model)
        return model

    uninterrupted = everything(run())
    run(stop_at=40)
    disturb()
    resumed = run(f"logs/{algo}/Clockwork-v0_2/checkpoint/step_28/model.zip")
    assert differences(uninterrupted, everything(resumed)) == []
    assert latest_checkpoint(f"logs/{algo}/Clockwork-v0_3/checkpoint").name == "step_56"

    manager = experiment(algo, {**hyperparams, "n_timesteps": 27}, f"logs/{algo}/Clockwork-v0_2/checkpoint/step_28/model.zip")
    with pytest.raises(ValueError, match=r"has 28 agent steps already, and -n is 27: .* pass a larger one"):
        manager.learn(manager.setup_experiment()[0])

    resumed.save("agent.zip")  # which is no checkpoint, and is trained for so many steps more
    manager = experiment(algo, {**hyperparams, "n_timesteps": 14}, "agent.zip")
    model, _ = manager.setup_experiment()
    manager.learn(model)
    assert model.num_timesteps == 14

    manager = experiment(algo, hyperparams, "agent.zip")
    manager.custom_hyperparams = dict(policy_kwargs=dict(SMALL))
    manager.setup_experiment()
    manager.custom_hyperparams = dict(policy_kwargs={**SMALL, "net_arch": [9]})
    with pytest.raises(ValueError, match=r"-i continues an agent with the policy_kwargs of its training, .*others, .*\[9\]"):
        manager.setup_experiment()
