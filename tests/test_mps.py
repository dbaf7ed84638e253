"""Apple's MPS, by substitution: what differs from a CPU and from CUDA."""

import numpy as np
import pytest
import torch as th
from helpers.environments import StackedNoise

from sb3_fpac import FPAC
from sb3_fpac.buffers import frame_pool
from sb3_fpac.callbacks.random_states import random_states, restore_random_states
from sb3_fpac.features.encoder import Encoder, has_native_bfloat16
from sb3_fpac.visualization import ranking

MPS = th.device("mps")


def test_the_encoder_multiplies_in_float32():
    assert not has_native_bfloat16(MPS)
    assert not Encoder(3, 4, precision="auto")._uses_bfloat16(MPS)
    assert Encoder(3, 4, precision="bfloat16")._uses_bfloat16(MPS)  # who asks for it gets it


@pytest.mark.parametrize(("device", "pinned"), [("mps", False), ("cpu", False), ("cuda", True)])
def test_memory_is_pinned_for_cuda_alone(monkeypatch, device, pinned):
    empty, asked = th.empty, []

    def without_pinning(*args, pin_memory=False, **kwargs):
        asked.append(pin_memory)
        return empty(*args, **kwargs)

    pool = frame_pool.FramePool((3, 8, 8), th.device("cpu"), max_frames=4)
    slots = np.array([pool.put(np.full((3, 8, 8), i, np.uint8)) for i in range(2)])
    monkeypatch.setattr(th, "empty", without_pinning)
    monkeypatch.setattr(frame_pool, "to_device", lambda tensor, device: tensor)
    stacks = pool.gather(slots[None], th.device(device))
    assert asked == [pinned]
    assert stacks[0, :, 0, 0].tolist() == [0, 0, 0, 1, 1, 1]


def test_a_checkpoint_has_the_random_state_of_the_device(monkeypatch):
    model = FPAC("CnnPolicy", StackedNoise(), buffer_size=10)
    assert random_states(model)["mps"] is None

    current = th.tensor([1, 2, 3], dtype=th.uint8)
    restored = []
    monkeypatch.setattr(th.mps, "get_rng_state", lambda: current.clone())
    monkeypatch.setattr(th.mps, "set_rng_state", restored.append)
    model.device = MPS
    states = random_states(model)
    assert states["mps"].tolist() == [1, 2, 3] and states["cuda"] is None
    restore_random_states(model, states)
    assert [each.tolist() for each in restored] == [[1, 2, 3]]

    model.device = th.device("cpu")  # another machine
    restore_random_states(model, states)
    assert len(restored) == 1


class WithoutFloat64(th.Tensor):
    """As on MPS, which has no float64"""

    def double(self):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    def cpu(self):
        return self.as_subclass(th.Tensor)


def test_points_are_ranked_without_float64_on_the_device():
    change = th.tensor([[3.0, 4.0], [0.0, 0.0]]).as_subclass(WithoutFloat64)
    assert ranking._root_mean_square(change) == pytest.approx(np.sqrt(25 / 2))
