"""Agents for ONNX Runtime."""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch as th
from stable_baselines3.common.base_class import BaseAlgorithm

from sb3_fpac.export.agent import ExportedAgent, Observation
from sb3_fpac.export.check import to_numpy, write_checked
from sb3_fpac.export.description import describe_agent
from sb3_fpac.optional import needs

METADATA = "sb3_fpac"
"""Key of the description, a JSON text, in the metadata of the file"""


def export_onnx(model: BaseAlgorithm, path: Path | str) -> Path:
    """
    Write an agent as an ONNX file, which needs neither PyTorch nor Stable-Baselines3 to run.

    Inputs: ``observation``, or one input for every key of a Dict space, as the environment returns them, with a batch axis of
    any size. Outputs: ``actions``, scaled to the action space, and ``points``, or ``points_<key>`` for every image: ``(B, K,
    3)``, x and y in pixels of the current frame, and the presence. Exploration is not part of it. The metadata ``sb3_fpac``
    are a JSON text of spaces, frame layout and versions.

    Before the file gets its name, ONNX Runtime runs it on batches of 1, 7 and 64 observations, and its outputs are compared
    with the agent's in float32.

    >>> import sb3_fpac
    >>> from sb3_fpac.export import export_onnx
    >>> export_onnx(sb3_fpac.FPAC.load("fpac-cheetah"), "policy.onnx")  # doctest: +SKIP

    :param model: As in :class:`~sb3_fpac.export.ExportedAgent`
    :param path: The file, ``policy.onnx``
    :return: The path
    :raises ValueError: if the agent cannot be exported, a key of its observations is the name of an output, or the outputs
        differ by more than 1e-4
    :raises ImportError: if the packages of the extra ``export`` are missing
    """
    with needs("export"):
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch.onnx needs it

    agent = ExportedAgent(model)
    taken = sorted(set(agent.input_names) & set(agent.output_names))
    if taken:
        raise ValueError(
            f"The observation has the key {taken[0]!r}, which is also the name of an output, and ONNX needs different names: "
            "export TorchScript, policy.pt, or rename the key before training, with Gymnasium's TransformObservation."
        )

    def write(unchecked: Path) -> None:
        example = agent.example(2)
        batch = th.export.Dim("batch")
        shapes = {key: {0: batch} for key in example} if isinstance(example, dict) else {0: batch}
        with th.no_grad(), _quiet():
            program = th.onnx.export(
                agent,
                kwargs=dict(observation=example),
                input_names=agent.input_names,
                output_names=agent.output_names,
                dynamic_shapes=dict(observation=shapes),
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        proto = program.model_proto
        onnx.helper.set_model_props(proto, {METADATA: json.dumps(describe_agent(agent))})
        onnx.save(proto, unchecked)

    def load(unchecked: Path) -> Callable[[Observation], list[np.ndarray]]:
        session = onnxruntime.InferenceSession(unchecked, providers=["CPUExecutionProvider"])
        return lambda observation: session.run(None, to_numpy(observation))

    return write_checked(agent, path, write, load, instead="TorchScript, policy.pt")


@contextlib.contextmanager
def _quiet():  # type: ignore[no-untyped-def]
    """PyTorch's exporter prints its steps, and warns of packages that are not needed"""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
