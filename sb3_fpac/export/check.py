"""Writes a file under its final name only after it has been found to act as the agent does."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch as th

from sb3_fpac.export.agent import TOLERANCE, ExportedAgent, Observation, difference
from sb3_fpac.files import writing

_BATCHES = (1, 7, 64)


def write_checked(
    agent: ExportedAgent,
    path: Path | str,
    write: Callable[[Path], None],
    load: Callable[[Path], Callable[[Observation], list[np.ndarray]]],
    instead: str,
) -> Path:
    """
    Write an exported agent, run the file, and give it its name if its outputs are the agent's.

    :param agent: The agent
    :param path: The file's name
    :param write: Writes to a path
    :param load: Loads a written file as a function from observations to outputs
    :param instead: Another format, for the error
    :return: The path
    :raises ValueError: if the outputs differ by more than 1e-4, relative to the largest of them if that exceeds 1; no file is
        left then
    """
    path = Path(path)
    with writing(path) as unfinished, tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as folder:
        unchecked = Path(folder) / path.name
        write(unchecked)
        run = load(unchecked)
        for batch_size in _BATCHES:
            observation = agent.example(batch_size, seed=batch_size)
            with th.no_grad():
                expected = [output.numpy() for output in agent(observation)]
            for name, output, got in zip(agent.output_names, expected, run(observation), strict=True):
                error = difference(output, got)
                if not error <= TOLERANCE:
                    raise ValueError(
                        f"{path} was not written, because its {name} differ from the agent's by {error:.2g} on a batch of "
                        f"{batch_size} observations: export {instead}, which computes in another way."
                    )
        os.replace(unchecked, unfinished)
    return path


def to_numpy(observation: Observation) -> dict[str, Any]:
    """
    Name the inputs.

    :param observation: A tensor, or a dict of tensors
    :return: Arrays by name, as ONNX Runtime takes them
    """
    named = observation if isinstance(observation, dict) else {"observation": observation}
    return {key: part.numpy() for key, part in named.items()}
