"""DrQ's random shift against padding and cropping."""

import numpy as np
import pytest
import torch as th
from helpers.environments import SIZE, Noise

from sb3_fpac import FPAC, FrameStack
from sb3_fpac.fpac.random_shift import random_shift

HEIGHT, WIDTH = 9, 11


def frames(n_transitions=16, n_frames=3, dtype=th.uint8):
    generator = th.Generator().manual_seed(0)
    return th.randint(0, 256, (n_transitions, n_frames, 3, HEIGHT, WIDTH), generator=generator, dtype=th.uint8).to(dtype)


def crops(frame, padding):
    """All crops of one padded (C, H, W) frame, by (row, column) of their corner"""
    padded = np.pad(frame, ((0, 0), (padding, padding), (padding, padding)), mode="edge")
    shifts = range(2 * padding + 1)
    return {(i, j): padded[:, i : i + HEIGHT, j : j + WIDTH] for i in shifts for j in shifts}


def corners(before, after, padding):
    """For every transition the corner of each of its frames' crops"""
    found = []
    for transition, shifted in zip(before.numpy(), after.numpy(), strict=True):
        of_frames = []
        for frame, crop in zip(transition, shifted, strict=True):
            matching = [corner for corner, expected in crops(frame, padding).items() if np.array_equal(expected, crop)]
            assert len(matching) == 1, "no crop of the padded frame, or more than one"
            of_frames += matching
        found.append(of_frames)
    return found


@pytest.mark.parametrize("padding", [1, 2, 4])
def test_every_frame_is_a_crop_of_its_padded_self_and_frames_of_a_transition_move_together(padding):
    before = frames()
    th.manual_seed(0)
    for of_frames in corners(before, random_shift(before, padding), padding):
        assert len(set(of_frames)) == 1


def test_every_shift_within_the_padding_is_drawn_equally_often():
    padding = 2
    before = frames(n_transitions=1, n_frames=1).expand(2500, -1, -1, -1, -1)
    th.manual_seed(0)
    after = random_shift(before, padding)
    possible = crops(before[0, 0].numpy(), padding)
    counts = [(after[:, 0] == th.from_numpy(crop.copy())).flatten(1).all(dim=1).sum().item() for crop in possible.values()]
    assert sum(counts) == 2500
    assert len(counts) == 25 and min(counts) > 60 and max(counts) < 140  # 100 ± 4 standard deviations


def test_transitions_move_independently():
    before = frames(n_transitions=64, n_frames=1)
    th.manual_seed(0)
    found = [corner for (corner,) in corners(before, random_shift(before, 4), 4)]
    assert len(set(found)) > 30
    assert any(row != column for row, column in found)


@pytest.mark.parametrize("dtype", [th.uint8, th.float32])
def test_keeps_type_and_shape_and_leaves_its_argument_alone(dtype):
    before = frames(dtype=dtype)
    copy = before.clone()
    after = random_shift(before, 4)
    assert (after.dtype, after.shape, after.device) == (before.dtype, before.shape, before.device)
    assert th.equal(before, copy) and not th.equal(before, after)


def test_padding_of_zero_moves_nothing():
    assert th.equal(random_shift(frames(), 0), frames())


@pytest.mark.gpu
def test_shifts_on_a_gpu():
    before = frames()
    after = random_shift(before.cuda(), 4)
    assert after.device.type == "cuda"
    assert all(len(set(of_frames)) == 1 for of_frames in corners(before, after.cpu(), 4))


def make(padding):
    return FPAC(
        "CnnPolicy",
        FrameStack(Noise(), 2),
        random_shift=padding,
        policy_kwargs=dict(net_arch=[16], features_extractor_kwargs=dict(n_points=3, precision="float32")),
        buffer_size=100,
        learning_starts=10,
        batch_size=4,
        compile=False,
        seed=0,
    )


@pytest.mark.parametrize("padding", [0, 4])
def test_fpac_encodes_shifted_frames_and_no_others(padding, monkeypatch):
    shifted, encoded = [], []

    def recording(frames, padding_passed):
        assert (padding_passed, frames.dtype, frames.shape) == (padding, th.uint8, (4, 3, 3, SIZE, SIZE))
        shifted.append(random_shift(frames, padding_passed))
        return shifted[-1]

    monkeypatch.setattr("sb3_fpac.fpac.update.random_shift", recording)
    model = make(padding).learn(10)
    encode = model.policy.features_extractor.encode_frames
    model.policy.features_extractor.encode_frames = lambda frames: encoded.append(frames) or encode(frames)
    model.train(5, batch_size=4)
    assert len(shifted) == (5 if padding else 0)
    assert sum(map(len, encoded)) == 5 * 4 * 3
    if padding:
        as_bytes = [
            {frame.numpy().tobytes() for frame in th.cat(batches)} for batches in (encoded, [b.flatten(0, 1) for b in shifted])
        ]
        assert as_bytes[0] == as_bytes[1]


def test_fpac_with_random_shift_trains():
    model = make(padding=4)
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(20)
    assert model._n_updates == 10
    assert not any(th.equal(a, b) for a, b in zip(before, model.policy.parameters(), strict=True))
    assert all(parameter.isfinite().all() for parameter in model.policy.parameters())
