"""Section "difference": how far results on the device are from the CPU's exact ones."""

from __future__ import annotations

import collections
import os
from typing import Any

import photographs
import torch
from difference import Difference, joined
from implementations.ours import RAN_AS
from photographs import Photographs

import fastpre

from .context import Context

DECODERS = ("hardware", "hybrid", "coefficients", "auto")
BATCH = 64
NAMED = 8
PUBLISHED = ("natural", "large", "small")  # sets that the bound is for
EMULATED_IMAGES = {"natural": 6, "large": 1, "small": 3, "odd": 12}
QUICK_IMAGES = {"natural": 2, "large": 1, "small": 2, "odd": 4}


def run(context: Context) -> None:
    emulated = context.device == "emulated"
    limits = QUICK_IMAGES if context.quick else EMULATED_IMAGES if emulated else {}
    sets = {name: photographs.load(name, limits.get(name)) for name in photographs.SETS}
    result = context.result
    result["images"] = {name: {"source": p.source, "count": len(p.images)} for name, p in sets.items()}
    result |= {"exact": {}, "fast": {decoder: {} for decoder in DECODERS}}
    for name, p in sets.items():
        result["exact"][name] = exact(p, context.device) if context.left() > 0 else {"note": "no time left"}
        context.save()
    right = {name: Right(p) for name, p in sets.items()}
    for decoder in DECODERS:
        by_set, published = result["fast"][decoder], []
        for name, p in sets.items():
            if context.left() > 0:
                by_set[name], difference = fast(p, right[name], context.device, decoder)
                published += [difference] if name in PUBLISHED else []
                context.save()
        by_set["ran"] = decoder not in RAN_AS or any(RAN_AS[decoder] in s["decoders"] for s in by_set.values())
        by_set["published"] = joined(published).as_json()
    # For comparison: what "fast" costs without a device.
    result["fast_on_cpu"] = {name: fast(p, right[name], "cpu", "auto")[0] for name, p in sets.items()}


def exact(p: Photographs, device: str) -> dict[str, Any]:
    """Counts of images whose float32 results are the CPU's in every bit, that both refuse, and of all others."""
    os.environ["FASTPRE_CUDA_DECODER"] = "auto"
    here, there = fastpre.Preprocessor(), fastpre.Preprocessor(device=device)
    counts: collections.Counter[str] = collections.Counter(equal=0, refused_alike=0, different=0)
    decoders: collections.Counter[str] = collections.Counter()
    different: list[dict[str, Any]] = []
    for begin in range(0, len(p.images), BATCH):
        images = p.images[begin : begin + BATCH]
        right, got = here.run(images, on_error="fill"), there.run(images, on_error="fill")
        tensor = got.tensor.cpu()
        for i, (a, b) in enumerate(zip(right.images, got.images, strict=True)):
            decoders[b.decoder] += 1
            bits = torch.equal(right.tensor[i].view(torch.int32), tensor[i].view(torch.int32))
            alike = a.ok == b.ok and (bits if a.ok else _reason(a) == _reason(b))
            counts["different" if not alike else "equal" if a.ok else "refused_alike"] += 1
            if not alike:
                record = {"image": p.names[begin + i], "decoder": b.decoder, "cpu": _reason(a), "device": _reason(b)}
                different.append(record)
    return dict(counts) | {"first_different": different[:NAMED], "decoders": dict(decoders)}


def _reason(image: Any) -> str:
    return "ok" if image.ok else f"{type(image.error).__name__}: {image.error.reason}"


class Right:
    """The CPU's exact pixels of a set."""

    def __init__(self, p: Photographs) -> None:
        self.spec = fastpre.Spec(dtype="uint8")
        result = fastpre.Preprocessor(self.spec).run(p.images, on_error="fill")
        self.pixels = result.tensor
        self.ok = [image.ok for image in result.images]


def fast(p: Photographs, right: Right, device: str, decoder: str) -> tuple[dict[str, Any], Difference]:
    """fidelity="fast" with a decoder wherever that may be had, against the exact pixels."""
    os.environ["FASTPRE_CUDA_DECODER"] = decoder
    there = fastpre.Preprocessor(right.spec.replace(fidelity="fast"), device)
    by_decoder: dict[str, Difference] = collections.defaultdict(Difference)
    retried: collections.Counter[str] = collections.Counter()
    other_fate: list[str] = []
    for begin in range(0, len(p.images), BATCH):
        got = there.run(p.images[begin : begin + BATCH], on_error="fill")
        pixels = got.tensor.cpu()
        for i, image in enumerate(got.images):
            at = begin + i
            retried.update([image.retried] if image.retried else [])
            if image.ok != right.ok[at]:
                other_fate.append(p.names[at])  # a truncated tail may go unnoticed: that is "fast"
            elif image.ok:
                name = image.decoder if image.target == "CUDA" else f"{image.decoder} on the CPU"
                by_decoder[name].add(pixels[i : i + 1], right.pixels[at : at + 1], [p.names[at]])
    total = joined(list(by_decoder.values()))
    return total.as_json() | {
        "decoders": {name: d.as_json() for name, d in sorted(by_decoder.items())},
        "retried": sum(retried.values()),
        "retried_why": dict(retried.most_common(NAMED)),
        "other_fate": other_fate[:NAMED],
    }, total
