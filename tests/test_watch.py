"""Agents from disk, and their episodes as videos and pictures."""

import json
import resource
import shutil
import sys
from contextlib import contextmanager

import gymnasium as gym
import imageio.v2 as imageio
import numpy as np
import pytest
from helpers.processes import run_python
from helpers.runs import write_settings
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.env_util import make_vec_env

from sb3_fpac import FPAC, FPACPolicy, PixelExtractor, save_weights
from sb3_fpac.__main__ import main
from sb3_fpac.export import export_onnx, export_torchscript
from sb3_fpac.files import UnwritableFileError
from sb3_fpac.report import page
from sb3_fpac.visualization.episode import record_episode
from sb3_fpac.visualization.video import gif, render_episode, render_maps, render_moments, write_image, write_video
from sb3_fpac.zoo.saved_agents import find_agent, find_model, load_agent

CARTPOLE = "dmc-cartpole-swingup"
SIZE = 24
KWARGS = dict(net_arch=[8], features_extractor_kwargs=dict(n_points=4))


@pytest.fixture(scope="module")
def env():
    env = gym.make(CARTPOLE, size=SIZE)
    yield env
    env.close()


@pytest.fixture(scope="module")
def model(env):
    return FPAC("CnnPolicy", env, policy_kwargs=dict(KWARGS), buffer_size=10, seed=0)


@pytest.fixture(scope="module")
def episode(model, env):
    return record_episode(model, env, max_steps=6)


@pytest.fixture(scope="module")
def logs(model, tmp_path_factory):
    """What RL Zoo leaves of a run"""
    folder = tmp_path_factory.mktemp("logs")
    for run in (1, 2):
        path = folder / "fpac" / f"{CARTPOLE}_{run}"
        write_settings(path, dict(policy="CnnPolicy"), CARTPOLE, algo="fpac", env_kwargs=dict(size=SIZE))
        model.save(path / CARTPOLE)
    return folder


def watch(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", "watch", "--env", CARTPOLE, *map(str, arguments)])
    main()


def refused(monkeypatch, capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        watch(monkeypatch, *arguments)
    sentence = stop.value.code
    if sentence == 2:
        sentence = capsys.readouterr().err
    assert "\n" not in str(sentence).strip() or "usage" in sentence
    return sentence


def test_a_run_of_rl_zoo_becomes_a_video(monkeypatch, capsys, logs, tmp_path):
    watch(monkeypatch, "-f", logs, "-o", tmp_path / "new" / "cartpole.mp4", "--max-steps", 5, "--episodes", 2, "--scale", 4)
    out, err = capsys.readouterr()
    assert "2 episodes with a return of" in out and "100%" in err
    with imageio.get_reader(tmp_path / "new" / "cartpole.mp4") as video:
        frames = list(video.iter_data())
        assert video.get_meta_data()["fps"] == pytest.approx(gym.make(CARTPOLE).metadata["render_fps"], rel=0.01)
    assert len(frames) == 10 and frames[0].shape == (24 * 4 + 2 * 9, 24 * 4, 3)


@pytest.mark.parametrize("name", ["agent.gif", "agent.png"])
@pytest.mark.parametrize("options", [["--top", 2], ["--maps"]])
def test_a_model_file_becomes_a_gif_or_a_picture(monkeypatch, model, tmp_path, name, options):
    model.save(tmp_path / "model")
    arguments = ["--model", tmp_path / "model.zip", "--env-kwargs", f"size:{SIZE}", "--max-steps", 5]
    watch(monkeypatch, *arguments, "-o", tmp_path / name, *options)
    pictures = imageio.mimread(tmp_path / name)
    assert len(pictures) == (5 if name.endswith("gif") else 1)
    assert np.ptp(pictures[0]) > 50


def test_agents_of_stock_sac(monkeypatch, env, tmp_path):
    SAC(FPACPolicy, env, policy_kwargs=dict(KWARGS), buffer_size=10).save(tmp_path / "model")
    arguments = ["--algo", "sac", "--model", tmp_path / "model.zip", "--env-kwargs", f"size:{SIZE}", "--max-steps", 3]
    watch(monkeypatch, *arguments, "-o", tmp_path / "agent.mp4")
    assert (tmp_path / "agent.mp4").stat().st_size > 0


def test_an_agent_of_several_environments_plays_in_one(monkeypatch, tmp_path):
    envs = make_vec_env(CARTPOLE, n_envs=2, env_kwargs=dict(size=SIZE))
    FPAC("CnnPolicy", envs, policy_kwargs=dict(KWARGS), buffer_size=10).save(tmp_path / "model")
    envs.close()
    arguments = ["--model", tmp_path / "model.zip", "--env-kwargs", f"size:{SIZE}", "--max-steps", 3]
    watch(monkeypatch, *arguments, "-o", tmp_path / "agent.mp4")
    assert (tmp_path / "agent.mp4").stat().st_size > 0


def test_the_latest_run_is_taken_unless_another_is_asked_for(logs):
    assert find_model(logs, "fpac", CARTPOLE).parent.name == f"{CARTPOLE}_2"
    assert find_model(logs, "fpac", CARTPOLE, exp_id=1).parent.name == f"{CARTPOLE}_1"
    with pytest.raises(ValueError, match=r"No best agent of fpac on dmc-cartpole-swingup .* name the file with --model"):
        find_model(logs, "fpac", CARTPOLE, best=True)


def test_a_loaded_agent_acts_as_the_saved_one(logs, model, episode):
    loaded, env = load_agent(find_model(logs, "fpac", CARTPOLE), "fpac", CARTPOLE)
    assert loaded.buffer_size == 1
    actions, expected = (agent.predict(episode.observations, deterministic=True)[0] for agent in (loaded, model))
    np.testing.assert_array_equal(actions, expected)
    env.close()


def test_what_is_asked_wrongly_is_said_in_one_sentence(monkeypatch, capsys, logs, model, tmp_path):
    model.save(tmp_path / "model")
    there = ["--model", tmp_path / "model.zip"]
    assert "No agent of fpac on dmc-cartpole-swingup in nowhere" in refused(monkeypatch, capsys, "-f", "nowhere")
    assert "No agent of sac" in refused(monkeypatch, capsys, "-f", logs, "--algo", "sac")
    assert "There is no model no.zip" in refused(monkeypatch, capsys, "--model", "no.zip")
    assert "There is no algorithm 'sca': choose from" in refused(monkeypatch, capsys, *there, "--algo", "sca")
    assert "There is no environment 'dmc-carpole'" in refused(monkeypatch, capsys, *there, "--env", "dmc-carpole")
    assert "trained on other observations or actions than those of" in refused(monkeypatch, capsys, *there)
    assert "was saved by FPAC, got the algorithm 'ppo'" in refused(monkeypatch, capsys, *there, "--algo", "ppo")
    (tmp_path / "half.zip").write_bytes((tmp_path / "model.zip").read_bytes()[:2000])
    assert "is damaged or half written" in refused(monkeypatch, capsys, "--model", tmp_path / "half.zip")
    assert "--output: must end in .mp4, .gif or .png, got agent.avi" in refused(
        monkeypatch, capsys, "-f", logs, "-o", "agent.avi"
    )
    assert "--top: must be at least 1, got 0" in refused(monkeypatch, capsys, "-f", logs, "--top", 0)
    assert "--fps: must be positive, got 0.0" in refused(monkeypatch, capsys, "-f", logs, "--fps", 0)
    assert "--fps must be at least 0.01" in refused(monkeypatch, capsys, "-f", logs, "--fps", 0.001, "-o", "agent.gif")
    assert "pass --max-steps 2 or more" in refused(monkeypatch, capsys, "-f", logs, "--top", 3, "--max-steps", 1)
    picture = ["-f", logs, "-n", 2, "-o", "agent.png"]
    assert "A picture shows one episode, got --episodes 2" in refused(monkeypatch, capsys, *picture)
    misspelt = refused(monkeypatch, capsys, *there, "--env-kwargs", "sice:24")
    assert "dmc-cartpole-swingup cannot be made with {'sice': 24}" in misspelt


def test_an_agent_without_feature_points_is_said_before_it_plays(monkeypatch, capsys, env, tmp_path):
    FPAC("CnnPolicy", env, policy_kwargs=dict(net_arch=[8], features_extractor_class=PixelExtractor), buffer_size=10).save(
        tmp_path / "model"
    )
    arguments = ["--model", tmp_path / "model.zip", "--env-kwargs", f"size:{SIZE}", "-o", tmp_path / "agent.mp4"]
    assert "has no feature points to show" in refused(monkeypatch, capsys, *arguments)
    assert not (tmp_path / "agent.mp4").exists()


def test_pictures_tell_step_and_return(episode):
    first, *_, last = render_episode(episode, scale=4)
    beneath = SIZE * 4
    assert np.ptp(first[beneath:]) > 200 and (first[beneath:] != last[beneath:]).any()


def test_only_the_points_asked_for_are_drawn(episode):
    none, one, every = (next(render_episode(episode, indices)) for indices in ([], [0], None))
    upscaled = episode.frames[0].repeat(6, axis=0).repeat(6, axis=1)
    assert (none[: 6 * SIZE] == upscaled).all()
    assert 0 < (one != none).any(axis=2).sum() < (every != none).any(axis=2).sum()


def test_moments_of_an_episode_side_by_side(episode):
    assert render_moments(episode, scale=2).shape == (2 * SIZE, 4 * 2 * SIZE + 3 * 2, 3)


def test_maps_are_those_of_the_points_asked_for(model, episode):
    one, four = render_maps(model, episode, 0, [1]), render_maps(model, episode, 0, [0, 1, 2, 3])
    assert four.shape[1] > 3 * one.shape[1]
    assert (one != render_maps(model, episode, 0, [2])).any()


def test_videos_are_refused_where_they_cannot_be_written(tmp_path):
    picture = np.zeros((5, 7, 3), np.uint8)
    with pytest.raises(ValueError, match=r"must end in \.mp4 or \.gif"):
        write_video(tmp_path / "a.avi", [picture], 30)
    with pytest.raises(ValueError, match="fps must be greater than 0"):
        write_video(tmp_path / "a.mp4", [picture], 0)
    write_video(tmp_path / "odd.mp4", [picture] * 3, 30)
    assert len(gif([picture, picture + 9], 10)) > 20


@pytest.mark.slow
def test_a_missing_package_is_named():
    code = "import sys; sys.modules['imageio'] = None; sys.argv = ['sb3_fpac', 'watch', '--env', 'x']; "
    code += "from sb3_fpac.__main__ import main; main()"
    result = run_python("-c", code, expect=1)
    assert result.stderr.strip().endswith('imageio is missing: pip install "sb3-fpac[viz]"')


MY_ENVS = """
import gymnasium as gym
import sb3_fpac

gym.register("MyCartpole-v0", entry_point="sb3_fpac.envs:make_dmc", kwargs=dict(domain="cartpole", task="swingup", size=24))

def make(size=24, **kwargs):
    return gym.make("dmc-cartpole-swingup", size=size, **kwargs)
"""


@pytest.mark.parametrize(
    "options",
    [["--env", "my_envs:MyCartpole-v0"], ["--env", "MyCartpole-v0", "--gym-packages", "my_envs"], ["--env", "my_envs:make"]],
)
def test_environments_of_ones_own_are_found(monkeypatch, tmp_path, capsys, model, options):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_envs.py").write_text(MY_ENVS)
    model.save(tmp_path / "model")
    arguments = ["--model", "model.zip", "-o", "agent.png", "--max-steps", 3, "--quiet", "--json", *options]
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", "watch", *map(str, arguments)])
    main()
    said = json.loads(capsys.readouterr().out)
    assert said["file"] == "agent.png" and said["steps"] == [3] and len(said["returns"]) == 1


def test_the_cure_for_missing_wrappers_is_a_function(monkeypatch, capsys, tmp_path, model):
    model.save(tmp_path / "model")
    arguments = ["--model", tmp_path / "model.zip", "-o", tmp_path / "agent.png", "--env-kwargs", "frame_stack:1", "size:24"]
    sentence = refused(monkeypatch, capsys, *arguments)
    assert "was trained on other observations" in sentence and "name a function that makes it, with all wrappers" in sentence


@pytest.mark.parametrize("option", ["--model", "--env", "--algo", "--exp-id", "--folder"])
def test_a_run_is_not_mixed_with_another_agent(monkeypatch, logs, tmp_path, option):
    run = logs / "fpac" / f"{CARTPOLE}_1"
    value = {"--env": CARTPOLE, "--algo": "sac", "--exp-id": "1"}.get(option, str(tmp_path / "other.zip"))
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", "watch", "--agent", str(run), option, value, "-o", str(tmp_path / "a.png")])
    with pytest.raises(SystemExit, match=rf"--agent is a run with its own .*: leave out {option}\."):
        main()


@pytest.mark.parametrize("algo", ["sac", "tqc"])
def test_an_agent_is_not_loaded_as_that_of_another_algorithm(monkeypatch, capsys, model, tmp_path, algo):
    model.save(tmp_path / "agent")
    options = ["--model", tmp_path / "agent.zip", "--algo", algo, "-o", tmp_path / "a.png"]
    assert f"was saved by FPAC, got the algorithm '{algo}': pass --algo fpac" in refused(monkeypatch, capsys, *options)
    SAC(FPACPolicy, model.env, policy_kwargs=dict(KWARGS), buffer_size=10).save(tmp_path / "sac")
    for got, right in (("fpac", "sac"), ("td3", "sac"), ("ppo", "sac")):
        options = ["--model", tmp_path / "sac.zip", "--algo", got, "-o", tmp_path / "a.png"]
        words = f"was saved by SAC, got the algorithm '{got}': pass --algo {right}"
        assert words in refused(monkeypatch, capsys, *options)
    PPO("CnnPolicy", model.env, policy_kwargs=dict(features_extractor_class=PixelExtractor)).save(tmp_path / "ppo")
    options = ["--model", tmp_path / "ppo.zip", "-o", tmp_path / "a.png"]
    assert "by PPO, MaskablePPO or RecurrentPPO, got the algorithm 'fpac': pass --algo ppo or ppo_lstm" in refused(
        monkeypatch, capsys, *options
    )
    model.policy.save(tmp_path / "policy.zip")
    options = ["--model", tmp_path / "policy.zip", "-o", tmp_path / "a.png"]
    assert "does not load as an agent of 'fpac'" in refused(monkeypatch, capsys, *options)


def test_the_folder_of_a_run_is_enough(monkeypatch, capsys, logs, tmp_path):
    run = tmp_path / "anywhere"
    shutil.copytree(logs / "fpac" / f"{CARTPOLE}_1", run)
    arguments = ["--agent", run, "-o", tmp_path / "agent.png", "--max-steps", 3]
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", "watch", *map(str, arguments)])
    main()
    assert "1 episode with a return of" in capsys.readouterr().out
    for more, words in (
        (["--agent", tmp_path], "is not the folder of a run"),
        (["--agent", run, "--load-best"], "There is no best_model.zip"),
        ([], "Name the agent's environment with --env"),
    ):
        monkeypatch.setattr(sys, "argv", ["sb3_fpac", "watch", "-o", "new.png", *map(str, more)])
        with pytest.raises(SystemExit, match=words):
            main()


@pytest.mark.parametrize("best", [False, True])
def test_a_run_without_the_wanted_model_is_refused_with_what_there_is(logs, tmp_path, best):
    run = tmp_path / "killed"
    shutil.copytree(logs / "fpac" / f"{CARTPOLE}_1", run)
    last = run / f"{CARTPOLE}.zip"
    if not best:
        last.rename(run / "best_model.zip")
    with pytest.raises(ValueError, match=f"train longer, or {'leave out' if best else 'pass'} --load-best"):
        find_agent(run, best)
    for path in run.glob("*.zip"):
        path.unlink()
    with pytest.raises(
        ValueError, match="train longer, or name a checkpoint with --model, --algo and --env instead of --agent"
    ):
        find_agent(run, best)


def test_a_run_copied_without_its_settings_is_refused(monkeypatch, capsys, logs, tmp_path):
    run = tmp_path / "copy"
    shutil.copytree(logs / "fpac" / f"{CARTPOLE}_1", run)
    config = run / CARTPOLE / "config.yml"
    config.unlink()
    arguments = ["--agent", run, "-o", tmp_path / "agent.png"]
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", "watch", *map(str, arguments)])
    with pytest.raises(SystemExit, match=f"error: {config} is missing: was the run copied without it"):
        main()


def test_json_is_alone_on_standard_output(monkeypatch, capsys, logs, tmp_path):
    watch(monkeypatch, "-f", logs, "-o", tmp_path / "agent.png", "--max-steps", 3, "--json")  # RL Zoo prints what it loads
    assert json.loads(capsys.readouterr().out)["steps"] == [3]


def test_packages_of_the_run_are_imported(monkeypatch, tmp_path, capsys, model):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "envs_of_the_run.py").write_text(MY_ENVS.replace("MyCartpole", "RunsCartpole"))
    run = tmp_path / "logs" / "fpac" / "RunsCartpole-v0_1"
    write_settings(run, dict(policy="CnnPolicy"), "RunsCartpole-v0", algo="fpac", gym_packages=["envs_of_the_run"])
    model.save(run / "RunsCartpole-v0")
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", "watch", "--env", "RunsCartpole-v0", "-o", "agent.png", "--max-steps", "3"])
    main()
    assert "1 episode with a return of" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--env", "no_such_module:make"], "The module no_such_module cannot be imported"),
        (["--env", "json:nothing"], "json neither registers an environment 'nothing' nor has a function"),
        (["--env", "Nothing-v0"], "pass --gym-packages or write module:id"),
    ],
)
def test_environments_that_are_not_found_say_where_they_were_looked_for(monkeypatch, tmp_path, model, options, words):
    model.save(tmp_path / "model")
    arguments = ["--model", tmp_path / "model.zip", "-o", tmp_path / "agent.png", *options]
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", "watch", *map(str, arguments)])
    with pytest.raises(SystemExit, match=words):
        main()


def test_a_file_is_not_overwritten_without_force(monkeypatch, capsys, tmp_path, logs):
    (tmp_path / "agent.png").write_text("precious")
    arguments = ["-f", logs, "-o", tmp_path / "agent.png", "--max-steps", 3]
    assert "exists already: pass --force" in refused(monkeypatch, capsys, *arguments)
    assert (tmp_path / "agent.png").read_text() == "precious"
    watch(monkeypatch, *arguments, "--force")
    assert (tmp_path / "agent.png").stat().st_size > 100


def test_what_cannot_be_written_or_computed_is_refused_before_the_work(monkeypatch, capsys, tmp_path, logs):
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    monkeypatch.setattr("sb3_fpac.commands.watch.record_episode", lambda *_: pytest.fail("an episode was played"))
    for options, words in (
        (["-o", tmp_path / "file" / "a.mp4"], f"Nothing can be written to the folder {tmp_path / 'file'}: "),
        (["-o", tmp_path / "folder.mp4"], "folder.mp4 is a folder: choose a file with -o"),
        (["-o", tmp_path / "a.mp4", "--device", "abacus"], "PyTorch has no device 'abacus'"),
    ):
        assert words in refused(monkeypatch, capsys, "-f", logs, *options)
    assert "can be drawn 341 times as large" in refused(monkeypatch, capsys, "-f", logs, "-o", "a.gif", "--scale", 400)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "none"))
    assert "ffmpeg cannot be started" in refused(monkeypatch, capsys, "-f", logs, "-o", "a.mp4")


@contextmanager
def full_disk():
    """No file grows beyond 2 kB"""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("suffix", ["mp4", "gif", "png", "pt", "onnx", "safetensors", "html"])
def test_on_a_full_disk_the_file_before_is_kept_and_nothing_half_written(suffix, episode, model, tmp_path):
    name = f"agent.{suffix}"
    path = tmp_path / name
    path.write_text("precious")
    write = {
        ".mp4": lambda: write_video(path, render_episode(episode), 30),
        ".gif": lambda: write_video(path, render_episode(episode), 30),
        ".png": lambda: write_image(path, render_moments(episode)),
        ".pt": lambda: export_torchscript(model, path),
        ".onnx": lambda: export_onnx(model, path),
        ".safetensors": lambda: save_weights(model, path),
        ".html": lambda: page._write(path, "x" * 3000),
    }[path.suffix]
    with full_disk(), pytest.raises(UnwritableFileError, match=rf"{name} cannot be written: .*Make room, or choose another"):
        write()
    assert [each.name for each in tmp_path.iterdir()] == [name] and path.read_text() == "precious"
    write()
    assert path.stat().st_size > 2000


def test_quiet_prints_nothing_but_the_result(monkeypatch, capsys, logs, tmp_path):
    watch(monkeypatch, "-f", logs, "-o", tmp_path / "new" / "agent.png", "--max-steps", 3, "--quiet")
    said = capsys.readouterr()
    assert said.out.startswith(f"{tmp_path / 'new' / 'agent.png'}: 1 episode with a return of ")
    assert said.out.count("\n") == 1 and not said.err


def test_a_bad_env_kwarg_is_one_sentence(monkeypatch, capsys, logs):
    assert "write each as key:value, such as size:64, got 'size=24'" in refused(
        monkeypatch, capsys, "-f", logs, "--env-kwargs", "size=24"
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data[:2000] + bytes([data[2000] ^ 255]) + data[2001:],
    ],
)
def test_a_damaged_model_is_named(monkeypatch, capsys, tmp_path, model, damage):
    path = tmp_path / "model.zip"
    model.save(path)
    path.write_bytes(damage(path.read_bytes()))
    message = refused(monkeypatch, capsys, "--model", path, "--env-kwargs", f"size:{SIZE}", "-o", tmp_path / "agent.png")
    assert f"{path} is damaged or half written" in message


@pytest.mark.parametrize("name", ["config.yml", "args.yml"])
@pytest.mark.parametrize("content", ["", "!!omap [", "- a"])
def test_damaged_settings_are_named(monkeypatch, capsys, tmp_path, model, name, content):
    run = tmp_path / "fpac" / f"{CARTPOLE}_1"
    write_settings(run, dict(policy="CnnPolicy"), CARTPOLE, algo="fpac", env_kwargs=dict(size=SIZE))
    model.save(run / CARTPOLE)
    (run / CARTPOLE / name).write_text(content)
    assert f"{name} cannot be read, because it is damaged, half written, or of" in refused(
        monkeypatch, capsys, "-f", tmp_path, "-o", tmp_path / "agent.png"
    )
