"""Section "soak": many batches of random sizes, from several threads: results stay right, memory stays flat."""

from __future__ import annotations

import os
import pathlib
import random
import threading
import time
from typing import Any

import photographs
import torch
from implementations.ours import Fidelity

import fastpre
from fastpre import _core

from .context import Context

THREADS = 4
# What a decoder gives is always the same; "auto" may choose another one the next time, so only exact is left to it.
MODES: tuple[tuple[Fidelity, str], ...] = (("exact", "auto"), ("fast", "hardware"), ("fast", "coefficients"))
MOST_TURNS = 40
ORDER: tuple[Fidelity, ...] = ("fast", "exact", "fast")  # of batches whose memory is watched
THREADS_SHARE = 0.3  # of the time

BATCHES = 10_000
SIZES = 20  # of images
LARGEST_SIDE, LARGEST_BATCH = 1400, 24
LARGEST_FIRST = 12  # such batches
EARLY = 100  # batches; growth is from there on
SAMPLES = 10


def run(context: Context) -> None:
    context.result["threads"] = {}
    batches = [photographs.load("natural", 3 + 7 * i).images for i in range(2 if context.quick else 6)]
    for i, (fidelity, decoder) in enumerate(MODES):
        seconds = context.left() * THREADS_SHARE / (len(MODES) - i)
        context.result["threads"][f"{fidelity}, {decoder}"] = threads(context, fidelity, decoder, batches, seconds)
        context.save()
    if context.device == "cuda":
        os.environ["FASTPRE_CUDA_DECODER"] = "auto"
        devices = [fastpre.Preprocessor(device=f"cuda:{i}") for i in range(torch.cuda.device_count())]
        first, *others = [preprocessor(batches[-1]).cpu() for preprocessor in devices]
        context.result["devices_that_differ"] = sum(not torch.equal(other, first) for other in others)
    memory(context)


def threads(
    context: Context, fidelity: Fidelity, decoder: str, batches: list[list[bytes]], seconds: float
) -> dict[str, Any]:
    """Several threads with one Preprocessor, each on its own stream, against one thread."""
    os.environ["FASTPRE_CUDA_DECODER"] = decoder
    preprocessor = fastpre.Preprocessor(fastpre.Spec(fidelity=fidelity), context.device)
    right = [preprocessor(batch) for batch in batches]
    context.synchronize()
    end = time.monotonic() + seconds
    equal: list[bool] = []
    errors: list[str] = []

    def work(first: int) -> None:
        stream = torch.cuda.Stream() if context.device == "cuda" else None
        try:
            for turn in range(MOST_TURNS):
                if time.monotonic() > end and turn:
                    return
                at = (first + turn) % len(batches)
                with torch.cuda.stream(stream):  # None: the current one
                    # Used on the same stream, without waiting, as a model would.
                    equal.append(bool((preprocessor(batches[at]) == right[at]).all()))
        except Exception as e:  # a thread's exception is a finding, not the end
            errors.append(f"{type(e).__name__}: {e}"[:300])

    workers = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"batches": len(equal), "different": equal.count(False), "errors": errors}


def memory(context: Context) -> None:
    """Memory after the hundredth batch, and at ten places from there to the end."""
    os.environ["FASTPRE_CUDA_DECODER"] = "auto"
    rng = random.Random(7)
    images = pool(rng, context.left() / 3, 1 if context.quick else SIZES)
    preprocessors = [fastpre.Preprocessor(fastpre.Spec(fidelity=f), context.device) for f in ORDER]
    samples: list[dict[str, int]] = []
    result = context.result["memory"] = {"images": len(images), "batches": 0, "samples": samples}
    started, done, planned = time.monotonic(), 0, BATCHES
    while done < planned and context.left() > 1:
        # The largest batches come first, in each mode: what grows after them is not a size or a kind that was new.
        largest = [images[done % 2]] * LARGEST_BATCH
        batch = largest if done < LARGEST_FIRST else rng.choices(images, k=rng.randint(1, LARGEST_BATCH))
        preprocessors[done % len(preprocessors)](batch)
        done += 1
        if done == EARLY:  # as many as there is time for, so that the samples are spread over all of them
            rate = done / (time.monotonic() - started)
            planned = min(BATCHES, done + int(rate * max(0.0, context.left() - 4)))
        if done >= EARLY and (done - EARLY) % max(1, (planned - EARLY) // SAMPLES) == 0:
            context.synchronize()
            samples.append({"batches": done} | _sample(context.device))
            result |= {"batches": done} | growth(samples)
            context.save()
    context.synchronize()


def growth(samples: list[dict[str, int]]) -> dict[str, Any]:
    """From the first sample to the last, and to the highest: bytes. Null with one sample."""
    first, *later = samples
    kinds = [key for key in first if key != "batches"]
    if not later:
        return {"growth_bytes": None, "highest_growth_bytes": None}
    return {
        "growth_bytes": {key: later[-1][key] - first[key] for key in kinds},
        "highest_growth_bytes": {key: max(s[key] for s in later) - first[key] for key in kinds},
    }


def _sample(device: str) -> dict[str, int]:
    cuda = device == "cuda"
    used = _core.cuda_memory(torch.cuda.current_device() if cuda else _core.EMULATED)
    free, total = torch.cuda.mem_get_info() if cuda else (0, 0)
    pages = int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        # The whole device's, without torch's: also what CUDA itself and, should there be any, other processes have.
        "device_beside_torch": total - free - torch.cuda.memory_reserved() if cuda else 0,
        "fastpre_device": used["device"]["used_bytes"],
        "fastpre_pinned": used["pinned"]["used_bytes"],
        "host_resident": pages * os.sysconf("SC_PAGE_SIZE"),
    }


def pool(rng: random.Random, seconds: float, sizes: int) -> list[bytes]:
    """Of all kinds in some sizes; the first two are the largest, sequential and progressive."""
    end, side = time.monotonic() + seconds, LARGEST_SIDE
    images = [photographs.encode(side, side, subsampling="4:4:4", progressive=p) for p in (False, True)]
    for seed in range(sizes):
        if time.monotonic() < end or seed == 0:
            images += photographs.kinds(rng.randint(16, side // 2), rng.randint(16, side // 2), seed).values()
    return images
