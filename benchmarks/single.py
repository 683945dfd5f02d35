"""How much faster one large image gets with two threads than with one."""

from __future__ import annotations

import scaling
from outcome import Outcome
from tasks import Task

ENTRANTS = ("fastpre-exact", "fastpre-fast")  # nobody else spreads an image over threads


def run(task: Task, images: list[bytes], threads: int, rounds: int, only: list[str] | None) -> Outcome:
    """Times one call an image; rows are "KEY x1" and "KEY x2". `threads` is not used: it is two."""
    return scaling.compare(task, images, ENTRANTS, 1, {"x1": 1, "x2": 2}, rounds, only)
