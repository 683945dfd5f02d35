"""How far a long job is: a bar on a terminal, a line now and then elsewhere (a log, a pipe, a notebook); on stderr."""

from __future__ import annotations

import atexit
import time
from typing import Any

__all__ = ["Progress"]

INTERVAL_S = 10.0  # between two lines
REFRESH_S = 0.1  # of the bar


class Progress:
    """The progress of a job over images.

    It has no thread: what it shows is as old as the last `update`.

    Args:
        title: before the bar.
        total: images; None: unknown.
    """

    def __init__(self, title: str, total: int | None) -> None:
        from rich.console import Console

        self._title = title
        self._total = total
        self._console = Console(stderr=True)
        self._bar: Any = None
        self._task: Any = None
        self._begun = self._said = time.monotonic()
        self._open = True
        if self._console.is_terminal:
            self._start()

    def update(self, done: int, note: str = "") -> None:
        """Shows that so many images are done, and a few words more, if it is time to."""
        now = time.monotonic()
        if not self._open or now - self._said < (REFRESH_S if self._bar is not None else INTERVAL_S):
            return
        self._said = now
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=note, refresh=True)
        elif done != self._total:
            total = "" if self._total is None else f" of {self._total:,}"
            rate = done / (now - self._begun)
            self._say(f"{self._title}: {done:,}{total} images, {rate:,.0f} images/s{note and ', '}{note}")

    def close(self, summary: str = "") -> None:
        """Takes the bar away, and leaves a line in its place. May be called twice."""
        if not self._open:
            return
        self._open = False
        if self._bar is not None:
            atexit.unregister(self.close)
            self._bar.stop()
        if summary:
            self._say(summary)

    def _start(self) -> None:
        from rich.errors import LiveError
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        bar = Progress(*columns, console=self._console, transient=True, auto_refresh=False)
        self._task = bar.add_task(self._title, total=self._total, note="")
        try:
            bar.start()
        except LiveError:  # the caller shows a bar of rich's own: lines will do
            return
        self._bar = bar
        atexit.register(self.close)  # it hides the cursor

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
