"""Small batches through every dtype, layout, filter and decoder: something for a sanitizer to look at.

`python -m gpu_suite.exercise --device cuda --decoders hardware coefficients`: exit status 1 if an exact result differs
from the CPU's.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import random
import sys
import time
from typing import Any

from gpu_suite import pictures

FILTERS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")
DTYPES = ("float32", "float16", "bfloat16", "uint8")
LAYOUTS = ("contiguous_format", "channels_last")


def specs() -> list[dict[str, Any]]:
    """Every dtype, layout and filter with each fidelity; colours, EXIF and pass orders take turns."""
    turns = itertools.cycle(
        itertools.product(("RGB", "BGR", "L"), (True, False), ("adaptive", "horizontal_first"), (40, 37))
    )
    found = []
    for dtype, layout, name, fidelity in itertools.product(DTYPES, LAYOUTS, FILTERS, ("exact", "fast")):
        color, exif, order, crop = next(turns)
        found.append({
            "resize": crop + 3,
            "crop": crop,
            "interpolation": name,
            "dtype": dtype,
            "memory_format": layout,
            "color": color,
            "exif_orientation": exif,
            "pass_order": order,
            "fidelity": fidelity,
        })  # fmt: skip
    random.Random(1).shuffle(found)  # a run that is cut short has seen some of everything
    return found


def run(device: str, decoders: list[str], until: float, limit: int | None = None) -> tuple[int, list[str]]:
    """How many batches were run, and what was wrong."""
    import torch

    import fastpre

    images = [*pictures.kinds(90, 70).values(), pictures.encode(17, 16), pictures.encode(333, 41, quality=97)]
    images.append(pictures.encode(400, 330))  # reduced while decoding, where that is allowed
    count, wrong = 0, []
    for options in specs()[:limit]:
        for decoder in decoders if options["fidelity"] == "fast" else ["auto"]:
            if time.time() > until and count:
                return count, wrong
            os.environ["FASTPRE_CUDA_DECODER"] = decoder
            spec = fastpre.Spec(**options)
            got = fastpre.Preprocessor(spec, device).run(images, on_error="fill")
            tensor = got.tensor.cpu()
            count += 1
            expected = fastpre.Preprocessor(spec).run(images, on_error="fill")
            if [r.ok for r in got.images] != [r.ok for r in expected.images]:
                wrong.append(f"{options}: other images are refused")
            elif options["fidelity"] == "exact" and not torch.equal(tensor, expected.tensor):
                wrong.append(f"{options}: differs")
    return count, wrong


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--device", default="cuda")
    p.add_argument("--decoders", nargs="+", default=["auto"])
    p.add_argument("--until", type=float, default=math.inf, help="seconds since the epoch")
    p.add_argument("--limit", type=int, help="at most so many specs")
    arguments = p.parse_args()
    count, wrong = run(arguments.device, arguments.decoders, arguments.until, arguments.limit)
    for line in wrong[:10]:
        print("exercise:", line)
    print(f"exercise: {count} batches, {len(wrong)} wrong", flush=True)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
