"""One wrapper that adds the images of cameras to the observations of any environment."""

import gc
import os
import pickle
from unittest.mock import patch

import gymnasium as gym
import mujoco
import numpy as np
import pytest
import yaml
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import env_checker
from helpers.environments import Noise
from helpers.processes import run_python
from rl_zoo3.utils import get_wrapper_class
from stable_baselines3.common import env_checker as sb3_checker
from stable_baselines3.common.env_util import make_vec_env
from test_pixel_frames import Drawing, area_means

from sb3_fpac import ActionRepeat, AddPixels, PixelFrames, decode_camera_shift
from sb3_fpac.envs import register_robots
from sb3_fpac.envs.mujoco_frames import current_context_restored, gl_context

SIDE = dict(lookat=[0.0, 0.0, 0.5], distance=4.0, azimuth=90, elevation=-20)
HOPPER = "Hopper-v5"  # with the camera "track"


class GoalDrawing(Drawing):
    """States of a goal, and an image that is small enough to be drawn by hand"""

    observation_space = spaces.Dict(
        observation=spaces.Box(-1, 1, (2,), np.float32),
        achieved_goal=spaces.Box(-1, 1, (1,), np.float64),
        desired_goal=spaces.Box(-1, 1, (1,), np.float64),
    )

    def _with_goals(self, observation):
        goal = np.full(1, self.steps / 10)
        return {"observation": observation, "achieved_goal": goal, "desired_goal": goal}

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed)
        return self._with_goals(observation), info

    def step(self, action):
        observation, *rest = super().step(action)
        return self._with_goals(observation), *rest

    def compute_reward(self, achieved_goal, desired_goal, info):
        return -np.abs(achieved_goal - desired_goal)


def hopper(**kwargs):
    return gym.make(HOPPER, render_mode="rgb_array", width=100, height=80, **kwargs)


def draw_with_mujoco(env, camera, height, width):
    """By MuJoCo's own renderer, ``(3, height, width)``"""
    model, data = env.unwrapped.model, env.unwrapped.data
    size = model.vis.global_
    before = size.offwidth, size.offheight
    size.offwidth, size.offheight = max(width, before[0]), max(height, before[1])
    contexts = mujoco.rendering.classic.gl_context  # of the backend that was chosen when mujoco was imported
    with (
        current_context_restored(),
        patch.object(contexts, "GLContext", type(gl_context(height, width))),
        mujoco.Renderer(model, height, width) as renderer,
    ):
        renderer.update_scene(data, camera)
        frame = renderer.render().transpose(2, 0, 1)
    size.offwidth, size.offheight = before
    return frame


def free_camera(pose):
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    for name, value in pose.items():
        setattr(camera, name, value)
    return camera


# ------------------------------------------------------------------------------------------------------------ what is observed


def test_pictures_of_render_are_added_to_the_state():
    env = AddPixels(gym.make("Pendulum-v1", render_mode="rgb_array"), size=20, frame_stack=3)
    bare = PixelFrames(gym.make("Pendulum-v1", render_mode="rgb_array"), size=20, frame_stack=3)
    states = gym.make("Pendulum-v1")
    assert env.observation_space == spaces.Dict(pixels=bare.observation_space, state=states.observation_space)
    observations = [each.reset(seed=2) for each in (env, bare, states)]
    for _ in range(4):
        (both, info), (pixels, _), (state, info_of_state) = observations
        assert both in env.observation_space and info == info_of_state
        np.testing.assert_array_equal(both["pixels"], pixels)
        np.testing.assert_array_equal(both["state"], state)
        steps = [each.step(np.ones(1)) for each in (env, bare, states)]
        assert steps[0][1:] == steps[2][1:]  # reward, ends and info
        observations = [(step[0], step[-1]) for step in steps]


def test_frames_are_stacked_and_drawn_once_a_step():
    env = AddPixels(Drawing(), size=(9, 11), frame_stack=3)
    assert env.unwrapped.drawn == 0
    env.reset()
    for _ in range(4):
        observation, *_ = env.step(np.zeros(1))
    assert observation["pixels"][:, 0, 0].tolist() == [2, 2, 2, 3, 3, 3, 4, 4, 4]  # oldest first
    assert observation["pixels"].shape == (9, 9, 11) and env.unwrapped.drawn == 1 + 4
    assert (env.reset()[0]["pixels"] == 0).all()


def test_an_action_repeat_draws_once():
    env = AddPixels(Drawing(), size=8, action_repeat=3)
    env.reset()
    steps = [env.step(np.zeros(1)) for _ in range(3)]
    assert [(reward, info["env_steps"]) for _, reward, _, _, info in steps] == [(3, 3), (3, 3), (1, 1)]
    assert env.unwrapped.drawn == 1 + 3 and env.metadata["render_fps"] == 10


@pytest.fixture(autouse=True)
def no_context_of_other_tests():
    """Gymnasium's ``render()`` draws into the OpenGL context that is current, and what is freed is freed in that one"""
    nothing_is_current()
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    nothing_is_current()


def nothing_is_current():
    if os.environ.get("MUJOCO_GL") == "egl":
        from mujoco.egl import egl_ext as egl

        if egl.eglGetCurrentContext():
            egl.eglMakeCurrent(egl.eglGetCurrentDisplay(), egl.EGL_NO_SURFACE, egl.EGL_NO_SURFACE, egl.EGL_NO_CONTEXT)


def test_two_cameras_of_different_sizes_are_those_of_mujocos_renderer():
    cameras = dict(front="track", wide=SIDE, seen=None)
    env = AddPixels(hopper(), cameras=cameras, size=dict(front=24, wide=(16, 30), seen=20), camera_shift=False)
    assert {key: space.shape for key, space in env.observation_space.items()} == {
        "front": (6, 24, 24),
        "wide": (6, 16, 30),
        "seen": (6, 20, 20),
        "state": (11,),
    }
    buffer = env.unwrapped.model.vis.global_
    size_before = buffer.offwidth, buffer.offheight
    observation, _ = env.reset(seed=0)
    for _ in range(3):
        before = observation
        observation, *_ = env.step(env.action_space.sample())
        picture = env.render().transpose(2, 0, 1)
        np.testing.assert_allclose(observation["seen"][3:], area_means(picture, 20, 20), atol=0.5 + 1e-9)
        np.testing.assert_array_equal(observation["front"][3:], draw_with_mujoco(env, "track", 24, 24))
        np.testing.assert_array_equal(observation["wide"][3:], draw_with_mujoco(env, free_camera(SIDE), 16, 30))
        for key in cameras:
            np.testing.assert_array_equal(observation[key][:3], before[key][3:])
    assert len(np.unique(observation["front"])) > 20  # a picture
    assert (buffer.offwidth, buffer.offheight) == size_before
    env.close()


@pytest.mark.parametrize(
    "make", [hopper, lambda: gym.make("dmc-hopper-hop", observation="state")], ids=["mujoco", "dm_control"]
)
def test_supersampled_frames_are_the_means_of_larger_ones(make):
    arguments = dict(cameras=dict(a=0, b=SIDE), frame_stack=1)
    env = AddPixels(make(), size=dict(a=20, b=(12, 16)), supersampling=4, **arguments)
    larger = AddPixels(make(), size=dict(a=80, b=(48, 64)), **arguments)
    assert env.observation_space["b"].shape == (3, 12, 16)
    for seed in (0, 1):
        (seen, _), (seen_larger, _) = env.reset(seed=seed), larger.reset(seed=seed)
        for key, (height, width) in dict(a=(20, 20), b=(12, 16)).items():
            np.testing.assert_allclose(seen[key], area_means(seen_larger[key], height, width), atol=0.5 + 1e-9)
    env.close(), larger.close()


@pytest.mark.parametrize(
    "make", [hopper, lambda: gym.make("dmc-hopper-hop", observation="state")], ids=["mujoco", "dm_control"]
)
def test_fast_rendering_draws_coarser_shadows_and_shapes_and_leaves_the_model_to_others(make):
    options = dict(cameras=dict(a=0, b=SIDE), size=48, camera_shift=False)
    usual, fast, expected = (AddPixels(make(), **options, fast_rendering=each) for each in (False, True, False))
    quality = expected.unwrapped.model.vis.quality if make is hopper else expected.unwrapped.physics.model.vis.quality
    quality.shadowsize, quality.numslices, quality.numstacks = 512, 14, 8
    frames = [[env.reset(seed=0)[0][key] for key in "ab"] for env in (usual, fast, expected)]
    np.testing.assert_array_equal(frames[1], frames[2])
    assert 0 < np.abs(np.subtract(frames[0], frames[1], dtype=int)).mean() < 1  # of 255
    if make is hopper:  # dm_control draws all with one context
        assert fast.unwrapped.model.vis.quality.shadowsize == usual.unwrapped.model.vis.quality.shadowsize == 4096
    for env in (usual, fast, expected):
        env.close()


def test_fast_rendering_is_of_mujoco():
    with pytest.raises(ValueError, match="name a camera, or leave"):
        AddPixels(hopper(), fast_rendering=True)
    with pytest.raises(ValueError, match="fast_rendering must be True or False"):
        AddPixels(hopper(), cameras=[0], fast_rendering=1)


def test_a_picture_outlives_what_others_free():
    """A MuJoCo context that is freed late deletes the objects of the context that is current"""

    def play():
        env.reset(seed=0)
        return [env.step(np.zeros(3, np.float32))[0]["track"] for _ in range(2)]

    env = AddPixels(hopper(), cameras=["track"], size=40)
    expected = play()
    other = gym.make("HalfCheetah-v5", render_mode="rgb_array")
    other.reset(), other.render()
    viewer = other.unwrapped.mujoco_renderer.viewer
    kept = viewer.con
    viewer.free()
    play()
    del viewer, other
    gc.collect()
    play()
    del kept
    np.testing.assert_array_equal(play(), expected)
    env.close()


def test_drawing_changes_neither_the_simulation_nor_render():
    env, bare = AddPixels(hopper(), cameras=["track"], size=30), hopper()
    env.reset(seed=1), bare.reset(seed=1)
    for _ in range(4):
        action = bare.action_space.sample()
        observation, *rest = env.step(action)
        state, *rest_of_bare = bare.step(action)
        np.testing.assert_array_equal(observation["state"], state)
        assert rest == rest_of_bare
        np.testing.assert_array_equal(env.render(), bare.render())
    env.close(), bare.close()


def test_many_environments_draw_in_one_process():
    """Each has an OpenGL context of its own"""
    envs = [AddPixels(hopper(), cameras=["track"], size=size) for size in (24, 24, 40)]
    dmc = gym.make("dmc-cartpole-swingup", size=24)
    alone = dmc.reset(seed=0)[0]
    first = [env.reset(seed=0)[0]["track"] for env in envs]
    np.testing.assert_array_equal(first[0], first[1])
    np.testing.assert_array_equal(dmc.reset(seed=0)[0], alone)
    again = [env.reset(seed=0)[0]["track"] for env in envs]
    for before, after in zip(first, again, strict=True):
        np.testing.assert_array_equal(before, after)
    for env in (*envs, dmc):
        env.close()


def test_a_closed_environment_draws_again():
    env = AddPixels(hopper(), cameras=["track"], size=24)
    before = env.reset(seed=0)[0]["track"]
    env.close()
    np.testing.assert_array_equal(env.reset(seed=0)[0]["track"], before)
    env.close()


def test_it_draws_without_a_display_though_mujoco_was_imported_before():
    """MuJoCo chooses its backend when it is imported, and without a display chooses one that cannot draw"""
    program = """
import gymnasium as gym
env = gym.make("Hopper-v5")
import mujoco
from sb3_fpac import AddPixels
print(AddPixels(env, cameras=["track"], size=24).reset(seed=0)[0]["track"].std())
"""
    done = run_python("-c", program, display=False)
    assert float(done.stdout) > 10 and "Exception" not in done.stderr


@pytest.mark.parametrize("wrapped", ["PixelFrames(env, size=24)", "AddPixels(env, keep=[], size=24)"])
def test_what_gymnasiums_mujoco_renders_needs_no_display(wrapped):
    program = f"""
import gymnasium as gym
from sb3_fpac import AddPixels, PixelFrames
env = gym.make("Hopper-v5", render_mode="rgb_array", width=48, height=48)
observation, _ = {wrapped}.reset(seed=0)
print((observation["pixels"] if isinstance(observation, dict) else observation).std())
"""
    done = run_python("-c", program, display=False)
    assert float(done.stdout) > 10


@pytest.mark.parametrize("camera_shift, planes", [("auto", 1), (True, 1), (False, 0)])
@pytest.mark.parametrize("cameras", [["side", "1"], dict(side=0, back="back")])
def test_cameras_of_dm_control_are_those_of_its_own_environments(cameras, camera_shift, planes):
    kwargs = dict(size=24, camera_shift=camera_shift)
    env = AddPixels(gym.make("dmc-cheetah-run", observation="state"), cameras=cameras, **kwargs)
    theirs = gym.make("dmc-cheetah-run", observation="pixels+state", camera_id=["side", "back"], **kwargs)
    assert env.observation_space["side"].shape == (planes + 6, 24, 24)
    pairs = [(env.reset(seed=0)[0], theirs.reset(seed=0)[0])]
    action = np.ones(6, np.float32)
    pairs.append((env.step(action)[0], theirs.step(action)[0]))
    for observation, expected in pairs:
        assert set(observation) == set(expected) == {"side", "back", "state"}
        for key in expected:
            np.testing.assert_array_equal(observation[key], expected[key])
    env.close(), theirs.close()


def test_a_camera_that_follows_tells_its_shift_and_others_do_not():
    cameras = dict(side="side", far=SIDE, seen=None)
    walker = gym.make("dmc-walker-walk", observation="state", render_mode="rgb_array")
    env = AddPixels(walker, cameras=cameras, size=24, frame_stack=3)
    assert {key: env.observation_space[key].shape[0] for key in cameras} == dict(side=10, far=9, seen=9)
    env.reset(seed=0)
    for _ in range(20):
        observation, *_ = env.step(np.ones(6, np.float32))
    assert np.abs(decode_camera_shift(observation["side"][0], 2)).max() > 0.1  # pixels
    fixed = AddPixels(walker, cameras=cameras, size=24, camera_shift=dict(side=False, far="auto", seen="auto"))
    assert {fixed.observation_space[key].shape[0] for key in cameras} == {6}
    assert AddPixels(walker, cameras=["side"], frame_stack=1).observation_space["side"].shape[0] == 3
    env.close()


def test_the_free_camera_of_dm_control_can_be_larger_than_its_buffer():
    env = AddPixels(
        gym.make("dmc-cartpole-swingup", observation="state"), cameras=dict(far=SIDE, near=0), size=dict(far=300, near=20)
    )
    observation, _ = env.reset(seed=0)
    assert observation["far"].shape == (6, 300, 300) and len(np.unique(observation["far"])) > 20
    env.close()


# ------------------------------------------------------------------------------------------------------------------------ keys


@pytest.mark.parametrize(
    "keep, keys",
    [
        (None, {"observation", "achieved_goal", "desired_goal"}),
        (["observation"], {"observation"}),
        (("desired_goal", "observation"), {"observation", "desired_goal"}),
        ([], set()),
    ],
)
def test_the_keys_of_a_dict_stay_or_are_chosen(keep, keys):
    env = AddPixels(GoalDrawing(), size=8, keep=keep)
    env.reset()
    observation, *_ = env.step(np.zeros(1))
    assert set(observation) == set(env.observation_space) == {"pixels", *keys}
    assert observation in env.observation_space
    assert "desired_goal" not in keys or observation["desired_goal"] == 0.1
    assert env.get_wrapper_attr("compute_reward")(np.ones(1), np.zeros(1), {}) == -1


def test_the_state_can_be_left_out():
    assert set(AddPixels(Drawing(), size=8, keep=[]).reset()[0]) == {"pixels"}


# -------------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(cameras=["front"]), r"The model has no camera 'front': its cameras are {0: 'track'}"),
        (dict(cameras=dict(a="track", b=1)), r"The model has no camera 1: its cameras are {0: 'track'}"),
        (dict(cameras=["track", 0]), "cameras has 'track' and 0, which have the same key 'track'"),
        (dict(cameras=[]), "cameras must be a list of at least one camera"),
        (dict(cameras={}), "cameras must have at least one key"),
        (dict(cameras="track"), "cameras must be a dict from keys to cameras, or a list of cameras, got 'track'"),
        (dict(cameras={1: "track"}), "The keys of cameras must be text, got 1"),
        (dict(cameras=dict(state="track")), "cameras has the key 'state', which is a key of the other observations too"),
        (
            dict(cameras=dict(a=dict(lookat=[0, 0, 0]))),
            "A free camera has lookat, distance, azimuth and elevation, got 'lookat'",
        ),
        (dict(cameras=dict(a={**SIDE, "lookat": 3})), r"lookat must be a point \[x, y, z\], got 3"),
        (dict(cameras=dict(a={**SIDE, "distance": 0})), "distance must be greater than 0, got 0"),
        (dict(cameras=SIDE), r"A free camera needs a key, cameras=dict\(front=dict\(lookat=…, …\)\), got {'lookat'"),
        (dict(cameras=["track", SIDE]), r"A free camera needs a key, .*, got \['track', {'lookat'"),
        (dict(cameras=["track"], size=3), "size must be at least 4, got 3"),
        (
            dict(cameras=["track"], size=dict(side=20)),
            "size must be one value or a dict with the keys 'track', got the keys 'side'",
        ),
        (dict(cameras=["track"], size=dict(track=20.5)), r"size\['track'\] must be a whole number, got 20.5"),
        (dict(cameras=["track"], camera_shift="yes"), "camera_shift must be True, False or 'auto', got 'yes'"),
        (
            dict(cameras=dict(a="track", b=SIDE), camera_shift=True),
            "The camera of 'b' is none of the MuJoCo model, so its shift is not known: pass camera_shift='auto'",
        ),
        (dict(cameras=["track"], frame_stack=0), "frame_stack must be at least 1, got 0"),
        (dict(cameras=["track"], action_repeat=0), "action_repeat must be at least 1, got 0"),
        (dict(cameras=["track"], keep=["goal"]), "keep has 'goal', but the keys of the observations are 'state'"),
        (dict(cameras=["track"], keep="state"), "keep must be a list of keys, got 'state'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        AddPixels(hopper(), **arguments)


@pytest.mark.parametrize(
    "goal", [spaces.Dict(kettle=spaces.Box(-1, 1, (3,))), spaces.Text(9), spaces.Sequence(spaces.Box(0, 1))]
)
def test_observations_that_sb3_does_not_take_are_refused_with_what_can_be_kept(goal):
    env = Drawing()
    env.observation_space = spaces.Dict(goal=goal, observation=spaces.Box(-1, 1, (4,)))
    with pytest.raises(ValueError, match=r"vectors and images, but 'goal' is .*: leave it out, keep=\['observation'\]"):
        AddPixels(env, size=8)
    assert set(AddPixels(env, size=8, keep=["observation"]).observation_space) == {"pixels", "observation"}


def test_a_model_without_cameras_says_what_it_takes():
    with pytest.raises(ValueError, match=r"no camera 'track': it has none. AddPixels also takes a free camera, dict\(lookat="):
        AddPixels(gym.make("Reacher-v5"), cameras=["track"])


def test_environments_that_cannot_be_drawn_are_told_how():
    with pytest.raises(
        ValueError, match=r"is what env.render\(\) draws, but .* has render_mode=None: make it with gym.make\('Pen"
    ):
        AddPixels(gym.make("Pendulum-v1"))
    with pytest.raises(
        ValueError, match=r"Cameras are those of a MuJoCo simulation, but .* shows none .*: pass cameras=dict\(pixels=None"
    ):
        AddPixels(gym.make("Pendulum-v1", render_mode="rgb_array"), cameras=["front"])


def test_observations_that_are_no_vectors_are_refused():
    class Symbols(Drawing):
        observation_space = spaces.Tuple([spaces.Discrete(3)])

    with pytest.raises(ValueError, match=r"a vector or a Dict, got Tuple.*: make them a Dict"):
        AddPixels(Symbols())
    with pytest.raises(ValueError, match=r"a vector or a Dict, got Box.*: use PixelFrames"):
        AddPixels(Noise())


def test_what_is_no_picture_is_refused():
    with pytest.raises(
        ValueError, match=r"AddPixels needs pictures of shape .* but render\(\) of .* returned float64 \(20, 30, 3\)"
    ):
        AddPixels(Drawing(picture=np.zeros((20, 30, 3)))).reset()


# ---------------------------------------------------------------------------------------------------- copies, checks, RL Zoo


@pytest.mark.parametrize(
    "arguments",
    [
        dict(cameras=["track"], size=20),
        dict(cameras=dict(a="0", b=SIDE), size=dict(a=20, b=(12, 16)), frame_stack=3, action_repeat=2, keep=[]),
        dict(cameras=dict(a="track", b=SIDE), size=16, supersampling=2, fast_rendering=True),
        dict(cameras=dict(a="track", b=0), size=16, camera_shift=dict(a=False, b=True)),
    ],
)
def test_the_spec_goes_through_json_and_wraps_once(arguments):
    env = AddPixels(hopper(), **arguments)
    env.reset(seed=0)
    spec = EnvSpec.from_json(env.spec.to_json())
    assert spec == env.spec == pickle.loads(pickle.dumps(env.spec))
    assert [wrapper.name for wrapper in spec.additional_wrappers] == ["AddPixels"]
    rebuilt = gym.make(spec)
    assert rebuilt.spec == env.spec and rebuilt.observation_space == env.observation_space
    expected, observation = env.reset(seed=0)[0], rebuilt.reset(seed=0)[0]
    copy = pickle.loads(pickle.dumps(env))  # has drawn; Gymnasium makes its environments anew
    of_copy = copy.reset(seed=0)[0]
    for key in expected:
        np.testing.assert_array_equal(observation[key], expected[key])
        np.testing.assert_array_equal(of_copy[key], expected[key])
    for each in (env, rebuilt, copy):
        each.close()


def test_the_spec_of_what_has_none_is_none():
    assert AddPixels(Drawing()).spec is None


@pytest.mark.filterwarnings("ignore")
def test_the_checkers_of_gymnasium_and_sb3_are_content():
    env = AddPixels(gym.make(HOPPER, render_mode="rgb_array"), cameras=["track"], size=40)
    sb3_checker.check_env(env)
    env_checker.check_env(env, skip_render_check=True)
    env.close()


def test_make_vec_env_takes_it():
    envs = make_vec_env(HOPPER, n_envs=2, wrapper_class=AddPixels, wrapper_kwargs=dict(cameras=["track"], size=24))
    observations = envs.reset()
    assert observations["track"].shape == (2, 7, 24, 24) and observations["state"].shape == (2, 11)
    envs.close()


def test_rl_zoo_takes_it_as_env_wrapper():
    wrap = get_wrapper_class(
        yaml.safe_load("env_wrapper: [{sb3_fpac.AddPixels: {cameras: {front: track}, size: {front: [32, 48]}, keep: []}}]")
    )
    env = wrap(hopper())
    assert isinstance(env, AddPixels) and env.observation_space["front"].shape == (7, 32, 48)
    env.close()


# ----------------------------------------------------------------------------------------------------------------------- Fetch


def fetch(**kwargs):
    pytest.importorskip("gymnasium_robotics")
    register_robots()
    register_robots()  # twice does no harm
    return gym.make("FetchReachDense-v4", **kwargs)


def test_the_target_of_fetch_is_where_the_goal_is():
    """Gymnasium-Robotics places it when render() is called"""
    env = AddPixels(fetch(), cameras=["external_camera_0"], size=96, frame_stack=1, keep=["observation"])
    for seed in range(3):
        frame = env.reset(seed=seed)[0]["external_camera_0"].astype(int)
        env.unwrapped._render_callback()
        np.testing.assert_array_equal(frame, draw_with_mujoco(env, "external_camera_0", 96, 96))
        site = env.unwrapped.data.site("target0").xpos
        np.testing.assert_allclose(site, env.unwrapped.goal)
    seen = []
    for seed in range(12):
        red, green, blue = env.reset(seed=seed)[0]["external_camera_0"].astype(int)
        is_red = (red > 150) & (green < 60) & (blue < 60)
        seen.append(is_red.sum())
    assert np.mean(np.array(seen) >= 4) > 0.6  # the arm hides it at times
    env.close()


def test_fetch_keeps_its_goals_for_hindsight():
    env = AddPixels(fetch(), cameras=dict(front="external_camera_0"), size=20)
    assert set(env.observation_space) == {"front", "observation", "achieved_goal", "desired_goal"}
    observation, *_, info = [*env.reset(seed=0), *env.step(np.zeros(4, np.float32))][2:]
    reward = env.get_wrapper_attr("compute_reward")(observation["achieved_goal"], observation["desired_goal"], info)
    np.testing.assert_allclose(reward, -np.linalg.norm(observation["achieved_goal"] - observation["desired_goal"]))
    assert isinstance(env, AddPixels) and not isinstance(env.env, ActionRepeat)
    env.close()


def test_the_names_of_fetchs_cameras_are_told():
    with pytest.raises(ValueError, match=r"no camera 'front': its cameras are {0: 'head_camera_rgb', 1: 'gripper_camera_rgb'"):
        AddPixels(fetch(), cameras=["front"])
