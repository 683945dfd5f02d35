"""What the suite consists of, and what a section is given to work with."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import time
from typing import Any


@dataclasses.dataclass(frozen=True)
class Section:
    """One entry of the report.

    Attributes:
        name: on the command line and in the report.
        module: has `run(context)`.
        share: of the time, relative to the others; what one leaves over goes to those after it.
        emulated: it also says something without a GPU, on device="emulated".
    """

    name: str
    module: str
    share: float
    emulated: bool = False


# The most valuable first, since the time may be cut short: right before fast, fast before clean.
SECTIONS = (
    Section("build", "gpu_suite.build", 25, emulated=True),
    Section("tests", "gpu_suite.device_tests", 80, emulated=True),
    Section("difference", "gpu_suite.difference", 70, emulated=True),
    Section("bench", "gpu_suite.bench", 150),
    Section("kernel", "gpu_suite.kernel", 45),
    Section("threads", "gpu_suite.threads", 25),
    Section("memory", "gpu_suite.memory_growth", 55),
    Section("sanitizer", "gpu_suite.sanitizer", 110),
)


def seconds_for(section: Section, later: list[Section], left: float) -> float:
    """Its part of the seconds that are left for it and those after it."""
    return left * section.share / (section.share + sum(s.share for s in later))


@dataclasses.dataclass
class Context:
    """What a section's process knows.

    Attributes:
        device: "cuda", or "emulated" where there is no GPU.
        seconds: to be done within, from now on; a little later the process is killed.
        quick: as little as shows that it works.
        out: folder for files beside gpu.json.
        partial: where `save` writes.
        skip: entrants that have crashed an earlier try.
        result: filled by the section, JSON types only.
    """

    device: str
    seconds: float
    quick: bool
    out: pathlib.Path
    partial: pathlib.Path
    skip: tuple[str, ...] = ()
    result: dict[str, Any] = dataclasses.field(default_factory=dict)
    started: float = dataclasses.field(default_factory=time.monotonic)

    def left(self) -> float:
        """Seconds."""
        return self.seconds - (time.monotonic() - self.started)

    def save(self) -> None:
        """Keeps what there is, should the process not live to say more."""
        write_json(self.partial, self.result)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Replaces the file as a whole: who reads it never sees half of it."""
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(json.dumps(value, indent=1, default=str) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """Empty if there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
