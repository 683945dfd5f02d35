"""Measurements that no other process has disturbed: those that one has are repeated (Linux: proc(5))."""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
TICKS = os.sysconf("SC_CLK_TCK")
PAUSE_S = 2.0


def undisturbed(run: Callable[[], T], share: float = 0.03, tries: int = 20) -> tuple[T, float]:
    """What a run gives, and the share of the machine's cores that other processes had meanwhile.

    It is repeated, after a pause, until that is at most `share`, or the tries are used up: then the quietest counts.
    """
    best: tuple[T, float] | None = None
    for attempt in range(tries):
        if attempt:
            time.sleep(PAUSE_S)
        start, all_before, own_before = time.perf_counter(), machine_cpu_s(), tree_cpu_s(os.getpid())
        value = run()
        others_s = machine_cpu_s() - all_before - (tree_cpu_s(os.getpid()) - own_before)
        others = max(0.0, others_s / (time.perf_counter() - start) / (os.cpu_count() or 1))
        if best is None or others < best[1]:
            best = value, others
        if best[1] <= share:
            break
    assert best is not None
    return best


def machine_cpu_s() -> float:
    """Processor time of all processes since the machine has run."""
    user, nice, system, _, _, *interrupts = map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:8])
    return (user + nice + system + sum(interrupts)) / TICKS


def tree_cpu_s(root: int) -> float:
    """Processor time of a process and its descendants, those that have ended and were waited for included."""
    parents, used = {}, {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        number = int(stat.parent.name)
        parents[number] = int(fields[1])
        used[number] = sum(map(int, fields[11:15])) / TICKS
    tree = {root}
    while more := {number for number, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return sum(used[number] for number in tree)
