"""How far a long pass is, on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bridge.model import Write
from bridge.sync.narrator import LogNarrator

MANY = 25
"""From more writes or look-ups than this on, there is a bar."""


class Bar(LogNarrator):
    """Logs a pass, and shows a bar of one line while it is long, with the time that is left.

    With ``writes`` false (a dry run) what is planned is not going to happen, and gets no bar. Rich takes standard
    error over while a bar is there, so that lines go above it.
    """

    def __init__(self, log: Any, console: Console, *, writes: bool) -> None:  # noqa: ANN401 (structlog's own type)
        super().__init__(log=log)
        columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._writes = writes
        self._looked_up = self._progress.add_task("looking up bookings", total=None, visible=False)
        self._written = self._progress.add_task("writing", visible=False)

    def asking(self, answered: int) -> None:
        """Show how many bookings are looked up, once there are many."""
        if answered > MANY:
            self._show(self._looked_up, answered)

    def planned(self, writes: int) -> None:
        """Show a bar, if many requests are planned."""
        if self._writes and writes > MANY:
            self._show(self._written, total=writes)

    def _show(self, task: TaskID, completed: int = 0, total: int | None = None) -> None:
        self._progress.start()
        for other in self._progress.task_ids:
            self._progress.update(other, visible=other == task)
        self._progress.update(task, completed=completed, total=total)

    def wrote(self, write: Write) -> None:
        """Move the bar."""
        super().wrote(write)
        self._progress.advance(self._written)

    def stop(self) -> None:
        """Take the bar away, if it is there."""
        self._progress.stop()
