"""Progress of all runs: a bar for each on a terminal; elsewhere a line for each change of state and each evaluation."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from sb3_fpac.experiment.plan import RunConfig, read_progress
from sb3_fpac.experiment.process import RunResult

REFRESH_SECONDS = 2.0  # between two looks into the folders
WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"


class ProgressTable:
    """
    Shows the progress of runs, which it reads from their folders, whichever machine trains them.

    :param runs: All runs
    :param console: Where the progress is shown
    """

    def __init__(self, runs: Sequence[RunConfig], console: Console) -> None:
        self.runs = list(runs)
        self.problems: dict[Path, str] = {}
        self._progress = {run.folder: read_progress(run) for run in runs}
        self._states = {run.folder: DONE if self._progress[run.folder].done else WAITING for run in runs}
        self._log_sizes = {run.folder: _size(run) for run in runs}
        self._started: dict[Path, tuple[float, int]] = {}  # when a run was first seen running, and its env steps then
        self._read_at = 0.0
        self._console = console
        texts = [TextColumn(text) for text in ("{task.description}", "{task.fields[text]}")]
        self._bars = Progress(texts[0], BarColumn(bar_width=None), texts[1], console=console, disable=not console.is_terminal)
        self._total = self._bars.add_task("all runs", total=len(runs), text=self.summary())
        self._tasks = {run.folder: self._bars.add_task(run.name, total=run.env_steps, visible=False, text="") for run in runs}

    def __enter__(self) -> "ProgressTable":
        self._bars.start()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._bars.stop()

    @property
    def to_do(self) -> list[RunConfig]:
        """The runs that are not done"""
        return [run for run in self.runs if self._states[run.folder] != DONE]

    def update(self, ended: RunResult | None) -> None:
        """
        Read the progress again.

        :param ended: A run that has ended; None: any run may have made progress
        """
        if ended is not None:
            run = next(run for run in self.runs if run.folder == ended.folder)
            problem = ended.problem
            if problem is None and not read_progress(run).done:
                problem = "It ended without a model."
            if problem is not None:
                self.problems[run.folder] = problem
            self._show(run, DONE if problem is None else FAILED)
        elif time.monotonic() - self._read_at > REFRESH_SECONDS:
            self._read_at = time.monotonic()
            for run in self.to_do:
                if self._states[run.folder] != FAILED and _size(run) > self._log_sizes[run.folder]:
                    self._show(run, RUNNING)

    def _show(self, run: RunConfig, state: str) -> None:
        before = self._states[run.folder], self._progress[run.folder].n_evaluations
        progress = self._progress[run.folder] = read_progress(run)
        self._states[run.folder] = state
        score = "" if progress.score is None else f", return {progress.score:.1f}"
        score += self._time_left(run, progress.env_steps) if state == RUNNING else ""
        text = f"{state}, {progress.env_steps:,} env steps{score}"
        self._bars.update(self._tasks[run.folder], completed=progress.env_steps, text=text, visible=state != DONE)
        self._bars.update(self._total, completed=Counter(self._states.values())[DONE], text=self.summary())
        if not self._console.is_terminal and before != (state, progress.n_evaluations):
            steps = f"{progress.env_steps:,} of {run.env_steps:,} env steps"
            self._console.print(f"{run.name}: {state}, {steps}{score}", highlight=False, soft_wrap=True)

    def _time_left(self, run: RunConfig, env_steps: int) -> str:
        now = time.monotonic()
        since, steps_then = self._started.setdefault(run.folder, (now, env_steps))
        if env_steps <= steps_then:
            return ""
        seconds = (run.env_steps - env_steps) * (now - since) / (env_steps - steps_then)
        return f", about {duration(seconds)} left"

    def summary(self) -> str:
        """
        Count the runs in each state.

        :return: ``"12 of 180 runs are done, 2 running, 166 waiting"``
        """
        counts = Counter(self._states.values())
        others = [f"{counts[state]} {state}" for state in (RUNNING, FAILED, WAITING) if counts[state]]
        return ", ".join([f"{counts[DONE]} of {len(self.runs)} runs are done", *others])


def duration(seconds: float) -> str:
    """
    Format a duration.

    :param seconds: Not negative
    :return: ``"40 s"``, ``"12 min"``, ``"3 h 5 min"``
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _size(run: RunConfig) -> int:
    return run.log.stat().st_size if run.log.is_file() else 0
