"""The bytes of the header plane, and the MuJoCo cameras that fill it."""

import os
from collections import deque

import gymnasium as gym
import mujoco
import numpy as np
import pytest
import torch as th
from gymnasium.wrappers import AddRenderObservation
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from stable_baselines3.common.preprocessing import preprocess_obs

from sb3_fpac import CameraShift, FrameStack, MujocoCamera, decode_camera_shift, encode_camera_shift
from sb3_fpac.envs.cameras import find_camera, follows
from sb3_fpac.envs.rendering import choose_backend

HALF_A_UNIT = 1 / 128 + 1e-6  # a shift is rounded to 1/64 pixel
LOWEST, HIGHEST = -512.0, 512 - 1 / 64


def shifts(lowest, highest):
    numbers = st.floats(lowest, highest, allow_nan=False, allow_infinity=False)
    return st.integers(1, 4).flatmap(lambda n: arrays(np.float64, (n, 2), elements=numbers))


# ---------------------------------------------------------------------------------------------------------- the header's bytes


@given(shifts(LOWEST, HIGHEST), st.integers(4, 9), st.integers(4, 9))
def test_decode_inverts_encode_to_half_a_unit(shift, height, width):
    plane = encode_camera_shift(shift, height, width)
    assert plane.shape == (height, width) and plane.dtype == np.uint8
    assert not plane.ravel()[4 * len(shift) :].any()
    assert np.abs(decode_camera_shift(plane, len(shift)) - shift).max() <= 1 / 128


@given(shifts(-1e9, 1e9))
def test_overflow_is_clipped(shift):
    decoded = decode_camera_shift(encode_camera_shift(shift, 8, 8), len(shift))
    assert np.abs(decoded - np.clip(shift, LOWEST, HIGHEST)).max() <= 1 / 128


def test_every_multiple_of_a_unit_survives_exactly():
    every = np.arange(-(2**15), 2**15).reshape(-1, 2) / 64
    np.testing.assert_array_equal(decode_camera_shift(encode_camera_shift(every, 256, 512), len(every)), every)


def test_bytes_are_big_endian_twos_complement_row_by_row():
    plane = encode_camera_shift([[1.5, -1 / 64], [-512.0, 300.0]], 3, 3)  # 96, -1, -32768, 19200 units
    np.testing.assert_array_equal(plane, [[0, 96, 255], [255, 128, 0], [75, 0, 0]])


@pytest.mark.parametrize("n_past_frames", [1, 3])
def test_zero_plane_decodes_to_zero(n_past_frames):
    np.testing.assert_array_equal(decode_camera_shift(np.zeros((5, 7), np.uint8), n_past_frames), np.zeros((n_past_frames, 2)))
    np.testing.assert_array_equal(encode_camera_shift(np.zeros((n_past_frames, 2)), 5, 7), np.zeros((5, 7)))


@given(arrays(np.uint8, (2, 3, 4, 4)))
def test_numpy_and_torch_agree_on_batches_of_planes(planes):
    decoded = decode_camera_shift(planes, 4)
    assert decoded.shape == (2, 3, 4, 2) and decoded.dtype == np.float64
    for dtype in (th.uint8, th.float32):
        by_torch = decode_camera_shift(th.as_tensor(planes).to(dtype), 4)
        assert by_torch.shape == (2, 3, 4, 2) and by_torch.dtype == th.float32
        np.testing.assert_array_equal(by_torch.numpy(), decoded)
    np.testing.assert_array_equal(decode_camera_shift(planes[1, 2], 4), decoded[1, 2])


def test_bytes_survive_sb3s_division_by_255_in_float32():
    space = gym.spaces.Box(0, 255, (1, 16, 16), np.uint8)
    planes = th.arange(256, dtype=th.uint8).reshape(1, 1, 16, 16)
    divided = preprocess_obs(planes, space)
    assert divided.dtype == th.float32 and divided.max() == 1
    th.testing.assert_close((divided * 255).round(), planes.float(), rtol=0, atol=0)
    shift = np.array([[-0.015625, 511.984375]])
    plane = th.as_tensor(encode_camera_shift(shift, 16, 16))[None, None]
    np.testing.assert_array_equal(decode_camera_shift((preprocess_obs(plane, space) * 255).round(), 1)[0, 0], shift)


@pytest.mark.parametrize("shift", [np.zeros(2), np.zeros((2, 3)), np.zeros((1, 1, 2)), 0.0])
def test_encode_refuses_a_wrong_shape(shift):
    with pytest.raises(ValueError, match=r"shape \(past frames, 2\), got \("):
        encode_camera_shift(shift, 8, 8)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_encode_refuses_what_is_not_finite(number):
    with pytest.raises(ValueError, match="must be finite, got"):
        encode_camera_shift([[0.0, number]], 8, 8)


def test_encode_refuses_a_plane_that_is_too_small():
    np.testing.assert_array_equal(encode_camera_shift(np.ones((2, 2)), 2, 4), [[0, 64, 0, 64]] * 2)  # just enough
    with pytest.raises(ValueError, match=r"2×4 plane is too small .* 3 past frames"):
        encode_camera_shift(np.zeros((3, 2)), 2, 4)


# ------------------------------------------------------------------------------------------- what a camera sees, independently


def centre_of_mass(model, data, body):
    """Of a body and of all that hangs on it, from the masses and places of its parts."""
    members = []
    for member in range(model.nbody):
        ancestor = member
        while ancestor not in (0, body):
            ancestor = model.body_parentid[ancestor]
        if ancestor == body:
            members.append(member)
    masses = np.asarray(model.body_mass)[members]
    return masses @ np.asarray(data.xipos)[members] / masses.sum()


def camera_of_dm_control(physics, camera_id):
    from dm_control.mujoco import engine  # only now: dm_control chooses its OpenGL backend when it is imported

    return engine.Camera(physics, 84, 84, camera_id)


def projection_of_dm_control(camera):
    """The moment's projection by dm_control's camera matrix."""
    matrix = camera.matrix.copy()

    def project(point):
        x, y, z = matrix @ np.append(point, 1)
        return np.array([x / z, y / z])

    return project


def projection_of_mujoco(model, data, camera, height):
    """The moment's projection by the very camera that MuJoCo hands to OpenGL, taken from the abstract scene."""
    scene = mujoco.MjvScene(model, maxgeom=1000)
    view = mujoco.MjvCamera()
    view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, camera
    mujoco.mjv_updateScene(model, data, mujoco.MjvOption(), None, view, mujoco.mjtCatBit.mjCAT_ALL, scene)
    position = np.mean([eye.pos for eye in scene.camera], axis=0)  # two eyes
    forward, up = np.array(scene.camera[0].forward), np.array(scene.camera[0].up)
    per_tangent = height / 2 * scene.camera[0].frustum_near / scene.camera[0].frustum_top

    def project(point):
        ray = np.asarray(point) - position
        return per_tangent * np.array([ray @ np.cross(forward, up), -(ray @ up)]) / (ray @ forward)

    return project


def marker_in_the_picture(physics, point, camera_id=0, size=84, magnify=4):
    """Where a small glowing ball at a point of the world is found in the rendered image."""

    def nothing_but_a_marker(_, scene):
        scene = scene.ptr
        scene.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = 0
        scene.ngeom = 1
        sphere = mujoco.mjtGeom.mjGEOM_SPHERE
        mujoco.mjv_initGeom(scene.geoms[0], sphere, np.full(3, 0.03), point, np.eye(3).ravel(), np.ones(4, np.float32))
        scene.geoms[0].emission = 1

    image = physics.render(size * magnify, size * magnify, camera_id, scene_callback=nothing_but_a_marker)
    light = image.sum(axis=-1).astype(np.float64)
    light -= np.median(light)
    assert 5 < (light > 0).sum() < light.size / 10
    rows, columns = np.indices(light.shape)
    return np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum() / magnify


# ------------------------------------------------------------------------------------------------------------------ dm_control

FOLLOWED = [
    ("dmc-cheetah-run", 0, "torso"),
    ("dmc-cheetah-run", "back", "torso"),  # looks along the way
    ("dmc-walker-walk", 0, "torso"),  # tilted
    ("dmc-hopper-hop", 0, "world"),
    ("dmc-dog-fetch", 0, "ball"),  # turns and does not move
]


@pytest.mark.slow
@pytest.mark.parametrize(("env_id", "camera_id", "body"), FOLLOWED)
def test_header_follows_the_centre_of_mass(env_id, camera_id, body):
    with gym.make(env_id, camera_id=camera_id) as env:
        physics = env.unwrapped.physics
        body = physics.model.name2id(body, "body")
        camera = camera_of_dm_control(physics, camera_id)
        largest = 0.0
        for seed in range(3):
            env.action_space.seed(seed)
            observation, _ = env.reset(seed=seed)
            assert not observation[0].any()
            for _ in range(5):
                before, point = projection_of_dm_control(camera), centre_of_mass(physics.model, physics.data, body)
                observation, *_ = env.step(env.action_space.sample())
                moved = projection_of_dm_control(camera)(point) - before(point)
                np.testing.assert_allclose(decode_camera_shift(observation[0], 1)[0], moved, rtol=0, atol=HALF_A_UNIT)
                largest = max(largest, np.abs(moved).max())
        assert largest > 0.5  # or there was nothing to see


@pytest.mark.parametrize(("env_id", "body"), [("dmc-cheetah-run", "torso"), ("dmc-walker-walk", "torso")])
def test_header_says_how_far_a_marker_in_the_world_moves_in_the_picture(env_id, body):
    with gym.make(env_id, render_size=4 * 84) as env:
        physics = env.unwrapped.physics
        body = physics.model.name2id(body, "body")
        env.action_space.seed(0)
        env.reset(seed=0)
        path = np.zeros(2)
        for _ in range(6):
            point = centre_of_mass(physics.model, physics.data, body)
            before = marker_in_the_picture(physics, point)
            observation, *_ = env.step(env.action_space.sample())
            moved = marker_in_the_picture(physics, point) - before
            np.testing.assert_allclose(decode_camera_shift(observation[0], 1)[0], moved, rtol=0, atol=0.1)
            path += np.abs(moved)
        assert path.max() > 1


def test_header_of_a_stack_of_three_measures_both_past_frames_oldest_first():
    with gym.make("dmc-cheetah-run", frame_stack=3) as env:
        physics = env.unwrapped.physics
        camera, torso = camera_of_dm_control(physics, 0), physics.model.name2id("torso", "body")
        env.action_space.seed(1)
        observation, _ = env.reset(seed=1)
        assert observation.shape == (10, 84, 84) and not observation[0].any()
        moments = deque(maxlen=3)
        moments.extend([(projection_of_dm_control(camera), centre_of_mass(physics.model, physics.data, torso))] * 3)
        for _ in range(6):
            observation, *_ = env.step(env.action_space.sample())
            moments.append((projection_of_dm_control(camera), centre_of_mass(physics.model, physics.data, torso)))
            *past, (now, _) = moments
            moved = [now(point) - then(point) for then, point in past]
            np.testing.assert_allclose(decode_camera_shift(observation[0], 2), moved, rtol=0, atol=HALF_A_UNIT)
        assert np.abs(moved[0] - moved[1]).max() > 0.1


def test_header_of_a_fixed_camera_is_zero():
    with gym.make("dmc-cartpole-swingup", size=32, camera_shift=True) as env:
        observation, _ = env.reset(seed=0)
        assert observation.shape == (7, 32, 32) and not observation[0].any()
        for _ in range(4):
            observation, *_ = env.step(np.ones(1, np.float32))
            assert not observation[0].any()
        assert (observation[1:4] != observation[4:]).any()  # the cart did move


def test_reset_in_the_middle_of_an_episode_starts_from_zero():
    with gym.make("dmc-cheetah-run", size=32, frame_stack=3) as env:
        env.reset(seed=0)
        for _ in range(3):
            observation, *_ = env.step(env.action_space.high)
        assert observation[0].any()
        observation, _ = env.reset()
        assert not observation[0].any()


# --------------------------------------------------------------------------------------------- Gymnasium's MuJoCo environments


@pytest.fixture
def drawing(monkeypatch):
    """Gymnasium's MuJoCo environments leave the choice of the backend to the user"""
    original = os.environ.get("MUJOCO_GL")
    monkeypatch.setenv("MUJOCO_GL", original or "")
    if not original:
        monkeypatch.delenv("MUJOCO_GL")
        choose_backend()


@pytest.mark.parametrize("env_id", ["HalfCheetah-v5", "Walker2d-v5", "Ant-v5"])
def test_header_is_right_for_gymnasiums_mujoco_environments(env_id, drawing):
    height, width = 48, 64
    frames = AddRenderObservation(gym.make(env_id, render_mode="rgb_array", camera_name="track", height=height, width=width))
    with CameraShift(FrameStack(frames), MujocoCamera("track")) as env:
        model, data = env.unwrapped.model, env.unwrapped.data
        camera = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, "track")
        torso = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "torso")
        env.action_space.seed(0)
        observation, _ = env.reset(seed=0)
        assert observation.shape == (7, height, width) and not observation[0].any()
        path = 0.0
        for _ in range(20):
            before, point = projection_of_mujoco(model, data, camera, height), centre_of_mass(model, data, torso)
            observation, *_ = env.step(env.action_space.sample())
            moved = projection_of_mujoco(model, data, camera, height)(point) - before(point)
            np.testing.assert_allclose(decode_camera_shift(observation[0], 1)[0], moved, rtol=0, atol=HALF_A_UNIT)
            path += np.abs(moved).max()
        assert path > 0.5


# ----------------------------------------------------------------------------------------------------------- models of our own

MODEL = """
<mujoco>
  <worldbody>
    <light pos="0 0 5"/>
    <camera name="fixed" pos="0 -4 2" xyaxes="1 0 0 0 1 2"/>
    <camera name="targetbody" mode="targetbody" target="robot" pos="1 -3 2"/>
    <camera name="targetbodycom" mode="targetbodycom" target="robot" pos="1 -3 2"/>
    <camera name="orthographic" projection="orthographic" fovy="2" pos="0 -4 2"/>
    <camera name="sensor" sensorsize="0.02 0.02" resolution="10 10" focal="0.02 0.02" pos="0 -4 2"/>
    <body name="crate" pos="2 1 0">
      <geom type="box" size="0.2 0.2 0.2"/>
    </body>
    <body name="robot">
      <freejoint/>
      <camera name="track" mode="track" pos="0.3 -3 1" xyaxes="1 0.2 0 0 1 3" fovy="60"/>
      <camera name="trackcom" mode="trackcom" pos="0.3 -3 1" xyaxes="1 0.2 0 0 1 3" fovy="30"/>
      <camera name="carried" pos="0 0 1"/>
      <geom type="box" size="0.2 0.1 0.1"/>
      <body name="arm" pos="0.5 0.1 0.3">
        <joint type="hinge" axis="0 1 0"/>
        <geom type="sphere" size="0.2" pos="0.2 0 0.1"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


class Simulation(gym.Env):
    """A model behind the names that Gymnasium's MuJoCo environments have for its parts."""

    def __init__(self):
        self.model = mujoco.MjModel.from_xml_string(MODEL)
        self.data = mujoco.MjData(self.model)
        self.put(np.zeros(3), 0.0)

    def put(self, position, angle):
        self.data.qpos[:3], self.data.qpos[3:7] = position, [np.cos(angle / 2), 0, 0, np.sin(angle / 2)]
        self.data.qpos[7] = 2 * angle
        mujoco.mj_forward(self.model, self.data)


@pytest.mark.parametrize("name", ["track", "trackcom", "targetbody", "targetbodycom"])
def test_shift_is_exact_for_every_way_in_which_a_camera_follows(name):
    simulation, height, width = Simulation(), 48, 96
    model, data, number = simulation.model, simulation.data, find_camera(simulation.model, name)
    assert follows(model, number)
    past, before = MujocoCamera(name)(simulation, height, width), projection_of_mujoco(model, data, number, height)
    point = centre_of_mass(model, data, mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, "robot"))
    np.testing.assert_allclose(past.anchor, point, atol=1e-9)
    simulation.put(np.array([0.2, 0.1, -0.15]), 0.3)
    now, after = MujocoCamera(number)(simulation, height, width), projection_of_mujoco(model, data, number, height)
    shift = now.project(past.anchor) - past.project(past.anchor)  # the past view must not have moved along
    np.testing.assert_allclose(shift, after(point) - before(point), atol=1e-3)
    assert np.abs(shift).min() > 1


def test_fixed_camera_sees_the_world_stand_still():
    simulation = Simulation()
    assert not follows(simulation.model, find_camera(simulation.model, "fixed"))
    past = MujocoCamera("fixed")(simulation, 48, 48)
    np.testing.assert_allclose(past.anchor, centre_of_mass(simulation.model, simulation.data, 0), atol=1e-9)
    simulation.put(np.ones(3), 1.0)
    now = MujocoCamera("fixed")(simulation, 48, 48)
    np.testing.assert_array_equal(now.project(past.anchor), past.project(past.anchor))


@pytest.mark.parametrize("camera_id", ["nowhere", 99, -1])
def test_unknown_camera_is_refused_with_the_names(camera_id):
    with pytest.raises(ValueError, match=rf"no camera {camera_id!r}.*0: 'fixed'.*'trackcom'"):
        MujocoCamera(camera_id)(Simulation(), 48, 48)


@pytest.mark.parametrize("name", ["orthographic", "sensor"])
def test_camera_that_is_not_given_by_its_field_of_view_is_refused(name):
    with pytest.raises(ValueError, match=f"Camera '{name}' must be a perspective camera"):
        MujocoCamera(name)(Simulation(), 48, 48)


def test_camera_that_a_body_carries_is_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"attached to a body.*camera_shift=False"):
        MujocoCamera("carried")(Simulation(), 48, 48)
    assert not follows(Simulation().model, find_camera(Simulation().model, "carried"))


def test_environment_without_a_simulation_is_refused():
    with pytest.raises(ValueError, match="dm_control or Gymnasium MuJoCo environment"):
        MujocoCamera()(gym.make("CartPole-v1"), 48, 48)
