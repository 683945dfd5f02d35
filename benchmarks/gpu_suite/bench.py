"""Section "bench": everybody on the same batches, each checked against the CPU's exact results, then timed."""

from __future__ import annotations

import contextlib
import faulthandler
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import measure

from gpu_suite import entrants, latency, pictures, roster
from gpu_suite.arithmetic import finite
from gpu_suite.entrants import Entrant
from gpu_suite.sections import Context

# The cells that targets need come first.
CELLS = (
    *(("natural", 256), ("natural", 1), ("natural", 64), ("large", 64), ("small", 256), ("natural", 8)),
    *(("large", 8), ("large", 1), ("small", 64), ("small", 8), ("small", 1)),
)
ABSURD_DB = 20.0
PASS_IMAGES = 128  # of a pass, at most: batches of 1 make a pass of...
PASS_BATCHES = 32  # ...so many calls
LEAST_ROUNDS, MOST_ROUNDS = 3, 15
HANG_S = 60.0  # an entrant that says nothing for so long ends the process, and the next try leaves it out
LATENCY_SHARE = 0.15  # of the section's time


def run(context: Context) -> None:
    import torch

    result = context.result
    result |= {"absent": {}, "cells": [], "latency": [], "images": {}}
    if context.quick:
        sets = {name: pictures.load(name, True).first(4) for name in ("natural", "large", "small")}
    else:
        sets = {name: pictures.load(name) for name in ("natural", "large", "small")}
    result["images"] = {name: {"source": p.source, "count": len(p.images)} for name, p in sets.items()}
    everyone = _ready(context)
    expected = _Expected()
    cells = CELLS[:2] if context.quick else CELLS
    for i, (name, size) in enumerate(cells):
        budget = (context.left() * (1 - LATENCY_SHARE)) / (len(cells) - i)
        if i == 1:  # after the first, most important cell: latencies are targets too
            result["latency"] = latency.measure_all(everyone, sets, context.left() * LATENCY_SHARE, _guard(context))
            context.save()
        if context.left() < 3:
            result["cells"].append({"set": name, "batch": size, "note": "not reached: no time left"})
            continue
        result["cells"].append(_cell(context, everyone, expected, name, sets[name].images, size, budget))
        context.save()
    torch.cuda.synchronize()


def _ready(context: Context) -> list[Entrant]:
    """All that can take part."""
    found = []
    absent: dict[str, str] = context.result["absent"]
    for cls in roster.every():
        if cls.key in context.skip:
            absent[cls.key] = "ended the process in an earlier try"
            continue
        with _guard(context)(cls.key):
            try:
                why = cls.missing()
                if why is None:
                    found.append(cls())
                else:
                    absent[cls.key] = why
            except Exception as e:  # whatever a library raises is the finding
                absent[cls.key] = f"{type(e).__name__}: {e}"[:300]
    context.save()
    return found


def _guard(context: Context) -> Callable[[str], contextlib.AbstractContextManager[None]]:
    """Notes whose turn it is, should the process die, and lets it die if that turn takes too long."""

    @contextlib.contextmanager
    def guard(key: str) -> Iterator[None]:
        context.result["running"] = key
        context.save()
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            context.result.pop("running", None)
            context.save()

    return guard


class _Expected:
    """The CPU's exact results, on the device."""

    def __init__(self) -> None:
        import fastpre

        self._preprocessor = fastpre.Preprocessor(fastpre.Spec(resize=entrants.RESIZE, crop=entrants.CROP))
        self._kept: dict[tuple[int, ...], Any] = {}

    def __call__(self, images: list[bytes]) -> Any:
        key = tuple(map(id, images))
        if key not in self._kept:
            self._kept = {key: self._preprocessor(images).to("cuda")}
        return self._kept[key]


def batches_of(images: list[bytes], size: int) -> list[list[bytes]]:
    """A pass: as many batches as show the set, the images in turn."""
    count = max(1, min(PASS_BATCHES, -(-min(len(images), PASS_IMAGES) // size)))
    turns = itertools.cycle(images)
    return [[next(turns) for _ in range(size)] for _ in range(count)]


def _cell(
    context: Context,
    everyone: list[Entrant],
    expected: _Expected,
    name: str,
    images: list[bytes],
    size: int,
    budget: float,
) -> dict[str, Any]:
    import torch

    from fastpre import _core

    end = time.monotonic() + budget
    cell: dict[str, Any] = {"set": name, "batch": size, "rows": [], "absent": {}}
    batches = batches_of(images, size)
    checked: dict[str, dict[str, Any]] = {}
    passes: dict[str, Callable[[], int]] = {}
    warm: dict[str, float] = {}
    for entrant in everyone:
        with _guard(context)(entrant.key):
            try:
                db, equal = entrant.psnr_db(batches[0], expected(batches[0]))
                checked[entrant.key] = {"psnr_db": finite(db), "equal": equal}
                if db < ABSURD_DB:
                    cell["absent"][entrant.key] = f"refused: PSNR {db:.1f} dB to the exact result"
                    continue
                once = pass_over(entrant, batches)
                once()
                start = time.perf_counter()
                once()
                warm[entrant.key] = time.perf_counter() - start
                passes[entrant.key] = once
                if isinstance(entrant, entrants.Fastpre):
                    checked[entrant.key]["decoders"] = ran = entrant.decoders(batches[0])
                    if entrants.RAN_AS.get(entrant.decoder, "") not in {*ran, ""}:
                        passes.pop(entrant.key)
                        warm.pop(entrant.key)
                        cell["absent"][entrant.key] = f"no image took that decoder: {ran}"
            except Exception as e:  # whatever a library raises is the finding
                cell["absent"][entrant.key] = f"{type(e).__name__}: {e}"[:300]
    if not passes:
        return cell
    rounds = int(min(max((end - time.monotonic()) / sum(warm.values()), LEAST_ROUNDS), MOST_ROUNDS))
    with _guard(context)("all, in turn"):
        timings = measure.interleave(passes, LEAST_ROUNDS if context.quick else rounds)
    by_key = {entrant.key: entrant for entrant in everyone}
    # What "auto" has learned of each route's speed, from all the batches so far.
    cell["rates"] = _core.cuda_rates(torch.cuda.current_device())
    cell["rows"] = [_row(by_key[key], timing, size, len(batches)) | checked[key] for key, timing in timings.items()]
    return cell


def pass_over(entrant: Entrant, batches: list[list[bytes]]) -> Callable[[], int]:
    """Runs all of them, waits for the device once, and says how many images that were."""
    import torch

    count = sum(len(entrant.taken(batch)) for batch in batches)

    def once() -> int:
        for batch in batches:
            entrant.run(batch)
        torch.cuda.synchronize()
        return count

    return once


def _row(entrant: Entrant, timing: measure.Timing, size: int, batches: int) -> dict[str, Any]:
    """Per-batch figures are of `size` images, also where an entrant does not take all of them."""
    ms = [size * one for one in timing.rounds_ms]
    return {
        "key": entrant.key,
        "label": entrant.label,
        "role": entrant.role,
        "images_per_second": round(1e3 / timing.median, 1),
        "batch_ms": {
            "median": round(statistics.median(ms), 4),
            "min": round(min(ms), 4),
            "max": round(max(ms), 4),
            "iqr": round(size * timing.iqr, 4),
        },
        "rounds": len(ms),
        "batches_a_round": batches,
        "cores_used": None if timing.cores_used is None else round(timing.cores_used, 2),
    }
