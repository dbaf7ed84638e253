"""Makes an update faster without changing it: compilation, CUDA graphs, and retained memory."""

import ctypes
import inspect
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import torch as th
import torch._dynamo.config as dynamo_config
from torch._dynamo.exc import FailOnRecompileLimitHit

from sb3_fpac.buffers import FrameBatch
from sb3_fpac.fpac.update import Losses, Update

Compile = bool | Literal["auto"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGEST_ACTIVATIONS = 60 * 2**20  # bytes: 256 frames of 32×41×41 float32 are 55 MB
_WARM_UPS = 3  # before a capture, as PyTorch requires


def compile_update(
    make_update: Callable[[bool], Update], compile: Compile, batch: FrameBatch
) -> Callable[[FrameBatch, bool, bool], Losses]:
    """
    Make the update that is fastest on the device of a batch.

    :param make_update: Makes the update; its argument says whether the losses are compiled
    :param compile: As in FPAC: ``"auto"`` is True on CUDA and False elsewhere, where compiling gains too little
    :param batch: A batch of the shape of all others; nothing is learned from it
    :return: The update, a compiled one, or a CUDA graph of it: all are called in the same way
    """
    device = batch.actions.device
    if device.type == "cpu":
        retain_freed_memory()
    update = make_update(False)
    if compile is False or (compile == "auto" and device.type != "cuda") or update.actor.use_sde:
        return update
    try:
        with dynamo_config.patch(fail_on_recompile_limit_hit=True):  # instead of silently not compiling
            compiled = make_update(True)
            compiled.dry_run(batch)
        update = compiled
    except (RuntimeError, FailOnRecompileLimitHit) as error:  # the errors of PyTorch's compilers, and too little memory
        warnings.warn(f"torch.compile failed, so FPAC continues without it, more slowly: {error}", stacklevel=2)
        _free_memory(device)
    if device.type != "cuda":
        return update
    if not all(group.get("capturable") for optimizer in update.optimizers for group in optimizer.param_groups):
        warnings.warn(
            "This optimizer cannot be replayed as a CUDA graph, so FPAC continues without a graph, more slowly.", stacklevel=2
        )
        return update
    return GraphedUpdate(update, device)


class GraphedUpdate:
    """
    An update as CUDA graphs, one for each combination of updated networks: one launch instead of hundreds. If a graph cannot
    be captured, there is a warning, and this and all following updates are done without one.

    :param update: The update, whose optimizers are capturable
    :param device: The GPU
    """

    def __init__(self, update: Update, device: th.device) -> None:
        self._update = update
        self._device = device
        self._stream = th.cuda.Stream(device)  # a single one, as memory is cached per stream
        self._batch: FrameBatch | None = None
        self._graphs: dict[tuple[bool, bool], tuple[th.cuda.CUDAGraph, Losses]] = {}
        self._calls: Counter[tuple[bool, bool]] = Counter()
        self._captures = True

    def __call__(self, batch: FrameBatch, update_actor: bool, update_target: bool) -> Losses:
        """
        :param batch: Transitions, on the GPU, always of the same shape
        :param update_actor: As in Update
        :param update_target: As in Update
        :return: The losses, which the next update overwrites
        """
        what = update_actor, update_target
        if not self._captures:
            return self._update(batch, *what)
        if self._batch is None:
            self._batch = batch.map(th.clone)
        for static, tensor in zip(self._batch.tensors(), batch.tensors(), strict=True):
            if static.shape != tensor.shape:
                raise ValueError(f"A CUDA graph needs batches of shape {tuple(static.shape)}, got {tuple(tensor.shape)}.")
            static.copy_(tensor, non_blocking=True)
        self._calls[what] += 1
        is_warm_up = self._calls[what] <= _WARM_UPS
        statistics = [buffer.clone() for buffer in self._update.extractor.buffers()] if is_warm_up else []
        try:
            if is_warm_up:
                return self._on_side_stream(*what)
            if what not in self._graphs:
                self._graphs[what] = self._capture(*what)
            graph, losses = self._graphs[what]
            graph.replay()
            return losses
        except RuntimeError as error:
            if is_warm_up and self._update.has_learned:
                raise  # to do it once more would learn twice
            for buffer, before in zip(self._update.extractor.buffers(), statistics, strict=False):
                buffer.copy_(before)
            warnings.warn(f"FPAC continues without a CUDA graph, more slowly: {error}", stacklevel=2)
            self._captures, self._graphs, self._batch = False, {}, None
            _free_memory(self._device)
            return self._update(batch, *what)

    def _capture(self, update_actor: bool, update_target: bool) -> tuple[th.cuda.CUDAGraph, Losses]:
        assert self._batch is not None
        graph = th.cuda.CUDAGraph()
        with th.cuda.device(self._device), th.cuda.graph(graph, stream=self._stream):
            losses = self._update(self._batch, update_actor, update_target)
        return graph, losses

    def _on_side_stream(self, update_actor: bool, update_target: bool) -> Losses:
        assert self._batch is not None
        default_stream = th.cuda.current_stream(self._device)
        self._stream.wait_stream(default_stream)
        with th.cuda.stream(self._stream):
            losses = self._update(self._batch, update_actor, update_target)
        default_stream.wait_stream(self._stream)
        return losses


def configure_optimizer(optimizer: th.optim.Optimizer, device: th.device) -> None:
    """
    Use fused steps if the optimizer has them. On CUDA, a graph can replay them, with the learning rate in a tensor.

    :param optimizer: Its options are changed, and its step counts are moved to the device of its steps
    :param device: Device of its parameters
    """
    options = inspect.signature(type(optimizer)).parameters
    for group in optimizer.param_groups:
        if isinstance(optimizer, th.optim.Adam):  # AdamW is one
            group.update(fused=True, foreach=None)
        if "capturable" in options:
            group["capturable"] = device.type == "cuda"
            group["lr"] = th.tensor(float(group["lr"]), device=device) if group["capturable"] else float(group["lr"])
        if group.get("fused") or group.get("capturable"):
            for parameter in group["params"]:
                state = optimizer.state.get(parameter, {})
                if "step" in state:  # loaded from an optimizer that was neither
                    state["step"] = th.as_tensor(state["step"], dtype=th.float32, device=device)


def _free_memory(device: th.device) -> None:
    if device.type == "cuda":
        th.cuda.empty_cache()


def retain_freed_memory() -> None:
    """
    Let the process keep freed memory for the next update.

    glibc returns large blocks to the system at once, and gets them back page by page. The setting applies to the whole
    process. It has no effect with other C libraries.
    """
    if sys.platform != "linux":
        return
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None)
    # glibc before 2.35 takes no more than 32 MiB
    if mallopt is not None and (mallopt(_M_MMAP_THRESHOLD, _LARGEST_ACTIVATIONS) or mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)):
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
