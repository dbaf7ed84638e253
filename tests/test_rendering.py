"""The choice of MuJoCo's OpenGL backend on machines without a display."""

import ctypes.util
import os
from types import SimpleNamespace

import pytest
from helpers.processes import run_python

from sb3_fpac.envs import rendering
from sb3_fpac.envs.rendering import choose_backend, egl_works, osmesa_works

DRAW = "from mujoco.{} import GLContext; GLContext(8, 8).make_current()"


@pytest.fixture
def machine(monkeypatch):
    """Makes the choice on a machine of one's own, and says what MUJOCO_GL is afterwards."""

    def choose(egl=False, osmesa=False, platform="linux", dm_control=None, must_draw=True, **env):
        for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.setenv(name, "")  # so that monkeypatch knows what to bring back
            monkeypatch.delenv(name)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        modules = {"dm_control._render": SimpleNamespace(BACKEND=dm_control)} if dm_control else {}
        monkeypatch.setattr(rendering, "sys", SimpleNamespace(platform=platform, modules=modules))
        monkeypatch.setattr(rendering, "egl_works", lambda: egl)
        monkeypatch.setattr(rendering, "osmesa_works", lambda: osmesa)
        choose_backend(must_draw)
        return os.environ.get("MUJOCO_GL")

    return choose


def test_egl_comes_first(machine):
    assert machine(egl=True, osmesa=True) == "egl"


def test_osmesa_comes_second(machine):
    assert machine(egl=False, osmesa=True) == "osmesa"


def test_without_either_one_error_names_the_packages(machine):
    with pytest.raises(RuntimeError) as refusal:
        machine(egl=False, osmesa=False)
    for words in ("no display", "libegl1", "libgl1-mesa-dri", "libosmesa6", "MUJOCO_GL"):
        assert words in str(refusal.value)
    assert "MUJOCO_GL" not in os.environ


@pytest.mark.parametrize("chosen", ["egl", "osmesa", "glfw", "disabled"])
@pytest.mark.parametrize("egl", [True, False])
def test_users_choice_is_never_overridden(machine, chosen, egl):
    assert machine(egl=egl, osmesa=True, MUJOCO_GL=chosen) == chosen
    assert machine(dm_control="glfw", MUJOCO_GL=chosen) == chosen


def test_empty_choice_is_no_choice(machine):
    assert machine(egl=True, MUJOCO_GL="") == "egl"


@pytest.mark.parametrize("display", [{"DISPLAY": ":0"}, {"WAYLAND_DISPLAY": "wayland-0"}])
def test_with_a_display_nothing_is_set(machine, display):
    assert machine(egl=True, osmesa=True, **display) is None
    assert machine(dm_control="glfw", **display) is None


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_off_linux_nothing_is_set(machine, platform):
    assert machine(egl=True, platform=platform) is None
    assert machine(platform=platform) is None


def test_dm_control_that_has_taken_glfw_already_is_refused_with_the_cure(machine):
    with pytest.raises(RuntimeError, match=r"imported before.*glfw.*MUJOCO_GL=egl"):
        machine(egl=True, dm_control="glfw")
    assert "MUJOCO_GL" not in os.environ


def test_dm_control_that_has_taken_glfw_is_no_excuse_for_advice_that_cannot_work(machine):
    with pytest.raises(RuntimeError, match="libegl1"):
        machine(egl=False, osmesa=False, dm_control="glfw")


@pytest.mark.parametrize("chosen", ["egl", "osmesa"])
def test_dm_control_that_can_draw_is_left_alone(machine, chosen):
    assert machine(egl=chosen == "egl", osmesa=True, dm_control=chosen) == chosen


def test_whoever_draws_nothing_needs_nothing_to_draw_with(machine):
    assert machine(egl=True, must_draw=False) == "egl"
    assert machine(osmesa=True, must_draw=False) == "osmesa"
    assert machine(must_draw=False) is None


def test_choice_that_comes_too_late_is_not_made(machine):
    """Or MUJOCO_GL would say egl while dm_control uses glfw, and the next environment with pixels would not be refused"""
    assert machine(egl=True, dm_control="glfw", must_draw=False) is None


def test_making_an_environment_says_what_is_missing(monkeypatch, machine):
    import gymnasium as gym

    machine(egl=True)
    monkeypatch.delenv("MUJOCO_GL")
    monkeypatch.setattr(rendering, "egl_works", lambda: False)
    for kwargs in ({}, {"observation": "state", "render_mode": "rgb_array"}):
        with pytest.raises(RuntimeError, match="libegl1"):
            gym.make("dmc-cheetah-run", **kwargs)


@pytest.mark.parametrize("works", [egl_works, osmesa_works])
def test_missing_library_does_not_work(monkeypatch, works):
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: "libthere-is-none.so.0")
    assert works() is False


def test_egl_works_where_mujoco_can_draw_with_it(tmp_path):
    run = run_python("-c", DRAW.format("egl"), cwd=tmp_path, expect=None, display=False, MUJOCO_GL="egl")
    assert egl_works() is (run.returncode == 0)


def test_osmesa_works_where_mujoco_can_draw_with_it(tmp_path):
    run = run_python("-c", DRAW.format("osmesa"), cwd=tmp_path, expect=None, display=False, MUJOCO_GL="osmesa")
    assert osmesa_works() is (run.returncode == 0)


@pytest.mark.slow
def test_fresh_process_that_imported_dm_control_first_is_told_the_cure(tmp_path):
    code = """
from dm_control import suite
import gymnasium as gym, sb3_fpac
gym.make("dmc-cheetah-run", observation="state").reset()
try:
    gym.make("dmc-cheetah-run")
except RuntimeError as refusal:
    print(refusal)
"""
    run = run_python("-c", code, cwd=tmp_path, display=False)
    assert "imported before" in run.stdout and "MUJOCO_GL=" in run.stdout


@pytest.mark.slow
def test_fresh_process_in_which_nothing_can_draw_has_states_and_is_told_the_packages_for_pixels(tmp_path):
    code = """
import gymnasium as gym, sb3_fpac
from sb3_fpac.envs import rendering
rendering.egl_works = rendering.osmesa_works = lambda: False
with gym.make("dmc-cheetah-run", observation="state") as env:
    env.reset(seed=0)
    print(env.step(env.action_space.sample())[0].shape)
try:
    gym.make("dmc-cheetah-run")
except RuntimeError as refusal:
    print(refusal)
"""
    run = run_python("-c", code, cwd=tmp_path, display=False)
    assert "(17,)" in run.stdout.splitlines() and "libegl1" in run.stdout  # Shimmy may say something before
