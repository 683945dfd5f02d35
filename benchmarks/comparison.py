"""Implementations side by side: each is checked, then all are timed in interleaved rounds."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterable
from typing import Any

from difference import Difference, reference
from implementations import able, parts
from implementations.base import Implementation, Run
from implementations.ours import Fastpre
from tasks import ENTROPY, Job, Task

from fastpre.cli.timing import Timing, interleaved

BATCH = 32
SCALED_BATCH, SCALED_CHECKED = 64, 16
OF_SCALING = ["fastpre-exact", "torchvision-tensor", "torchvision-pil"]
OF_SINGLE = ["fastpre-exact", "fastpre-fast"]  # no other spreads an image over threads


class NotBatchable(ValueError):
    """The job's outputs differ in size, so there is no batch of them."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """What has a row: an implementation at work with some number of threads."""

    key: str
    label: str
    implementation: Implementation
    run: Run


def compare(task: Task, images: list[bytes], threads: int, rounds: int, only: list[str] | None) -> dict[str, Any]:
    """The task's rows, and by key why other implementations have none.

    Args:
        threads: 1: one call an image; more: batches, over that many threads. Decoding jobs give pixels of different
            sizes, which do not batch, so for them it has to be 1.
        rounds: of timing.
        only: keys of implementations; None: all.

    Raises:
        NotBatchable: a decoding job on several threads.
    """
    if task.job.decode_only and threads > 1:
        raise NotBatchable(f"{task.name}: outputs differ in size and do not batch; use --threads 1")
    if task.kind == "images":
        found, absent = able(task.job, only=only)
        entries = [Entry(i.key, i.label, i, i.make(task.job, "cpu", threads)) for i in found]
        return _measured(task.job, entries, absent, images, 1 if threads == 1 else BATCH, singly(images), rounds)
    single = task.kind == "single"
    counts = {"x1": 1, "x2": 2} if single else {"x1": 1, "xall": threads}
    found, absent = able(task.job, only=[k for k in (OF_SINGLE if single else OF_SCALING) if only is None or k in only])
    entries = [
        Entry(f"{i.key} {name}", f"{i.label}, {n} thread{'s' * (n > 1)}", i, i.make(task.job, "cpu", n))
        for i in found
        for name, n in counts.items()
    ]
    some = images[:SCALED_CHECKED]
    checked = singly(some) if single else [some]
    return _measured(task.job, entries, absent, images, 1 if single else SCALED_BATCH, checked, rounds)


def _measured(
    job: Job,
    entries: list[Entry],
    absent: dict[str, str],
    images: list[bytes],
    step: int,
    checked: Iterable[list[bytes]],
    rounds: int,
) -> dict[str, Any]:
    taken = {e.key: e.run.taken(images) for e in entries}
    absent = absent | {e.key: "no image that fastpre's decoder takes" for e in entries if not taken[e.key]}
    entries = [e for e in entries if taken[e.key]]
    differences = check(job, entries, checked)
    absent |= {key: f"refused: {d.refusal}" for key, d in differences.items() if d.refusal}
    entries = [e for e in entries if e.key not in absent]
    passes = {e.key: pass_over(e.run, taken[e.key], step) for e in entries}
    for once in passes.values():
        once()
    stages = {e.key: Stages(e.run, images) for e in entries if isinstance(e.run, Fastpre) and " " not in e.key}
    stages = stages if step == 1 else {}
    timings = interleaved(passes | {f"{key} stages": s.once for key, s in stages.items()}, rounds)
    rows = []
    for e in entries:
        rows.append(row(e.key, e.label, timings[e.key], differences[e.key]))
        if e.key in stages:
            rows[-1]["stages_us"] = stages[e.key].medians()
        if e.implementation.part:
            rows[-1] |= {"part": True, "images": len(taken[e.key])}
    left_out = parts.declined(images) if ENTROPY in job.parts else {}
    return {"rows": rows, "absent": absent, "left_out": left_out}


def singly(images: list[bytes]) -> list[list[bytes]]:
    """One image a call."""
    return [[data] for data in images]


def check(job: Job, entries: list[Entry], batches: Iterable[list[bytes]]) -> dict[str, Difference]:
    """Compares every entry with the reference on every batch that it takes; warms them up as well."""
    found = {e.key: Difference(required_db=e.implementation.required_db) for e in entries}
    for batch in batches:
        right = reference(job, batch)
        for e in entries:
            difference = found[e.key]
            try:
                if difference.failure is None and e.run.taken(batch):
                    e.run.check(difference, batch, right)
            except Exception as error:  # whatever a library raises is the finding
                difference.failure = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return found


def pass_over(
    run: Run, images: list[bytes], step: int, wait: Callable[[], None] = lambda: None, each: bool = False
) -> Callable[[], int]:
    """Runs on all images, `step` a call, and says how many they were.

    Args:
        wait: for the device; after each call, or once in the end.
    """
    batches = [images[i : i + step] for i in range(0, len(images), step)]

    def once() -> int:
        for batch in batches:
            run(batch)
            if each:
                wait()
        wait()
        return len(images)

    return once


def row(key: str, label: str, timing: Timing, difference: Difference | None = None) -> dict[str, Any]:
    """One line of a table: milliseconds per image, and what the check found."""
    ms = {"median": timing.median, "min": min(timing.rounds_ms), "max": max(timing.rounds_ms), "iqr": timing.iqr}
    return {
        "key": key,
        "label": label,
        "ms": {name: round(value, 4) for name, value in ms.items()},
        "rounds_ms": [round(value, 4) for value in timing.rounds_ms],
        **({} if timing.cores_used is None else {"cores_used": round(timing.cores_used, 2)}),
        **({} if difference is None else {"agreement": difference.as_json()}),
    }


class Stages:
    """Rounds that ask fastpre for its stage times, beside the rounds that only time it."""

    def __init__(self, run: Fastpre, images: list[bytes]) -> None:
        self._run = run
        self._images = images
        self._rounds: list[dict[str, float]] = []

    def once(self) -> int:
        records = [self._run.stages_us(data) for data in self._images]
        self._rounds.append({stage: statistics.fmean(r[stage] for r in records) for stage in records[0]})
        return len(self._images)

    def medians(self) -> dict[str, float]:
        """Microseconds per image by stage."""
        return {stage: round(statistics.median(r[stage] for r in self._rounds), 2) for stage in self._rounds[0]}
