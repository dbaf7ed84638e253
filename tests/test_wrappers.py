"""Action repeat, frame stack and camera shift, over environments of our own."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from helpers.environments import Noise, Robot, StackedNoise

from sb3_fpac import FPAC, ActionRepeat, CameraShift, CameraView, FrameStack, PixelFrames, decode_camera_shift

HEIGHT, WIDTH = 14, 20


class Counter(gym.Env):
    """Rewards 1, 2, 3, ...; ends after so many steps; frames are filled with the number of the step."""

    def __init__(self, shape=(HEIGHT, WIDTH, 3), ends_after=100, ending="terminated"):
        self.observation_space = spaces.Box(0, 255, shape, np.uint8)
        self.action_space = spaces.Discrete(2)
        self.ends_after, self.ending, self.actions, self.first = ends_after, ending, [], 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.first = 0, (options or {}).get("first", self.first)
        return self.frame(), {"seed": seed}

    def step(self, action):
        self.actions.append(action)
        self.steps += 1
        over = self.steps == self.ends_after
        terminated, truncated = over and self.ending == "terminated", over and self.ending == "truncated"
        return self.frame(), self.steps, terminated, truncated, {"step": self.steps}

    def frame(self):
        frame = np.full(self.observation_space.shape, self.first + self.steps, np.uint8)
        if frame.ndim == 3:
            frame += 100 * (np.arange(frame.shape[-1]) == 1).astype(np.uint8)  # channels that can be told apart
        return frame


class Scrolling(gym.Env):
    """A camera that travels over a plain, and sees a window of it."""

    observation_space = spaces.Box(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    action_space = spaces.Box(-5, 5, (2,), np.int64)

    def __init__(self):
        self.plain = np.random.default_rng(0).integers(0, 256, (100, 100, 3), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.corner = np.array([40, 40])
        return self.frame(), {}

    def step(self, action):
        self.corner = self.corner + action
        return self.frame(), 0.0, False, False, {}

    def frame(self):
        x, y = self.corner
        return self.plain[y : y + HEIGHT, x : x + WIDTH]


def tracker(env, height, width):
    """A user's own: knows nothing but how far the camera has travelled, in pixels"""
    travelled = env.unwrapped.corner.copy()
    return CameraView(anchor=np.zeros(2), project=lambda point: point - travelled)


# ---------------------------------------------------------------------------------------------------------------- ActionRepeat


def test_action_repeat_sums_the_rewards_of_n_steps():
    env = ActionRepeat(Counter(), n=3)
    env.reset()
    observation, reward, terminated, truncated, info = env.step(1)
    assert (reward, terminated, truncated) == (1 + 2 + 3, False, False)
    assert info == {"step": 3, "env_steps": 3} and observation[0, 0, 0] == 3
    _, reward, *_ = env.step(0)
    assert reward == 4 + 5 + 6 and isinstance(reward, float)
    assert env.unwrapped.actions == [1, 1, 1, 0, 0, 0]


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
def test_action_repeat_stops_where_the_episode_ends(ending):
    env = ActionRepeat(Counter(ends_after=5, ending=ending), n=3)
    env.reset()
    env.step(0)
    observation, reward, terminated, truncated, info = env.step(0)
    assert reward == 4 + 5 and info["env_steps"] == 2 and observation[0, 0, 0] == 5
    assert (terminated, truncated) == (ending == "terminated", ending == "truncated")
    assert env.unwrapped.steps == 5


def step_repeated(env):
    env = ActionRepeat(env, n=2)
    env.reset(seed=0)
    env.step(env.action_space.sample())


@pytest.mark.parametrize("reward, got", [(np.ones(3), r"an array of shape \(3,\)"), ([1.0, 2.0], "an array"), (None, "None")])
@pytest.mark.parametrize("run", [step_repeated, lambda env: FPAC("CnnPolicy", env, buffer_size=9).learn(1)])
def test_a_reward_that_is_not_one_number_is_refused_with_the_cure(run, reward, got):
    with pytest.raises(ValueError, match=f"A reward is one number, .* returned {got}.*TransformReward"):
        run(gym.wrappers.TransformReward(StackedNoise(), lambda _: reward))


def test_action_repeat_of_one_is_the_environment_itself():
    env = ActionRepeat(Counter(), n=1)
    env.reset()
    assert env.step(0)[1] == 1 and env.step(0)[4] == {"step": 2, "env_steps": 1}


def test_env_steps_of_an_action_repeat_upon_another_are_those_of_the_environment():
    env = ActionRepeat(ActionRepeat(Counter(ends_after=5), n=2), n=2)
    env.reset()
    assert [env.step(0)[4]["env_steps"] for _ in range(2)] == [4, 1]


@pytest.mark.parametrize(
    ("env_steps", "expected"),
    [(None, 1), ("4", 1), (np.nan, 1), (np.ones(2), 1), (4, 4), (4.0, 4), (np.int64(4), 4), (np.float32(4), 4)],
)
def test_env_steps_that_are_no_number_count_as_one(env_steps, expected):
    class Reports(gym.Wrapper):
        def step(self, action):
            *transition, info = self.env.step(action)
            return *transition, {**info, "env_steps": env_steps}

    env = ActionRepeat(Reports(Counter()), n=2)
    env.reset()
    assert env.step(0)[4]["env_steps"] == 2 * expected
    model = FPAC("CnnPolicy", FrameStack(Reports(Noise())), buffer_size=20, policy_kwargs=dict(net_arch=[8])).learn(5)
    assert model.num_env_steps == 5 * expected


@pytest.mark.parametrize("n", [0, -1])
def test_action_repeat_refuses_less_than_one_step(n):
    with pytest.raises(ValueError, match=f"at least 1, got {n}"):
        ActionRepeat(Counter(), n=n)


# ------------------------------------------------------------------------------------------------------------------ FrameStack


def test_frames_are_stacked_channel_first_and_oldest_first():
    env = FrameStack(Counter(), n=3)
    assert env.observation_space == spaces.Box(0, 255, (9, HEIGHT, WIDTH), np.uint8)
    env.reset()
    for _ in range(4):
        observation, *_ = env.step(0)
    assert observation.shape == (9, HEIGHT, WIDTH) and observation in env.observation_space
    expected = [2, 102, 2, 3, 103, 3, 4, 104, 4]  # the second channel is 100 higher
    np.testing.assert_array_equal(observation, np.broadcast_to(np.reshape(expected, (9, 1, 1)), observation.shape))


def test_pixels_keep_their_places_in_the_stack():
    env = FrameStack(Scrolling(), n=2)
    first, _ = env.reset()
    past = env.unwrapped.frame()
    observation, *_ = env.step(np.array([1, 2]))
    now = env.unwrapped.frame()
    for channel in range(3):
        np.testing.assert_array_equal(observation[channel], past[:, :, channel])
        np.testing.assert_array_equal(observation[3 + channel], now[:, :, channel])
        np.testing.assert_array_equal(first[channel], first[3 + channel])


def test_first_frame_of_every_episode_fills_the_stack():
    env = FrameStack(Counter((HEIGHT, WIDTH)), n=3)
    env.reset()
    env.step(0)
    observation, info = env.reset(seed=5, options={"first": 50})
    assert (observation == 50).all() and info == {"seed": 5}
    observation, *_ = env.step(0)
    assert observation[:, 0, 0].tolist() == [50, 50, 51]


def test_earlier_observations_are_left_alone():
    env = FrameStack(Counter((HEIGHT, WIDTH)), n=2)
    first, _ = env.reset()
    second, *_ = env.step(0)
    second[:] = 255
    third, *_ = env.step(0)
    assert (first == 0).all() and third[:, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 1)])
def test_grey_frames_become_one_channel_each(shape):
    env = FrameStack(Counter(shape), n=4)
    assert env.observation_space.shape == (4, HEIGHT, WIDTH)
    assert env.reset()[0].shape == (4, HEIGHT, WIDTH) and env.step(0)[0].shape == (4, HEIGHT, WIDTH)


def test_bounds_are_stacked_with_the_frames():
    env = Counter()
    env.observation_space = spaces.Box(np.uint8(3), np.uint8(200), (HEIGHT, WIDTH, 3), np.uint8)
    assert FrameStack(env).observation_space == spaces.Box(3, 200, (6, HEIGHT, WIDTH), np.uint8)


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 1, (HEIGHT, WIDTH, 3), np.float32),
        spaces.Box(0, 255, (7,), np.uint8),
        spaces.Discrete(3),
    ],
)
def test_frame_stack_refuses_what_are_no_frames(space):
    env = Counter()
    env.observation_space = space
    with pytest.raises(ValueError, match="Images are expected"):
        FrameStack(env)


@pytest.mark.parametrize(("shape", "n"), [((40, 20, 3), 8), ((40, 21, 3), 8), ((5, 5, 3), 2)])
def test_stacks_that_sb3_would_transpose_are_refused(shape, n):
    with pytest.raises(ValueError, match=r"more channels than pixels on a side.*stack fewer frames, or make them larger"):
        FrameStack(Noise(shape), n)
    FrameStack(Noise(shape), n - 2 if n > 2 else 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("wrap", [FrameStack, lambda env: PixelFrames(env, size=10)], ids=["FrameStack", "PixelFrames"])
def test_images_of_another_type_than_their_space_are_refused(wrap, dtype):
    class Other(Noise):
        def reset(self, **kwargs):
            obs, info = super().reset(**kwargs)
            return (obs / 255).astype(dtype), info

    with pytest.raises(ValueError, match=rf"images is uint8, but the environment returned {np.dtype(dtype)} from"):
        wrap(Other((20, 20, 3))).reset(seed=0)


def test_frame_stack_refuses_an_empty_stack():
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        FrameStack(Counter(), n=0)


# ----------------------------------------------------------------------------------------------------------------- CameraShift


def test_users_own_tracker_gives_the_header_its_shift():
    env = CameraShift(FrameStack(Scrolling()), tracker)
    assert env.observation_space == spaces.Box(0, 255, (7, HEIGHT, WIDTH), np.uint8)
    observation, _ = env.reset()
    assert observation in env.observation_space and not observation[0].any()
    for motion in ([3, 1], [-2, 4], [0, -5], [0, 0]):
        observation, *_ = env.step(np.array(motion))
        shift = decode_camera_shift(observation[0], 1)[0]
        assert shift.tolist() == [-motion[0], -motion[1]]  # the world moves against the camera
        x, y = shift.astype(int)
        past, now = observation[1:4], observation[4:7]
        for row in range(5, HEIGHT - 5):
            for column in range(5, WIDTH - 5):
                assert (now[:, row + y, column + x] == past[:, row, column]).all()


def test_header_of_a_longer_stack_measures_every_past_frame():
    env = CameraShift(FrameStack(Scrolling(), n=4), tracker, n_frames=4)
    env.reset()
    headers = [decode_camera_shift(env.step(np.array([motion, -motion]))[0][0], 3)[:, 0].tolist() for motion in (1, 2, 3, 4)]
    assert headers == [[-1, -1, -1], [-3, -3, -2], [-6, -5, -3], [-9, -7, -4]]


def test_frames_behind_the_header_are_untouched():
    plain, shifted = FrameStack(Scrolling()), CameraShift(FrameStack(Scrolling()), tracker)
    np.testing.assert_array_equal(shifted.reset()[0][1:], plain.reset()[0])
    np.testing.assert_array_equal(shifted.step(np.array([1, 2]))[0][1:], plain.step(np.array([1, 2]))[0])


def test_reset_forgets_where_the_camera_was():
    env = CameraShift(FrameStack(Scrolling()), tracker)
    env.reset()
    env.step(np.array([5, 5]))
    assert not env.reset()[0][0].any()
    assert decode_camera_shift(env.step(np.array([1, 0]))[0][0], 1).tolist() == [[-1, 0]]


def test_camera_is_asked_once_a_frame_with_the_size_of_the_frames():
    calls = []

    def camera(env, height, width):
        calls.append((env.unwrapped, height, width))
        return tracker(env, height, width)

    env = CameraShift(FrameStack(Scrolling()), camera)
    assert not calls
    env.reset()
    env.step(np.zeros(2, int))
    assert calls == [(env.unwrapped, HEIGHT, WIDTH)] * 2


def test_shift_is_that_of_the_past_anchor():
    """In perspective the shift depends on the point: it is the past frame's that counts"""

    def zooming(env, height, width):
        scale = 1 + env.unwrapped.corner[0] - 40
        return CameraView(anchor=np.full(2, 3.0) * scale, project=lambda point: scale * point)

    env = CameraShift(FrameStack(Scrolling()), zooming)
    env.reset()
    assert decode_camera_shift(env.step(np.array([1, 0]))[0][0], 1).tolist() == [[3, 3]]  # 2 · 3 − 1 · 3
    assert decode_camera_shift(env.step(np.array([2, 0]))[0][0], 1).tolist() == [[12, 12]]  # 4 · 6 − 2 · 6


def test_a_camera_that_returns_no_view_is_refused_at_the_reset():
    env = CameraShift(FrameStack(Scrolling()), lambda env, height, width: (3.0, 4.0))
    with pytest.raises(
        TypeError, match=r"The camera of CameraShift returned \(3.0, 4.0\): return a CameraView\(anchor, project\)"
    ):
        env.reset()


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 255, (7, HEIGHT, WIDTH), np.uint8),  # no stack of two
        spaces.Box(0, 1, (6, HEIGHT, WIDTH), np.float32),
        spaces.Box(0, 255, (HEIGHT, WIDTH), np.uint8),
        spaces.Discrete(3),
    ],
)
def test_camera_shift_refuses_what_is_no_stack(space):
    env = Counter()
    env.observation_space = space
    with pytest.raises(ValueError, match="channel-first stacks of 2 uint8 frames"):
        CameraShift(env, tracker)


@pytest.mark.parametrize("n_frames", [1, 0, -2])
def test_camera_shift_refuses_fewer_than_two_frames(n_frames):
    with pytest.raises(ValueError, match=f"n_frames must be at least 2, got {n_frames}"):
        CameraShift(FrameStack(Counter(), n=2), tracker, n_frames=n_frames)


@pytest.mark.parametrize("shape", [(24, 32, 6), (24, 24, 3)])
def test_camera_shift_refuses_channels_that_are_last(shape):
    with pytest.raises(ValueError, match=r"CameraShift needs the channels first, as from FrameStack, got Box\(0, 255, \(24"):
        CameraShift(Counter(shape), tracker)


def test_camera_shift_refuses_frames_too_small_for_its_header():
    with pytest.raises(ValueError, match="3×1 plane is too small"):
        CameraShift(Counter((6, 3, 1)), tracker)


# ------------------------------------------------------------------------------------------------------------------ the recipe


@pytest.fixture
def counter_id():
    env_id = "sb3-fpac-test-counter-v0"
    gym.register(env_id, entry_point=Counter)
    yield env_id
    del gym.registry[env_id]


def test_wrappers_can_be_rebuilt_from_the_spec(counter_id):
    env = CameraShift(FrameStack(ActionRepeat(gym.make(counter_id), n=3), n=3), camera=still, n_frames=3)
    rebuilt = gym.make(env.spec)
    assert rebuilt.observation_space == env.observation_space
    np.testing.assert_array_equal(rebuilt.reset()[0], env.reset()[0])
    observation, reward, _, _, info = rebuilt.step(0)
    assert (reward, info["env_steps"]) == (6.0, 3)
    np.testing.assert_array_equal(observation, env.step(0)[0])


def still(env, height, width):
    return CameraView(anchor=np.zeros(2), project=lambda point: point)


def test_repeated_actions_have_the_rewards_of_other_goals():
    env = ActionRepeat(Robot(goals=True), 3)
    achieved, desired = np.zeros((2, 2)), np.array([[3, 4], [0, 0]])
    np.testing.assert_allclose(env.get_wrapper_attr("compute_reward")(achieved, desired, [{}, {}]), [-15, 0])
    assert not ActionRepeat(StackedNoise(), 3).has_wrapper_attr("compute_reward")
