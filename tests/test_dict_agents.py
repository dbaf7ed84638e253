"""Agents with several cameras and vectors: rankings with names, every camera in pictures, pre-trained points of one camera."""

import sys
from pathlib import Path

import gymnasium as gym
import imageio.v2 as imageio
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import SIZE, Noise, Robot, Spaces
from helpers.runs import make_run
from sb3_contrib import TQC, RecurrentPPO
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.logger import configure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sb3_fpac import (
    FPAC,
    FeaturePointCombinedExtractor,
    FPACPolicy,
    FPACTQCPolicy,
    PretrainedPoints,
    collect_frames,
    pretrain,
)
from sb3_fpac.__main__ import main
from sb3_fpac.callbacks import FeaturePointCallback
from sb3_fpac.evaluation.runs import read_run
from sb3_fpac.report.agent import show_agent
from sb3_fpac.report.groups import group_runs
from sb3_fpac.report.page import render
from sb3_fpac.visualization import feature_names, rank_points, record_episode
from sb3_fpac.visualization.agents import entry_names
from sb3_fpac.visualization.video import render_episode, render_maps, render_moments

CHANNELS = dict(front=3, wrist=1)
N_POINTS = dict(front=3, wrist=2)
POINTS = dict(
    n_points=N_POINTS,
    frame_channels=CHANNELS,
    camera_shift=dict(front=True, wrist=False),
    strides=(2,),
    temperature=0.01,
    precision="float32",
)
OFF_POLICY = dict(buffer_size=60, learning_starts=10, batch_size=4)
ON_POLICY = dict(n_steps=8, batch_size=8, n_epochs=1)
AGENTS = {
    "FPAC": (FPAC, "MultiInputPolicy", dict(OFF_POLICY, compile=False)),
    "SAC": (SAC, FPACPolicy, OFF_POLICY),
    "TQC": (TQC, FPACTQCPolicy, OFF_POLICY),
    "PPO": (PPO, "MultiInputPolicy", ON_POLICY),
}
NAMES = [
    *("front:0", "front:1", "front:2", "wrist:0", "wrist:1", "buttons[0]", "buttons[1]"),
    *("gears[0,0]", "gears[0,1]", "gears[1,0]", "gears[1,1]", "gears[1,2]"),
    *("joints[0,0]", "joints[0,1]", "joints[1,0]", "joints[1,1]", "mode[0]", "mode[1]", "mode[2]"),
]


def make(name="SAC", env=None, points=None, **policy_kwargs):
    algorithm, policy, kwargs = AGENTS[name]
    policy_kwargs = dict(net_arch=[8], features_extractor_kwargs={**POINTS, **(points or {})}) | policy_kwargs
    if name == "PPO":
        policy_kwargs["features_extractor_class"] = FeaturePointCombinedExtractor
    return algorithm(policy, Robot() if env is None else env, policy_kwargs=policy_kwargs, seed=0, device="cpu", **kwargs)


@pytest.fixture(scope="module")
def model():
    return make().learn(50)


@pytest.fixture(scope="module")
def episode(model):
    return record_episode(model, Robot(seed=2))


def observations(n=30):
    """Of many steps, so that every entry of every vector differs"""
    env, found = Robot(seed=1), []
    while len(found) < n:
        found += [env.reset()[0], env.step(np.zeros(2))[0]]
    found = found[:n]
    return {key: np.stack([obs[key] for obs in found]) for key in found[0]}


def test_points_and_entries_have_names(model):
    assert feature_names(model) == NAMES
    assert entry_names("gripper", spaces.Box(0, 1, (1,))) == entry_names("gripper", spaces.MultiBinary(1)) == ["gripper"]
    assert entry_names("joints", spaces.Box(-1, 1, (3,))) == ["joints[0]", "joints[1]", "joints[2]"]
    space = spaces.Dict(eye=spaces.Box(0, 255, (3, SIZE, SIZE), np.uint8), gripper=spaces.Box(0, 1, (1,)))
    kwargs = dict(features_extractor_kwargs=dict(n_points=2))
    with pytest.warns(UserWarning, match="Image 'eye': .*no velocities"):
        one_camera = SAC(FPACPolicy, Spaces(space), buffer_size=10, policy_kwargs=kwargs)
    assert feature_names(one_camera) == ["eye:0", "eye:1", "gripper"]


def columns_by_name():
    """Of the points (x, y, m of the current frame, then the same of the velocity, camera by camera), then one an entry"""
    columns, start = {}, 0
    for key, n_points in sorted(N_POINTS.items()):
        for k in range(n_points):
            columns[f"{key}:{k}"] = [start + 3 * block + number for block in (k, n_points + k) for number in range(3)]
        start += 6 * n_points
    return columns | {name: [start + i] for i, name in enumerate(NAMES[len(columns) :])}


def linear_agent(keys=()):
    """An agent whose action and value are linear in the features, and whose actions are never clipped"""
    env = Robot(keys)
    env.action_space = spaces.Box(-1e6, 1e6, (2,), np.float32)
    return make("PPO", env, net_arch=[])


def features_of(model, obs):
    with th.no_grad():
        return model.policy.extract_features(model.policy.obs_to_tensor(obs)[0]).double()


def test_changes_are_those_of_a_linear_actor():
    model, obs = linear_agent(), observations()
    features = features_of(model, obs)
    deviations = features - features.mean(dim=0)
    ranking = rank_points(model, obs)
    assert list(ranking.names) == NAMES and ranking.n_points == 5
    for changes, layer in ((ranking.action, model.policy.action_net), (ranking.value, model.policy.value_net)):
        weight = layer.weight.detach().double()
        for change, (name, columns) in zip(changes, columns_by_name().items(), strict=True):
            expected = (deviations[:, columns] @ weight[:, columns].T).pow(2).sum(dim=1).mean().sqrt()
            assert change == pytest.approx(float(expected), rel=2e-3) and expected > 0, name


@pytest.mark.parametrize("keys", [(), ("mode", "wrist", "joints", "buttons", "front", "gears")])
def test_the_order_is_that_of_a_hand_made_actor_whatever_the_order_of_the_keys(keys):
    plain, model, obs = linear_agent(), linear_agent(keys), observations()
    model.policy.load_state_dict(plain.policy.state_dict())
    features = features_of(plain, obs)
    expected = np.random.default_rng(0).permutation(NAMES).tolist()
    columns = columns_by_name()
    weight, value = model.policy.action_net.weight.data.zero_(), model.policy.value_net.weight.data.zero_()
    for rank, name in enumerate(expected):
        column = columns[name][0]
        weight[1, column] = (len(NAMES) - rank) / features[:, column].std(correction=0)
    assert not value.any()
    ranking = rank_points(model, {key: obs[key] for key in keys or obs})
    assert [ranking.names[index] for index in ranking.order] == expected
    assert [ranking.names[index] for index in ranking.points] == [name for name in expected if ":" in name]
    np.testing.assert_allclose(sorted(ranking.action), np.arange(1, len(NAMES) + 1), rtol=2e-3)


@pytest.mark.parametrize("name", AGENTS)
def test_the_only_vector_entry_that_an_agent_reads_is_the_only_one_that_matters(name):
    model, obs = make(name), observations()
    (column,) = columns_by_name()["joints[1,0]"]
    n_features = model.policy.features_extractor.features_dim
    for layer in model.policy.modules():
        if isinstance(layer, th.nn.Linear) and layer.in_features >= n_features:
            layer.weight.data[:, [other for other in range(n_features) if other != column]] = 0
            layer.weight.data[:, column] *= 100
    mode = model.policy.training
    ranking = rank_points(model, obs)
    assert model.policy.training == mode and "forward" not in vars(model.policy.features_extractor)
    for change in (ranking.action, ranking.value):
        assert [ranking.names[index] for index in np.nonzero(change)[0]] == ["joints[1,0]"]


def test_observations_that_do_not_fit_are_named_by_key(model):
    obs = observations(4)
    with pytest.raises(ValueError, match="lacks 'joints'"):
        rank_points(model, {key: array for key, array in obs.items() if key != "joints"})
    with pytest.raises(ValueError, match=r"'wrist'.*images of shape"):
        rank_points(model, obs | dict(wrist=obs["wrist"][:, :1]))
    with pytest.raises(ValueError, match=r"same number for every key, got .*'mode': 3"):
        rank_points(model, obs | dict(mode=obs["mode"][:3]))
    with pytest.raises(ValueError, match="got ndarray"):
        rank_points(model, obs["front"])


def test_an_episode_has_what_every_camera_saw(model, episode):
    assert list(episode.views) == ["front", "wrist"] and len(episode.rewards) == 9
    for key, view in episode.views.items():
        seen = episode.observations[key]
        np.testing.assert_array_equal(view.frames.transpose(0, 3, 1, 2), seen[:, -CHANNELS[key] :])
        extractor = model.policy.features_extractor.images[key]
        with th.no_grad():
            points = extractor.points(th.as_tensor(seen) / 255, current_camera=True)
        np.testing.assert_allclose(view.points, points[:, -1], atol=1e-5)
        np.testing.assert_allclose(view.positions, extractor.to_pixels(points[:, -1]), atol=1e-4)
        np.testing.assert_allclose(view.past_positions, extractor.to_pixels(points[:, -2]), atol=1e-4)
    np.testing.assert_array_equal(episode.observations["joints"].shape, (9, 2, 2))
    with pytest.raises(ValueError, match=r"cameras 'front', 'wrist': choose one, such as episode\.views\['front'\]"):
        episode.frames  # noqa: B018


def enlarged(frame, scale=6):
    return np.broadcast_to(frame, (*frame.shape[:2], 3)).repeat(scale, axis=0).repeat(scale, axis=1)


def test_every_camera_is_drawn_below_its_key(episode):
    label, gap, front, wrist = 22, 4, (SIZE * 6, 19 * 6), (18 * 6, 16 * 6)
    without, *_ = render_episode(episode, indices=[])
    assert without.shape == (label + wrist[0] + 18, front[1] + gap + wrist[1], 3)
    frames = {key: view.frames[0] for key, view in episode.views.items()}
    np.testing.assert_array_equal(without[label:][: front[0], : front[1]], enlarged(frames["front"]))
    np.testing.assert_array_equal(without[label:][: wrist[0], -wrist[1] :], enlarged(frames["wrist"]))
    for title in (without[:label, : front[1]], without[:label, -wrist[1] :]):
        assert (title > 200).any() and np.median(title) == 0

    moments = render_moments(episode, indices=[])
    for key, top, (height, width) in (("front", 40, front), ("wrist", 40 + front[0] + gap + 40, wrist)):
        second = episode.views[key].frames[9 // 4]
        np.testing.assert_array_equal(moments[top:][:height, width + 6 :][:, :width], enlarged(second))


@pytest.mark.parametrize(("index", "camera"), [(0, "front"), (2, "front"), (3, "wrist"), (4, "wrist")])
def test_indices_of_points_count_on_from_camera_to_camera(model, episode, index, camera):
    without, drawn = (next(render_episode(episode, indices)) for indices in ([], [index]))
    columns = np.nonzero((without != drawn).any(axis=(0, 2)))[0]
    assert (
        columns.size and (columns < 19 * 6).all() == (camera == "front") and (columns >= 19 * 6).all() == (camera == "wrist")
    )
    assert episode.numbers_in_views([index])[camera].tolist() == [index - 3 * (camera == "wrist")]
    beside = {0: 2, 2: 0, 3: 4, 4: 3}[index]
    assert (render_maps(model, episode, 0, [index]) != render_maps(model, episode, 0, [beside])).any()
    for beyond in ([5], [-1]):
        with pytest.raises(ValueError, match="has 5 points, got the indices"):
            next(render_episode(episode, beyond))


@pytest.mark.parametrize("render", [lambda *args, **kwargs: next(render_episode(*args, **kwargs)), render_moments])
def test_pictures_that_are_too_large_are_refused_before_they_are_drawn(episode, render):
    with pytest.raises(ValueError, match="A frame of 19 pixels can be drawn 431 times as large, got a scale of 432"):
        render(episode, scale=432)


class Cameras(gym.Env):
    """A large one with colours and depth, a small grey one, and a vector"""

    observation_space = spaces.Dict(
        large=spaces.Box(0, 255, (4, 60, 40), np.uint8),
        an_eye_with_a_long_name=spaces.Box(0, 255, (1, 20, 30), np.uint8),
        gripper=spaces.Box(0, 1, (1,)),
    )
    action_space = spaces.Box(-1, 1, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


def test_cameras_of_different_sizes_become_equally_high_and_labels_are_whole():
    points = dict(frame_channels=dict(large=4, an_eye_with_a_long_name=1), camera_shift=False, n_points=2, velocity=False)
    model = make(env=Cameras(), points=points)
    episode = record_episode(model, Cameras(), max_steps=2)
    first, second = render_episode(episode, scale=2)
    assert first.shape == second.shape and first.shape[0] == 22 + 120 + 2 * 9
    without = next(render_episode(episode, indices=[], scale=2))
    np.testing.assert_array_equal(without[22:142, -80:], enlarged(episode.views["large"].frames[0][..., :3], 2))
    lit = np.nonzero((first[:22] > 128).any(axis=(0, 2)))[0]
    assert lit.max() < first.shape[1] - 2  # the last label ends before the picture does


def test_a_callback_shows_every_camera(tmp_path):
    model = make()
    model.set_logger(configure(str(tmp_path / "tb"), ["tensorboard"]))
    model.learn(50, callback=FeaturePointCallback(25, tmp_path / "points", Robot(), max_steps=4, n_maps=3))
    names = {path.name for path in (tmp_path / "points").iterdir()}
    assert names == {name for steps in (25, 50) for name in (f"points_{steps}.mp4", f"maps_{steps}.png")}
    events = EventAccumulator(str(tmp_path / "tb"), size_guidance=dict(images=0, histograms=0)).Reload()
    for key, n_points in N_POINTS.items():
        for what in ("presence", "speed"):
            histograms = events.Histograms(f"feature_points/{key}/{what}")
            assert [(event.step, event.histogram_value.num) for event in histograms] == [
                (steps, 4 * n_points) for steps in (25, 50)
            ]
    with pytest.raises(ValueError, match=r"pass one as eval_env \(An observation lacks .*'joints'"):
        make().learn(10, callback=FeaturePointCallback(25, tmp_path, Robot(("front", "wrist"))))


def test_a_callback_makes_the_environment_again(tmp_path, monkeypatch):
    monkeypatch.setitem(gym.registry, "Robot-v0", gym.envs.registration.EnvSpec("Robot-v0", Robot))
    make(env=gym.make("Robot-v0", seed=1)).learn(20, callback=FeaturePointCallback(15, tmp_path, max_steps=3))
    assert (tmp_path / "points_15.mp4").is_file()


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", *map(str, arguments)])
    main()


@pytest.fixture
def robot_module(tmp_path, monkeypatch):
    """A module of the user with an environment"""
    (tmp_path / "my_robot.py").write_text("from helpers.environments import Robot\ndef make():\n    return Robot(seed=2)\n")
    monkeypatch.chdir(tmp_path)
    return "my_robot:make"


@pytest.mark.parametrize("output", ["agent.mp4", "agent.png"])
@pytest.mark.parametrize("options", [[], ["--top", 2], ["--maps", "--top", 3]])
def test_watch_draws_every_camera(monkeypatch, tmp_path, capsys, model, robot_module, output, options):
    model.save(tmp_path / "model")
    run(monkeypatch, "watch", "--algo", "sac", "--model", "model.zip", "--env", robot_module, "-o", output, *options)
    assert "1 episode with a return of" in capsys.readouterr().out
    pictures = imageio.mimread(tmp_path / output, memtest=False)
    assert len(pictures) == (9 if output.endswith("mp4") else 1) and np.ptp(pictures[0]) > 100


def test_a_report_names_what_matters(tmp_path, model, monkeypatch):
    monkeypatch.setitem(gym.registry, "Robot-v0", gym.envs.registration.EnvSpec("Robot-v0", Robot))
    folder = make_run(tmp_path / "run", algo="sac", env="Robot-v0")
    model.save(folder / "best_model")
    run = read_run(folder)
    agent = show_agent(run, quiet=True)
    assert agent.names == NAMES and sorted(agent.order) == list(range(len(NAMES))) and agent.colours.shape == (5, 3)
    assert (agent.colours[3:] == agent.colours[:2]).all()  # point 0 has the same colour in every camera
    assert agent.summary == "5 feature points of the cameras front and wrist, 14 entries of vectors"
    html = render(group_runs([run]), agent)
    assert html.count("<canvas") == 2 and html.count('<p class="camera">') == 2
    assert [html.count(f'<span class="name">{name}</span>') for name in NAMES] == [1] * len(NAMES)
    assert html.count("data-point=") == 5  # only points can be chosen


def test_agents_that_cannot_be_ranked_are_shown_with_their_points(tmp_path):
    kwargs = dict(features_extractor_class=FeaturePointCombinedExtractor, features_extractor_kwargs=POINTS, net_arch=[8])
    keys = ("front", "wrist", "joints")
    model = RecurrentPPO("MultiInputLstmPolicy", Robot(keys), policy_kwargs=kwargs, **ON_POLICY)
    model.learn(8, callback=FeaturePointCallback(8, tmp_path, Robot(keys), max_steps=3))
    assert (tmp_path / "points_8.mp4").is_file() and (tmp_path / "maps_8.png").is_file()


def weights_of(model, key):
    return model.policy.features_extractor.images[key].encoder.state_dict()


def equal(weights, other):
    return all(th.equal(weights[name], other[name]) for name in weights)


@pytest.fixture(scope="module")
def pretraining():
    frames = collect_frames(Robot(), 60, frame_channels=3, strides=(2,), key="front")
    kwargs = dict(n_points=3, temperature=0.01, strides=(2,), precision="float32")
    return pretrain(frames, n_updates=40, batch_size=8, learning_rate=3e-3, **kwargs)


def test_frames_are_those_of_the_key():
    episodes = collect_frames(Robot(seed=3), 20, frame_channels=1, strides=(2,), key="wrist")
    assert sum(len(episode) for episode in episodes) == 20
    env = Robot(seed=3)
    np.testing.assert_array_equal(episodes[0][0], env.reset(seed=0)[0]["wrist"][-1:])
    np.testing.assert_array_equal(episodes[0][1], env.step(env.action_space.sample())[0]["wrist"][-1:])
    only = collect_frames(Robot(("joints", "wrist"), seed=3), 20, frame_channels=1, strides=(2,))
    np.testing.assert_array_equal(only[0], episodes[0])


@pytest.mark.parametrize(
    ("env", "kwargs", "words"),
    [
        (Robot, dict(), r"Got no key, but the images of the observations are 'front', 'wrist': choose one with key, .*--key"),
        (Robot, dict(key="joints"), "Got key='joints', but the images of the observations are 'front', 'wrist': choose one"),
        (Robot, dict(key="wrist"), "Image 'wrist': 2 channels are not a stack of frames of 3 channels"),
        (Robot, dict(key="front"), "Image 'front': Points cannot move on frames of 17×19 pixels"),
        (Noise, dict(key="front"), "Only Dict observations have keys, got key='front'"),
        (lambda: Robot(("joints",)), dict(), "No key of the observation space holds an image"),
    ],
)
def test_a_key_that_chooses_no_image_is_refused(env, kwargs, words):
    with pytest.raises(ValueError, match=words):
        collect_frames(env(), 10, strides=(2, 2, 2), **kwargs)


@pytest.mark.parametrize("name", AGENTS)
def test_pretrained_points_land_in_the_extractor_of_their_key(name, pretraining, tmp_path):
    assert pretraining.losses[-5:].mean() < pretraining.losses[:5].mean() / 2
    pretraining.save(tmp_path / "front.pt")
    points = dict(pretrained=dict(front=str(tmp_path / "front.pt")), frozen=dict(front=True))
    model = make(name, points=points)
    assert equal(weights_of(model, "front"), pretraining.points.weights)
    assert not equal(weights_of(model, "wrist"), weights_of(make(name, points=dict(frozen=dict(front=True))), "front"))
    wrist = {key: weight.clone() for key, weight in weights_of(model, "wrist").items()}
    model.learn(30)
    assert equal(weights_of(model, "front"), pretraining.points.weights) and not equal(weights_of(model, "wrist"), wrist)


@pytest.mark.parametrize("name", ["FPAC", "SAC", "TQC"])
def test_a_saved_agent_needs_no_files_of_its_cameras(name, pretraining, tmp_path):
    file = tmp_path / "front.pt"
    pretraining.save(file)
    points = dict(pretrained=dict(front=Path(file)))
    model = make(name, points=points)
    assert points == dict(pretrained=dict(front=file))  # the user's dict by key is as it was
    assert model.policy_kwargs["features_extractor_kwargs"]["pretrained"]["front"] == PretrainedPoints.load(file)
    model.save(tmp_path / "agent")
    file.unlink()
    loaded = type(model).load(tmp_path / "agent", buffer_size=1)
    obs = observations(3)
    np.testing.assert_array_equal(*(agent.predict(obs, deterministic=True)[0] for agent in (model, loaded)))
    with pytest.raises(ValueError, match="Image 'front': There is no file of pre-trained"):
        make(name, points=points)


def test_pretrain_on_the_command_line_takes_a_key(monkeypatch, tmp_path, capsys, robot_module):
    small = ["--frames", 8, "--updates", 2, "--batch-size", 2, "--n-points", 2, "--strides", 2, "--device", "cpu"]
    command = ["pretrain", "--env", robot_module, *small, "--frame-channels", 1, "--temperature", 0.01]
    run(monkeypatch, *command, "--key", "wrist", "-o", "wrist.pt")
    assert "2 points, loss" in capsys.readouterr().out and (tmp_path / "wrist.png").is_file()
    model = make(points=dict(pretrained=dict(wrist="wrist.pt")))
    assert equal(weights_of(model, "wrist"), PretrainedPoints.load("wrist.pt").weights)
    with pytest.raises(SystemExit, match="Got no key, but the images of the observations are 'front', 'wrist'"):
        run(monkeypatch, *command, "-o", "other.pt")
