"""No command runs what a stranger has put into a file, unless it is told to trust them."""

import base64
import json
import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import cloudpickle
import gymnasium as gym
import pytest
import torch as th
import yaml
from helpers.environments import StackedNoise
from helpers.runs import write_evaluations, write_settings
from huggingface_sb3 import EnvironmentName
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_fpac import FPAC, FeaturePointExtractor, resume, save_checkpoint, save_weights
from sb3_fpac.__main__ import main
from sb3_fpac.files import UntrustedFileError, checksum
from sb3_fpac.zoo.saved_agents import load_agent
from sb3_fpac.zoo.settings import read_hyperparams

CARTPOLE, SIZE = "dmc-cartpole-swingup", 24
KWARGS = dict(net_arch=[8], features_extractor_kwargs=dict(n_points=4))


class Payload:
    """Makes a folder when it is unpickled"""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.makedirs, (str(self.trace), 0o777, True)


def payload_before(path: Path, trace: Path) -> Path:
    """Make a pickled object run the same before it is read"""
    path.write_bytes(f"cos\nmakedirs\n(V{trace}\nI511\nI01\ntR0".encode() + path.read_bytes())
    return path


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A run of RL Zoo: settings, evaluations, a model, statistics of VecNormalize"""
    run = tmp_path_factory.mktemp("logs") / "fpac" / f"{CARTPOLE}_1"
    config = dict(
        policy="CnnPolicy",
        normalize="dict(norm_obs=False, norm_reward=True)",
        env_wrapper=["gymnasium.wrappers.Autoreset", {"sb3_contrib.common.wrappers.TimeFeatureWrapper": dict(max_steps=9)}][
            :1
        ],
        policy_kwargs=dict(features_extractor_class=FeaturePointExtractor),
    )
    args = dict(algo="fpac", env_kwargs=dict(size=SIZE), n_timesteps=-1, seed=1, gym_packages=["sb3_fpac"])
    write_settings(run, config, CARTPOLE, **args)
    write_evaluations(run, [125, 250], [[1.0], [2.0]])
    env = gym.make(CARTPOLE, size=SIZE)
    FPAC("CnnPolicy", env, policy_kwargs=dict(KWARGS), buffer_size=10, seed=0).save(run / CARTPOLE)
    normalized = VecNormalize(DummyVecEnv([lambda: env]), norm_obs=False)
    normalized.save(str(run / CARTPOLE / "vecnormalize.pkl"))
    normalized.close()
    return run


def in_zip(run: Path, trace: Path) -> Path:
    model = run / f"{CARTPOLE}.zip"
    with zipfile.ZipFile(model) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    attributes = json.loads(members["data"])
    pickled = base64.b64encode(cloudpickle.dumps(Payload(trace))).decode()
    attributes["action_noise"] = {":type:": "x", ":serialized:": pickled}
    members["data"] = json.dumps(attributes).encode()
    with zipfile.ZipFile(model, "w") as archive:
        for each, content in members.items():
            archive.writestr(each, content)
    return model


def in_statistics(run: Path, trace: Path) -> Path:
    return payload_before(run / CARTPOLE / "vecnormalize.pkl", trace)


def in_yaml(name: str, line: str):
    def poison(run: Path, trace: Path) -> Path:
        path = run / CARTPOLE / name
        path.write_text(path.read_text() + line.format(trace=trace))
        return path

    return poison


def in_normalize(run: Path, trace: Path) -> Path:
    path = run / CARTPOLE / "config.yml"
    text = f"__import__('os').makedirs('{trace}', exist_ok=True) or dict(norm_obs=False)"
    path.write_text(path.read_text().replace("dict(norm_obs=False, norm_reward=True)", '"' + text + '"'))
    assert text in path.read_text()
    return path


OBJECT = "  - - x\n    - !!python/object/apply:os.makedirs ['{trace}', 511, true]\n"
NEW = "  - - x\n    - !!python/object/new:test_trust_commands.Folder {{args: ['{trace}']}}\n"
PLACES = {
    "zip": (in_zip, "os.makedirs"),
    "vecnormalize.pkl": (in_statistics, "os.makedirs"),
    "args.yml": (in_yaml("args.yml", OBJECT), "!!python/object/apply:os.makedirs"),
    "config.yml": (in_yaml("config.yml", OBJECT), "!!python/object/apply:os.makedirs"),
    "config.yml, new": (in_yaml("config.yml", NEW), "!!python/object/new:test_trust_commands.Folder"),
    "normalize": (in_normalize, "__import__('os').makedirs"),
}


class Folder:
    def __new__(cls, path):
        os.makedirs(path, exist_ok=True)
        return object.__new__(cls)


COMMANDS = {
    "watch": lambda run, out: ["watch", "--agent", run, "--max-steps", 2, "-o", out / "agent.png"],
    "watch --env": lambda run, out: [
        "watch",
        "-f",
        run.parents[1],
        "--env",
        CARTPOLE,
        "--max-steps",
        2,
        "-o",
        out / "agent.png",
    ],
    "export": lambda run, out: ["export", "--agent", run, "-o", out / "agent.safetensors"],
    "report": lambda run, out: ["report", run, "-o", out / "report.html"],
}


def call(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", *map(str, arguments)])
    main()


@pytest.fixture(autouse=True)
def short_episodes(monkeypatch):
    monkeypatch.setattr("sb3_fpac.report.agent.MAX_STEPS", 3)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_of_rl_zoo_needs_no_trust(monkeypatch, clean, tmp_path, command):
    call(monkeypatch, *COMMANDS[command](clean, tmp_path))
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", PLACES)
def test_a_payload_runs_only_with_trust(monkeypatch, clean, tmp_path, command, place):
    run, trace = tmp_path / "logs" / "fpac" / clean.name, tmp_path / "trace"
    shutil.copytree(clean, run)
    poison, code = PLACES[place]
    path = poison(run, trace)
    arguments = COMMANDS[command](run, tmp_path)
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, *arguments)
    sentence = str(stop.value.code)
    assert sentence.startswith(f"error: Opening {path}") and code in sentence and "pass --trust" in sentence
    assert not trace.exists()
    call(monkeypatch, *arguments, "--trust")
    assert trace.is_dir()


def test_the_environment_of_an_agent_that_is_refused_is_closed(monkeypatch, clean, tmp_path):
    run, closed = tmp_path / clean.name, []
    shutil.copytree(clean, run)
    in_statistics(run, tmp_path / "trace")
    close = DummyVecEnv.close
    monkeypatch.setattr(DummyVecEnv, "close", lambda env: (closed.append(env), close(env)))
    with pytest.raises(UntrustedFileError, match=r"vecnormalize\.pkl"):
        load_agent(run / f"{CARTPOLE}.zip", "fpac", CARTPOLE)
    assert len(closed) == 1


@pytest.mark.parametrize("env_id", ["os:mkdir", "os.mkdir"])
def test_a_function_that_a_run_names_as_its_environment_is_not_called(monkeypatch, clean, tmp_path, env_id):
    trace, run = tmp_path / "trace", tmp_path / "run"
    write_settings(run, dict(policy="CnnPolicy"), EnvironmentName(env_id), algo="fpac", seed=1)
    arguments = dict(algo="fpac", env=env_id, env_kwargs=dict(path=str(trace)), seed=1)
    (run / EnvironmentName(env_id) / "args.yml").write_text(yaml.dump(arguments))
    write_evaluations(run, [125], [[1.0]])
    shutil.copy(clean / f"{CARTPOLE}.zip", run / f"{EnvironmentName(env_id)}.zip")
    for arguments in (["watch", "--agent", run], ["report", run]):
        with pytest.raises(SystemExit, match=f"args.yml would run {env_id}"):
            call(monkeypatch, *arguments, "-o", tmp_path / ("a.png" if "watch" in arguments else "a.html"))
    assert not trace.exists()


@pytest.mark.parametrize("module", ["payload", "logs.fpac.run.payload"])
def test_a_module_that_came_with_a_run_is_not_imported(monkeypatch, clean, tmp_path, module):
    trace, run = tmp_path / "trace", tmp_path / "logs" / "fpac" / "run"
    shutil.copytree(clean, run)
    (run / "payload.py").write_text(f"import os; os.mkdir({str(trace)!r})")
    monkeypatch.chdir(run if module == "payload" else tmp_path)
    monkeypatch.syspath_prepend("")
    (run / CARTPOLE / "args.yml").write_text((run / CARTPOLE / "args.yml").read_text().replace("sb3_fpac", module))
    arguments = ["watch", "--agent", run, "--max-steps", 2, "-o", tmp_path / "agent.png"]
    with pytest.raises(SystemExit, match=f"args.yml would run the module {module}"):
        call(monkeypatch, *arguments)
    assert not trace.exists()
    call(monkeypatch, *arguments, "--trust")
    assert trace.is_dir()


@pytest.mark.parametrize("wrapper", ["os.mkdir", {"subprocess.Popen": dict(shell=True)}, "gymnasium.make", "payload.Wrapper"])
@pytest.mark.parametrize("key", ["env_wrapper", "vec_env_wrapper"])
def test_wrappers_are_those_of_known_packages(tmp_path, wrapper, key):
    settings = write_settings(tmp_path, {key: [wrapper]}, CARTPOLE) / CARTPOLE
    name = wrapper if isinstance(wrapper, str) else next(iter(wrapper))
    with pytest.raises(UntrustedFileError, match=f"config.yml would run {name}"):
        read_hyperparams(settings)
    known = {
        "env_wrapper": ["gymnasium.wrappers.TimeLimit", {"rl_zoo3.wrappers.FrameSkip": dict(skip=2)}, "sb3_fpac.ActionRepeat"],
        "vec_env_wrapper": "stable_baselines3.common.vec_env.VecFrameStack",
    }
    (settings / "config.yml").write_text(yaml.dump(known))
    assert read_hyperparams(settings) == known


def test_hyperparameters_are_read_as_rl_zoo_reads_them(clean):
    as_data, as_code = (read_hyperparams(clean / CARTPOLE, trust) for trust in (False, True))
    assert as_code.pop("normalize_kwargs")["norm_obs"] is False
    assert as_data == as_code and as_data["policy_kwargs"]["features_extractor_class"] is FeaturePointExtractor


@pytest.mark.parametrize("command", ["watch", "export", "report"])
def test_of_a_file_of_weights_nothing_beside_it_is_read(monkeypatch, clean, tmp_path, command):
    run, trace = tmp_path / "run", tmp_path / "trace"
    shutil.copytree(clean, run)
    for poison, _ in PLACES.values():
        poison(run, trace)
    path = save_weights(FPAC("CnnPolicy", gym.make(CARTPOLE, size=SIZE), buffer_size=1), run / "agent.safetensors")
    output = tmp_path / dict(watch="agent.png", export="agent.safetensors", report="report.html")[command]
    more = ["--max-steps", 2] if command == "watch" else []
    call(monkeypatch, command, "--model", path, "--env", CARTPOLE, "--env-kwargs", f"size:{SIZE}", "-o", output, *more)
    assert output.is_file() and not trace.exists()


def test_a_file_of_points_is_never_unpickled(tmp_path):
    trace, path = tmp_path / "trace", tmp_path / "points.pt"
    th.save({"encoder": Payload(trace)}, path)
    with pytest.raises(ValueError, match=r"points\.pt"):
        FPAC(
            "CnnPolicy",
            StackedNoise(),
            buffer_size=1,
            policy_kwargs=dict(features_extractor_kwargs=dict(pretrained=str(path), frozen=True)),
        )
    assert not trace.exists()


def test_weights_that_are_a_pickle_are_refused(monkeypatch, tmp_path):
    trace, path = tmp_path / "trace", tmp_path / "agent.safetensors"
    path.write_bytes(pickle.dumps(Payload(trace)))
    with pytest.raises(SystemExit, match="is damaged, or no file of save_weights"):
        call(monkeypatch, "watch", "--model", path, "--env", CARTPOLE, "-o", tmp_path / "agent.png", "--trust")
    assert not trace.exists()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    env = VecNormalize(DummyVecEnv([StackedNoise]), norm_obs=False)
    model = FPAC("CnnPolicy", env, policy_kwargs=dict(KWARGS), buffer_size=20, learning_starts=9, batch_size=4, seed=0)
    return save_checkpoint(model.learn(10), tmp_path_factory.mktemp("checkpoint"))


def in_states(checkpoint: Path, trace: Path) -> None:
    states = th.load(checkpoint / "random_states.pth", weights_only=True)
    th.save({**states, "payload": Payload(trace)}, checkpoint / "random_states.pth")


def in_model(checkpoint: Path, trace: Path) -> None:
    shutil.move(checkpoint / "model.zip", checkpoint / f"{CARTPOLE}.zip")
    in_zip(checkpoint, trace)
    shutil.move(checkpoint / f"{CARTPOLE}.zip", checkpoint / "model.zip")


def in_pickle(path, trace):
    """An attacker writes the checksum, too"""
    payload_before(path, trace)
    states = th.load(path.parent / "random_states.pth", weights_only=False)
    states["checksums"][path.name] = checksum(path)
    th.save(states, path.parent / "random_states.pth")


IN_CHECKPOINT = {
    "model.zip": in_model,
    "replay_buffer.pkl": lambda checkpoint, trace: in_pickle(checkpoint / "replay_buffer.pkl", trace),
    "vecnormalize.pkl": lambda checkpoint, trace: in_pickle(checkpoint / "vecnormalize.pkl", trace),
    "random_states.pth": in_states,
}


@pytest.mark.parametrize("name", IN_CHECKPOINT)
def test_a_checkpoint_runs_code_only_if_it_is_trusted(checkpoint, tmp_path, name):
    copy, trace = tmp_path / checkpoint.name, tmp_path / "trace"
    shutil.copytree(checkpoint, copy)
    IN_CHECKPOINT[name](copy, trace)

    def env():
        return VecNormalize(DummyVecEnv([StackedNoise]), norm_obs=False)

    with pytest.raises(UntrustedFileError, match=rf"{copy / name}( \(action_noise\))? would run os.makedirs: .*trust=True"):
        resume(copy, env(), device="cpu")
    assert not trace.exists()
    resume(copy, env(), device="cpu", trust=True)
    assert trace.is_dir()


@pytest.mark.slow
def test_an_experiment_continues_from_a_checkpoint_with_code_only_if_it_is_trusted(monkeypatch, capfd, tmp_path):
    variant = dict(
        algo="sac",
        hyperparams=dict(
            policy="MlpPolicy", learning_starts=20, batch_size=4, buffer_size=60, policy_kwargs=dict(net_arch=[8])
        ),
        env_kwargs=dict(observation="state", time_limit=0.8),  # 10 agent steps of Cartpole
    )
    content = dict(title="Tiny", source="a test", tasks=[CARTPOLE], variants=dict(state=variant), seeds=1, env_steps=160)
    (tmp_path / "tiny.yml").write_text(yaml.safe_dump(content))
    every = ["--eval-freq", 160, "--eval-episodes", 1, "--save-freq", 160]
    command = ["experiment", tmp_path / "tiny.yml", "-f", tmp_path, *every]
    call(monkeypatch, *command)
    (buffer,) = tmp_path.rglob("replay_buffer.pkl")
    trace = tmp_path / "trace"
    in_pickle(buffer, trace)
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, *command, "--env-steps", 320)
    assert stop.value.code == 1 and not trace.exists()
    assert f"Opening {buffer} would run os.makedirs: pass --trust" in capfd.readouterr().err
    call(monkeypatch, *command, "--env-steps", 320, "--trust")
    assert trace.is_dir()
