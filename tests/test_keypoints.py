"""Handcrafted keypoints lie where the camera shows the robot's parts, and move as those do in the world."""

import gymnasium as gym
import mujoco
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.models import snapshot
from stable_baselines3 import SAC

from sb3_fpac.envs.keypoints import Keypoints
from sb3_fpac.envs.tasks import TASKS

SIZE = 200  # pixels


def keypoints(env_id, **kwargs):
    env = gym.make(env_id, observation="keypoints", relative_keypoints=False, **kwargs)
    return env, env.get_wrapper_attr("geoms")


def split(observation):
    positions, velocities = observation.reshape(2, -1, 2)
    return positions, velocities


@pytest.mark.parametrize("env_id, parts", [("dmc-cheetah-run", ["torso", "head"]), ("dmc-walker-walk", ["torso"])])
def test_projected_parts_lie_on_their_pixels(env_id, parts):
    env, geoms = keypoints(env_id)
    env.reset(seed=0)
    for _ in range(15):
        observation, *_ = env.step(env.action_space.sample())
    physics = env.unwrapped.physics
    shown = physics.render(height=SIZE, width=SIZE, camera_id=0, segmentation=True)[..., 0]  # numbers of geoms
    positions, _ = split(observation)
    for part in parts:
        geom = physics.model.name2id(part, "geom")
        column, row = np.rint((positions[list(geoms).index(geom)] + 1) / 2 * SIZE - 0.5).astype(int)
        assert shown[row, column] == geom, part
    env.close()


class TwoBalls(gym.Env):
    """One rolls, with the camera that tracks it; one could roll, but rests; beside them a floor and a wall"""

    MODEL = """
    <mujoco><option gravity="0 0 0"/><worldbody>
      <geom name="floor" type="plane" size="5 5 .1" pos="0 0 -1"/>
      <geom name="wall" type="box" size=".1 1 1" pos="3 0 0"/>
      <body name="rolling"><joint type="slide" axis="1 0 0"/><geom name="rolling" size=".1"/>
        <camera name="track" mode="trackcom" pos="0 -4 1" xyaxes="1 0 0 0 .2 1"/></body>
      <body name="resting" pos=".5 .5 0"><joint type="slide" axis="1 0 0"/><geom name="resting" size=".1"/></body>
    </worldbody></mujoco>"""

    def __init__(self):
        self.model = mujoco.MjModel.from_xml_string(self.MODEL)
        self.data = mujoco.MjData(self.model)
        self.observation_space = self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        self.data.qvel[0] = 1.0
        mujoco.mj_forward(self.model, self.data)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        mujoco.mj_step(self.model, self.data, 50)
        mujoco.mj_forward(self.model, self.data)  # places after the step, not before its last part
        return np.zeros(1, np.float32), 0.0, False, False, {}


def test_a_body_at_rest_has_no_velocity_while_the_camera_moves():
    env = Keypoints(TwoBalls(), relative=False)
    assert [env.unwrapped.model.geom(geom).name for geom in env.geoms] == ["rolling", "resting"]
    before, velocities = split(env.reset()[0])
    assert (velocities == 0).all()
    after, velocities = split(env.step(None)[0])
    assert after[1, 0] < before[1, 0] - 0.01  # the camera has left it behind
    np.testing.assert_array_equal(velocities[1], 0)
    # the rolling one stays in the middle of the picture: 0.1 along x, seen from 4.1 away (the camera looks slightly down)
    np.testing.assert_allclose(after[0], before[0], atol=1e-5)
    tangent = np.tan(np.deg2rad(env.unwrapped.model.cam_fovy[0]) / 2)
    depth = np.dot([0, 4, -1], np.cross([0, 0.2, 1], [1, 0, 0])) / np.linalg.norm([0, 0.2, 1])
    np.testing.assert_allclose(velocities[0], [0.1 / abs(depth) / tangent, 0], atol=1e-4)


def test_relative_positions_are_those_about_their_mean_and_velocities_stay():
    observations = []
    for relative in (False, True):
        env = Keypoints(TwoBalls(), relative=relative)
        env.reset()
        observations.append(split(env.step(None)[0]))
    (absolute, velocities), (about_mean, same) = observations
    np.testing.assert_allclose(about_mean, absolute - absolute.mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(velocities, same)


def test_what_a_task_puts_elsewhere_in_every_episode_is_a_keypoint_and_the_floor_is_none():
    env, geoms = keypoints("dmc-reacher-easy")
    names = {env.unwrapped.physics.model.id2name(int(geom), "geom") for geom in geoms}
    assert "target" in names and "finger" in names and "ground" not in names
    assert env.observation_space.shape == (4 * len(geoms),)


def test_nothing_that_moves_is_refused():
    class Still(TwoBalls):
        MODEL = (
            """<mujoco><worldbody><geom name="floor" type="plane" size="5 5 .1"/><camera pos="0 0 3"/></worldbody></mujoco>"""
        )

        def reset(self, *, seed=None, options=None):
            mujoco.mj_forward(self.model, self.data)
            return np.zeros(1, np.float32), {}

    with pytest.raises(ValueError, match=r"no keypoints, because nothing in it moves"):
        Keypoints(Still())
    with pytest.raises(ValueError, match="no camera 'side'"):
        Keypoints(TwoBalls(), "side").reset()


@pytest.mark.parametrize("env_id", ["dmc-cartpole-swingup", "dmc-ball-in-cup-catch", "dmc-finger-spin", "dmc-quadruped-walk"])
def test_tasks_have_finite_keypoints_that_seeds_repeat(env_id):
    assert env_id in TASKS
    episodes = []
    for _ in range(2):
        env = gym.make(env_id, observation="keypoints")
        observations = [env.reset(seed=3)[0]]
        env.action_space.seed(0)
        observations += [env.step(env.action_space.sample())[0] for _ in range(5)]
        episodes.append(np.stack(observations))
    assert np.isfinite(episodes[0]).all() and episodes[0].dtype == np.float32
    np.testing.assert_array_equal(*episodes)


def test_sacs_updates_move_all_networks_on_keypoints():
    env = gym.make("dmc-cartpole-swingup", observation="keypoints")
    model = SAC("MlpPolicy", env, policy_kwargs=dict(net_arch=[8]), learning_starts=5, batch_size=4, buffer_size=50, seed=0)
    before = snapshot(model.actor, model.critic, model.critic_target)
    model.learn(20)
    after = snapshot(model.actor, model.critic, model.critic_target)
    assert model._n_updates == 15
    assert all(tensor.isfinite().all() for tensor in after)
    assert not any(th.equal(one, other) for one, other in zip(before, after, strict=True))
