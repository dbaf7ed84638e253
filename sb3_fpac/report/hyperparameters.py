"""The table of hyperparameters, as text."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sb3_fpac.evaluation.runs import Run
from sb3_fpac.evaluation.tables import MISSING
from sb3_fpac.report.settings import NO_SETTINGS, Setting, effective_settings

_TECHNICAL = ("replay_buffer_class", "optimize_memory_usage")  # defaults that differ, but not in what is learned


class Cell(NamedTuple):
    """The value of a hyperparameter in a group of runs."""

    text: str
    default: bool
    """Whether it was not set, and is the default of the algorithm, of the policy or of the environment"""


class HyperparameterRow(NamedTuple):
    """A hyperparameter as text."""

    name: str
    cells: list[Cell]
    """One for each group"""
    differs: bool


def hyperparameter_rows(groups: Mapping[str, Sequence[Run]]) -> list[HyperparameterRow]:
    """
    Compare the hyperparameters in effect. A row is there if a run has set the hyperparameter, or if the defaults differ. What
    an algorithm does not have is no difference unless another one has set it.

    :param groups: Runs by group, those of a group with the same settings
    :return: First the hyperparameters that differ, then the others, both in alphabetical order
    """
    columns = [effective_settings(runs[0]) for runs in groups.values()]
    rows = []
    for name in {name for column in columns for name in column}:
        settings = [column.get(name) for column in columns]
        there = [setting for setting in settings if setting is not None]
        differs = len({setting.key for setting in there}) > 1
        is_set = not all(setting.default for setting in there)
        if not is_set and (not differs or name in NO_SETTINGS or name in _TECHNICAL):
            continue
        differs |= len(there) < len(settings) and is_set
        if name == "n_timesteps":
            cells = [Cell(_steps(runs), False) for runs in groups.values()]
        else:
            cells = [_cell(setting) for setting in settings]
        rows.append(HyperparameterRow(name, cells, differs))
    return sorted(rows, key=lambda row: (not row.differs, row.name))


def _cell(setting: Setting | None) -> Cell:
    return Cell(MISSING, True) if setting is None else Cell(setting.text, setting.default)


def _steps(runs: Sequence[Run]) -> str:
    """Runs of a group may be of different lengths"""
    return " or ".join(dict.fromkeys(str(run.hyperparameters.get("n_timesteps", MISSING)) for run in runs))
