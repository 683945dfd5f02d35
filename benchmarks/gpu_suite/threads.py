"""Section "threads": several threads with one Preprocessor, each on its own stream; and several devices."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from gpu_suite import pictures
from gpu_suite.sections import Context

THREADS = 4
BATCHES = 6  # different ones, of growing size
# What a decoder gives is always the same; "auto" may choose another one the next time, so only exact is left to it.
MODES = (("exact", "auto"), ("fast", "hardware"), ("fast", "coefficients"))
MOST_TURNS = 40


def run(context: Context) -> None:
    import torch

    result = context.result
    result["modes"] = {}
    images = [*pictures.load("natural", context.quick).first(96).images, *pictures.load("small", context.quick).images]
    batches = [images[i : i + 3 + 7 * i] for i in range(BATCHES)]
    for i, (fidelity, decoder) in enumerate(MODES):
        share = context.left() * 0.8 / (len(MODES) - i)
        result["modes"][f"{fidelity}, {decoder}"] = _mode(fidelity, decoder, batches, share)
        context.save()
    devices = torch.cuda.device_count()
    result["devices"] = {"count": devices, "different": _other_devices(batches[-1], devices)}


def _mode(fidelity: str, decoder: str, batches: list[list[bytes]], seconds: float) -> dict[str, Any]:
    import torch

    import fastpre

    os.environ["FASTPRE_CUDA_DECODER"] = decoder
    preprocessor = fastpre.Preprocessor(fastpre.Spec(fidelity=fidelity), "cuda")
    right = [preprocessor(batch) for batch in batches]
    torch.cuda.synchronize()
    end = time.monotonic() + seconds
    lock = threading.Lock()
    counts = {"batches": 0, "different": 0}
    errors: list[str] = []

    def work(first: int) -> None:
        stream = torch.cuda.Stream()
        try:
            for turn in range(MOST_TURNS):
                if time.monotonic() > end and turn:
                    return
                at = (first + turn) % len(batches)
                with torch.cuda.stream(stream):
                    got = preprocessor(batches[at])
                    # Used on the same stream, without waiting, as a model would.
                    equal = bool((got == right[at]).all())
                with lock:
                    counts["batches"] += 1
                    counts["different"] += not equal
        except Exception as e:  # a thread's exception is a finding, not the end
            with lock:
                errors.append(f"{type(e).__name__}: {e}"[:300])

    workers = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return counts | {"errors": errors}


def _other_devices(images: list[bytes], count: int) -> dict[str, bool]:
    """Whether exact results differ from the first device's."""
    import torch

    import fastpre

    os.environ["FASTPRE_CUDA_DECODER"] = "auto"
    right = fastpre.Preprocessor(device="cuda:0")(images).cpu()
    return {
        f"cuda:{i}": not torch.equal(fastpre.Preprocessor(device=f"cuda:{i}")(images).cpu(), right)
        for i in range(1, count)
    }
