"""Section "throughput": all on the same batches, each checked against the CPU's exact results, then timed."""

from __future__ import annotations

import itertools
import time
from typing import Any

import photographs
import torch
from comparison import Entry, pass_over, row
from difference import Difference, Reference
from implementations import able
from implementations.ours import RAN_AS, Fastpre, spec_of
from machine import cores
from photographs import Photographs
from tasks import Job

import fastpre
from fastpre import _core
from fastpre.cli.timing import interleaved

from .context import Context

# Set and size of batch, those that targets need first; "one" is a single image, the device idle before each call.
CELLS = (
    *(("natural", 256), ("one natural", 1), ("one 12 MP", 1), ("natural", 1), ("natural", 64), ("large", 64)),
    *(("small", 256), ("natural", 8), ("large", 8), ("large", 1), ("small", 64), ("small", 8), ("small", 1)),
)
QUICK_CELLS = 3
JOB = Job()
PASS_IMAGES = 128  # of a pass, at most: batches of 1 make a pass of...
PASS_BATCHES = 32  # ...so many calls
SINGLE_CALLS = 10  # of a pass over one image
LEAST_ROUNDS, MOST_ROUNDS = 3, 15
LEAST_S = 3.0  # a cell is not begun with less


def run(context: Context) -> None:
    sets = {name: photographs.load(name, 4 if context.quick else None) for name in ("natural", "large", "small")}
    context.result["images"] = {name: {"source": p.source, "count": len(p.images)} for name, p in sets.items()}
    context.result["cells"] = []
    entries = ready(context)
    cells = CELLS[:QUICK_CELLS] if context.quick else CELLS
    for i, (name, size) in enumerate(cells):
        cell: dict[str, Any] = {"set": name, "batch": size, "rows": [], "absent": {}}
        context.result["cells"].append(cell)
        if context.left() < LEAST_S:
            cell["note"] = "not reached: no time left"
            continue
        images = single(name, sets) if name.startswith("one ") else sets[name].images
        measure(context, entries, cell, images, context.left() / (len(cells) - i))
        context.save()


def ready(context: Context) -> list[Entry]:
    """All that can take part; the result says why others cannot."""
    found, absent = able(JOB, context.device)
    context.result["absent"] = absent | dict.fromkeys(context.skip, "ended the process in an earlier try")
    entries = []
    for i in found:
        if i.key not in context.skip:
            with context.attempt(i.key, context.result["absent"]):
                entries.append(Entry(i.key, i.label, i, i.make(JOB, context.device, cores())))
    return entries


def measure(context: Context, entries: list[Entry], cell: dict[str, Any], images: list[bytes], seconds: float) -> None:
    """Fills the cell: checks, then times."""
    end = time.monotonic() + seconds
    size, one = cell["batch"], cell["set"].startswith("one ")
    images = in_batches(images, size)
    batch = images[:size]
    right = fastpre.Preprocessor(spec_of(JOB))(batch).to(context.memory)
    passes, found, warm = {}, {}, {}
    for e in entries:
        with context.attempt(e.key, cell["absent"]):
            found[e.key] = difference = Difference(required_db=e.implementation.required_db)
            e.run.check(difference, batch, Reference(right, right))
            if difference.refusal:
                raise ValueError(f"refused: {difference.refusal}")
            ran = e.run.decoders(batch) if isinstance(e.run, Fastpre) else {}
            if isinstance(e.run, Fastpre) and e.run.decoder in RAN_AS and RAN_AS[e.run.decoder] not in ran:
                raise ValueError(f"no image took that decoder: {ran}")
            cell.setdefault("decoders", {})[e.key] = ran
            taken = e.run.taken(images)
            once = pass_over(e.run, taken, size, context.synchronize, each=one)
            once()
            warm[e.key] = len(taken) * interleaved({e.key: once}, 1)[e.key].median / 1e3  # seconds of a pass
            passes[e.key] = once
    if not passes:
        return
    rounds = int(min(max((end - time.monotonic()) / sum(warm.values()), LEAST_ROUNDS), MOST_ROUNDS))
    with context.attempt("all, in turn", cell["absent"]):
        timings = interleaved(passes, LEAST_ROUNDS if context.quick else rounds)
        rows = [(e, row(e.key, e.label, timings[e.key], found[e.key])) for e in entries if e.key in passes]
        cell["rows"] = [record | {"part": e.implementation.part} for e, record in rows]
    if context.device == "cuda":  # what "auto" has learned of each decode path's speed, from all the batches so far
        cell["rates"] = _core.cuda_rates(torch.cuda.current_device())


def in_batches(images: list[bytes], size: int) -> list[bytes]:
    """A pass: whole batches, as many as show the set, of the images in turn."""
    count = max(1, min(PASS_BATCHES, -(-min(len(images), PASS_IMAGES) // size)))
    return list(itertools.islice(itertools.cycle(images), count * size))


def single(name: str, sets: dict[str, Photographs]) -> list[bytes]:
    """The natural image that is the median one by bytes; the large one that is closest to 12 megapixels."""
    if name == "one natural":
        ordered = sorted(sets["natural"].images, key=len)
        return [ordered[len(ordered) // 2]] * SINGLE_CALLS

    def distance(data: bytes) -> int:
        height, width = fastpre.plan(data).size
        return abs(height * width - 12_000_000)

    return [min(sets["large"].images, key=distance)] * SINGLE_CALLS
