"""How far `fastpre run` or `fastpre pack` is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from .._progress import Progress

__all__ = ["progress"]


@contextlib.contextmanager
def progress(total: int, work: str = "preprocessing") -> Iterator[Callable[[int, int], None]]:
    """Gives a function to be called with the numbers of files done and failed so far."""
    shown = Progress(work, total)
    try:
        yield lambda done, failed: shown.update(done, f"{failed:,} failed")
    finally:
        shown.close()
