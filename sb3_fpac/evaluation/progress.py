"""The numbers that SB3's CSV logger writes during training."""

import csv
import math
from pathlib import Path

import numpy as np

FILE = "progress.csv"
STEPS = "time/total_timesteps"


def read_losses(folder: Path) -> dict[str, np.ndarray]:
    """
    Read the losses and entropy coefficients of ``progress.csv``, which SB3's ``configure(folder, ["csv"])`` writes.

    :param folder: Folder of a run
    :return: Agent steps and finite values by column, such as ``train/critic_loss``: ``(N, 2)``; empty if there is no such file
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    found: dict[str, list[tuple[float, float]]] = {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            step = _number(row.get(STEPS))
            for name, text in row.items():
                if isinstance(name, str) and name.startswith("train/") and name.endswith(("loss", "ent_coef")):
                    value = _number(text)
                    if math.isfinite(step) and math.isfinite(value):
                        found.setdefault(name, []).append((step, value))
    return {name: np.array(points) for name, points in found.items()}


def _number(text: str | None) -> float:
    """NaN for what is empty, or not written to its end"""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
