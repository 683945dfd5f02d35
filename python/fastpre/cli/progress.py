"""How far `run` or `pack` is: a bar on a terminal, a line now and then elsewhere (a log, a pipe, a notebook)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["progress"]

INTERVAL_S = 10.0  # between two lines


@contextlib.contextmanager
def progress(total: int, work: str = "preprocessing") -> Iterator[Callable[[int, int], None]]:
    """Gives a function to be called with the numbers of files done and failed so far; all goes to stderr."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(total)
        return
    columns = (TextColumn(work), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, _failed: bar.update(task, completed=done)


def _lines(total: int) -> Callable[[int, int], None]:
    start = said = time.monotonic()

    def say(done: int, failed: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= INTERVAL_S and done < total:
            said = now
            rate = done / (now - start)
            click.echo(f"{done:,} of {total:,} images, {rate:,.0f} images/s, {failed:,} failed", err=True)

    return say
