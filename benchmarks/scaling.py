"""How much faster a batch gets with all cores than with one thread."""

from __future__ import annotations

from collections.abc import Callable

import check
import measure
from competitor import Competitor
from competitors import BY_KEY
from outcome import Outcome, Row
from tasks import Task

ENTRANTS = ("fastpre-exact", "torchvision-tensor", "torchvision-pil")
BATCH = 64
CHECKED = 16


def run(task: Task, images: list[bytes], threads: int, rounds: int, only: list[str] | None) -> Outcome:
    """Times the same batches with 1 thread and with `threads`; rows are "KEY x1" and "KEY xall"."""
    competitors: dict[str, Competitor] = {}
    for key in ENTRANTS:
        if only is None or key in only:
            competitors[f"{key} x1"] = BY_KEY[key](task.job, 1)
            competitors[f"{key} xall"] = BY_KEY[key](task.job, threads)
    batches = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]

    def passing(competitor: Competitor) -> Callable[[], int]:
        def once() -> int:
            for batch in batches:
                competitor.run(batch)
            return len(images)

        return once

    checked = images[:CHECKED]
    found = {name: check.of_batch(c, c.run(checked), checked) for name, c in competitors.items()}
    absent = {name: f"refused: {a.refusal}" for name, a in found.items() if a.refusal}
    passes = {name: passing(c) for name, c in competitors.items() if name not in absent}
    for once in passes.values():
        once()
    timings = measure.interleave(passes, rounds)
    return Outcome([Row(name, _label(competitors[name]), timings[name], found[name]) for name in passes], absent)


def _label(competitor: Competitor) -> str:
    threads = competitor.threads
    return f"{competitor.label}, {threads} {'thread' if threads == 1 else 'threads'}"
