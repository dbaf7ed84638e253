"""How far all runs are: one live table on a terminal, a line for every change elsewhere."""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from sb3_fpac.experiment.plan import Progress, RunConfig, read_progress
from sb3_fpac.experiment.process import RunResult

EVERY = 2.0  # seconds between looks into the folders
WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"


class ProgressTable:
    """
    Reads how far the runs are from their folders, whichever machine trains them.

    :param runs: All of them
    :param console: Where it is shown
    """

    def __init__(self, runs: Sequence[RunConfig], console: Console) -> None:
        self.runs = list(runs)
        self.console = console
        self.problems: dict[Path, str] = {}
        self._progress = {run.folder: read_progress(run) for run in runs}
        self._states = {run.folder: DONE if self._progress[run.folder].done else WAITING for run in runs}
        self._log_sizes = {run.folder: _size(run) for run in runs}
        self._looked_at = 0.0
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> "ProgressTable":
        if self._live is not None:
            self._live.start()
        self._show()
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
            self._live.stop()

    @property
    def to_do(self) -> list[RunConfig]:
        """The runs that are not done"""
        return [run for run in self.runs if self._states[run.folder] != DONE]

    def update(self, ended: RunResult | None) -> None:
        """
        Look again.

        :param ended: A run that has ended; None: any may have gone on
        """
        if ended is not None:
            run = next(run for run in self.runs if run.folder == ended.folder)
            problem = ended.problem
            self._look_at(run)
            if problem is None and not self._progress[run.folder].done:
                problem = "It ended without a model."
            self._states[run.folder] = DONE if problem is None else FAILED
            if problem is not None:
                self.problems[run.folder] = problem
            self._say(run)
            self._show()
        elif time.monotonic() - self._looked_at > EVERY:
            self._looked_at = time.monotonic()
            for run in self.to_do:
                if self._states[run.folder] != FAILED and _size(run) > self._log_sizes[run.folder]:
                    before = self._states[run.folder], self._progress[run.folder].score
                    self._states[run.folder] = RUNNING
                    self._look_at(run)
                    if before != (RUNNING, self._progress[run.folder].score):
                        self._say(run)
            self._show()

    def _look_at(self, run: RunConfig) -> None:
        self._progress[run.folder] = read_progress(run)

    def _say(self, run: RunConfig) -> None:
        if self._live is None:
            state, progress = self._states[run.folder], self._progress[run.folder]
            self.console.print(
                f"{run.name}: {state}, {_steps(run, progress)}{_score(progress)}", highlight=False, soft_wrap=True
            )

    def _show(self) -> None:
        if self._live is not None:
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        table = Table("run", "", "env steps", "return", caption=self.summary())
        for run in self.runs:
            state, progress = self._states[run.folder], self._progress[run.folder]
            if state in (RUNNING, FAILED):
                score = "" if progress.score is None else f"{progress.score:.1f}"
                table.add_row(run.name, state, _steps(run, progress), score)
        return table

    def summary(self) -> str:
        """
        How many runs are in which state.

        :return: ``"12 of 180 runs are done, 2 running, 166 waiting"``
        """
        counts = Counter(self._states.values())
        others = [f"{counts[state]} {state}" for state in (RUNNING, FAILED, WAITING) if counts[state]]
        return ", ".join([f"{counts[DONE]} of {len(self.runs)} runs are done", *others])


def _size(run: RunConfig) -> int:
    return run.log.stat().st_size if run.log.is_file() else 0


def _steps(run: RunConfig, progress: Progress) -> str:
    return f"{progress.env_steps:,} of {run.env_steps:,} env steps"


def _score(progress: Progress) -> str:
    return "" if progress.score is None else f", return {progress.score:.1f}"
