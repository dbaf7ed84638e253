"""Groups of runs that differ in their seeds only, and their names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from typing import Any, NamedTuple

from sb3_fpac.evaluation.runs import Run
from sb3_fpac.report.settings import comparable_settings, effective_settings

SHOWN = 3  # differing hyperparameters in the name of a group


class Label(NamedTuple):
    """A name given by hand."""

    name: str
    pattern: str
    """Glob for the folders of the runs as they were given, or for their last parts"""


@dataclass
class _Group:
    name: str
    by_hand: bool
    algorithm: str
    settings: dict[str, Any]
    runs: list[Run] = field(default_factory=list)


def group_runs(runs: Sequence[Run], labels: Iterable[Label] = ()) -> dict[str, list[Run]]:
    """
    Group runs with the same algorithm and the same settings; different settings are never in one group. A group has the name
    given by hand, else the label of its variant in an experiment, else the name of the algorithm. Where several groups would
    have the same name, the hyperparameters that differ are added: ``"fpac, temperature=0.1"``.

    :param runs: Runs of one task
    :param labels: Names given by hand
    :return: Runs by the name of their group, which is also their new label, in the order in which the groups first occur
    :raises ValueError: if a label fits no run, two labels fit a run, or a label fits runs with different settings
    """
    labels = list(labels)
    given = [_label_of(run, labels) for run in runs]
    for label in labels:
        if not any(_fits(label, run) for run in runs):
            raise ValueError(
                f"--label {label.name}={label.pattern} fits none of the runs: give a pattern for their folders, such as "
                f"{label.name}={runs[0].folder}."
            )
    groups: list[_Group] = []
    for run, name in zip(runs, given, strict=True):
        new = _Group(name or run.label or run.algorithm, name is not None, run.algorithm, comparable_settings(run))
        same = (
            group
            for group in groups
            if (group.name, group.algorithm, group.settings) == (new.name, new.algorithm, new.settings)
        )
        group = next(same, new)
        if group is new:
            groups.append(new)
        group.by_hand |= new.by_hand
        group.runs.append(run)
    _refuse_mixed_labels(groups)
    names = _distinct_names(groups)
    return {name: [replace(run, label=name) for run in group.runs] for name, group in zip(names, groups, strict=True)}


def differing_settings(groups: Sequence[Sequence[Run]]) -> list[str]:
    """
    Find the settings in which groups differ.

    :param groups: At least one run each, the runs of a group with the same settings
    :return: Names of the settings, in alphabetical order
    """
    settings = [comparable_settings(runs[0]) for runs in groups]
    names = {name for each in settings for name in each}
    return sorted(name for name in names if len({each.get(name) for each in settings}) > 1)


def _label_of(run: Run, labels: Sequence[Label]) -> str | None:
    fitting = list(dict.fromkeys(label.name for label in labels if _fits(label, run)))
    if len(fitting) > 1:
        raise ValueError(f"The labels {fitting[0]!r} and {fitting[1]!r} both fit {run.folder}: give every run one label.")
    return fitting[0] if fitting else None


def _fits(label: Label, run: Run) -> bool:
    pattern = label.pattern.rstrip("/")
    return any(fnmatch(str(folder), pattern) or fnmatch(folder.name, pattern) for folder in run.folders)


def _refuse_mixed_labels(groups: Sequence[_Group]) -> None:
    for first in groups:
        mixed = [group for group in groups if group.by_hand and group.name == first.name and first.by_hand]
        if len(mixed) > 1:
            algorithms = list(dict.fromkeys(group.algorithm for group in mixed))
            if len(algorithms) > 1:
                what = f"algorithm ({' and '.join(algorithms)})"
            else:
                what = ", ".join(
                    f"{name} ({' and '.join(dict.fromkeys(_text(group, name) for group in mixed))})"
                    for name in differing_settings([group.runs for group in mixed])
                )
            raise ValueError(
                f"The label {first.name!r} fits runs that differ in {what}: give different settings different labels, since "
                "they are never averaged."
            )


def _distinct_names(groups: Sequence[_Group]) -> list[str]:
    names: list[str] = []
    for group in groups:
        alike = [other for other in groups if other.name == group.name]
        name = group.name if group.by_hand or len(alike) == 1 else f"{group.name}, {_difference(group, alike)}"
        number = 2
        while name in names:  # the differences beyond those shown
            name, number = f"{name.removesuffix(f' ({number - 1})')} ({number})", number + 1
        names.append(name)
    return names


def _difference(group: _Group, alike: Sequence[_Group]) -> str:
    differing = differing_settings([other.runs for other in alike if other.algorithm == group.algorithm])
    short = [name.rpartition(".")[2] for name in differing]
    texts = [group.algorithm] if any(other.algorithm != group.algorithm for other in alike) else []
    for name, last in list(zip(differing, short, strict=True))[:SHOWN]:
        texts.append(f"{last if short.count(last) == 1 else name}={_text(group, name)}")
    if len(differing) > SHOWN:
        texts.append(f"and {len(differing) - SHOWN} more")
    return ", ".join(texts)


def _text(group: _Group, name: str) -> str:
    setting = effective_settings(group.runs[0]).get(name)
    return "none" if setting is None else setting.text
