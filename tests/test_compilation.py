"""Compiled, graph-captured and eager updates are one update; and where there is no compiler, there is still an agent."""

import sys
import warnings
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch as th
from helpers.environments import Noise
from helpers.models import filled, train
from helpers.processes import run_python
from stable_baselines3.common.utils import LinearSchedule

from sb3_fpac import FPAC, FrameStack
from sb3_fpac.fpac.compilation import GraphedUpdate, compile_update, retain_freed_memory
from sb3_fpac.fpac.update import Update


def make(**kwargs):
    """A model with transitions in its buffer and no update done"""
    policy_kwargs = dict(
        net_arch=[8],
        optimizer_kwargs=dict(eps=1e-5),
        features_extractor_kwargs=dict(n_points=2, precision="float32", whiten=True),
    )
    kwargs = {"compile": False, "learning_rate": 1e-3, "seed": 0, "batch_size": 4, "buffer_size": 100, **kwargs}
    return filled(FPAC("CnnPolicy", FrameStack(Noise(), 2), policy_kwargs=policy_kwargs, **kwargs), 30)


def snapshot(model):
    return {
        name: tensor.detach().clone()
        for name, tensor in [
            *model.policy.named_parameters(),
            *model.policy.features_extractor.named_buffers(),
            ("alpha", model.log_ent_coef),
        ]
    }


def assert_close(one, other, atol):
    assert one.keys() == other.keys()
    for name in one:
        th.testing.assert_close(
            one[name].cpu(), other[name].cpu(), rtol=0, atol=atol, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.fixture
def compiled(monkeypatch):
    """What torch.compile is asked to compile, with nothing compiled"""
    functions = []

    def compile(function, **options):
        functions.append(function.__name__)
        return lambda *args: function(*args)

    monkeypatch.setattr(th, "compile", compile)
    return functions


@pytest.mark.slow
def test_compiled_and_eager_updates_agree():
    th._dynamo.reset()
    eager, compiled = make(), make(compile=True)
    before = snapshot(eager)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # that compilation failed
        for model in (eager, compiled):
            train(model, 10)
    assert eager._update._critic_loss == eager._update.critic_loss
    assert compiled._update._critic_loss != compiled._update.critic_loss
    assert_close(snapshot(eager), snapshot(compiled), atol=1e-5)
    moved = [not th.equal(a, b) for a, b in zip(before.values(), snapshot(eager).values(), strict=True)]
    assert all(moved)


def test_both_losses_are_compiled_once(compiled):
    model = make(compile=True)
    train(model, 3)
    train(model, 3)
    assert compiled == ["critic_loss", "actor_loss"]


@pytest.mark.parametrize("compile", [False, "auto"])
def test_on_a_cpu_nothing_is_compiled_unless_asked_for(compile, compiled):
    train(make(compile=compile), 2)
    assert compiled == []


def test_gsde_is_not_compiled(compiled):
    train(make(compile=True, use_sde=True), 2)
    assert compiled == []


def test_zero_is_refused_for_compile(compiled):
    """0 equals False and is not False"""
    with pytest.raises(ValueError, match="compile must be"):
        make(compile=0)
    assert compiled == []


def test_trying_out_learns_nothing_and_draws_nothing(compiled):
    model = make(compile=True)
    before = snapshot(model)
    batch = model.replay_buffer.sample_frames(4)
    state = th.get_rng_state()
    update = compile_update(model._make_update, True, batch)
    assert compiled == ["critic_loss", "actor_loss"]
    assert_close(before, snapshot(model), atol=0)
    assert th.equal(state, th.get_rng_state())
    parameters = [p for optimizer in model._optimizers() for group in optimizer.param_groups for p in group["params"]]
    assert all(p.grad is None for p in parameters)
    assert not any(optimizer.state for optimizer in model._optimizers())
    assert isinstance(update, Update)


def test_without_a_compiler_updates_are_as_good_and_it_is_said_once(monkeypatch):
    """As torch.compile fails: at the first call of what it has returned"""

    def compile(function, **options):
        def compiled(*args):
            raise th._dynamo.exc.BackendCompilerFailed("inductor", RuntimeError("No working C++ compiler found"), None)

        return compiled

    eager = make()
    train(eager, 4)
    monkeypatch.setattr(th, "compile", compile)
    without = make(compile=True)
    with pytest.warns(UserWarning, match=r"(?s)torch\.compile failed.*more slowly.*compiler") as warned:
        train(without, 4)
    assert len([warning for warning in warned if "torch.compile failed" in str(warning.message)]) == 1
    assert_close(snapshot(eager), snapshot(without), atol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(without, 2)


class Graph:
    """A CUDA graph on the CPU: what was captured is done at every replay"""

    def replay(self):
        self.update()


@pytest.fixture
def graphs(monkeypatch):
    """CUDA's streams and graphs, on the CPU; how often something was captured, and what to raise where"""
    stream = SimpleNamespace(wait_stream=lambda other: None)
    state = SimpleNamespace(captures=0, fail_in_capture=None)

    class capture:  # noqa: N801
        def __init__(self, graph, stream):
            self.graph = graph

        def __enter__(self):
            state.captures += 1
            if state.fail_in_capture:
                raise state.fail_in_capture

        def __exit__(self, *error):
            pass

    for name, value in dict(
        Stream=lambda device: stream,
        current_stream=lambda device: stream,
        stream=lambda stream: nullcontext(),
        device=lambda device: nullcontext(),
        CUDAGraph=Graph,
        graph=capture,
    ).items():
        monkeypatch.setattr(th.cuda, name, value)
    return state


def graphed(model):
    """An update in graphs whose warm-ups, captures and replays happen on the CPU"""
    update = model._make_update(False)
    model._update = GraphedUpdate(update, th.device("cpu"))
    model._update_settings = model._current_settings(4, {})
    return update


@pytest.mark.parametrize("error", [RuntimeError("operation not permitted when stream is capturing"), th.OutOfMemoryError()])
def test_a_graph_that_cannot_be_captured_costs_speed_and_no_step(error, graphs):
    eager, model = make(), make()
    graphs.fail_in_capture = error
    graphed(model)
    with pytest.warns(UserWarning, match="FPAC continues without a CUDA graph, more slowly") as warned:
        for each in (eager, model):
            train(each, 12)
    assert len(warned) == 1 and graphs.captures == 1
    assert_close(snapshot(eager), snapshot(model), atol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, 4)
    assert model._n_updates == 16


@pytest.mark.parametrize("learned", [False, True])
def test_too_little_memory_in_a_warm_up_learns_nothing_twice(learned, graphs, monkeypatch):
    """Before the critic's step the update is done again; after it, that would learn twice"""
    eager, model = make(), make()
    update = graphed(model)
    failing = model.actor.optimizer if learned else model.critic.optimizer
    step, failures = failing.step, [th.OutOfMemoryError("CUDA out of memory")]

    def fail_once(*args, **kwargs):
        if failures:
            raise failures.pop()
        return step(*args, **kwargs)

    monkeypatch.setattr(failing, "step", fail_once)
    if learned:
        with pytest.raises(th.OutOfMemoryError):
            train(model, 4)
        assert update.has_learned
        return
    monkeypatch.setattr(Update, "_draw_noise", lambda self, batch: th.zeros_like(batch.actions))  # instead of drawing it twice
    train(eager, 4)
    with pytest.warns(UserWarning, match="without a CUDA graph.*out of memory"):
        train(model, 4)
    assert_close(snapshot(eager), snapshot(model), atol=0)


def test_more_models_than_dynamo_compiles_are_said(monkeypatch):
    th._dynamo.reset()
    monkeypatch.setattr(th, "compile", partial(th.compile, backend="eager"))
    warned = pytest.warns(UserWarning, match="torch.compile failed, so FPAC continues without it")
    with th._dynamo.config.patch(recompile_limit=1), warned:
        for size in (2, 3, 4):
            train(make(compile=True, batch_size=size), 1)


PROGRAM = """
import warnings
import torch as th
import torch._inductor.config as config
config.cpp.cxx = ("/no/such/compiler",)
from test_compilation import make, train
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    model = make(compile=True)
    train(model, 4)
    train(model, 2)
assert model._n_updates == 6
assert [str(w.message).startswith("torch.compile failed") for w in warned if w.category is UserWarning].count(True) == 1
"""


@pytest.mark.slow
def test_a_missing_compiler_costs_speed_and_not_the_run(tmp_path):
    """With PyTorch's real compiler, which finds no C++ compiler"""
    run_python("-c", PROGRAM, TORCHINDUCTOR_CACHE_DIR=str(tmp_path))


def test_memory_that_is_freed_may_be_kept_again_and_again(monkeypatch):
    retain_freed_memory()
    retain_freed_memory()
    loaded = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("sb3_fpac.fpac.compilation.ctypes.CDLL", loaded.append)
    retain_freed_memory()
    assert not loaded


def test_a_c_library_without_mallopt_is_fine(monkeypatch):
    loaded = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("sb3_fpac.fpac.compilation.ctypes.CDLL", loaded.append)
    retain_freed_memory()
    assert loaded == [None]  # this process's own, which append's None stands for: no mallopt in it


@pytest.mark.gpu
@pytest.mark.parametrize("random_shift", [0, 2])
def test_graph_captured_updates_agree_with_eager_ones(random_shift, monkeypatch):
    """Everything but the noise, which a graph draws in its own order, and the random shift's draws likewise"""
    monkeypatch.setattr(th.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(Update, "_draw_noise", lambda update, batch: th.zeros_like(batch.actions))
    if random_shift:
        monkeypatch.setattr("sb3_fpac.fpac.update.random_shift", lambda frames, padding: frames.roll(padding, dims=-1))
    models = []
    for compile in (False, True):
        model = make(compile=compile, device="cuda", policy_delay=2, random_shift=random_shift)
        for seed in range(20):
            train(model, 1, seed=seed)
        models.append(model)
    eager, graphed = models
    assert isinstance(graphed._update, GraphedUpdate) and len(graphed._update._graphs) == 2
    assert_close(snapshot(eager), snapshot(graphed), atol=1e-4)


@pytest.mark.gpu
def test_noise_and_shift_are_drawn_anew_under_graphs():
    model = make(compile=True, device="cuda", policy_delay=1, target_update_interval=1, random_shift=2)
    train(model, 5)
    update, batch = model._update, model.replay_buffer.sample_frames(4)
    model._update_learning_rate(model._optimizers())
    for optimizer in model._optimizers():
        for group in optimizer.param_groups:
            group["lr"].fill_(0.0)
    losses = [update(batch, True, True).actor.item() for _ in range(4)]
    assert len(set(losses)) == 4


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_learning_rate_schedule_takes_effect_in_every_update(device):
    """On a GPU: in the replay of a graph, too"""
    on_gpu = device == "cuda"
    model = make(compile=on_gpu, device=device, learning_rate=LinearSchedule(1e-3, 0.0, 1.0), policy_delay=1)
    learned = [name for name, _ in model.policy.named_parameters() if "target" not in name] + ["alpha"]
    model._current_progress_remaining = 1.0
    train(model, 10)
    before = snapshot(model)
    model._current_progress_remaining = 0.0  # a learning rate of 0
    for optimizer in model._optimizers():
        assert all(isinstance(group["lr"], th.Tensor) == on_gpu for group in optimizer.param_groups)
    train(model, 1)
    after = snapshot(model)
    assert all(th.equal(before[name], after[name]) for name in learned)
    model._current_progress_remaining = 1.0
    train(model, 1)
    assert not any(th.equal(after[name], snapshot(model)[name]) for name in learned)


@pytest.mark.gpu
def test_graphed_training_goes_on_after_save_and_load(tmp_path):
    model = make(compile=True, device="cuda")
    train(model, 11)
    model.save(tmp_path / "model")
    model.save_replay_buffer(tmp_path / "buffer")
    loaded = FPAC.load(tmp_path / "model", env=FrameStack(Noise(), 2), device="cuda")
    loaded.load_replay_buffer(tmp_path / "buffer")
    loaded.set_logger(model.logger)
    obs = model.observation_space.sample()
    np.testing.assert_allclose(
        model.predict(obs, deterministic=True)[0], loaded.predict(obs, deterministic=True)[0], atol=1e-5
    )
    before = snapshot(loaded)
    train(loaded, 9)
    assert loaded._n_updates == 20 and isinstance(loaded._update, GraphedUpdate)
    assert not any(th.equal(a, b) for a, b in zip(before.values(), snapshot(loaded).values(), strict=True))
    on_cpu = FPAC.load(tmp_path / "model", env=FrameStack(Noise(), 2), device="cpu")
    on_cpu.load_replay_buffer(tmp_path / "buffer")
    on_cpu.set_logger(model.logger)
    on_cpu.compile = False
    train(on_cpu, 2)
    assert on_cpu._n_updates == 13
