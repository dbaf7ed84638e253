"""Several cameras, and the state beside the images, of the tasks of DeepMind Control."""

import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from stable_baselines3.common.env_checker import check_env

from sb3_fpac.envs import cameras, make_dmc

CHEETAH = "dmc-cheetah-run"  # "side" follows the robot, "back" too
CUP = "dmc-ball-in-cup-catch"  # two cameras that are fixed in the world


def rollout(env, n=3, seed=4):
    """The observations of an episode's first steps"""
    rng = np.random.default_rng(seed)
    observations = [env.reset(seed=seed)[0]]
    for _ in range(n):
        observation, reward, *_ = env.step(rng.uniform(-1, 1, env.action_space.shape).astype(np.float32))
        observations.append(observation)
    env.close()
    return observations, reward


@pytest.mark.parametrize(
    "env_id, camera_id, keys, options",
    [
        (CHEETAH, [0, "back"], ["side", "back"], dict(size=24)),
        (CHEETAH, ["1", "0"], ["back", "side"], dict(size=24, frame_stack=3, action_repeat=1)),
        (CHEETAH, ("side",), ["side"], dict(size=20, camera_shift=False)),
        (CUP, ["cam0", "cam1"], ["cam0", "cam1"], dict(size=24)),
        (CUP, ["cam0", "cam1"], ["cam0", "cam1"], dict(size=24, camera_shift=True)),
        (CUP, [0], ["cam0"], dict(size=24, frame_stack=1)),
        ("dmc-fish-swim", ["tracking_top", "fixed_top"], ["tracking_top", "fixed_top"], dict(size=24)),
    ],
)
def test_every_stack_is_that_of_the_single_camera(env_id, camera_id, keys, options):
    """With its header plane, if the camera follows a body"""
    together, reward = rollout(gym.make(env_id, camera_id=camera_id, **options))
    assert all(set(observation) == set(keys) for observation in together)
    for key in keys:
        alone, reward_alone = rollout(gym.make(env_id, camera_id=key, **options))
        assert reward_alone == reward
        for one, observation in zip(alone, together, strict=True):
            np.testing.assert_array_equal(observation[key], one)


@pytest.mark.parametrize("camera_id, keys", [(0, ["pixels"]), ("back", ["pixels"]), (["side", "back"], ["side", "back"])])
def test_the_state_is_that_of_the_state_alone(camera_id, keys):
    together, reward = rollout(gym.make(CHEETAH, observation="pixels+state", camera_id=camera_id, size=20))
    states, reward_alone = rollout(gym.make(CHEETAH, observation="state"))
    assert reward == reward_alone
    for observation, state in zip(together, states, strict=True):
        assert set(observation) == {*keys, "state"}
        assert observation["state"].dtype == np.float32
        np.testing.assert_array_equal(observation["state"], state)


def test_the_pixels_beside_the_state_are_those_of_the_pixels_alone():
    together, _ = rollout(gym.make(CHEETAH, observation="pixels+state", size=20))
    alone, _ = rollout(gym.make(CHEETAH, size=20))
    for observation, pixels in zip(together, alone, strict=True):
        np.testing.assert_array_equal(observation["pixels"], pixels)


def test_the_physics_takes_one_step_and_every_camera_draws_once(monkeypatch):
    env = gym.make(CHEETAH, camera_id=["side", "back"], observation="pixels+state", action_repeat=3, size=20)
    physics, drawn, steps = env.unwrapped.physics, [], []
    render, step = physics.render, env.unwrapped._env.step
    monkeypatch.setattr(physics, "render", lambda **kwargs: drawn.append(kwargs["camera_id"]) or render(**kwargs))
    monkeypatch.setattr(env.unwrapped._env, "step", lambda action: steps.append(0) or step(action))
    env.reset(seed=0)
    assert drawn == [0, 1] and not steps
    env.step(env.action_space.sample())
    assert drawn == [0, 1] * 2 and len(steps) == 3
    env.close()


def test_the_space_is_a_dict_that_sb3_accepts():
    env = gym.make(CHEETAH, camera_id=["side", "back"], observation="pixels+state", size=dict(side=24, back=20))
    assert env.observation_space == spaces.Dict(
        side=spaces.Box(0, 255, (7, 24, 24), np.uint8),
        back=spaces.Box(0, 255, (7, 20, 20), np.uint8),
        state=spaces.Box(-np.inf, np.inf, (17,), np.float32),
    )
    assert env.reset()[0] in env.observation_space
    check_env(env)
    env.close()


def test_numbers_may_be_text_for_a_single_camera_too():
    """RL Zoo's --env-kwargs hands text"""
    number, _ = rollout(gym.make(CHEETAH, camera_id=1, size=20))
    text, _ = rollout(gym.make(CHEETAH, camera_id="1", size=20, render_mode="rgb_array"))
    np.testing.assert_array_equal(number, text)


def test_the_picture_of_render_is_that_of_the_first_camera():
    env = gym.make(CHEETAH, camera_id=["1", "0"], size=20, render_mode="rgb_array", render_size=30)
    env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), env.unwrapped.physics.render(30, 30, camera_id=1))
    env.close()


class Model:
    """Names of cameras, as MuJoCo's model has them"""

    def __init__(self, *names):
        self.ncam = len(names)
        self.names = b"".join(name.encode() + b"\0" for name in names)
        self.name_camadr = np.cumsum([0] + [len(name) + 1 for name in names[:-1]])


def test_keys_are_names_without_dots_or_numbers_as_text():
    model = Model("arm.wrist", "", "7")
    assert cameras.find_cameras("camera_id", model, ["1", "arm.wrist", "7"]) == {"1": 1, "arm_wrist": 0, "7": 2}
    assert cameras.find_camera(Model("a", "0"), "0") == 1  # a name goes before a number
    with pytest.raises(ValueError, match=r"'a\.b' and 'a_b', which have the same key 'a_b'"):
        cameras.find_cameras("camera_id", Model("a.b", "a_b"), ["a.b", "a_b"])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(camera_id=[0, "side"]), "camera_id has 0 and 'side', which have the same key 'side': list every camera once"),
        (dict(camera_id=["1", "1"]), "camera_id has '1' and '1'"),
        (dict(camera_id=[]), r"camera_id must be a list of at least one camera, got \[\]"),
        (dict(camera_id=["side", "front"]), "no camera 'front': its cameras are {0: 'side', 1: 'back'}"),
        (dict(camera_id=["side", "2"]), "no camera '2'"),
        (
            dict(camera_id=["side"], size=dict(back=3)),
            "size must be one value or a dict with the keys 'side', got the keys 'back'",
        ),
        (dict(camera_id=["side"], size=dict(side=0)), r"size\['side'\] must be at least 1, got 0"),
        (dict(camera_id=["side"], size=1.5), "size must be a whole number, got 1.5"),
        (dict(size=dict(side=3)), "size must be a whole number"),
        (dict(camera_id=["side"], observation="keypoints"), r"Keypoints are those of one camera, got the list \['side'\]"),
        (dict(observation="both"), "observation must be 'pixels', 'state', 'pixels\\+state' or 'keypoints', got 'both'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_dmc("cheetah", "run", **arguments)


@pytest.mark.parametrize(
    "kwargs",
    [dict(camera_id=["side", "1"]), dict(camera_id=["side"], observation="pixels+state"), dict(observation="pixels+state")],
)
def test_the_environment_is_made_again_from_json_and_pickled(kwargs):
    env = gym.make(CHEETAH, size=20, **kwargs)
    env.reset(seed=3)
    spec = EnvSpec.from_json(json.loads(json.dumps(env.spec.to_json())))
    assert spec == env.spec == pickle.loads(pickle.dumps(env.spec))
    again = gym.make(spec)
    again.reset(seed=3)
    copy = pickle.loads(pickle.dumps(env))
    action = np.ones(6, np.float32)
    expected = env.step(action)[0]
    for other in (again, copy):
        observation = other.step(action)[0]
        assert set(observation) == set(expected)
        for key in expected:
            np.testing.assert_array_equal(observation[key], expected[key])
    for each in (env, again, copy):
        each.close()
