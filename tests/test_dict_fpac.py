"""FPAC with several cameras and vectors: it is SB3's SAC, each encoder is trained by the critic, and keys have no order."""

import gymnasium as gym
import numpy as np
import pytest
import torch as th
from gymnasium import spaces
from helpers.environments import SIZE, Robot, Spaces, StackedNoise
from helpers.models import filled as fill
from helpers.models import same, snapshot, train
from stable_baselines3 import SAC
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from sb3_fpac import (
    FPAC,
    FeaturePointCombinedExtractor,
    FPACPolicy,
    FrameStack,
    HerFrameReplayBuffer,
    PixelExtractor,
    fpac_fast,
    fpac_kwargs,
    latest_checkpoint,
    resume,
    save_checkpoint,
)

CHANNELS = dict(front=3, wrist=1)
STACKS = dict(frame_channels=CHANNELS, camera_shift=dict(front=True))
POINTS = dict(n_points=dict(front=3, wrist=2), precision="float32", strides=(2,), **STACKS)
SHORT = dict(buffer_size=200, learning_starts=10, batch_size=8, ent_coef="auto_0.1", seed=0)


def make(env=None, algorithm=FPAC, points=None, **kwargs):
    policy_kwargs = dict(net_arch=[16, 16], features_extractor_kwargs={**POINTS, **(points or {})})
    policy_kwargs |= kwargs.pop("policy_kwargs", {})
    kwargs = {**SHORT, **kwargs}
    if algorithm is SAC:
        policy_kwargs["actor_update_interval"] = 1
        kwargs["replay_buffer_class"] = None
    policy = "MultiInputPolicy" if algorithm is FPAC else FPACPolicy
    return algorithm(policy, Robot() if env is None else env, policy_kwargs=policy_kwargs, **kwargs)


def filled(*args, **kwargs):
    return fill(make(*args, **kwargs), 40)


@pytest.mark.parametrize(
    "case",
    [
        {},
        dict(target="polyak"),
        dict(points=dict(whiten=True), target="polyak"),
        dict(points=dict(share_encoder=True, frame_channels=1, camera_shift=False, n_points=2), shared=True),
        dict(norm_obs_keys=["joints"]),
        dict(n_envs=2, use_sde=True),
    ],
    ids=str,
)
def test_it_is_sac_with_fpac_policy_number_by_number(case):
    models = []
    for algorithm in (FPAC, SAC):
        env = DummyVecEnv([lambda: TwoEyes() if case.get("shared") else Robot()] * case.get("n_envs", 1))
        if "norm_obs_keys" in case:
            env = VecNormalize(env, norm_obs_keys=case["norm_obs_keys"])
        model = filled(
            env,
            algorithm,
            points=case.get("points"),
            use_sde=case.get("use_sde", False),
            learning_rate=1e-3,
            target_update_interval=1,
            tau=0.05,
            **(dict(policy_delay=1) if algorithm is FPAC else {}),
            policy_kwargs=dict(target_encoder=case.get("target", "online"), optimizer_kwargs=dict(eps=1e-5)),
        )
        models.append(model)
    ours, theirs = models
    assert same(snapshot(ours.policy), snapshot(theirs.policy))
    before = snapshot(ours.policy)
    for model in models:
        for update in range(15):
            train(model, gradient_steps=1, batch_size=16, seed=update)
    assert np.mean([not th.equal(a, b) for a, b in zip(before, snapshot(ours.policy), strict=True)]) > 0.9
    rtol = 2e-5 if (case.get("points") or {}).get("whiten") else 0  # an inverse amplifies rounding
    th.testing.assert_close(ours.policy.state_dict(), theirs.policy.state_dict(), rtol=rtol, atol=2e-6)
    th.testing.assert_close(ours.log_ent_coef, theirs.log_ent_coef, rtol=0, atol=2e-6)


class TwoEyes(gym.ObservationWrapper):
    """Two grey cameras"""

    def __init__(self):
        super().__init__(Robot(("wrist", "joints")))
        space = self.env.observation_space
        self.observation_space = spaces.Dict({**space.spaces, "top": space["wrist"]})

    def observation(self, observation):
        return {**observation, "top": 255 - observation["wrist"]}


class Keyed(StackedNoise):
    """One image under a key"""

    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Dict(eye=self.observation_space)

    def _obs(self):
        return dict(eye=super()._obs())


@pytest.mark.parametrize("kwargs", [{}, dict(n_steps=3), dict(random_shift=2)], ids=str)
def test_a_dict_of_one_image_is_the_image_alone_to_the_bit(kwargs):
    options = dict(policy_kwargs=dict(net_arch=[16], features_extractor_kwargs=dict(n_points=3)), **SHORT, **kwargs)
    single = FPAC("CnnPolicy", StackedNoise(), **options).learn(40)
    keyed = FPAC("MultiInputPolicy", Keyed(), **options).learn(40)
    assert same(snapshot(single.policy), snapshot(keyed.policy))
    assert th.equal(single.log_ent_coef, keyed.log_ent_coef)


def test_the_order_of_keys_changes_nothing():
    keys = tuple(Robot().observation_space)
    agents = [make(Robot(order), random_shift=1).learn(30) for order in (keys, keys[::-1])]
    assert same(*(snapshot(agent.policy) for agent in agents))
    obs = [dict(sorted(Robot(keys).reset(seed=1)[0].items())), Robot(keys[::-1]).reset(seed=1)[0]]
    actions = [agent.predict(each, deterministic=True)[0] for agent in agents for each in obs]
    assert all(np.array_equal(action, actions[0]) for action in actions)


@pytest.mark.parametrize("target_encoder", ["online", "polyak"])
@pytest.mark.parametrize("share_encoder", [False, True])
def test_critic_alone_moves_each_encoder(target_encoder, share_encoder):
    points = dict(frame_channels=1, camera_shift=False, n_points=2, share_encoder=share_encoder)
    model = filled(TwoEyes(), points=points, policy_kwargs=dict(target_encoder=target_encoder), policy_delay=1)
    encoders = [extractor.encoder for extractor in model.policy.features_extractor.images.values()]
    assert (encoders[0] is encoders[1]) == share_encoder
    before = snapshot(*encoders)
    learning_rates = model.critic.optimizer.param_groups[0]["lr"], 0.0
    for optimizer, moves in ((model.actor.optimizer, False), (model.critic.optimizer, True)):
        for each in (model.actor.optimizer, model.critic.optimizer):
            each.param_groups[0]["lr"] = learning_rates[each is not optimizer]
        model._update_learning_rate = lambda optimizers: None
        train(model, 2)
        changed = [not th.equal(a, b) for a, b in zip(before, snapshot(*encoders), strict=True)]
        assert all(changed) if moves else not any(changed)
    trained = [id(parameter) for group in model.critic.optimizer.param_groups for parameter in group["params"]]
    of_encoders = {id(parameter) for encoder in encoders for parameter in encoder.parameters()}
    assert len(trained) == len(set(trained)) and of_encoders <= set(trained)
    assert len(of_encoders) == (4 if share_encoder else 8)
    assert not of_encoders & {id(parameter) for group in model.actor.optimizer.param_groups for parameter in group["params"]}


def test_a_shared_encoder_is_saved_and_loaded_as_one(tmp_path):
    points = dict(frame_channels=1, camera_shift=False, n_points=2, share_encoder=True)
    model = make(TwoEyes(), points=points).learn(20)
    model.save(tmp_path / "model")
    loaded = FPAC.load(tmp_path / "model", env=TwoEyes())
    assert same(snapshot(model.policy), snapshot(loaded.policy))
    loaded.learn(20, reset_num_timesteps=False)
    first, second = loaded.policy.features_extractor.images.values()
    assert first.encoder is second.encoder


def test_features_are_those_of_each_camera_alone_and_the_vectors():
    model = make()
    extractor = model.policy.features_extractor
    obs, _ = Robot().reset(seed=3)
    tensors = model.policy.obs_to_tensor(obs)[0]
    features = model.policy.extract_features(tensors, extractor)[0]
    front, wrist = extractor.images["front"], extractor.images["wrist"]
    sizes = [front.features_dim, wrist.features_dim, 2, 5, 4, 3]  # buttons, gears (2 + 3 values), joints, mode
    assert extractor.features_dim == sum(sizes) and list(extractor.vectors) == ["buttons", "gears", "joints", "mode"]
    parts = features.split(sizes)
    th.testing.assert_close(parts[0], front(tensors["front"].float() / 255)[0])
    th.testing.assert_close(parts[1], wrist(tensors["wrist"].float() / 255)[0])
    assert parts[2].tolist() == obs["buttons"].tolist() and parts[5].argmax() == obs["mode"]
    th.testing.assert_close(parts[4], th.tensor(obs["joints"]).flatten().float())
    other = {**tensors, "wrist": 255 - tensors["wrist"]}
    changed = model.policy.extract_features(other, extractor)[0].split(sizes)
    assert [th.equal(a, b) for a, b in zip(parts, changed, strict=True)] == [True, False, True, True, True, True]


def test_random_shift_by_key():
    model = filled(random_shift=dict(wrist=4))
    batch = model.replay_buffer.sample_frames(32)
    shifted = model._make_update(False)._shifted(batch)
    assert th.equal(shifted.frames["front"], batch.frames["front"])
    assert not th.equal(shifted.frames["wrist"], batch.frames["wrist"])
    train(model, 2)
    with pytest.raises(ValueError, match="random_shift has the key 'rear', but the images are 'front', 'wrist'"):
        make(random_shift=dict(rear=1))
    with pytest.raises(ValueError, match="random_shift of 'wrist' must be from 0 to 15, got 16"):
        make(random_shift=dict(wrist=16))


def test_compiled_losses_are_the_eager_ones():
    th._dynamo.reset()
    model = filled(points=dict(whiten=True))
    update = model._make_update(False)
    batch, noise, ent_coef = update._flattened(model.replay_buffer.sample_frames(8)), th.zeros(8, 2), th.tensor(0.1)
    for loss, *args in ((update.critic_loss, batch, ent_coef, noise), (update.actor_loss, th.ones(8, 44), ent_coef, noise)):
        compiled = th.compile(loss, backend="aot_eager", fullgraph=True, dynamic=False)
        model.policy.features_extractor.eval()  # the running statistics stay
        th.testing.assert_close(compiled(*args), loss(*args), rtol=0, atol=1e-6)


def test_a_graphs_batch_is_filled_again_tensor_by_tensor():
    model = filled()
    first, second = (model.replay_buffer.sample_frames(8) for _ in range(2))
    static = first.map(th.clone)
    pairs = list(zip(static.tensors(), second.tensors(), strict=True))
    assert len(pairs) == 2 + 1 + 3 + 4 + 4  # frames, camera shift, actions, rewards and dones, vectors of either observation
    for mine, new in pairs:
        mine.copy_(new)
    assert all(map(th.equal, static.tensors(), second.tensors()))


def test_saved_resumed_and_said(tmp_path, capsys):
    model = make(verbose=1).learn(30)
    said = capsys.readouterr().out
    assert "front: 2 RGB frames of 17×19, camera shift, 3 points, 18 features" in said
    assert "wrist: 2 grey frames of 18×16, 2 points, 12 features" in said
    assert "vectors: buttons (2), gears (5), joints (4), mode (3)" in said
    save_checkpoint(model, tmp_path)
    model.learn(20, reset_num_timesteps=False)
    resumed = resume(latest_checkpoint(tmp_path), Robot())
    resumed.learn(20, reset_num_timesteps=False)
    assert resumed._n_updates == model._n_updates and resumed.replay_buffer.size() == model.replay_buffer.size()
    model.save(tmp_path / "model")
    obs, _ = Robot().reset(seed=1)
    assert np.array_equal(
        FPAC.load(tmp_path / "model").predict(obs, deterministic=True)[0], model.predict(obs, deterministic=True)[0]
    )


def test_channels_may_be_last():
    class ChannelsLast(Robot):
        def __init__(self):
            super().__init__(("joints", "wrist"))
            self.observation_space["wrist"] = spaces.Box(0, 255, (18, 16, 2), np.uint8)

        def _new(self, key):
            return (
                np.random.default_rng(self.steps).integers(0, 256, (1, 18, 16), np.uint8)
                if key == "wrist"
                else super()._new(key)
            )

        def _obs(self):
            obs = super()._obs()
            return {**obs, "wrist": np.moveaxis(obs["wrist"], 0, -1)}

    options = dict(points=dict(frame_channels=1, camera_shift=False, n_points=2))
    env = VecNormalize(DummyVecEnv([ChannelsLast]), norm_obs_keys=["joints"])
    model = make(env, **options).learn(30)
    stored = model.replay_buffer.sample(20)
    assert stored.observations["wrist"].shape == (20, 2, 18, 16)
    assert stored.observations["joints"].dtype == th.float64 and (stored.observations["joints"].abs() <= 3).all()


def test_hindsight():
    buffer = dict(replay_buffer_class=HerFrameReplayBuffer, replay_buffer_kwargs=dict(n_sampled_goal=2))
    model = make(Robot(goals=True), **buffer).learn(40)
    assert model._n_updates == 30 and type(model.replay_buffer) is HerFrameReplayBuffer
    with pytest.raises(ValueError, match="n_steps=1"):
        make(Robot(goals=True), n_steps=3, **buffer)


def test_the_preset_and_sacs_kwargs_serve_dicts_too():
    kwargs = {**fpac_fast, "policy_kwargs": {**fpac_fast["policy_kwargs"]}}
    kwargs["policy_kwargs"]["features_extractor_kwargs"] = dict(kwargs["policy_kwargs"]["features_extractor_kwargs"], **STACKS)
    model = FPAC("MultiInputPolicy", Robot(), **SHORT, **kwargs).learn(20)
    assert model.replay_buffer.n_steps == 3
    sac_kwargs = dict(fpac_kwargs, features_extractor_kwargs=dict(POINTS))
    by_sac = SAC("MultiInputPolicy", Robot(), policy_kwargs=sac_kwargs, **SHORT)
    assert isinstance(by_sac.policy.features_extractor, FeaturePointCombinedExtractor)


def image(*shape):
    return spaces.Box(0, 255, shape, np.uint8)


EYE = image(6, SIZE, SIZE)


@pytest.mark.parametrize(
    ("parts", "kwargs", "words"),
    [
        ({"a.b": EYE}, {}, "the key 'a.b', because it has a dot: rename the key"),
        (dict(eye=EYE, depth=spaces.Box(0, 1, (2, 40, 40))), {}, "'depth' looks like an image, .* got float32 from 0 to 1"),
        (dict(eye=EYE, time=spaces.Box(0, 1, ())), {}, r"'time' is Box.*, a single number: make it a vector of shape \(1,\)"),
        (dict(eye=EYE, depth=spaces.Box(0, 9, (40, 40))), {}, r"'depth' looks like an image, .* of shape \(40, 40\)"),
        (dict(eye=EYE, depth=spaces.Box(0, 65535, (64, 32), np.uint16)), {}, "'depth' looks like an image, .* got uint16"),
        (dict(eye=EYE, small=image(6, 9, 9)), {}, "Image 'small': Images of 9×9 pixels are too small"),
        (
            dict(joints=spaces.Box(-1, 1, (3,))),
            {},
            r"holds an image. 'joints' is a vector of shape \(3,\). .*AddPixels",
        ),
        (dict(eye=spaces.Box(0, 1, (40, 40, 3))), {}, r"No key .* holds an image. 'eye' looks like .* TransformObservation.$"),
        (dict(eye=EYE), dict(n_points=dict(ear=2)), "n_points has the key 'ear', but the images are 'eye'"),
        (dict(eye=EYE), dict(frame_channels=dict(ear=2)), "frame_channels has the key 'ear', but the images are 'eye'"),
        (dict(eye=EYE, ear=image(2, 40, 40)), {}, "Image 'ear': 2 channels are not a stack of frames of 3"),
        (
            dict(eye=EYE, ear=EYE),
            dict(share_encoder=True, n_points=dict(eye=2)),
            "share_encoder=True needs equal n_points, but 'ear' has 32 and 'eye' has 2",
        ),
        (
            dict(eye=EYE, ear=EYE),
            dict(share_encoder=True, strides=dict(eye=(2,))),
            "share_encoder=True makes one encoder: pass one value of strides",
        ),
        (
            dict(eye=EYE, ear=EYE),
            dict(share_encoder=True, n_points=0),
            "Without share_encoder, a dict by key gives every image its own value",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(parts, kwargs, words):
    with pytest.raises(ValueError, match=words) as error:
        policy_kwargs = dict(features_extractor_kwargs=kwargs)
        FPAC("MultiInputPolicy", Spaces(spaces.Dict(list(parts.items()))), buffer_size=9, policy_kwargs=policy_kwargs)
    assert "\n" not in str(error.value)


def test_an_extractor_of_single_images_is_told_which_one_takes_dicts():
    with pytest.raises(ValueError, match=r"'MultiInputPolicy' pass features_extractor_class=FeaturePointCombinedExtractor\.$"):
        make(policy_kwargs=dict(features_extractor_class=PixelExtractor, features_extractor_kwargs=STACKS))
    make(policy_kwargs=dict(features_extractor_class=FeaturePointCombinedExtractor))


@pytest.mark.parametrize("use", [make, FrameStack])
def test_a_python_dict_is_no_space(use):
    env = Robot()
    env.observation_space = env.observation_space.spaces
    with pytest.raises(ValueError, match=r"observation_space must be one of gymnasium\.spaces, .*, got <class 'dict'>\.$"):
        use(env)


def test_observations_with_other_keys_are_refused():
    model = make()
    obs, _ = Robot().reset(seed=1)
    with pytest.raises(ValueError, match="has 'rear', which the space lacks"):
        model.predict({**obs, "rear": obs["wrist"]})
    del obs["wrist"]
    with pytest.raises(ValueError, match="lacks 'wrist'"):
        model.predict(obs)


@pytest.mark.parametrize("n_envs", [1, 2])
def test_single_frames_of_an_evaluation_are_refused_by_their_key(n_envs):
    model = make()
    batch = {key: np.stack([part] * n_envs) for key, part in Robot().reset(seed=1)[0].items()}
    model.predict({**batch, "wrist": batch["wrist"].transpose(0, 2, 3, 1)})  # SB3 puts the channels first
    with pytest.raises(
        ValueError, match=r"Image 'wrist': .* trained with images of shape \(2, 18, 16\), got .*: wrap .* FrameStack"
    ):
        model.predict({**batch, "wrist": batch["wrist"][:, :1]})


def test_an_agent_is_given_a_dict_only_if_it_was_trained_with_dicts():
    of_dict, of_image = make(), FPAC("CnnPolicy", StackedNoise(), **SHORT)
    a_dict, an_image = Robot().reset(seed=1)[0], StackedNoise().reset(seed=1)[0]
    for model, other, expected in (
        (of_dict, an_image, "a dict of 'wrist', 'front'.*"),
        (of_image, a_dict, r"an array of shape \(\d+, \d+, \d+\)"),
    ):
        for wrong in (other, None):
            with pytest.raises(ValueError, match=rf"trained with {expected}, got {type(wrong).__name__}: pass what the"):
                model.predict(wrong)


def test_an_agent_acts_on_dicts_of_tensors():
    obs, _ = Robot().reset(seed=1)
    model = make()
    tensors = {key: th.as_tensor(part) for key, part in obs.items()}
    assert np.array_equal(model.predict(tensors, deterministic=True)[0], model.predict(obs, deterministic=True)[0])


@pytest.mark.parametrize("algorithm", [FPAC, SAC])
@pytest.mark.parametrize(
    "key, change, message",
    [
        ("wrist", lambda image: (image / 255).astype(np.float32), "Image 'wrist': .* images of uint8 .* got float32 from 0"),
        ("wrist", lambda image: image.tolist(), "Image 'wrist': .* images of uint8 .* got int64 from 0"),
        ("joints", lambda joints: np.full_like(joints, np.nan), "'joints' with 4 of 4 values that are not finite"),
        ("joints", lambda joints: joints[:1], r"'joints' of shape \(2, 2\), got \(1, 2\)"),
    ],
)
def test_an_agent_does_not_act_on_what_it_was_not_trained_with(algorithm, key, change, message):
    obs, _ = Robot().reset(seed=1)
    model = make(algorithm=algorithm)
    model.predict(obs)
    with pytest.raises(ValueError, match=message):
        model.predict({**obs, key: change(obs[key])})


def test_images_that_are_divided_already_with_sac():
    class Divided(Robot):
        def __init__(self):
            super().__init__(("wrist", "joints"))
            self.observation_space["wrist"] = spaces.Box(0, 1, (2, 18, 16), np.float32)

        def _new(self, key):
            return np.float32(super()._new(key) / 255) if key == "wrist" else np.float64([[0, 1], [2, 3]])

    kwargs = dict(normalize_images=False, features_extractor_kwargs=dict(n_points=2, frame_channels=1))
    model = SAC(FPACPolicy, Divided(), policy_kwargs=kwargs, **SHORT)
    assert list(model.policy.features_extractor.images) == ["wrist"]
    assert model.learn(15)._n_updates == 5


def test_normalized_images_are_refused_and_their_keys_named():
    env = DummyVecEnv([lambda: Robot(("front", "joints"))])
    with pytest.raises(ValueError, match=r"VecNormalize .* normalizes 'front': pass it norm_obs_keys without images"):
        make(VecNormalize(env, norm_obs_keys=["front", "joints"]), points=dict(n_points=2, frame_channels=3))


def test_the_environment_of_these_tests_is_sound():
    check_env(Robot(goals=True), warn=False)
