"""Agents on their way to the Hugging Face hub and back, with a folder in place of the hub."""

import json
import shutil
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import huggingface_hub
import imageio.v2 as imageio
import numpy as np
import pytest
import yaml
from helpers.environments import Robot, StackedNoise
from helpers.runs import write_settings
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RemoteEntryNotFoundError
from rl_zoo3.train import train
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.torch_layers import NatureCNN

from sb3_fpac import FPAC
from sb3_fpac.__main__ import main
from sb3_fpac.zoo import ZooFPAC

CARTPOLE, NOISE, ROBOT = "dmc-cartpole-swingup", "Noise-v0", "Robot-v0"
SIZE = 36  # pixels, the fewest of NatureCNN
ENV_KWARGS = dict(time_limit=0.4, size=SIZE)
KWARGS = dict(net_arch=[8], features_extractor_kwargs=dict(n_points=4))
PUSH = ("push_to_hub", "-f", "logs", "-orga", "someone", "--no-render", "--device", "cpu")
LOAD = ("load_from_hub", "-f", "loaded", "-orga", "someone")


class FolderHub:
    """What RL Zoo calls of the Hub library, with a folder for every repository"""

    def __init__(self, folder):
        self.folder = folder

    def create_repo(self, api, repo_id, **_):
        (self.folder / repo_id).mkdir(parents=True, exist_ok=True)
        return f"https://huggingface.co/{repo_id}"

    def snapshot_download(self, api, repo_id, local_dir, **_):
        shutil.copytree(self.folder / repo_id, local_dir, dirs_exist_ok=True)

    def upload_folder(self, api, repo_id, folder_path, **_):
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)

    def hf_hub_download(self, repo_id, filename, **_):
        path = self.folder / repo_id / filename
        if not path.is_file():
            raise RemoteEntryNotFoundError(f"404: {filename}", response=SimpleNamespace(headers={}, request=None))
        return str(path)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    hub = FolderHub(tmp_path / "hub_of_all")
    for name in ("create_repo", "snapshot_download", "upload_folder"):
        called = getattr(hub, name)
        monkeypatch.setattr(huggingface_hub.HfApi, name, lambda api, called=called, **kwargs: called(api, **kwargs))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub.hf_hub_download)
    monkeypatch.setenv("TRUST_REMOTE_CODE", "True")
    monkeypatch.chdir(tmp_path)
    return hub.folder / "someone"


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", *map(str, arguments)])
    main()


def save_run(model, algo, env_id, env_kwargs=None, **config):
    """What RL Zoo leaves of a run"""
    folder = write_settings(Path("logs", algo, f"{env_id}_1"), config, env_id, algo=algo, env_kwargs=env_kwargs)
    model.save(folder / env_id)


def read_card(repository):
    """Its metadata and its text"""
    _, metadata, text = (repository / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(metadata), text


def test_an_agent_of_rl_zoo_is_pushed_loaded_and_watched(hub, monkeypatch, capsys):
    agent = ("--algo", "fpac", "--env", CARTPOLE)
    options = ["-n", "30", "--eval-freq", "15", "--eval-episodes", "1", "--device", "cpu", "--env-kwargs", "time_limit:0.4"]
    tiny = [f"size:{SIZE}", "-params", "learning_starts:20", "batch_size:4", "buffer_size:60", "compile:False"]
    monkeypatch.setattr(sys, "argv", ["train", *agent, *options, *tiny])
    train()
    run(monkeypatch, "zoo", *PUSH, *agent)

    repository = hub / f"fpac-{CARTPOLE}"
    files = {path.name for path in repository.iterdir()}
    assert files == {
        ".gitattributes",
        "README.md",
        "args.yml",
        "config.yml",
        "env_kwargs.yml",
        "feature_points.png",
        f"fpac-{CARTPOLE}",
        f"fpac-{CARTPOLE}.zip",
        "results.json",
        "train_eval_metrics.zip",
    }
    picture = imageio.imread(repository / "feature_points.png")
    assert (repository / "feature_points.png").read_bytes().startswith(b"\x89PNG")
    height, width, _ = picture.shape
    assert 350 < height <= 420 and 4 * height < width < 4.2 * height and np.ptp(picture) > 50

    metadata, text = read_card(repository)
    assert metadata["tags"] == [
        CARTPOLE,
        "deep-reinforcement-learning",
        "reinforcement-learning",
        "stable-baselines3",
        "sb3-fpac",
    ]
    result = json.loads((repository / "results.json").read_text())
    (entry,) = metadata["model-index"]
    assert entry["name"] == "FPAC" and "# **FPAC** Agent playing **dmc-cartpole-swingup**" in text
    assert entry["results"][0]["metrics"][0]["value"] == f"{result['mean_reward']:.2f} +/- {result['std_reward']:.2f}"
    mean = f"**{result['mean_reward']:.2f} ± {result['std_reward']:.2f}** over 10 episodes with deterministic actions"
    for line in (
        "](feature_points.png)",
        "the agent's 32 feature points, at moments",
        f"Mean return on `{CARTPOLE}`: {mean}.",
        "The agent needs sb3-fpac ([Paper](https://arxiv.org/abs/2106.07995)",
        "with its extra `viz`",
        "`import sb3_fpac`",
        f"python -m sb3_fpac watch --algo fpac --env {CARTPOLE} -f logs/ -o agent.mp4",
        f"TRUST_REMOTE_CODE=True python -m sb3_fpac zoo load_from_hub --algo fpac --env {CARTPOLE} -orga someone -f logs/",
        f"python -m sb3_fpac zoo push_to_hub --algo fpac --env {CARTPOLE} -f logs/ -orga someone",
        "## Hyperparameters",
    ):
        assert line in text, line
    assert "rl_zoo3.load_from_hub" not in text and "rl_zoo3.push_to_hub" not in text

    run(monkeypatch, "zoo", *LOAD, *agent)
    assert "No normalization file" in capsys.readouterr().out
    loaded = Path("loaded", "fpac", f"{CARTPOLE}_1")
    assert (loaded / CARTPOLE / "config.yml").is_file() and (loaded / "evaluations.npz").is_file()
    with (
        zipfile.ZipFile(loaded / f"{CARTPOLE}.zip") as theirs,
        zipfile.ZipFile(f"logs/fpac/{CARTPOLE}_1/{CARTPOLE}.zip") as ours,
    ):
        assert theirs.read("policy.pth") == ours.read("policy.pth")
    run(monkeypatch, "watch", *agent, "-f", "loaded", "-o", "agent.png", "--max-steps", 3)
    assert Path("agent.png").stat().st_size > 0


def test_nothing_stays_changed_after_a_script(hub, monkeypatch):
    pushing, loading = import_module("huggingface_sb3.push_to_hub"), import_module("huggingface_sb3")
    monkeypatch.delattr(pushing, "generate_metadata", raising=False)
    before = vars(pushing).copy(), loading.load_from_hub, huggingface_hub.repocard.metadata_save
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "zoo", "push_to_hub")
    assert (vars(pushing), loading.load_from_hub, huggingface_hub.repocard.metadata_save) == before
    assert ZooFPAC.__name__ == "ZooFPAC" and sys.argv == ["sb3_fpac", "zoo", "push_to_hub"]


def test_an_agent_of_this_package_without_points_has_no_picture(hub, monkeypatch):
    env = gym.make(CARTPOLE, **ENV_KWARGS)
    kwargs = dict(net_arch=[8], features_extractor_class=NatureCNN)
    save_run(SAC("CnnPolicy", env, buffer_size=9, policy_kwargs=kwargs, device="cpu"), "sac", CARTPOLE, ENV_KWARGS)
    env.close()
    run(monkeypatch, "zoo", *PUSH, "--algo", "sac", "--env", CARTPOLE, "-name", "cnn", "--stochastic")
    assert not (hub / "cnn" / "feature_points.png").exists()
    metadata, text = read_card(hub / "cnn")
    assert metadata["tags"][-1] == "sb3-fpac" and "with its extra `viz`" in text
    assert "over 10 episodes with sampled actions" in text
    assert "feature" not in text.lower() and "sb3_fpac watch" not in text
    assert f"zoo load_from_hub -name cnn --algo sac --env {CARTPOLE} -orga someone" in text

    run(monkeypatch, "zoo", *LOAD, "--algo", "sac", "--env", CARTPOLE, "-name", "cnn")
    assert Path("loaded", "sac", f"{CARTPOLE}_1", f"{CARTPOLE}.zip").is_file()


def test_an_agent_that_does_not_need_this_package_has_the_card_of_rl_zoo(hub, monkeypatch):
    save_run(PPO("MlpPolicy", "CartPole-v1", policy_kwargs=dict(net_arch=[8]), device="cpu"), "ppo", "CartPole-v1")
    run(monkeypatch, "zoo", *PUSH, "--algo", "ppo", "--env", "CartPole-v1")
    metadata, text = read_card(hub / "ppo-CartPole-v1")
    assert metadata["tags"][-1] == "stable-baselines3"
    assert "fpac" not in text and "python -m rl_zoo3.load_from_hub --algo ppo" in text
    assert not (hub / "ppo-CartPole-v1" / "feature_points.png").exists()


WRAPPED = dict(env_wrapper={"sb3_fpac.envs.ActionRepeat": dict(n=2)})


@pytest.mark.parametrize("env_id, config", [(CARTPOLE, {}), ("CartPole-v1", WRAPPED)])
def test_an_agent_may_need_this_package_for_its_environment_or_a_wrapper_alone(hub, monkeypatch, env_id, config):
    env_kwargs = dict(observation="state", time_limit=0.4) if env_id == CARTPOLE else None
    env = gym.make(env_id, **(env_kwargs or {}))
    save_run(PPO("MlpPolicy", env, policy_kwargs=dict(net_arch=[8]), device="cpu"), "ppo", env_id, env_kwargs, **config)
    run(monkeypatch, "zoo", *PUSH, "--algo", "ppo", "--env", env_id)
    metadata, text = read_card(hub / f"ppo-{env_id}")
    assert metadata["tags"][-1] == "sb3-fpac" and "The agent needs sb3-fpac" in text and "feature" not in text.lower()


@pytest.mark.parametrize("n_envs, max_steps, n_frames", [(1, 1000, 4), (2, 3, 3)])
def test_the_picture_shows_every_camera_of_an_agent(hub, monkeypatch, n_envs, max_steps, n_frames):
    monkeypatch.setattr("sb3_fpac.zoo.hub.MAX_STEPS", max_steps)
    monkeypatch.setitem(gym.registry, ROBOT, gym.envs.registration.EnvSpec(ROBOT, Robot))
    monkeypatch.setattr("rl_zoo3.utils.SubprocVecEnv", import_module("stable_baselines3.common.vec_env").DummyVecEnv)
    kwargs = dict(KWARGS, features_extractor_kwargs=dict(n_points=4, frame_channels=dict(wrist=1, front=3)))
    model = FPAC("MultiInputPolicy", gym.make(ROBOT), buffer_size=9, policy_kwargs=kwargs, device="cpu")
    save_run(model, "fpac", ROBOT)
    run(monkeypatch, "zoo", *PUSH, "--algo", "fpac", "--env", ROBOT, "--n-envs", n_envs)
    _, text = read_card(hub / f"fpac-{ROBOT}")
    assert "the agent's 8 feature points of the cameras `front` and `wrist`, at moments" in text
    height, width, _ = imageio.imread(hub / f"fpac-{ROBOT}" / "feature_points.png").shape
    assert 800 < height < 1000 and width == n_frames * 19 * 24 + (n_frames - 1) * 24  # 17×19 pixels, 24 times as large


def test_a_hub_package_that_is_complete_is_used_as_it_is(hub, monkeypatch):
    monkeypatch.setitem(gym.registry, NOISE, gym.envs.registration.EnvSpec(NOISE, StackedNoise))
    pushing = import_module("huggingface_sb3.push_to_hub")

    def generate_metadata(*args):
        return dict(tags=["theirs"], args=list(args[:2]))

    monkeypatch.setattr(pushing, "generate_metadata", generate_metadata, raising=False)
    save_run(FPAC("CnnPolicy", gym.make(NOISE), buffer_size=9, policy_kwargs=KWARGS, device="cpu"), "fpac", NOISE)
    run(monkeypatch, "zoo", *PUSH, "--algo", "fpac", "--env", NOISE)
    assert read_card(hub / f"fpac-{NOISE}")[0] == dict(tags=["theirs", "sb3-fpac"], args=["FPAC", NOISE])
    assert pushing.generate_metadata is generate_metadata


def test_statistics_of_vec_normalize_are_loaded_and_only_their_absence_is_passed_over(hub, monkeypatch):
    repository = hub / f"fpac-{CARTPOLE}"
    repository.mkdir(parents=True)
    for name in (f"fpac-{CARTPOLE}.zip", "config.yml", "args.yml", "vec_normalize.pkl"):
        (repository / name).write_text(name)
    zipfile.ZipFile(repository / "train_eval_metrics.zip", "w").close()
    load = ("zoo", *LOAD, "--algo", "fpac", "--env", CARTPOLE)
    with pytest.raises(SystemExit, match=r"404: env_kwargs\.yml"):
        run(monkeypatch, *load)
    (repository / "env_kwargs.yml").write_text("{}")
    run(monkeypatch, *load)
    assert Path("loaded", "fpac", f"{CARTPOLE}_1", CARTPOLE, "vecnormalize.pkl").read_text() == "vec_normalize.pkl"

    def unreachable(repo_id, filename, **_):
        if filename == "vec_normalize.pkl":
            raise LocalEntryNotFoundError("no network")
        return str(repository / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    with pytest.raises(SystemExit, match="no network"):
        run(monkeypatch, *load)


def test_code_of_strangers_is_loaded_only_with_the_variable_of_the_hub_package(hub, monkeypatch):
    monkeypatch.delenv("TRUST_REMOTE_CODE")
    with pytest.raises(SystemExit, match="`TRUST_REMOTE_CODE` to `True`"):
        run(monkeypatch, "zoo", *LOAD, "--algo", "fpac", "--env", CARTPOLE)


@pytest.mark.parametrize("script", ["push_to_hub", "load_from_hub", "record_training"])
def test_help_after_a_script_is_that_of_rl_zoo(hub, monkeypatch, capsys, script):
    with pytest.raises(SystemExit, match="0"):
        run(monkeypatch, "zoo", script, "--help")
    text = capsys.readouterr().out
    assert f"usage: {script}.py" in text and "fpac,fpac_fast" in text


def test_a_hub_that_cannot_be_reached_is_one_sentence(hub, monkeypatch):
    def unreachable(api, **_):
        raise HfHubHTTPError.__bases__[0]("Name or service not known")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", unreachable)
    model = FPAC("CnnPolicy", gym.make(CARTPOLE, **ENV_KWARGS), buffer_size=9, policy_kwargs=KWARGS, device="cpu")
    save_run(model, "fpac", CARTPOLE, ENV_KWARGS)
    words = r"error: The Hugging Face hub cannot be reached \(Name or service not known\): check the network and try again\."
    with pytest.raises(SystemExit, match=words):
        run(monkeypatch, "zoo", *PUSH, "--algo", "fpac", "--env", CARTPOLE)


def test_videos_of_training_need_ffmpeg_before_any_is_recorded(hub, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="with ffmpeg, which is not on the PATH: install it"):
        run(monkeypatch, "zoo", "record_training", "--algo", "fpac", "--env", NOISE, "-f", "logs")


def test_other_scripts_are_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "zoo", "enjoy", "--algo", "fpac")
    assert (
        "argument SCRIPT: must be push_to_hub, load_from_hub or record_training, got 'enjoy': the other scripts of RL Zoo run "
        "as python -m rl_zoo3.SCRIPT." in capsys.readouterr().err
    )
