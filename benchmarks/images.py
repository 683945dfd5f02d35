"""The usual task: JPEGs to tensors, one call an image on one core, or in batches on all cores."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import check
import measure
import parts
from competitor import Competitor
from competitors import FastpreExact, entrants
from outcome import Outcome, Row
from tasks import ENTROPY, Task

BATCH = 32


class NotBatchable(ValueError):
    """The job's outputs differ in size, so there is no batch of them."""


def run(task: Task, images: list[bytes], threads: int, rounds: int, only: list[str] | None) -> Outcome:
    """Checks everybody, then times whoever passed.

    Args:
        threads: 1: one call an image; more: batches of 32, over that many threads. Decoding jobs give
            pixels of different sizes, which do not batch, so for them it has to be 1.
        rounds: of timing.
        only: keys of competitors; None: all.

    Raises:
        NotBatchable: a decoding job on several threads.
    """
    if task.job.decode_only and threads > 1:
        raise NotBatchable(f"{task.name}: outputs differ in size and do not batch; use --threads 1")
    classes, absent = entrants(task.job, only)
    competitors = [cls(task.job, threads) for cls in classes]
    # Parts of the two decoders are compared on the same images, those that both decode.
    left_out = parts.declined(images) if ENTROPY in task.job.parts else {}
    taken = [data for i, data in enumerate(images) if i not in left_out]
    found = check.agreements(task.job, competitors, images, left_out)
    absent |= {key: f"refused: {a.refusal}" for key, a in found.items() if a.refusal}
    absent |= {c.key: "no image that fastpre's decoder takes" for c in competitors if _is_part(c) and not taken}
    competitors = [c for c in competitors if c.key not in absent]

    stages = {c.key: StagePasses(c, images) for c in competitors if isinstance(c, FastpreExact) and threads == 1}
    step = 1 if threads == 1 else BATCH
    passes = {c.key: _pass(c, taken if _is_part(c) else images, step) for c in competitors}
    for once in passes.values():
        once()
    timings = measure.interleave(passes | {f"{key} stages": s.once for key, s in stages.items()}, rounds)
    rows = [
        Row(
            c.key,
            c.label,
            timings[c.key],
            found[c.key],
            stages[c.key].medians() if c.key in stages else None,
            images=len(taken) if _is_part(c) else len(images),
            part=_is_part(c),
        )
        for c in competitors
    ]
    return Outcome(rows, absent, left_out)


def _is_part(competitor: Competitor) -> bool:
    return isinstance(competitor, parts.Part)


def _pass(competitor: Competitor, images: list[bytes], step: int) -> Callable[[], int]:
    batches = [images[i : i + step] for i in range(0, len(images), step)]

    def once() -> int:
        for batch in batches:
            competitor.run(batch)
        return len(images)

    return once


class StagePasses:
    """Rounds that ask fastpre for its stage times, beside the rounds that only time it."""

    def __init__(self, competitor: FastpreExact, images: list[bytes]) -> None:
        self._competitor = competitor
        self._images = images
        self._rounds: list[dict[str, float]] = []

    def once(self) -> int:
        records = [self._competitor.stages_us(data) for data in self._images]
        self._rounds.append({stage: statistics.fmean(r[stage] for r in records) for stage in records[0]})
        return len(self._images)

    def medians(self) -> dict[str, float]:
        """Microseconds per image by stage."""
        return {stage: statistics.median(r[stage] for r in self._rounds) for stage in self._rounds[0]}
