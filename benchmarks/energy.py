"""Energy of the processor packages, where the machine reports it (Linux, Intel's and AMD's RAPL)."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POWERCAP = pathlib.Path("/sys/class/powercap")


def counters(root: pathlib.Path = POWERCAP) -> list[pathlib.Path]:
    """Packages whose counter can be read; packages contain cores and memory controllers, which do not count again."""
    found = []
    for zone in sorted(root.glob("intel-rapl:*")):
        counter = zone / "energy_uj"
        try:
            counter.read_text(encoding="ascii")
            name = (zone / "name").read_text(encoding="ascii").strip()
        except OSError:  # not there, or for root alone
            continue
        if name.startswith("package"):
            found.append(zone)
    return found


def joules(run: Callable[[], T], root: pathlib.Path = POWERCAP) -> tuple[T, float | None]:
    """What a run gives, and the energy of all packages meanwhile; None where the machine does not report it."""
    zones = counters(root)
    before = [_read(zone / "energy_uj") for zone in zones]
    value = run()
    if not zones:
        return value, None
    used = 0
    for zone, start in zip(zones, before, strict=True):
        end = _read(zone / "energy_uj")
        used += end - start if end >= start else end - start + _read(zone / "max_energy_range_uj")
    return value, used / 1e6


def _read(path: pathlib.Path) -> int:
    return int(path.read_text(encoding="ascii"))
