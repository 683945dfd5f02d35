"""How much faster the same calls get with more threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    return compare(task, images, ENTRANTS, BATCH, {"x1": 1, "xall": threads}, rounds, only)


def compare(
    task: Task,
    images: list[bytes],
    entrants: Sequence[str],
    batch_size: int,
    threads: dict[str, int],
    rounds: int,
    only: list[str] | None,
) -> Outcome:
    """Every entrant with every number of threads, the same calls each; rows are "KEY NAME".

    Args:
        entrants: keys of competitors.
        batch_size: images a call.
        threads: how many, by the name that goes into a row's key.
    """
    competitors: dict[str, Competitor] = {}
    for key in entrants:
        if only is None or key in only:
            for name, count in threads.items():
                competitors[f"{key} {name}"] = BY_KEY[key](task.job, count)
    batches = [images[i : i + batch_size] for i in range(0, len(images), batch_size)]

    def passing(competitor: Competitor) -> Callable[[], int]:
        def once() -> int:
            for batch in batches:
                competitor.run(batch)
            return len(images)

        return once

    step = min(batch_size, CHECKED)
    checked = [images[i : i + step] for i in range(0, min(len(images), CHECKED), step)]
    found = {name: check.of_batches(c, ((c.run(batch), batch) for batch in checked)) for name, c in competitors.items()}
    absent = {name: f"refused: {a.refusal}" for name, a in found.items() if a.refusal}
    passes = {name: passing(c) for name, c in competitors.items() if name not in absent}
    for once in passes.values():
        once()
    timings = measure.interleave(passes, rounds)
    return Outcome([Row(name, _label(competitors[name]), timings[name], found[name]) for name in passes], absent)


def _label(competitor: Competitor) -> str:
    threads = competitor.threads
    return f"{competitor.label}, {threads} {'thread' if threads == 1 else 'threads'}"
