"""Pre-trained feature points: what they learn, where they are saved, and that agents take them as they are."""

import dataclasses
import math
import sys
from dataclasses import replace
from functools import partial

import gymnasium as gym
import imageio.v2 as imageio
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import Noise
from sb3_contrib import TQC
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.envs import FakeImageEnv
from stable_baselines3.common.vec_env import DummyVecEnv

from sb3_fpac import (
    FPAC,
    FeaturePointExtractor,
    FPACPolicy,
    FPACTQCPolicy,
    FrameStack,
    PretrainedPoints,
    collect_frames,
    pretrain,
)
from sb3_fpac.__main__ import main
from sb3_fpac.features.map_geometry import MapGeometry
from sb3_fpac.pretraining.picture import render_reconstructions
from sb3_fpac.pretraining.reconstruction import Reconstruction, heat_maps
from sb3_fpac.trust import load_model

SIZE = 24  # pixels of a frame
SMALL = dict(net_arch=[8])
OFF_POLICY = dict(buffer_size=50, learning_starts=8, batch_size=4)


def square_video(seed, n_episodes=4, length=50):
    """Grey episodes of 32×32 pixels that show a square of 6×6, and where its middle is, x and y in pixels"""
    corners = np.random.default_rng(seed).integers(4, 23, (n_episodes, length, 2))
    episodes = np.full((n_episodes, length, 1, 32, 32), 30, np.uint8)
    for episode, t in np.ndindex(n_episodes, length):
        x, y = corners[episode, t]
        episodes[episode, t, :, y : y + 6, x : x + 6] = 220
    return list(episodes), corners.reshape(-1, 2) + 2.5


@pytest.fixture(scope="module")
def pretraining():
    """On the frames that Noise shows"""
    episodes = collect_frames(Noise((6, SIZE, SIZE)), 20)
    return pretrain(episodes, n_points=4, n_updates=2, batch_size=4, precision="float32")


@pytest.fixture
def file(pretraining, tmp_path):
    pretraining.save(tmp_path / "points.pt")
    return tmp_path / "points.pt"


def stack():
    return FrameStack(Noise((SIZE, SIZE, 3)))


def kwargs_of(pretrained, **more):
    return dict(n_points=4, precision="float32", pretrained=pretrained, **more)


def encoder_weights(module):
    """Of every feature-point extractor in it"""
    found = [part for part in module.modules() if isinstance(part, FeaturePointExtractor)]
    assert found
    return [extractor.encoder.state_dict() for extractor in found]


def equal(weights, other):
    return all(th.equal(weights[name], other[name]) for name in weights)


def test_heat_maps_are_gaussians():
    points = th.tensor([[[0.3, -0.2, 0.9], [-1.0, 1.0, -0.5]]])
    x, y = th.linspace(-1.2, 1.2, 5), th.linspace(-1.1, 1.1, 3)
    maps = heat_maps(points, x, y, sigma=0.4)
    assert maps.shape == (1, 2, 3, 5)
    for k, row, column in np.ndindex(2, 3, 5):
        squared = (x[column] - points[0, k, 0]) ** 2 + (y[row] - points[0, k, 1]) ** 2
        assert maps[0, k, row, column].item() == pytest.approx(math.exp(-squared / (2 * 0.4**2)), abs=1e-6)


@pytest.mark.parametrize("anti_aliasing", [False, True])
@pytest.mark.parametrize("strides", [(2, 1, 1, 1), (2,), (2, 2, 1)])
def test_heat_maps_lie_where_the_points_lie_in_the_frame(strides, anti_aliasing):
    """The brightest cell of a map is the one nearest to the pixel that to_pixels names"""
    extractor = FeaturePointExtractor(spaces.Box(0, 255, (3, 44, 60), np.uint8), strides=strides, anti_aliasing=anti_aliasing)
    network = Reconstruction(3, 1, 44, 60, extractor.encoder.geometry)
    for x, y in ((-1.0, 1.0), (0.37, -0.6), (1.0, 0.0)):
        pixel = extractor.to_pixels(th.tensor([x, y]))
        cells = heat_maps(th.tensor([[[x, y]]]), network._x, network._y)[0, 0]
        row, column = divmod(cells.argmax().item(), cells.shape[1])
        assert abs(4 * column - pixel[0]) <= 2 and abs(4 * row - pixel[1]) <= 2


@pytest.mark.parametrize("size", [(17, 17), (18, 23), (84, 84)])
def test_a_rebuilt_frame_has_the_size_of_the_source(size):
    network = Reconstruction(3, 2, *size, MapGeometry())
    assert network(th.zeros(1, 2, 3), th.zeros(1, 3, *size)).shape == (1, 3, *size)


@pytest.mark.slow
def test_a_point_follows_what_moves_and_the_loss_falls():
    episodes, centres = square_video(seed=0)
    trained = pretrain(episodes, n_points=2, sigma=0.3, n_updates=200, batch_size=16, learning_rate=3e-3, seed=0)
    frames = np.concatenate(episodes)
    _, points = trained.reconstruct(frames, np.roll(frames, 1, axis=0))
    follows = [[np.corrcoef(points[:, k, i], centres[:, i])[0, 1] for i in (0, 1)] for k in range(2)]
    assert np.min(follows, axis=1).max() > 0.95
    assert trained.losses[-20:].mean() < trained.losses[20:40].mean() / 3


def test_source_and_target_are_different_frames_of_one_episode():
    from sb3_fpac.pretraining.training import _Pairs

    episodes = [np.full((length, 1, 17, 17), 10 * i, np.uint8) for i, length in enumerate((2, 1, 3))]
    for episode in episodes:
        episode += np.arange(len(episode), dtype=np.uint8)[:, None, None, None]
    target, source = (frames[:, 0, 0, 0].tolist() for frames in _Pairs(episodes, seed=0).draw(500))
    seen = set(zip(target, source, strict=True))
    assert seen == {(0, 1), (1, 0), *((a, b) for a in (20, 21, 22) for b in (20, 21, 22) if a != b)}


def test_the_same_seed_gives_the_same_points_and_leaves_pytorchs_generator_alone():
    episodes, _ = square_video(seed=1, n_episodes=1, length=4)
    state = th.get_rng_state()
    one, same, other = (
        pretrain(episodes, n_points=2, n_updates=2, batch_size=4, seed=seed, precision="float32") for seed in (1, 1, 2)
    )
    assert one.points == same.points != other.points
    assert th.equal(state, th.get_rng_state())


class Counter(Noise):
    """Every channel shows how many frames ago it was drawn"""

    def _frame(self):
        stack = np.array([99, *(10 * self.steps + channel for channel in range(6))], np.uint8)  # a header plane in front
        return np.broadcast_to(stack[:, None, None], self.observation_space.shape).copy()


def test_frames_are_the_newest_of_each_stack_by_episodes():
    frames = collect_frames(Counter((7, SIZE, SIZE)), 14)
    assert [episode.shape for episode in frames] == [(11, 3, SIZE, SIZE), (3, 3, SIZE, SIZE)]
    assert (frames[0][:, :, 0, 0] == 10 * np.arange(11)[:, None] + [3, 4, 5]).all()


def test_frames_of_channel_last_images():
    (frames,) = collect_frames(Noise((20, SIZE, 3)), 3, seed=5)
    env = Noise((20, SIZE, 3))
    assert (frames[0] == env.reset(seed=5)[0].transpose(2, 0, 1)).all()
    assert frames.shape == (3, 3, 20, SIZE)


def test_a_file_brings_everything_back(pretraining, file):
    loaded = PretrainedPoints.load(file)
    assert loaded == pretraining.points
    assert (loaded.n_points, loaded.frame_channels, loaded.height, loaded.width) == (4, 3, SIZE, SIZE)
    assert set(loaded.versions) == {"sb3_fpac", "torch"}
    assert dataclasses.replace(loaded, n_points=5) != loaded
    assert "tensor" not in repr(loaded)


def test_an_extractor_starts_with_the_weights(pretraining, file):
    space = spaces.Box(0, 255, (6, SIZE, SIZE), np.uint8)
    for pretrained in (file, str(file), pretraining.points):
        extractor = FeaturePointExtractor(space, **kwargs_of(pretrained))
        assert equal(extractor.encoder.state_dict(), pretraining.extractor.encoder.state_dict())
        assert all(parameter.requires_grad for parameter in extractor.parameters())


@pytest.mark.parametrize("target_encoder", ["online", "polyak"])
@pytest.mark.parametrize(
    "algorithm, policy, hyperparams",
    [
        (FPAC, "CnnPolicy", dict(compile=False)),
        (SAC, FPACPolicy, dict(gradient_steps=1)),
        (TQC, FPACTQCPolicy, dict(gradient_steps=1)),
    ],
    ids=["FPAC", "SAC", "TQC"],
)
def test_frozen_the_encoder_stays_and_unfrozen_it_moves(algorithm, policy, hyperparams, target_encoder, pretraining, file):
    for frozen in (True, False):
        features_extractor_kwargs = kwargs_of(file, frozen=frozen)
        policy_kwargs = dict(
            SMALL, features_extractor_kwargs=features_extractor_kwargs, target_encoder=target_encoder, last_layer_init=None
        )
        model = algorithm(policy, stack(), policy_kwargs=policy_kwargs, **OFF_POLICY, **hyperparams, seed=0)
        encoder = model.policy.features_extractor.encoder
        heads = [parameter.detach().clone() for parameter in model.critic.q_networks[0].parameters()]
        model.learn(11)
        assert all(equal(weights, pretraining.points.weights) is frozen for weights in encoder_weights(model.policy)[:1])
        assert any((a != b).any() for a, b in zip(heads, model.critic.q_networks[0].parameters(), strict=True))
        in_optimizer = {id(parameter) for group in model.critic.optimizer.param_groups for parameter in group["params"]}
        assert all((id(parameter) in in_optimizer) is not frozen for parameter in encoder.parameters())
        assert all((parameter.grad is None) is frozen for parameter in encoder.convolutions.parameters())
        if frozen:
            assert model.critic_target.features_extractor is model.critic.features_extractor


@pytest.mark.slow
def test_a_compiled_update_leaves_a_frozen_encoder_alone(pretraining, monkeypatch):
    """And gives the weights that an update without a compiler gives"""
    monkeypatch.setattr(th, "compile", partial(th.compile, backend="aot_eager"))  # the compiler's graphs, in no time
    policy_kwargs = dict(SMALL, features_extractor_kwargs=kwargs_of(pretraining.points, frozen=True))
    models = [
        FPAC("CnnPolicy", stack(), policy_kwargs=policy_kwargs, **OFF_POLICY, compile=compile, seed=0).learn(12)
        for compile in (False, True)
    ]
    for plain, compiled in zip(*(model.policy.parameters() for model in models), strict=True):
        th.testing.assert_close(plain, compiled)
    assert equal(encoder_weights(models[1].policy)[0], pretraining.points.weights)


def test_a_frozen_encoder_sees_a_batch_once(pretraining, monkeypatch):
    """For actor, critic and actor again under SAC's own train; once more for the next observations"""
    policy_kwargs = dict(SMALL, features_extractor_kwargs=kwargs_of(pretraining.points, frozen=True))
    model = SAC(FPACPolicy, stack(), policy_kwargs=policy_kwargs, **OFF_POLICY)
    model.learn(8)
    seen = []
    forward = FeaturePointExtractor.forward
    monkeypatch.setattr(FeaturePointExtractor, "forward", lambda self, obs: seen.append(obs) or forward(self, obs))
    model.train(1, batch_size=4)
    assert len(seen) == 2


def test_frozen_random_points_stay_as_they_were_drawn():
    policy_kwargs = dict(SMALL, features_extractor_kwargs=kwargs_of(None, frozen=True))
    model = FPAC("CnnPolicy", stack(), policy_kwargs=policy_kwargs, **OFF_POLICY, seed=0)
    (before,) = encoder_weights(model.policy)
    before = {name: weight.clone() for name, weight in before.items()}
    model.learn(11)
    assert equal(before, encoder_weights(model.policy)[0])


def frames_env(discrete=False):
    return FakeImageEnv(screen_height=SIZE, screen_width=SIZE, n_channels=6, discrete=discrete, channel_first=True)


@pytest.mark.parametrize(
    "algorithm, discrete, hyperparams",
    [
        (PPO, True, dict(n_steps=8, batch_size=4, n_epochs=1)),
        (A2C, True, dict(n_steps=4)),
        (DQN, True, dict(OFF_POLICY, train_freq=1)),
        (TD3, False, OFF_POLICY),
    ],
)
def test_other_algorithms_neither_draw_the_weights_anew_nor_move_frozen_ones(
    algorithm, discrete, hyperparams, pretraining, tmp_path
):
    policy_kwargs = dict(
        features_extractor_class=FeaturePointExtractor,
        features_extractor_kwargs=kwargs_of(pretraining.points, frozen=True),
        net_arch=[8],
    )
    model = algorithm("CnnPolicy", frames_env(discrete), policy_kwargs=policy_kwargs, **hyperparams, seed=0)
    assert all(equal(weights, pretraining.points.weights) for weights in encoder_weights(model.policy))
    model.learn(12)
    online = encoder_weights(model.policy)[0]
    assert equal(online, pretraining.points.weights)
    model.save(tmp_path / "agent")
    loaded = algorithm.load(tmp_path / "agent")
    obs = model.observation_space.sample()
    np.testing.assert_array_equal(*(agent.predict(obs, deterministic=True)[0] for agent in (model, loaded)))


@pytest.mark.parametrize("algorithm, policy", [(FPAC, "CnnPolicy"), (SAC, FPACPolicy), (TQC, FPACTQCPolicy)])
@pytest.mark.parametrize("frozen", [True, False])
def test_an_agent_loads_without_the_file(algorithm, policy, frozen, file, tmp_path):
    policy_kwargs = dict(SMALL, features_extractor_kwargs=kwargs_of(str(file), frozen=frozen))
    model = algorithm(policy, stack(), policy_kwargs=policy_kwargs, **OFF_POLICY, seed=0)
    if algorithm is FPAC:
        assert policy_kwargs["features_extractor_kwargs"]["pretrained"] == str(file)  # the user's dict is as it was
    model.learn(10)
    model.save(tmp_path / "agent")
    file.unlink()
    loaded = algorithm.load(tmp_path / "agent", buffer_size=1)
    as_data = load_model(algorithm, tmp_path / "agent.zip", buffer_size=1)  # it needs no trust
    obs = model.observation_space.sample()
    for again in (loaded, as_data):
        np.testing.assert_array_equal(*(agent.predict(obs, deterministic=True)[0] for agent in (model, again)))
        points = [agent.policy_kwargs["features_extractor_kwargs"]["pretrained"] for agent in (model, again)]
        assert points[0] == points[1] and isinstance(points[1], PretrainedPoints)
    with pytest.raises(ValueError, match="There is no file of pre-trained"):  # a new agent does want it
        algorithm(policy, stack(), policy_kwargs=dict(features_extractor_kwargs=kwargs_of(str(file))))


def test_points_are_made_for_the_strides_of_their_encoder(tmp_path):
    episodes = collect_frames(Noise((3, 9, 9)), 10, strides=(2, 1))  # too small for the paper's
    made = pretrain(episodes, n_points=2, n_updates=1, batch_size=2, precision="float32", strides=[2, 1])
    made.save(tmp_path / "points.pt")
    space = spaces.Box(0, 255, (3, 9, 9), np.uint8)
    extractor = FeaturePointExtractor(space, n_points=2, pretrained=tmp_path / "points.pt", strides=(2, 1))
    assert equal(extractor.encoder.state_dict(), made.points.weights)
    with pytest.raises(ValueError, match=r"made for strides=\(2, 1\), but the extractor has strides=\(2,\): use the same"):
        FeaturePointExtractor(space, n_points=2, pretrained=tmp_path / "points.pt", strides=(2,))
    with pytest.raises(ValueError, match="Points cannot move on frames of 9×9 pixels: make them at least 13×13"):
        collect_frames(Noise((3, 9, 9)), 10, strides=(2, 1, 1))


def test_points_are_made_for_an_encoder_with_anti_aliasing(tmp_path):
    kwargs = dict(strides=(2,), anti_aliasing=True)
    episodes = collect_frames(Noise((3, 9, 9)), 10, **kwargs)
    made = pretrain(episodes, n_points=2, n_updates=1, batch_size=2, precision="float32", **kwargs)
    made.save(tmp_path / "points.pt")
    space = spaces.Box(0, 255, (3, 9, 9), np.uint8)
    extractor = FeaturePointExtractor(space, n_points=2, pretrained=tmp_path / "points.pt", **kwargs)
    assert equal(extractor.encoder.state_dict(), made.points.weights)
    with pytest.raises(
        ValueError, match="made for anti_aliasing=True, but the extractor has anti_aliasing=False: use the same"
    ):
        FeaturePointExtractor(space, n_points=2, pretrained=tmp_path / "points.pt", strides=(2,))
    with pytest.raises(ValueError, match="Points cannot move on frames of 6×6 pixels: make them at least 7×7"):
        collect_frames(Noise((3, 6, 6)), 10, **kwargs)


def test_numpy_arguments_give_a_file_like_any_other(tmp_path):
    points = pretrain(
        collect_frames(Noise((6, SIZE, SIZE)), 4), np.int64(3), np.float64(0.4), n_updates=1, strides=(np.int64(2),)
    ).points
    points.save(tmp_path / "points.pt")
    assert PretrainedPoints.load(tmp_path / "points.pt") == points
    assert (points.n_points, points.temperature, points.strides) == (3, 0.4, (2,))


def test_a_file_that_does_not_fit_into_memory_is_no_other_file(file, monkeypatch):
    def no_memory(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr(th, "load", no_memory)
    with pytest.raises(MemoryError):
        PretrainedPoints.load(file)


def test_what_does_not_fit_is_refused(pretraining, file, tmp_path):
    def extractor(pretrained=pretraining.points, channels=6, size=SIZE, **kwargs):
        return FeaturePointExtractor(
            spaces.Box(0, 255, (channels, size, size), np.uint8), **{**kwargs_of(pretrained), **kwargs}
        )

    with pytest.raises(ValueError, match="made for n_points=4, but the extractor has n_points=5: use the same"):
        extractor(n_points=5)
    with pytest.raises(ValueError, match=r"temperature=0\.5, softmax='separable', but .* temperature=0\.3, softmax='full'"):
        extractor(temperature=0.3, softmax="full")
    with pytest.raises(ValueError, match="made for frame_channels=3, but the extractor has frame_channels=1"):
        extractor(frame_channels=1)
    with pytest.raises(ValueError, match="made for height=24, width=24, but the extractor has height=32, width=32"):
        extractor(size=32)
    with pytest.raises(ValueError, match=r"There is no file of pre-trained feature points 'no\.pt': create one with"):
        extractor("no.pt")
    with pytest.raises(ValueError, match="There is no file"):
        extractor(tmp_path)
    with pytest.raises(ValueError, match=r"got Pretraining: pass pretrain\(…\)\.points"):
        extractor(pretraining)
    for name, content in (("text.pt", b"text"), ("empty.pt", b""), ("half.pt", file.read_bytes()[:3000])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}' holds no pre-trained feature points: give the .pt file"):
            extractor(tmp_path / name)
    th.save(pretraining.points.weights, tmp_path / "weights.pt")
    th.save([len], tmp_path / "code.pt")
    for name in ("weights.pt", "code.pt"):
        with pytest.raises(ValueError, match="holds no pre-trained feature points"):
            extractor(tmp_path / name)


def test_a_points_file_with_a_changed_byte_or_foreign_weights_is_refused(pretraining, file, tmp_path):
    data = bytearray(file.read_bytes())
    weight = pretraining.points.weights["convolutions.0.weight"].numpy().tobytes()
    data[data.index(weight) + 5] ^= 255
    (tmp_path / "flipped.pt").write_bytes(data)
    with pytest.raises(ValueError, match=r"flipped\.pt is damaged .*checksum"):
        PretrainedPoints.load(tmp_path / "flipped.pt")
    foreign = replace(pretraining.points, weights={"convolutions.0.weight": th.zeros(3)})
    space = spaces.Box(0, 255, (6, SIZE, SIZE), np.uint8)
    with pytest.raises(ValueError, match="The pre-trained weights are not those of this encoder"):
        FeaturePointExtractor(space, **kwargs_of(foreign))


def test_frames_that_make_no_pairs_are_refused():
    frame = np.zeros((1, 3, SIZE, SIZE), np.uint8)
    with pytest.raises(ValueError, match="two frames of one episode"):
        pretrain([frame, frame])
    with pytest.raises(ValueError, match="two frames of one episode"):
        pretrain([])
    with pytest.raises(ValueError, match="Every episode must be uint8"):
        pretrain([frame / 255])
    with pytest.raises(ValueError, match="Every episode must be uint8"):
        pretrain([frame, frame[..., 1:]])
    with pytest.raises(ValueError, match="16×16 pixels: make them at least 17×17"):
        pretrain([np.zeros((2, 3, 16, 16), np.uint8)])
    with pytest.raises(ValueError, match="n_frames must be at least 2, got 1"):
        collect_frames(Noise(), 1)
    with pytest.raises(ValueError, match="got a vector of shape"):
        collect_frames(gym.make("Pendulum-v1"), 10)
    with pytest.raises(ValueError, match="4 channels are not a stack of frames of 3 channels"):
        collect_frames(Noise((4, SIZE, SIZE)), 10, frame_channels=3)
    pair = np.concatenate([frame, frame])
    for kwargs in (dict(n_updates=0), dict(batch_size=0), dict(learning_rate=0), dict(n_points=0), dict(sigma=0)):
        with pytest.raises(ValueError, match=f"{next(iter(kwargs))} must be"):
            pretrain([pair], **kwargs)
    with pytest.raises(FloatingPointError, match="try a learning rate below"):
        pretrain([pair], n_points=2, n_updates=9, batch_size=2, learning_rate=1e30)


def test_the_picture_shows_target_source_reconstruction_and_points(pretraining):
    episodes = [np.full((4, 3, SIZE, SIZE), level, np.uint8) for level in (50, 150)]
    picture = render_reconstructions(pretraining, episodes, rows=2, scale=2)
    assert picture.shape == (2 * 2 * SIZE + 2, 4 * 2 * SIZE + 3 * 2, 3)
    target, source, rebuilt, points = (picture[: 2 * SIZE, i * (2 * SIZE + 2) :][:, : 2 * SIZE] for i in range(4))
    assert (target == 50).all() and (source == 50).all() and (picture[2 * SIZE + 2 :, : 2 * SIZE] == 150).all()
    assert (rebuilt != 50).any() and (points != 50).any() and (points == 50).any()


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["sb3_fpac", "pretrain", *map(str, arguments)])
    main()


def test_from_the_command_line_to_an_agent(monkeypatch, capsys, tmp_path):
    file = tmp_path / "points.pt"
    options = ["--frames", 8, "--updates", 2, "--batch-size", 2, "--n-points", 3, "--device", "cpu"]
    run(monkeypatch, "--env", "dmc-cartpole-swingup", "--env-kwargs", f"size:{SIZE}", "-o", file, *options)
    out, err = capsys.readouterr()
    assert "3 points, loss" in out and "8/8" in err and "2/2" in err
    assert imageio.imread(tmp_path / "points.png").shape[2] == 3
    env = gym.make("dmc-cartpole-swingup", size=SIZE)
    policy_kwargs = dict(SMALL, features_extractor_kwargs=dict(n_points=3, pretrained=str(file), frozen=True))
    model = FPAC("CnnPolicy", env, policy_kwargs=policy_kwargs, buffer_size=10)
    assert equal(encoder_weights(model.policy)[0], PretrainedPoints.load(file).weights)
    env.close()


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["-o", "points.zip"], "-o/--output: must end in .pt, got points.zip."),
        (["-o", f"{__file__}/points.pt"], f"Nothing can be written to the folder {__file__}: "),
        (["--frames", 1], "--frames: must be at least 2, got 1."),
        (["--updates", 0], "--updates: must be at least 1, got 0."),
        (["--learning-rate", 0], "--learning-rate: must be positive, got 0.0."),
        (["--env", "dmc-cheetah"], "There is no environment 'dmc-cheetah'"),
        (["--sigma", 0], "--sigma: must be positive, got 0.0."),
        (["--env-kwargs", "sice:24"], "dmc-cartpole-swingup cannot be made with {'sice': 24}"),
        (["--device", "abacus"], "PyTorch has no device 'abacus'"),
        (["--env", "Pendulum-v1"], "got a vector of shape (3,)"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_one_sentence(monkeypatch, capsys, options, sentence):
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, "--env", "dmc-cartpole-swingup", *options)
    by_argparse = stop.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1] if by_argparse else stop.value.code  # after the usage
    assert sentence in message and "\n" not in message


def frames(length=6):
    return np.random.default_rng(0).integers(0, 256, (length, 3, SIZE, SIZE), np.uint8)


def test_frames_with_the_channels_last_are_refused_with_the_cure():
    with pytest.raises(
        ValueError, match=r"got \(6, 24, 24, 3\), whose channels are last: pass episode.transpose\(0, 3, 1, 2\)"
    ):
        pretrain([frames().transpose(0, 2, 3, 1)])


@pytest.mark.parametrize("header", [0, 1])
@pytest.mark.parametrize(("n_channels", "n_frames"), [(3, 2), (1, 3), (2, 3)])
def test_stacks_are_not_taken_for_frames_of_many_channels(n_channels, n_frames, header):
    single = frames(9)[:, :n_channels]
    stacks = np.concatenate([single[i : len(single) - n_frames + 1 + i] for i in range(n_frames)], axis=1)
    stacks = np.concatenate([np.zeros_like(stacks[:, :header]), stacks], axis=1)
    with pytest.raises(
        ValueError, match=rf"stacks of frames of {n_channels}: pass the newest ones, episode\[:, -{n_channels}:\]"
    ):
        pretrain([frames(1).repeat(stacks.shape[1], axis=1)[:, : stacks.shape[1]], stacks])


@pytest.mark.parametrize(
    "episode",
    [frames(), np.concatenate([frames(), frames()[::-1]], axis=1), np.zeros((6, 6, SIZE, SIZE), np.uint8), frames()[:, :1]],
    ids=["RGB", "two cameras", "black", "grey"],
)
def test_frames_that_do_not_move_along_are_no_stacks(episode):
    made = pretrain([episode], n_points=2, n_updates=1, batch_size=2, precision="float32")
    assert made.points.frame_channels == episode.shape[1]


def test_frames_are_not_collected_from_a_vec_env():
    with pytest.raises(ValueError, match="collect_frames needs a single Gymnasium environment, got DummyVecEnv: pass one of"):
        collect_frames(DummyVecEnv([stack]))
    with pytest.raises(ValueError, match=r"got str: pass gymnasium\.make\('Frames-v0'\)"):
        collect_frames("Frames-v0")
