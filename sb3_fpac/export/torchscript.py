"""Agents for PyTorch without Stable-Baselines3."""

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_fpac.export.agent import ExportedAgent, Observation
from sb3_fpac.export.check import write_checked
from sb3_fpac.export.description import describe_agent

METADATA = "sb3_fpac.json"
"""Name of the description among the extra files of TorchScript"""


def export_torchscript(model: BaseAlgorithm, path: Path | str) -> Path:
    """
    Write an agent as a TorchScript file, for ``torch.jit.load`` in Python or C++. Input and outputs are those of
    :class:`~sb3_fpac.export.ExportedAgent`; the extra file ``sb3_fpac.json`` describes them.

    :param model: As in :class:`~sb3_fpac.export.ExportedAgent`
    :param path: The file, ``policy.pt``
    :return: The path
    :raises ValueError: if the agent cannot be exported, or the outputs differ by more than 1e-4
    """
    agent = ExportedAgent(model).eval()

    def write(unchecked: Path) -> None:
        with warnings.catch_warnings(), th.no_grad():
            warnings.simplefilter("ignore")  # of values that are taken for constants, which the check below would find
            traced = th.jit.trace(agent, (agent.example(2),), check_trace=False, strict=False)
            content = io.BytesIO()  # PyTorch itself aborts on a full disk
            th.jit.save(traced, content, _extra_files={METADATA: json.dumps(describe_agent(agent))})
            unchecked.write_bytes(content.getvalue())

    def load(unchecked: Path) -> Callable[[Observation], list[np.ndarray]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = th.jit.load(str(unchecked))
        return lambda observation: [output.numpy() for output in loaded(observation)]

    return write_checked(agent, path, write, load, instead="ONNX, policy.onnx")
