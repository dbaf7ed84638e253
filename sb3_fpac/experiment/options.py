"""What can be chosen on the command line: the experiments of this project, and options that all runs share."""

from dataclasses import dataclass
from pathlib import Path

CONFIGS = Path(__file__).with_name("configs")


@dataclass(frozen=True)
class RunOptions:
    """Options that all runs of an experiment share."""

    eval_freq: int = 10_000
    """Env steps between evaluations with the mean action"""
    eval_episodes: int = 10
    """Episodes of an evaluation"""
    save_freq: int = 50_000
    """Env steps between checkpoints"""
    keep_checkpoint: bool = True
    """Whether a finished run keeps its last checkpoint, from which it can be trained for longer"""
    device: str = "auto"
    """PyTorch device"""


def experiment_names() -> list[str]:
    """
    List the experiments of this project.

    :return: Their names, ``["fig2", …]``
    """
    return sorted((path.stem for path in CONFIGS.glob("*.yml")), key=lambda name: (len(name), name))
