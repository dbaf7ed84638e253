"""The page of a report: one file, without references to other files or to the network."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sb3_fpac.evaluation.curves import group_curves
from sb3_fpac.evaluation.parts import read_runs
from sb3_fpac.evaluation.published import published_remarks, published_scores
from sb3_fpac.evaluation.runs import Run
from sb3_fpac.evaluation.tables import CHECKPOINTS, format_return, score_rows, significant, step_label
from sb3_fpac.files import writing
from sb3_fpac.optional import needs
from sb3_fpac.report.agent import AgentSection, first_agent_section, show_weights, sprite
from sb3_fpac.report.chart import Chart, draw_chart
from sb3_fpac.report.drawn import drawn_csv
from sb3_fpac.report.groups import Label, group_runs
from sb3_fpac.report.hyperparameters import hyperparameter_rows
from sb3_fpac.report.losses import draw_losses
from sb3_fpac.report.system import describe_system
from sb3_fpac.weights import read_weights

with needs("viz"):
    import jinja2

FOLDER = Path(__file__).parent
SPRITE_COLUMNS = 25


def write_report(
    folders: Iterable[str | Path],
    path: str | Path,
    seed: int = 0,
    with_agent: bool = True,
    labels: Iterable[Label] = (),
    csv_path: str | Path | None = None,
    quiet: bool = False,
    trust: bool = False,
) -> int:
    """
    Write a report about runs of RL Zoo on one task.

    :param folders: Folders of the runs, such as ``logs/fpac/dmc-cheetah-run_1``
    :param path: HTML file to write; its folder is created if it does not exist
    :param seed: Seed of the bootstrap and of the environment in which the agent plays
    :param with_agent: Whether to show an agent: that of the first run whose agent has feature points
    :param labels: Names of groups of runs, see :func:`~sb3_fpac.report.groups.group_runs`
    :param csv_path: CSV file to write, with the numbers of the learning curves; None: no file
    :param quiet: Whether to show no progress
    :param trust: Whether the files of the agent may run code of whoever wrote them
    :return: Number of runs; a run that was continued in other folders counts once
    :raises ValueError: if a folder is not that of a run, a file is damaged, the runs are of different tasks, or a label does
        not fit
    :raises UntrustedFileError: if a file of the agent is more than data and ``trust`` is False
    """
    groups = group_runs(read_runs(folders), labels)
    runs = [run for group in groups.values() for run in group]
    agent, sentences = first_agent_section(runs, seed, quiet, trust) if with_agent else (None, [])
    _write(Path(path), render(groups, agent, sentences, seed))
    if csv_path is not None:
        _write(Path(csv_path), drawn_csv(group_curves(groups, seed), published_scores(runs[0].env_id)))
    return len(runs)


def write_agent_report(weights: str | Path, path: str | Path, env_id: str, seed: int = 0, **kwargs: Any) -> None:
    """
    Write a report about the agent in a file of weights: what it sees and does in one episode. Nothing else is read.

    :param weights: File of :func:`~sb3_fpac.save_weights`
    :param path: HTML file to write; its folder is created if it does not exist
    :param env_id: The environment
    :param seed: Seed of the environment
    :param kwargs: As ``env_kwargs``, ``gym_packages`` and ``quiet`` of :func:`~sb3_fpac.report.agent.show_weights`
    :raises ValueError: if the file is damaged, the environment is another, or the agent has no feature points
    """
    agent = show_weights(Path(weights), env_id, seed, **kwargs)
    contents, _ = read_weights(weights)
    saved_by = {"Algorithm": contents["algorithm"], "sb3-fpac": contents["version"]}
    _write(Path(path), _fill(env_id, data=_data(None, agent), agent=agent, trained_on=[(agent.name, saved_by)]))


def render(
    groups: Mapping[str, Sequence[Run]],
    agent: AgentSection | None = None,
    not_shown: Sequence[str] = (),
    seed: int = 0,
) -> str:
    """
    Render the HTML of a report about runs.

    :param groups: Runs of one task by group, as :func:`~sb3_fpac.report.groups.group_runs` makes them
    :param agent: The agent to show; None to show none
    :param not_shown: Sentences about agents that cannot be shown
    :param seed: Seed of the bootstrap
    :return: The page
    """
    runs = [run for group in groups.values() for run in group]
    curves = group_curves(groups, seed)
    published = published_scores(runs[0].env_id)
    scores = score_rows(curves, published)
    chart = draw_chart(curves, published)
    shown = {mark.method for mark in chart.marks} | {row.method for row in scores if row.published}
    return _fill(
        runs[0].env_id,
        data=_data(chart, agent),
        runs=runs,
        groups=groups,
        curves=curves,
        chart=chart,
        losses=draw_losses(curves),
        csv=_base64(drawn_csv(curves, published).encode()),
        cut=[curve for curve in curves if max(run.steps[-1] for run in curve.runs) > curve.steps[-1]],
        no_time=[curve.label for curve in curves if not np.isfinite(curve.hours).any()],
        scores=scores,
        remarks=published_remarks(runs[0].env_id, [_environment(run) for run in runs], shown),
        hyperparameters=hyperparameter_rows(groups),
        agent=agent,
        not_shown=not_shown,
        trained_on=_trained_on(runs),
    )


def _environment(run: Run) -> tuple[str, dict[str, Any]]:
    """Name of a run, and the keyword arguments of its environment"""
    prefix = "env_kwargs."
    kwargs = {name.removeprefix(prefix): value for name, value in run.hyperparameters.items() if name.startswith(prefix)}
    return run.label or run.algorithm, kwargs


def _fill(task: str, data: dict[str, Any], agent: AgentSection | None, **content: Any) -> str:
    """The template with its content; sections without content are left out"""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    without: dict[str, Any] = dict(runs=(), groups={}, curves=(), chart=None, losses=(), not_shown=())
    return environment.get_template("template.html.j2").render(
        task=task,
        style=(FOLDER / "style.css").read_text(encoding="utf-8"),
        script=(FOLDER / "script.js").read_text(encoding="utf-8"),
        data=data,
        number=format_return,
        significant=significant,
        step_label=step_label,
        checkpoints=CHECKPOINTS,
        agent=agent,
        video=_base64(agent.video_mp4) if agent else "",
        maps=_base64(agent.maps_png) if agent else "",
        system=describe_system(),
        **{**without, **content},
    )


def _write(path: Path, text: str) -> None:
    with writing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _data(chart: Chart | None, agent: AgentSection | None) -> dict[str, Any]:
    """Data for the script"""
    data: dict[str, Any] = {}
    if chart:
        data["axes"] = {
            axis.name: {"unit": axis.unit, "lines": [{"label": line.label, "hover": line.hover} for line in axis.lines]}
            for axis in chart.axes
        }
    if agent:
        data["agent"] = {
            "names": agent.names,
            "returns": _rounded(agent.episode.rewards.cumsum()),
            "views": _views(agent),
        }
    return data


def _views(agent: AgentSection) -> list[dict[str, Any]]:
    """Frames and points of every camera; ``first`` is the index of its first point over all cameras"""
    views: list[dict[str, Any]] = []
    first = 0
    for key, view in agent.episode.views.items():
        _, height, width, _ = view.frames.shape
        n_points = view.points.shape[1]
        views.append(
            {
                "key": key,
                "first": first,
                "sprite": "data:image/png;base64," + _base64(sprite(view.frames, SPRITE_COLUMNS)),
                "columns": SPRITE_COLUMNS,
                "height": height,
                "width": width,
                "positions": _rounded(view.positions),
                "past": _rounded(view.past_positions),
                "presence": _rounded(view.points[..., 2]),
                "colours": ["#" + colour.tobytes().hex() for colour in agent.colours[first:][:n_points]],
            }
        )
        first += n_points
    return views


def _rounded(values: np.ndarray) -> list[Any]:
    return np.round(values.astype(np.float64), 2).tolist()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _trained_on(runs: Sequence[Run]) -> list[tuple[str, dict[str, str]]]:
    """Versions and machine of the runs; runs with the same ones are listed together"""
    systems: list[tuple[str, dict[str, str]]] = []
    for run in runs:
        if run.system:
            same = next((index for index, (_, system) in enumerate(systems) if system == run.system), None)
            if same is None:
                systems.append((run.name, run.system))
            else:
                systems[same] = (f"{systems[same][0]}; {run.name}", run.system)
    return systems
