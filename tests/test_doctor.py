"""The doctor finds what would cost a night, and says what to do."""

import json
import re
import sys
import threading
import time
from collections import namedtuple

import gymnasium as gym
import numpy as np
import psutil
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import SIZE, Noise, Robot, StackedNoise
from helpers.processes import run_python
from mujoco import FatalError

from sb3_fpac import AddPixels, FrameStack, PixelFrames, limits
from sb3_fpac.__main__ import main
from sb3_fpac.doctor import Plan, drawing, examination, examine_environment, machine, packages
from sb3_fpac.doctor.check import refusal
from sb3_fpac.doctor.training import _duration, _round
from sb3_fpac.envs.drawn_cameras import drawn_cameras
from sb3_fpac.optional import INSTALL_DM_CONTROL

HERE = "test_doctor"
FREE = dict(lookat=[0, 0, 0], distance=3, azimuth=90, elevation=-20)
CARTPOLE = "dmc-cartpole-swingup"
SMALL = dict(net_arch=[8], features_extractor_kwargs=dict(n_points=4))


@pytest.mark.parametrize(
    ("message", "text", "cure"),
    [
        ("The image is black: make the light brighter.", "The image is black", "make the light brighter"),
        ("Image 'a': It is black: make it brighter.", "Image 'a': It is black", "make it brighter"),
        (
            "There is no camera 2, its cameras are {0: 'side', 1: 'back'}.",
            "There is no camera 2, its cameras are {0: 'side', 1: 'back'}",
            "ask",
        ),
        ("Image 'a': 7 channels are no stack.", "Image 'a': 7 channels are no stack", "ask"),
        ("It has Dict('a': Box(3)): flatten it, dict(a: b).", "It has Dict('a': Box(3))", "flatten it, dict(a: b)"),
    ],
)
def test_the_cure_of_an_error_is_what_follows_its_last_colon_outside_brackets(message, text, cure):
    check = refusal("observation", message, cure="ask")
    assert (check.text, check.cure, check.ok) == (text, cure, False)


class Grey(Noise):
    """Three grey frames, which look like one of RGB"""

    def __init__(self, n_frames=3):
        super().__init__((n_frames, SIZE, SIZE))

    def reset(self, **kwargs):
        obs, info = super().reset(**kwargs)
        self.frames = list(obs)
        return obs, info

    def step(self, action):
        new, *others = super().step(action)
        self.frames = [*self.frames[1:], new[0]]
        return np.stack(self.frames), *others


class Constant(StackedNoise):
    """The same frame at every step"""

    def __init__(self, frame):
        super().__init__()
        self.frame = frame

    def _frame(self):
        return self.frame


class Unordered(StackedNoise):
    """Newest frame first"""

    def _obs(self):
        return np.concatenate(self.frames[::-1])


class Floats(StackedNoise):
    """A space of bytes, and floats in it"""

    def _obs(self):
        return super()._obs() / np.float32(255)


class WithSpace(StackedNoise):
    """Observations from a space of any kind"""

    def __init__(self, space=None, action_space=None):
        super().__init__()
        self.observation_space, self.action_space = space or self.observation_space, action_space or self.action_space
        self.sampled = space is not None

    def _obs(self):
        return self.observation_space.sample() if self.sampled else super()._obs()


def black(**kwargs):
    return Constant(np.zeros((3, SIZE, SIZE), np.uint8))


def examine(make, **hyperparams):
    """The checks of an environment by name"""
    frame_channels = hyperparams.pop("frame_channels", 3)
    if callable(make):
        gym.register("Doctor-v0", entry_point=make)
    plan = Plan("Doctor-v0", {}, "fpac", dict(policy_kwargs=SMALL, **hyperparams), None, frame_channels)
    try:
        return {check.name: check for check in examine_environment(plan)}
    finally:
        del gym.registry["Doctor-v0"]


def run(monkeypatch, capsys, *arguments):
    """Exit code and standard output of the command"""
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", "doctor", *arguments])
    try:
        main()
    except SystemExit as stop:
        return stop.code, capsys.readouterr().out
    return 0, capsys.readouterr().out


@pytest.fixture
def healthy(monkeypatch):
    """A machine on which all is well, checked without drawing"""
    monkeypatch.setattr(examination, "examine_drawing", lambda: refusal("drawing", "not tried")._replace(ok=True))
    monkeypatch.setattr(machine, "threads_beside", lambda others: 10**6)


# ------------------------------------------------------------------------------------------------------------ the command


def test_a_good_environment_has_no_complaints(monkeypatch, capsys):
    monkeypatch.setattr(machine, "threads_beside", lambda others: 10**6)
    code, out = run(monkeypatch, capsys, "--env", CARTPOLE, "--algo", "fpac_fast", "--env-kwargs", "size:24")
    lines = out.splitlines()
    assert code == 0 and all(line.startswith("✓ ") for line in lines), out
    names = [line[2:].split(": ")[0] for line in lines]
    assert names[:2] == ["python", "torch"] and names[10:15] == ["drawing", "threads", "device", "bfloat16", "compiler"]
    assert names[15:] == ["observation", "actions", "camera", "frames", "stack", "rewards", "idle", "memory", "speed"]
    assert "✓ observation: taken for 2 RGB frames of 24×24" in lines
    assert "for 12,500" in lines[-1]  # of RL Zoo's file


def test_json_is_alone_on_standard_output(monkeypatch, capsys, healthy):
    code, out = run(monkeypatch, capsys, "--env", f"{HERE}:black", "--json")
    checks = json.loads(out)
    assert code == 1 and {frozenset(check) for check in checks} == {frozenset({"name", "ok", "text", "cure"})}
    bad = [check for check in checks if not check["ok"]]
    black = "all frames are black in 20 random steps"
    assert [(check["name"], check["text"]) for check in bad] == [("frames", black)] and bad[0]["cure"]


def test_the_machine_alone(monkeypatch, capsys, healthy):
    code, out = run(monkeypatch, capsys)
    assert code == 0 and out.count("✓") == len(out.splitlines()) == 15


def test_an_unknown_environment_is_refused_in_one_sentence(monkeypatch, capsys):
    code, out = run(monkeypatch, capsys, "--env", "dmc-cartpole")
    assert code.startswith("error: There is no environment 'dmc-cartpole'") and "\n" not in code and out == ""


def test_an_environment_needs_rl_zoo_and_the_machine_does_not():
    code = "import sys; from sb3_fpac.__main__ import main; sys.modules['rl_zoo3'] = None; main()"
    done = run_python("-c", code, "doctor", "--env", CARTPOLE, expect=1)
    *checks, last = done.stdout.splitlines()
    assert last == '✗ environment: rl_zoo3 is missing: pip install "sb3-fpac[zoo]"' and not done.stderr
    assert any(" threads: " in check for check in checks)


def test_an_unknown_keyword_is_a_complaint(monkeypatch, capsys, healthy):
    code, out = run(monkeypatch, capsys, "--env", CARTPOLE, "--env-kwargs", "sizes:24")
    last = out.splitlines()[-1]
    assert code == 1 and last.startswith("✗ environment: dmc-cartpole-swingup cannot be made with {'sizes': 24}, ")


def test_the_preset_is_taken_for_other_environments(monkeypatch, capsys, healthy):
    plans = []
    monkeypatch.setattr("sb3_fpac.commands.doctor.examine_environment", lambda plan: plans.append(plan) or iter(()))
    run(monkeypatch, capsys, "--env", f"{HERE}:black", "--algo", "fpac_fast")
    run(monkeypatch, capsys, "--env", CARTPOLE)
    assert plans[0].hyperparams["learning_rate"] == 0.001 and plans[0].n_timesteps is None
    assert plans[1].hyperparams == {} and plans[1].n_timesteps == 62_500 and plans[1].buffer_size == 100_000


# ------------------------------------------------------------------------------------------------------------- the machine


def substitute(monkeypatch, requirements, installed, python=">=3.10"):
    def version(name):
        if name not in installed:
            raise packages.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(packages, "metadata", lambda _: {"Requires-Python": python})
    monkeypatch.setattr(packages, "requires", lambda _: requirements)
    monkeypatch.setattr(packages, "version", version)
    return {check.name: check for check in packages.examine_packages()}


def test_versions_that_do_not_fit(monkeypatch):
    requirements = ["torch<3,>=2.8", "mujoco<4,>=3.17", "gymnasium>=1.1", "gymnasium>=9; extra == 'box2d'", "dm-control>=1"]
    installed = {"torch": "2.8.0+cu128", "mujoco": "4.0.0", "gymnasium": "1.4.0"}
    checks = substitute(monkeypatch, requirements, installed, python=">=4")
    assert {name: check.ok for name, check in checks.items()} == dict(
        python=False, torch=True, gymnasium=True, mujoco=False, dm_control=False
    )
    assert str(checks["mujoco"]) == '✗ mujoco: 4.0.0, required >=3.17,<4: pip install "mujoco>=3.17,<4"'
    assert str(checks["dm_control"]) == f"✗ dm_control: not installed, required >=1: {INSTALL_DM_CONTROL}"


def test_rl_zoo_may_be_missing(monkeypatch):
    check = substitute(monkeypatch, ["rl-zoo3<3,>=2.9; extra == 'zoo'"], {})["rl_zoo3"]
    assert check.ok and check.text.startswith("not installed, needed only by the command line of RL Zoo (pip install")


@pytest.mark.parametrize("marker, ok", [("python_version >= '3.10'", False), ("python_version < '3.10'", True)])
def test_dm_control_may_be_missing_where_it_is_installed_separately(marker, ok, monkeypatch):
    check = substitute(monkeypatch, [f"dm_control>=1.0.50; {marker}"], {})["dm_control"]
    assert check.ok == ok and INSTALL_DM_CONTROL in check.text + check.cure


def test_a_package_that_is_not_installed(monkeypatch):
    def missing(name):
        raise packages.PackageNotFoundError(name)

    monkeypatch.setattr(packages, "metadata", missing)
    (check,) = packages.examine_packages()
    assert not check.ok and check.cure == "pip install ."


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            RuntimeError("There is no display, and neither EGL nor OSMesa can draw: install"),
            "There is no display, and neither",
        ),
        (AttributeError("'NoneType' object has no attribute 'glGetError'"), "The library of egl is missing"),
        (FatalError("no context"), "MuJoCo cannot draw with egl"),
        (ImportError("Cannot initialize a EGL device display"), "Cannot initialize a EGL device"),
    ],
)
@pytest.mark.parametrize("given", ["", "egl"])
def test_no_opengl(monkeypatch, error, text, given):
    def broken(*_, **__):
        raise error

    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setattr(drawing.gym, "make", broken)
    if not given:
        monkeypatch.setattr(drawing.os.environ, "get", lambda *_: None)
        text = text.replace("egl", "glfw")
    check = drawing.examine_drawing()
    assert not check.ok and text in check.text and "libegl1" in check.cure
    assert ("MUJOCO_GL=egl fails" in check.text) == ("unset it" in check.cure) == bool(given)


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        (ModuleNotFoundError("No module named 'imageio'", name="imageio"), "pip install imageio"),
        (ImportError("dm_control is missing: pip install dm_control", name="dm_control"), "pip install dm_control"),
        (ImportError("Unable to load OpenGL library"), "libegl1"),
    ],
)
def test_a_missing_package_is_not_a_missing_library(monkeypatch, error, cure):
    def fail():
        raise error

    monkeypatch.setattr(drawing, "_time_frames", fail)
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    assert cure in drawing.examine_drawing().cure


def test_other_attribute_errors_are_not_opengls():
    with pytest.raises(AttributeError), drawing.opengl_errors():
        raise AttributeError("'NoneType' object has no attribute 'observation'")


def test_a_backend_that_there_is_not():
    done = run_python("-m", "sb3_fpac", "doctor", expect=1, MUJOCO_GL="disabled")
    bad = [line for line in done.stdout.splitlines() if line.startswith("✗ drawing")]
    assert len(bad) == 1 and "MUJOCO_GL=disabled fails, No OpenGL rendering backend is available: unset it" in bad[0]


@pytest.mark.parametrize(
    ("threads", "cores", "busy", "device", "cure"),
    [
        (64, 2, 7.2, "cpu", "set OMP_NUM_THREADS=2"),
        (2, 2, 7.2, "cpu", ""),
        (2, 2, 45, "cpu", "set OMP_NUM_THREADS=1"),
        (2, 2, 45, "cuda", ""),
        (64, 2, 45, "cuda", "set OMP_NUM_THREADS=2"),
        (1, 2, 100, "cpu", ""),
        (4, 8, 45, "cpu", ""),
    ],
)
def test_more_threads_than_free_cores(monkeypatch, threads, cores, busy, device, cure):
    monkeypatch.setattr(machine, "get_device", lambda _: th.device(device))
    for module in (machine, limits):
        monkeypatch.setattr(module, "usable_cores", lambda: cores)
    monkeypatch.setattr(th, "get_num_threads", lambda: threads)
    monkeypatch.setattr(psutil, "cpu_percent", lambda _: busy)
    monkeypatch.setattr(psutil, "cpu_count", lambda: cores)
    monkeypatch.setenv("OMP_NUM_THREADS", f"{threads}")
    check = machine.examine_threads()
    assert check.text == (
        f"PyTorch has {threads} thread{'s' * (threads > 1)} for {cores} cores, OMP_NUM_THREADS={threads}, "
        f"other programs use {busy:.0f} % of the machine"
    )
    assert check.cure == cure and check.ok == (not cure)


@pytest.fixture
def container(monkeypatch, tmp_path):
    monkeypatch.setattr(limits, "_CGROUP", tmp_path)
    monkeypatch.setattr(limits.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    return tmp_path


@pytest.mark.parametrize(("quota", "cores"), [("max 100000", 64), ("150000 100000", 2), ("20000 100000", 1), (None, 64)])
def test_cores_of_a_container(container, quota, cores):
    if quota:
        (container / "cpu.max").write_text(f"{quota}\n")
    assert limits.usable_cores() == cores


def test_memory_of_a_container(container, monkeypatch):
    memory(monkeypatch, 64e9)
    assert limits.free_memory() == 64e9
    (container / "memory.max").write_text("8000000000\n")
    (container / "memory.current").write_text("5000000000\n")
    (container / "memory.stat").write_text("anon 1\ninactive_file 1000000000\n")
    assert limits.free_memory() == 4e9
    (container / "memory.max").write_text("max\n")
    assert limits.free_memory() == 64e9


@pytest.mark.parametrize(("cuda", "text"), [(None, "was built without CUDA"), ("12.8", "cannot use CUDA 12.8")])
def test_a_gpu_that_pytorch_does_not_use(monkeypatch, cuda, text):
    monkeypatch.setattr(machine, "get_device", lambda _: th.device("cpu"))
    monkeypatch.setattr(machine.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(th.version, "cuda", cuda)
    check = machine.examine_device()
    assert not check.ok and text in check.text and check.cure


@pytest.mark.parametrize(("device", "there", "ok"), [("cpu", False, True), ("cpu", True, True), ("cuda", False, False)])
def test_a_compiler_is_needed_on_cuda_only(monkeypatch, device, there, ok):
    monkeypatch.setattr(machine, "get_device", lambda _: th.device(device))
    monkeypatch.setattr(machine.shutil, "which", lambda name: name if there else None)
    assert machine.examine_compiler().ok == ok


# --------------------------------------------------------------------------------------------------------- the environment


def memory(monkeypatch, available):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: namedtuple("Memory", "available")(available))


def complaints(checks):
    return [name for name, check in checks.items() if not check.ok]


def test_stacks_of_noise_are_fine():
    checks = examine(StackedNoise)
    assert complaints(checks) == []
    assert "hours for 100,000" in checks["speed"].text or "minutes for 100,000" in checks["speed"].text


def test_a_black_environment():
    checks = examine(black)
    assert complaints(checks) == ["frames"] and "speed" not in checks


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (np.full((3, SIZE, SIZE), 200, np.uint8), "of a single colour"),
        (np.eye(SIZE, dtype=np.uint8)[None].repeat(3, 0), "all pixels are 0 or 1"),
        (200 * np.eye(SIZE, dtype=np.uint8)[None].repeat(3, 0), "nothing changes in 20 random steps"),
    ],
)
def test_frames_that_show_nothing(frame, text):
    checks = examine(lambda: Constant(frame))
    assert complaints(checks) == ["frames"] and text in checks["frames"].text and checks["frames"].cure


def test_floats_in_a_space_of_bytes():
    checks = examine(Floats)
    assert complaints(checks) == ["frames"] and "returns float32" in checks["frames"].text


def test_an_image_of_floats():
    checks = examine(lambda: WithSpace(spaces.Box(0, 1, (6, SIZE, SIZE), np.float32)))
    assert complaints(checks) == ["observation"] and "speed" not in checks
    assert checks["observation"].text == "Images are expected as uint8 from 0 to 255, got float32 from 0 to 1"
    assert checks["observation"].cure.startswith("convert them with Gymnasium's DtypeObservation")


def test_a_vector():
    checks = examine(lambda: gym.make("Pendulum-v1"))
    assert complaints(checks) == ["observation"]
    assert "SAC('MlpPolicy', …)" in checks["observation"].cure and "PixelFrames" in checks["observation"].cure


def test_three_grey_frames():
    checks = examine(Grey)
    assert complaints(checks) == ["stack"] and "--frame-channels 1" in checks["stack"].cure
    assert complaints(examine(Grey, frame_channels=1)) == []
    four = examine(lambda: Grey(4))
    assert complaints(four) == ["observation"] and "pass frame_channels=1" in four["observation"].cure


def test_a_single_frame_and_a_stack_in_the_wrong_order():
    single = examine(Noise)  # with the channels last
    assert complaints(single) == ["stack"] and "FrameStack" in single["stack"].cure
    assert "1 RGB frame of" in single["observation"].text
    assert complaints(examine(lambda: FrameStack(Noise()))) == []
    unordered = examine(Unordered)
    assert unordered["stack"].text == "the next observation does not continue the stack of 2 frames"
    assert "speed" in complaints(unordered)


def test_a_moving_camera_without_shift(monkeypatch, capsys, healthy):
    monkeypatch.setattr(examination, "examine_speed", lambda *_: refusal("speed", "not tried")._replace(ok=True))
    arguments = ("--env", "dmc-cheetah-run", "--env-kwargs", "size:24")
    code, out = run(monkeypatch, capsys, *arguments, "camera_shift:False")
    bad = [line for line in out.splitlines() if line.startswith("✗")]
    assert code == 1 and len(bad) == 1 and bad[0].startswith("✗ camera: camera 'side' follows the robot")
    assert bad[0].endswith(": leave out camera_shift=False")
    code, out = run(monkeypatch, capsys, *arguments)
    assert code == 0 and "✓ observation: taken for 2 RGB frames of 24×24, camera shift" in out


def test_cameras_of_a_dict_by_key(monkeypatch):
    monkeypatch.setattr(examination, "examine_speed", lambda *_: refusal("speed", "not tried")._replace(ok=True))
    kwargs = dict(size=24, camera_shift=False, observation="pixels+state")
    checks = examine(lambda: gym.make("dmc-walker-walk", **{**kwargs, "camera_id": ["side", "back"]}))
    assert complaints(checks) == ["camera of 'side'", "camera of 'back'"]
    assert checks["camera of 'side'"].cure == "leave out camera_shift=False"
    assert "'state' (24)" in checks["vectors"].text
    checks = examine(lambda: gym.make("dmc-quadruped-walk", **{**kwargs, "camera_id": ["global", "egocentric"]}))
    assert checks["camera of 'egocentric'"].text == "camera 'egocentric' is attached to the robot, so its shift is not defined"
    checks = examine(lambda: AddPixels(gym.make("Hopper-v5"), cameras=["track"], size=24, camera_shift=False))
    assert checks["camera of 'track'"].cure == "leave out camera_shift=False"
    assert complaints(examine(lambda: AddPixels(gym.make("Hopper-v5"), cameras=["track"], size=24))) == []


def test_cameras_of_other_wrappers():
    walker = dict(observation="state", render_mode="rgb_array")
    found = [
        drawn_cameras(PixelFrames(gym.make("dmc-walker-walk", camera_id="back", **walker), size=24)),
        drawn_cameras(AddPixels(gym.make("HalfCheetah-v5"), cameras=dict(a="track", b=FREE))),
        drawn_cameras(gym.make("HalfCheetah-v5", render_mode="rgb_array", camera_id=0)),
        drawn_cameras(gym.make("HalfCheetah-v5", render_mode="rgb_array")),  # the free camera
        drawn_cameras(Noise()),
    ]
    assert found == [{None: 1}, {"a": 0}, {None: 0}, {}, {}]


def test_a_dict_of_cameras_and_vectors():
    assert complaints(examine(lambda: Robot(("front", "joints", "mode")))) == []
    both = ("front", "wrist", "joints")
    refused = examine(lambda: Robot(both))
    assert complaints(refused) == ["observation of 'wrist'"]
    assert "frame_channels=1" in refused["observation of 'wrist'"].cure
    checks = examine(lambda: Robot(both), frame_channels=dict(wrist=1))
    assert complaints(checks) == []
    assert checks["observation of 'front'"].text == f"taken for 2 RGB frames of {SIZE}×19, camera shift"


def test_channels_by_key(monkeypatch, capsys, healthy):
    plans = []
    monkeypatch.setattr("sb3_fpac.commands.doctor.examine_environment", lambda plan: plans.append(plan) or iter(()))
    for options in ([], ["--frame-channels", "1"], ["--frame-channels", "wrist:1", "front:4"]):
        run(monkeypatch, capsys, "--env", f"{HERE}:black", *options)
    assert [plan.frame_channels for plan in plans] == [3, 1, dict(wrist=1, front=4)]


def test_a_dict_with_a_key_that_cannot_be_used():
    image = spaces.Box(0, 255, (6, SIZE, SIZE), np.uint8)
    for key, space, text in (
        ("a.b", image, "cannot name a network after the key 'a.b'"),
        ("depth", spaces.Box(0, 1, (1, SIZE, SIZE), np.float32), "'depth' looks like an image"),
        ("words", spaces.Text(3), "'words' is Text"),
    ):
        checks = examine(lambda key=key, space=space: WithSpace(spaces.Dict({"image": image, key: space})))
        assert complaints(checks) == ["observation"] and text in checks["observation"].text and checks["observation"].cure


def test_images_of_both_orders():
    parts = dict(a=spaces.Box(0, 255, (6, SIZE, SIZE), np.uint8), b=spaces.Box(0, 255, (SIZE, SIZE, 6), np.uint8))
    checks = examine(lambda: WithSpace(spaces.Dict(parts)))
    assert complaints(checks) == ["observation"] and "has its channels last" in checks["observation"].text


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(2),
        spaces.Box(-np.inf, np.inf, (2,), np.float32),
        spaces.Box(0, 9, (2,), np.int32),
        spaces.Box(np.float32([0, 1]), np.float32([1, 1])),
    ],
)
def test_actions_that_fpac_cannot_choose(space):
    checks = examine(lambda: WithSpace(action_space=space))
    assert "actions" in complaints(checks) and "speed" not in checks


@pytest.mark.parametrize(
    "key, change, are_ok, text",
    [
        ("joints", lambda joints: 50 * joints, True, "numbers of about 1 are learned more steadily: scale them, or use Vec"),
        ("joints", lambda joints: np.nan * joints, False, "80 of 80 values that are not finite"),
        ("mode", lambda mode: 0 * mode + 3, False, "which Discrete(3) does not contain"),
    ],
)
def test_numbers_of_vectors(key, change, are_ok, text):
    class Changed(Robot):
        def _obs(self):
            return {**(obs := super()._obs()), key: change(obs[key])}

    check = examine(lambda: Changed(("front", "joints", "mode")))[f"numbers of {key!r}"]
    assert check.ok == are_ok and text in str(check)


def test_rewards_that_are_not_finite():
    checks = examine(lambda: StackedNoise(rewards={5: float("nan")}))
    assert complaints(checks) == ["rewards"] and "speed" not in checks


@pytest.mark.parametrize("key", ["wrist", "joints"])
def test_an_observation_that_the_next_step_overwrites(key):
    class Overwrites(Robot):
        array = None

        def _obs(self):
            obs = super()._obs()
            self.array = obs[key] if self.array is None else self.array
            self.array[:] = obs[key]
            return {**obs, key: self.array}

    checks = examine(lambda: Overwrites(("front", "wrist", "joints")), frame_channels=dict(wrist=1))
    assert complaints(checks) == [f"observation of {key!r}"]
    assert checks[f"observation of {key!r}"].cure == "return a new array from every step: observation.copy()"


def test_large_rewards_are_no_complaint_but_have_a_hint(monkeypatch):
    monkeypatch.setattr(examination, "examine_speed", lambda *_: refusal("speed", "not tried")._replace(ok=True))
    large = examine(lambda: StackedNoise(rewards={5: -16.0}))
    assert complaints(large) == [] and "steps of about 1 are learned more steadily" in large["rewards"].text
    assert "steadily" not in examine(StackedNoise)["rewards"].text


def test_threads_that_stay_busy_after_a_step():
    def wait_in_a_loop():
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass

    class Busy(StackedNoise):
        def step(self, action):
            threading.Thread(target=wait_in_a_loop).start()
            return super().step(action)

    checks = examine(Busy)
    assert complaints(checks) == ["idle"] and "speed" in checks
    assert re.match(r"threads of the environment keep \d\.\d processors busy after a step", checks["idle"].text)
    assert checks["idle"].cure.startswith("set OPENBLAS_NUM_THREADS=1 and MKL_NUM_THREADS=1")


def test_a_buffer_that_does_not_fit(monkeypatch):
    memory(monkeypatch, 1e6)
    checks = examine(StackedNoise, buffer_size=2_000)
    frame = 3 * SIZE * SIZE
    assert complaints(checks) == ["memory"]
    assert (
        checks["memory"].text
        == f"a full replay buffer of 2,000 transitions takes {2_000 * frame / 1e9:.2g} GB, 0.001 GB are free"
    )
    assert checks["memory"].cure.startswith("pass buffer_size=920 or less")


def test_frames_that_are_too_small_for_the_encoder():
    checks = examine(lambda: FrameStack(Noise((9, 9, 3))))
    assert complaints(checks) == ["speed"]


def test_an_error_while_playing():
    class Broken(StackedNoise):
        def step(self, action):
            raise ValueError("The gripper is stuck: reset it.")

    checks = examine(Broken)
    assert str(checks["steps"]) == "✗ steps: The gripper is stuck: reset it"


def test_whatever_an_environment_raises_is_reported():
    def missing():
        raise FileNotFoundError("robot.xml")

    class Crash(StackedNoise):
        def step(self, action):
            raise ConnectionError("the simulator is gone")

    assert examine(missing)["environment"].text == "Doctor-v0 cannot be made, FileNotFoundError: robot.xml"
    assert str(examine(Crash)["steps"]) == "✗ steps: ConnectionError: the simulator is gone"


def test_numbers_are_short():
    assert [_round(number) for number in (7.9, 98_765, 943.2)] == ["7", "98000", "940"]
    assert [_duration(seconds) for seconds in (90, 5400, 360_000)] == ["2 minutes", "1.5 hours", "100 hours"]
