"""Cameras that move beside others and beside vectors."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces

from sb3_fpac import FPAC, CameraShift, CameraView, FeaturePointExtractor, FrameStack, decode_camera_shift

WRIST, FRONT = (24, 32, 3), (28, 28, 3)


class Gripper(gym.Env):
    """A wrist camera that travels over a table, a camera that rests, and the place of the wrist."""

    def __init__(self, length=7):
        front, wrist = (spaces.Box(0, 255, shape, np.uint8) for shape in (FRONT, WRIST))
        self.observation_space = spaces.Dict(front=front, place=spaces.Box(-99, 99, (2,), np.float32), wrist=wrist)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)
        self.table = np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8)
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.steps = np.array([30, 30]), 0
        return self.observe(), {}

    def step(self, action):
        self.place, self.steps = np.clip(self.place + np.rint(4 * action).astype(int), 0, 60), self.steps + 1
        return self.observe(), float(action.sum()), False, self.steps == self.length, {}

    def observe(self):
        x, y = self.place
        wrist = self.table[y : y + WRIST[0], x : x + WRIST[1]].copy()
        return dict(wrist=wrist, front=self.table[:28, self.steps : self.steps + 28], place=self.place.astype(np.float32))


def tracker(env, height, width):
    assert (height, width) == WRIST[:2]
    travelled = env.unwrapped.place.copy()
    return CameraView(anchor=np.zeros(2), project=lambda point: point - travelled)


class OnlyWrist(gym.ObservationWrapper):
    def __init__(self, env):
        super().__init__(env)
        self.observation_space = env.observation_space["wrist"]

    def observation(self, observation):
        return observation["wrist"]


def episode(env, n_steps=6):
    env.action_space.seed(0)
    return [env.reset(seed=0)[0], *(env.step(env.action_space.sample())[0] for _ in range(n_steps))]


def test_the_header_of_a_key_is_that_of_a_single_image_and_others_stay():
    env = CameraShift(FrameStack(Gripper(), n=dict(wrist=3, front=2)), dict(wrist=tracker))
    assert {key: part.shape for key, part in env.observation_space.items()} == dict(
        front=(6, 28, 28), place=(2,), wrist=(10, 24, 32)
    )
    plain = episode(FrameStack(Gripper(), n=dict(wrist=3, front=2)))
    single = episode(CameraShift(FrameStack(OnlyWrist(Gripper()), n=3), tracker))
    shifts = []
    for seen, without, alone in zip(episode(env), plain, single, strict=True):
        assert env.observation_space.contains(seen)
        np.testing.assert_array_equal(seen["wrist"], alone)
        for key in ("front", "place"):
            np.testing.assert_array_equal(seen[key], without[key])
        shifts.append(decode_camera_shift(seen["wrist"][0], 2))
    assert not shifts[0].any() and np.abs(shifts).max() > 2


def test_an_agent_stores_the_headers_and_its_points_move_as_those_of_a_single_image():
    env = CameraShift(FrameStack(Gripper()), dict(wrist=tracker))
    options = dict(n_points=4, precision="float32")
    policy_kwargs = dict(net_arch=[8], features_extractor_kwargs=options)
    model = FPAC("MultiInputPolicy", env, buffer_size=60, learning_starts=8, batch_size=4, policy_kwargs=policy_kwargs, seed=0)
    model.learn(40)
    assert model.replay_buffer.size() == 40 and model._n_updates > 0
    assert {key: layout.camera_shift for key, layout in model.replay_buffer.layouts.items()} == dict(front=False, wrist=True)
    batch = model.replay_buffer.sample(200)
    travelled = (batch.next_observations["place"] - batch.observations["place"]).numpy()
    np.testing.assert_array_equal(decode_camera_shift(batch.next_observations["wrist"][:, 0], 1)[:, 0], -travelled)

    observations = {key: th.as_tensor(np.stack([seen[key] for seen in episode(env)])) for key in env.observation_space}
    extractor = model.critic.features_extractor
    alone = FeaturePointExtractor(env.observation_space["wrist"], **options)
    alone.load_state_dict(extractor.images["wrist"].state_dict())
    images = {key: image / 255 if key != "place" else image for key, image in observations.items()}
    with th.no_grad():
        expected = alone(images["wrist"])
        n_front = extractor.images["front"].features_dim
        of_wrist = extractor(images)[:, n_front : n_front + alone.features_dim]
        th.testing.assert_close(of_wrist, expected, rtol=0, atol=1e-6)
        images["wrist"][:, 0] = 0
        standing = extractor(images)[:, n_front : n_front + alone.features_dim]
    assert (standing - expected).abs().max() > 0.05


def test_a_wrapped_dict_can_be_made_again_from_its_spec():
    gym.register("sb3-fpac-test-gripper-v0", entry_point=Gripper)
    try:
        env = CameraShift(FrameStack(gym.make("sb3-fpac-test-gripper-v0")), dict(wrist=tracker))
        np.testing.assert_array_equal(episode(gym.make(env.spec))[-1]["wrist"], episode(env)[-1]["wrist"])
    finally:
        del gym.registry["sb3-fpac-test-gripper-v0"]


@pytest.mark.parametrize(
    ("wrap", "camera", "n_frames", "message"),
    [
        (FrameStack, tracker, None, r"Dict with the keys 'front', 'place', 'wrist', but camera is <.*: pass a dict with"),
        (FrameStack, {}, None, r"but camera is \{\}: pass a dict with the camera"),
        (
            FrameStack,
            dict(top=tracker),
            None,
            r"camera of CameraShift names 'top', but the observations have 'front'",
        ),
        (FrameStack, dict(place=tracker), None, r"Image 'place': CameraShift needs channel-first stacks of 2 uint8 frames"),
        (FrameStack, dict(wrist=tracker), 3, r"Image 'wrist': CameraShift has n_frames=3, but FrameStack has n=2: leave"),
        (lambda env: FrameStack(env, 1), dict(wrist=tracker), None, "Image 'wrist': n_frames must be at least 2, got 1"),
        (lambda env: env, dict(wrist=tracker), None, r"Image 'wrist': CameraShift needs the channels first"),
        (FrameStack, dict(wrist=0), None, "Image 'wrist': .*dm_control or Gymnasium MuJoCo environment"),
        (
            lambda env: FrameStack(OnlyWrist(env)),
            dict(wrist=tracker),
            None,
            r"dict by key, but the observation is Box",
        ),
    ],
)
def test_what_is_no_camera_of_a_key_is_refused(wrap, camera, n_frames, message):
    with pytest.raises(ValueError, match=message):
        CameraShift(wrap(Gripper()), camera, n_frames)


def test_a_camera_without_a_view_is_named():
    env = CameraShift(FrameStack(Gripper()), dict(wrist=lambda *_: None))
    with pytest.raises(TypeError, match=r"The camera of 'wrist' returned None: return a CameraView\(anchor, project\)"):
        env.reset()


def test_a_camera_whose_tracking_is_lost_is_named():
    lost = CameraView(anchor=np.zeros(2), project=lambda point: point * np.nan)
    env = CameraShift(FrameStack(Gripper()), dict(wrist=tracker, front=lambda *_: lost))
    with pytest.raises(ValueError, match="Image 'front': Camera shifts must be finite"):
        env.reset()


def test_a_missing_image_is_named():
    env = CameraShift(gym.wrappers.TransformObservation(FrameStack(Gripper()), lambda _: {}, None), dict(wrist=tracker))
    with pytest.raises(ValueError, match="an observation without 'wrist', which its space has"):
        env.reset()
