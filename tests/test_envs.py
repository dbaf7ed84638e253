"""The dmc-* ids: the table of tasks, what gym.make builds from them, and what its keywords do."""

import sys
import warnings
from collections import Counter

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as check_for_gymnasium
from helpers.processes import run_python
from stable_baselines3.common.env_checker import check_env as check_for_sb3

from sb3_fpac.envs import TASKS
from sb3_fpac.envs.cameras import mujoco_model_and_data
from sb3_fpac.envs.dmc import UnitActions

PLANET_ACTION_REPEATS = {  # PlaNet (Hafner et al., 2019), Table I of the FPAC paper
    "dmc-cartpole-swingup": 8,
    "dmc-reacher-easy": 4,
    "dmc-cheetah-run": 4,
    "dmc-finger-spin": 2,
    "dmc-ball-in-cup-catch": 4,
    "dmc-walker-walk": 2,
}
DOMAINS_WHOSE_CAMERA_0_FOLLOWS = {
    *("cheetah", "dog", "fish", "hopper", "humanoid", "humanoid_CMU", "quadruped", "swimmer", "walker"),
}
HARMLESS = (  # what Gymnasium's checker says about every wrapped environment, and about every one with unbounded observations
    "is different from the unwrapped version",
    "A Box observation space minimum value is -infinity",
    "A Box observation space maximum value is infinity",
)


def rollout(env, seed, n_steps=3):
    """The observations of the beginning of an episode, with the same actions every time."""
    random = np.random.default_rng(0)
    observations = [env.reset(seed=seed)[0]]
    for _ in range(n_steps):
        observations.append(env.step(random.uniform(-1, 1, env.action_space.shape).astype(np.float32))[0])
    return np.stack(observations)


def unexpected(caught):
    messages = [str(warning.message) for warning in caught if not of_numpy(warning)]
    return [message for message in messages if not any(words in message for words in HARMLESS)]


def of_numpy(warning):
    """Whether NumPy 2.5 warns of what dm_control does, which is not shown outside such checks"""
    return "Setting the shape on a NumPy array" in str(warning.message) and "dm_control" in warning.filename


# ------------------------------------------------------------------------------------------------------------------- the table


def test_table_holds_the_whole_suite():
    with gym.make("dmc-pendulum-swingup", observation="state"):
        from dm_control import suite  # only now: it chooses its OpenGL backend when it is imported
    assert Counter((task.domain, task.task) for task in TASKS.values()) == Counter(suite.ALL_TASKS)
    assert len(TASKS) == 51


def test_ids_are_registered_and_have_hyphens_throughout():
    for env_id, task in TASKS.items():
        assert env_id == "-".join(["dmc", *task.domain.split("_"), *task.task.split("_")])
        assert gym.spec(env_id).kwargs == {"domain": task.domain, "task": task.task}
    assert {"dmc-ball-in-cup-catch", "dmc-cartpole-swingup-sparse", "dmc-humanoid-CMU-run"} < set(TASKS)


def test_action_repeats_are_planets():
    assert {env_id: task.action_repeat for env_id, task in TASKS.items()} == dict.fromkeys(TASKS, 2) | PLANET_ACTION_REPEATS


@pytest.mark.parametrize(
    ("wrong", "nearest"), [("dmc-cheetha-run", "dmc-cheetah-run"), ("dmc-ball_in_cup-catch", "dmc-ball-in-cup-catch")]
)
def test_unknown_id_gets_the_nearest_suggested(wrong, nearest):
    with pytest.raises(gym.error.NameNotFound, match=f"Did you mean: `{nearest}`"):
        gym.make(wrong)


@pytest.mark.slow
def test_import_stays_light(tmp_path):
    heavy = ["dm_control", "mujoco", "rl_zoo3", "shimmy"]
    code = f"import sb3_fpac, sys; print([name for name in {heavy} if name in sys.modules])"
    assert run_python("-c", code, cwd=tmp_path, display=False).stdout.strip() == "[]"


@pytest.mark.slow
def test_id_with_the_packages_name_works_in_a_fresh_process_to_the_pixel(tmp_path):
    code = """
import os, sys, gymnasium as gym, numpy as np
assert "sb3_fpac" not in sys.modules
env = gym.make("sb3_fpac:dmc-cheetah-run", size=32)
observations = [env.reset(seed=3)[0], env.step(np.ones(6, np.float32))[0]]
np.save("pixels.npy", observations)
env.close()
print(os.environ["MUJOCO_GL"])
"""
    printed = run_python("-c", code, cwd=tmp_path, display=False).stdout
    assert printed.splitlines()[-1] in ("egl", "osmesa")  # after what Shimmy says without labmaze
    with gym.make("dmc-cheetah-run", size=32) as env:
        observations = [env.reset(seed=3)[0], env.step(np.ones(6, np.float32))[0]]
    np.testing.assert_array_equal(np.load(tmp_path / "pixels.npy"), observations)


# ---------------------------------------------------------------------------------------------------------- all tasks, checked


ONE_TASK_OF_EACH_DOMAIN = {task.domain: env_id for env_id, task in reversed(TASKS.items())}.values()
CHECKED = [*((env_id, "state") for env_id in TASKS), *((env_id, "pixels") for env_id in ONE_TASK_OF_EACH_DOMAIN)]


@pytest.fixture(scope="module", params=CHECKED, ids="-".join)
def task_and_env(request):
    env_id, kind = request.param
    with gym.make(env_id, observation=kind, size=36) as env:  # SB3 warns of smaller images
        env.unwrapped.physics.model.light_castshadow[:] = False  # shadows take half of the time and show nothing
        yield TASKS[env_id], kind, env


def test_gymnasiums_checker_accepts_every_task(task_and_env):
    *_, env = task_and_env
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_for_gymnasium(env, skip_render_check=True, skip_close_check=True)  # these two: below
    assert unexpected(caught) == []


def test_sb3s_checker_accepts_every_task_without_a_warning(task_and_env):
    *_, env = task_and_env
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_for_sb3(env)
    assert [str(warning.message) for warning in caught if not of_numpy(warning)] == []


def test_spaces_repeat_and_length_of_every_task(task_and_env):
    task, kind, env = task_and_env
    assert env.action_space.dtype == np.float32 and len(env.action_space.shape) == 1
    assert (env.action_space.low == -1).all() and (env.action_space.high == 1).all()
    if kind == "pixels":
        channels = 6 + (task.domain in DOMAINS_WHOSE_CAMERA_0_FOLLOWS)
        assert env.observation_space == spaces.Box(0, 255, (channels, 36, 36), np.uint8)
    else:
        assert env.observation_space.dtype == np.float32 and len(env.observation_space.shape) == 1
    env.reset(seed=0)
    *_, info = env.step(env.action_space.sample())
    assert info["env_steps"] == task.action_repeat
    assert env.unwrapped._step_limit == 1000  # dm_control's: env steps in an episode


# --------------------------------------------------------------------------------------------------------- making and unmaking


@pytest.mark.parametrize("kind", ["pixels", "state"])
def test_making_an_environment_warns_of_nothing(kind):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with gym.make("dmc-walker-walk", observation=kind, size=32) as env:
            env.reset(seed=0)
            env.step(env.action_space.sample())
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize(
    ("env_id", "kwargs"),
    [
        ("dmc-cheetah-run", {}),  # with camera shift
        ("dmc-cheetah-run", {"frame_stack": 3, "camera_id": "back"}),
        ("dmc-cartpole-swingup", {}),
        ("dmc-cheetah-run", {"observation": "state"}),
    ],
)
def test_environment_can_be_rebuilt_from_its_spec(env_id, kwargs):
    with gym.make(env_id, size=32, **kwargs) as env, gym.make(env.spec) as rebuilt:
        assert rebuilt.observation_space == env.observation_space
        np.testing.assert_array_equal(rollout(rebuilt, 1, 1), rollout(env, 1, 1))


@pytest.mark.parametrize("env_id", ["dmc-cheetah-run", "dmc-cartpole-swingup"])
def test_gymnasiums_checker_accepts_closing(env_id):
    with gym.make(env_id, size=36) as env, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_for_gymnasium(env, skip_render_check=True, skip_close_check=False)
    assert unexpected(caught) == []


@pytest.mark.parametrize("kwargs", [{}, {"observation": "state"}, {"render_mode": "rgb_array"}])
@pytest.mark.parametrize("used", [False, True])
def test_closing_works_and_twice_does_no_harm(kwargs, used):
    env = gym.make("dmc-cheetah-run", size=32, **kwargs)
    if used:
        env.reset(seed=0)
        env.step(env.action_space.sample())
        env.render()
    env.close()
    env.close()
    with gym.make("dmc-cheetah-run", size=32, **kwargs) as another:
        assert another.reset(seed=0)[0] in another.observation_space


# ------------------------------------------------------------------------------------------------------------------- rendering


@pytest.fixture
def draws(monkeypatch):
    """Counts every frame that MuJoCo draws, on whatever way it is asked to."""
    drawn = []
    draw = mujoco.mjr_render

    def counted(*args):
        drawn.append(1)
        return draw(*args)

    monkeypatch.setattr(mujoco, "mjr_render", counted)
    return drawn


@pytest.mark.parametrize("env_id", ["dmc-cheetah-run", "dmc-cartpole-swingup"])
@pytest.mark.parametrize("action_repeat", [1, 4, None])
def test_one_frame_is_drawn_for_every_reset_and_agent_step(env_id, action_repeat, draws):
    with gym.make(env_id, action_repeat=action_repeat, size=32, frame_stack=3) as env:
        assert len(draws) == 0
        env.reset(seed=0)
        assert len(draws) == 1
        for n_drawn in range(2, 5):
            env.step(env.action_space.sample())
            assert len(draws) == n_drawn
        env.reset()
        assert len(draws) == 5


def test_one_frame_is_drawn_where_an_episode_ends_early(draws):
    with gym.make("dmc-cartpole-swingup", size=32, time_limit=0.05) as env:
        env.reset(seed=0)
        *_, truncated, info = env.step(env.action_space.sample())
        assert truncated and info["env_steps"] == 5 and len(draws) == 2


@pytest.mark.parametrize("env_id", ["dmc-cheetah-run", "dmc-quadruped-escape"])
def test_state_observations_draw_nothing(env_id, draws):
    with gym.make(env_id, observation="state", render_mode="rgb_array", render_size=32) as env:
        env.reset(seed=0)
        for _ in range(3):
            env.step(env.action_space.sample())
        assert len(draws) == 0
        env.render()
        assert len(draws) == 1


def test_observation_holds_the_last_two_frames_as_the_camera_sees_them():
    with gym.make("dmc-cheetah-run", size=40, camera_id="back") as env:
        physics = env.unwrapped.physics
        observation, _ = env.reset(seed=0)
        now = physics.render(40, 40, camera_id=1).transpose(2, 0, 1)
        np.testing.assert_array_equal(observation[1:], np.concatenate([now, now]))
        for _ in range(2):
            past = now
            observation, *_ = env.step(env.action_space.sample())
            now = physics.render(40, 40, camera_id=1).transpose(2, 0, 1)
            np.testing.assert_array_equal(observation[1:], np.concatenate([past, now]))
            assert (past != now).any()


# ----------------------------------------------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize(
    "env_id",
    [
        "dmc-cheetah-run",
        "dmc-lqr-lqr-6-2",  # draws its masses
        "dmc-manipulator-bring-ball",  # draws its objects' places
        "dmc-point-mass-hard",  # draws its actuators
        "dmc-quadruped-escape",  # draws its ground
    ],
)
def test_same_seed_gives_the_same_pixels_and_another_seed_others(env_id):
    with gym.make(env_id, size=48) as one, gym.make(env_id, size=48) as other:
        pixels = rollout(one, seed=3)
        other.reset()  # a past of its own
        other.step(other.action_space.sample())
        np.testing.assert_array_equal(rollout(other, seed=3), pixels)
        np.testing.assert_array_equal(other.reset()[0], one.reset()[0])  # and all episodes that follow
        assert (rollout(other, seed=4)[:, -3:] != pixels[:, -3:]).any()


@pytest.mark.parametrize("env_id", ["dmc-lqr-lqr-2-1", "dmc-lqr-lqr-6-2"])
def test_masses_of_lqr_are_the_same_in_every_environment(env_id):
    models = []
    for _ in range(2):
        with gym.make(env_id, observation="state") as env:
            model = env.unwrapped.physics.model
            models.append([getattr(model, name).copy() for name in ("body_mass", "jnt_stiffness", "dof_damping", "geom_size")])
    for one, other in zip(*models, strict=True):
        np.testing.assert_array_equal(one, other)


def test_environments_without_a_seed_begin_differently():
    with gym.make("dmc-reacher-easy", observation="state") as one, gym.make("dmc-reacher-easy", observation="state") as other:
        assert (one.reset()[0] != other.reset()[0]).any()


# ------------------------------------------------------------------------------------------------------------ ends of episodes


def test_time_out_arrives_as_truncated():
    with gym.make("dmc-cartpole-swingup", observation="state", time_limit=0.3) as env:  # 30 env steps, repeat 8
        env.reset(seed=0)
        steps = [env.step(env.action_space.sample())[2:] for _ in range(4)]
    assert [(terminated, truncated) for terminated, truncated, _ in steps] == [(False, False)] * 3 + [(False, True)]
    assert [info["env_steps"] for *_, info in steps] == [8, 8, 8, 6]


@pytest.mark.parametrize("env_id", ["dmc-lqr-lqr-2-1", "dmc-pendulum-swingup"])
def test_episode_ends_after_1000_env_steps_by_default(env_id):
    with gym.make(env_id, observation="state", action_repeat=10) as env:
        env.reset(seed=0)
        ends = [env.step(env.action_space.sample())[2:4] for _ in range(100)]
    assert ends == [(False, False)] * 99 + [(False, True)]


def test_true_ending_arrives_as_terminated():
    with gym.make("dmc-lqr-lqr-2-1", size=32) as env:
        env.reset(seed=0)
        still = np.zeros(1, np.float32)
        assert env.step(still)[2:4] == (False, False)
        physics = env.unwrapped.physics
        with physics.reset_context():
            physics.data.qpos[:] = 0
        *_, terminated, truncated, info = env.step(still)
        assert (terminated, truncated, info["env_steps"]) == (True, False, 1)


# -------------------------------------------------------------------------------------------------------------------- keywords


def test_action_repeat_repeats_the_action_and_sums_the_rewards():
    action = np.linspace(-1, 1, 6, dtype=np.float32)
    kwargs = {"observation": "state"}
    with gym.make("dmc-cheetah-run", action_repeat=5, **kwargs) as repeated:
        repeated.reset(seed=1)
        last, total, *_, info = repeated.step(action)
    with gym.make("dmc-cheetah-run", action_repeat=1, **kwargs) as single:
        single.reset(seed=1)
        steps = [single.step(action) for _ in range(5)]
    np.testing.assert_array_equal(last, steps[-1][0])
    assert total == pytest.approx(sum(reward for _, reward, *_ in steps)) and total != 0
    assert info["env_steps"] == 5


def test_state_is_the_tasks_own_observation_in_alphabetical_order():
    with gym.make("dmc-walker-walk", observation="state") as env:
        observation, _ = env.reset(seed=0)
        inner = env.unwrapped
        parts = inner.task.get_observation(inner.physics)
        assert list(parts) != sorted(parts)  # or there is no order to see
        expected = np.concatenate([np.ravel(parts[name]) for name in sorted(parts)]).astype(np.float32)
        assert observation.dtype == np.float32
        np.testing.assert_array_equal(observation, expected)


@pytest.mark.parametrize(
    ("env_id", "kwargs", "shape"),
    [
        ("dmc-cheetah-run", {}, (7, 84, 84)),
        ("dmc-cartpole-swingup", {}, (6, 84, 84)),
        ("dmc-cheetah-run", {"size": 50, "frame_stack": 3}, (10, 50, 50)),
        ("dmc-cheetah-run", {"frame_stack": 1}, (3, 84, 84)),  # nothing to compare with
        ("dmc-cheetah-run", {"camera_shift": False}, (6, 84, 84)),
        ("dmc-cheetah-run", {"camera_shift": True}, (7, 84, 84)),
        ("dmc-cartpole-swingup", {"camera_shift": True}, (7, 84, 84)),
        ("dmc-cartpole-swingup", {"camera_id": "lookatcart"}, (7, 84, 84)),  # stays and turns
        ("dmc-fish-swim", {}, (7, 84, 84)),
        ("dmc-fish-swim", {"camera_id": "fixed_top"}, (6, 84, 84)),
        ("dmc-fish-swim", {"camera_id": "eye"}, (6, 84, 84)),  # carried by the fish
    ],
)
def test_keywords_give_the_observation_its_shape(env_id, kwargs, shape):
    with gym.make(env_id, **kwargs) as env:
        assert env.observation_space == spaces.Box(0, 255, shape, np.uint8)
        assert env.reset(seed=0)[0].shape == shape


def test_camera_can_be_named_or_numbered():
    pixels = []
    for camera_id in (0, "side", 1, "back"):
        with gym.make("dmc-cheetah-run", size=32, camera_id=camera_id) as env:
            pixels.append(rollout(env, seed=0, n_steps=2))
    np.testing.assert_array_equal(pixels[0], pixels[1])
    np.testing.assert_array_equal(pixels[2], pixels[3])
    assert (pixels[0] != pixels[2]).any()


@pytest.mark.parametrize("kind", ["pixels", "state"])
def test_rgb_array_has_the_render_size_and_the_agents_camera(kind):
    kwargs = {"observation": kind, "render_mode": "rgb_array", "size": 32, "camera_id": "back"}
    with gym.make("dmc-cheetah-run", **kwargs) as env, gym.make("dmc-cheetah-run", render_size=48, **kwargs) as small:
        for one, size in ((env, 256), (small, 48)):
            assert one.render_mode == "rgb_array"
            one.reset(seed=0)
            image = one.render()
            assert image.dtype == np.uint8
            np.testing.assert_array_equal(image, one.unwrapped.physics.render(size, size, camera_id=1))


@pytest.mark.slow
@pytest.mark.parametrize("env_id", ONE_TASK_OF_EACH_DOMAIN)
def test_a_buffer_as_small_as_the_frames_draws_the_pixels_of_mujocos_own(env_id):
    frames = []
    for buffer in (None, (640, 480)):
        with gym.make(env_id, size=48, render_size=48) as env:
            model, _ = mujoco_model_and_data(env)
            assert (model.vis.global_.offwidth, model.vis.global_.offheight) == (48, 48)
            if buffer:
                model.vis.global_.offwidth, model.vis.global_.offheight = buffer
            frames.append(rollout(env, seed=0, n_steps=2))
    np.testing.assert_array_equal(*frames)


@pytest.mark.parametrize("env_id", ["dmc-cartpole-swingup", "dmc-ball-in-cup-catch", "dmc-walker-walk"])
def test_fast_rendering_draws_nearly_the_same_pixels(env_id):
    with gym.make(env_id) as env, gym.make(env_id, fast_rendering=True) as fast:
        usual, coarse = (rollout(each, seed=0, n_steps=5).astype(int) for each in (env, fast))
    differences = np.abs(usual - coarse)
    assert 0 < differences.mean() < 0.6  # of 255
    assert (differences > 16).mean() < 0.01


@pytest.mark.parametrize("kwargs", [{}, dict(camera_id=["side", "back"], observation="pixels+state")])
def test_supersampled_frames_are_the_means_of_larger_ones(kwargs):
    n, size = 3, 20
    env, larger = (
        gym.make("dmc-cheetah-run", **kwargs, **each) for each in (dict(size=size, supersampling=n), dict(size=n * size))
    )
    for _ in range(2):
        (seen, _), (seen_larger, _) = env.reset(seed=1), larger.reset(seed=1)
        seen, seen_larger = ((each if isinstance(each, dict) else dict(side=each)) for each in (seen, seen_larger))
        for key in seen.keys() - {"state"}:
            assert seen[key].dtype == np.uint8
            means = seen_larger[key][1:].reshape(6, size, n, size, n).mean(axis=(2, 4))  # without the header plane
            np.testing.assert_allclose(seen[key][1:], means, atol=0.5)
            assert len(np.unique(seen[key][1:])) > 20
    env.close(), larger.close()


@pytest.mark.parametrize(("action_repeat", "fps"), [(None, 25), (1, 100)])
def test_videos_play_in_real_time(action_repeat, fps):
    with gym.make("dmc-cheetah-run", observation="state", action_repeat=action_repeat) as env:
        assert env.metadata["render_fps"] == pytest.approx(fps)  # a control step of the cheetah lasts 0.01 s


BAD_KEYWORDS = [
    ({"observation": "pixel"}, "observation must be 'pixels', 'state', 'pixels\\+state' or 'keypoints', got 'pixel'"),
    ({"action_repeat": 0}, "n=0|action_repeat=0|got 0"),
    ({"action_repeat": -2}, "n=-2|action_repeat=-2|got -2"),
    ({"size": 0}, "size must be at least 1, got 0"),
    ({"render_size": 0}, "render_size must be at least 1, got 0"),
    ({"frame_stack": 0}, "frame_stack must be at least 1"),
    ({"camera_id": "front"}, "no camera 'front'.*0: 'side', 1: 'back'"),
    ({"camera_id": 2}, "no camera 2.*0: 'side', 1: 'back'"),
    ({"camera_id": -1}, "no camera -1.*0: 'side', 1: 'back'"),
    ({"camera_id": "front", "observation": "state", "render_mode": "rgb_array"}, "no camera 'front'.*0: 'side', 1: 'back'"),
    ({"camera_shift": "on"}, "camera_shift.*'on'"),
    ({"camera_shift": True, "frame_stack": 1}, "n_frames must be at least 2"),
    ({"camera_shift": True, "size": 1}, "more channels than pixels on a side"),
    ({"time_limit": 0}, "time_limit must be greater than 0, got 0"),
    ({"time_limit": -1.0}, "got -1.0"),
    ({"time_limit": float("nan")}, "got nan"),
    ({"render_mode": "rgb"}, "render_mode.*'rgb'"),
]


@pytest.mark.parametrize(("kwargs", "words"), BAD_KEYWORDS, ids=[str(kwargs) for kwargs, _ in BAD_KEYWORDS])
def test_bad_keyword_is_refused_in_one_sentence(kwargs, words):
    with pytest.raises(ValueError, match=words) as refusal:
        gym.make("dmc-cheetah-run", **kwargs)
    sentence = str(refusal.value)
    assert sentence.endswith(".") and "\n" not in sentence and ". " not in sentence


def test_shift_of_a_camera_that_the_robot_carries_is_refused_when_the_environment_is_made():
    with pytest.raises(ValueError, match=r"attached to a body.*camera_shift=False"):
        gym.make("dmc-fish-swim", camera_id="eye", camera_shift=True)


# --------------------------------------------------------------------------------------------------------------------- actions


DEPRECATED = """
import warnings
{first}
import gymnasium as gym, sb3_fpac
gym.make("dmc-cartpole-swingup", observation="state")
for module, message in ("dm_control.mujoco.index", "Setting the shape on a NumPy array is old"), ("torch.jit", "also old"):
    warnings.warn_explicit(message, DeprecationWarning, "file.py", 1, module=module)
"""


@pytest.mark.parametrize(
    "first, shown",
    [
        ("", []),
        ("warnings.simplefilter('always', DeprecationWarning)", ["also old"]),
        ("import dm_control.composer", ["also old"]),  # which does the same
    ],
)
def test_environments_do_not_change_which_deprecations_are_shown(first, shown):
    """dm_control shows those of all packages, among them one of its own in every step"""
    printed = run_python("-c", DEPRECATED.format(first=first)).stderr
    assert [line for line in ("is old", "also old") if line in printed] == shown


def test_a_missing_dm_control_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "dm_control", None)
    no_deps = "--no-deps " if sys.version_info >= (3, 13) else ""
    with pytest.raises(ImportError, match=f'dm_control is missing: pip install {no_deps}"dm_control>=1.0.50"'):
        gym.make("dmc-cartpole-swingup", observation="state")


def test_unit_actions_reach_the_whole_range_of_the_task():
    with gym.make("dmc-quadruped-walk", observation="state", action_repeat=1) as env:
        low, high = env.unwrapped.action_space.low, env.unwrapped.action_space.high
        assert 1.1 in high.round(6).tolist()
        physics = env.unwrapped.physics
        env.reset(seed=0)
        for action, expected in ((1, high), (-1, low), (0, (low + high) / 2)):
            env.step(np.full(12, action, np.float32))
            np.testing.assert_allclose(physics.data.ctrl, expected, atol=1e-6)


def test_lqrs_unbounded_forces_pass_as_they_are():
    with gym.make("dmc-lqr-lqr-6-2", observation="state") as env:
        env.reset(seed=0)
        env.step(np.array([0.7, -0.3], np.float32))
        np.testing.assert_allclose(env.unwrapped.physics.data.ctrl, [0.7, -0.3], atol=1e-6)


class Echo(gym.Env):
    """Gives its action back."""

    observation_space = spaces.Box(-np.inf, np.inf, (4,), np.float64)

    def __init__(self, low, high):
        self.action_space = spaces.Box(np.array(low), np.array(high), dtype=np.float64)

    def step(self, action):
        return action, 0.0, False, False, {}


def test_every_action_is_scaled_to_its_own_range():
    env = UnitActions(Echo([-2, 0, -np.inf, -1e10], [2, 10, np.inf, 1e10]))
    assert env.action_space == spaces.Box(-1, 1, (4,), np.float32)
    for action, expected in ((-1, [-2, 0, -1, -1]), (0.5, [1, 7.5, 0.5, 0.5]), (1, [2, 10, 1, 1])):
        np.testing.assert_allclose(env.step(np.full(4, action, np.float32))[0], expected, atol=1e-6)
