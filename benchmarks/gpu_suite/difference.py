"""Section "difference": how far results on the device are from the CPU's exact ones."""

from __future__ import annotations

import collections
import os
from typing import Any

from gpu_suite import pictures
from gpu_suite.arithmetic import Differences
from gpu_suite.entrants import RAN_AS
from gpu_suite.pictures import Pictures
from gpu_suite.sections import Context

DECODERS = ("hardware", "hybrid", "coefficients", "auto")
BATCH = 64
NAMED = 8
PUBLISHED = ("natural", "large", "small")  # sets that the bound is for
EMULATED_IMAGES = {"natural": 6, "large": 1, "small": 3, "odd": 12}
NO_NVJPEG = "/no/nvjpeg"  # on the emulator a real one would find no driver
QUICK_IMAGES = {"natural": 2, "large": 1, "small": 2, "odd": 4}


def run(context: Context) -> None:
    result = context.result
    result["images"], result["exact"], result["fast"] = {}, {}, {}
    if context.device == "emulated":
        os.environ.setdefault("FASTPRE_NVJPEG", NO_NVJPEG)
    limits = QUICK_IMAGES if context.quick else EMULATED_IMAGES if context.device == "emulated" else {}
    sets = {name: pictures.load(name, context.quick) for name in pictures.SETS}
    sets = {name: p.first(limits.get(name, len(p.images))) for name, p in sets.items()}
    result["images"] = {name: {"source": p.source, "count": len(p.images)} for name, p in sets.items()}
    for name, p in sets.items():
        if context.left() < 0:
            result["exact"][name] = {"note": "not reached: no time left"}
            continue
        result["exact"][name] = exact(p, context.device)
        context.save()
    rights = {name: _Right(p) for name, p in sets.items()}
    for decoder in DECODERS:
        result["fast"][decoder] = by_set = {}
        together = Differences()
        for name, p in sets.items():
            if context.left() < 0:
                by_set[name] = {"note": "not reached: no time left"}
                continue
            by_set[name], differences = fast(p, rights[name], context.device, decoder)
            if name in PUBLISHED:
                together.join(differences)
            context.save()
        by_set["published"] = together.as_json()
        ran = {name for s in by_set.values() for name in s.get("decoders", {})}
        by_set["ran"] = decoder not in RAN_AS or RAN_AS[decoder] in ran
        context.save()
    result["fast_on_cpu"] = {name: _fast_on_cpu(sets[name], rights[name]) for name in sets if context.left() > 0}


def exact(p: Pictures, device: str) -> dict[str, Any]:
    """Counts of images whose float32 results are the CPU's in every bit, that both refuse, and of all others."""
    import torch

    import fastpre

    os.environ["FASTPRE_CUDA_DECODER"] = "auto"
    here, there = fastpre.Preprocessor(), fastpre.Preprocessor(device=device)
    equal = refused = 0
    different: list[dict[str, Any]] = []
    decoders: collections.Counter[str] = collections.Counter()
    retried: collections.Counter[str] = collections.Counter()
    for begin in range(0, len(p.images), BATCH):
        names, images = p.names[begin : begin + BATCH], p.images[begin : begin + BATCH]
        right, got = here.run(images, on_error="fill"), there.run(images, on_error="fill")
        tensor = got.tensor.cpu()
        for i, name in enumerate(names):
            a, b = right.images[i], got.images[i]
            decoders[b.decoder] += 1
            if b.retried:
                retried[b.retried] += 1
            if not a.ok and not b.ok and _reason(a) == _reason(b):
                refused += 1
            elif a.ok and b.ok and torch.equal(right.tensor[i].view(torch.int32), tensor[i].view(torch.int32)):
                equal += 1
            else:
                different.append({
                    "image": name,
                    "decoder": b.decoder,
                    "cpu": _reason(a),
                    "device": _reason(b),
                    "largest": float((right.tensor[i] - tensor[i]).abs().max()) if a.ok and b.ok else None,
                })  # fmt: skip
    return {
        "equal": equal,
        "refused_alike": refused,
        "different": len(different),
        "first_different": different[:NAMED],
        "decoders": dict(decoders),
        "retried": dict(retried),
    }


def _reason(image: Any) -> str:
    return "ok" if image.ok else f"{type(image.error).__name__}: {image.error.reason}"


class _Right:
    """The CPU's exact pixels of a set."""

    def __init__(self, p: Pictures) -> None:
        import fastpre

        self.spec = fastpre.Spec(dtype="uint8")
        result = fastpre.Preprocessor(self.spec).run(p.images, on_error="fill")
        self.pixels = result.tensor.numpy()
        self.ok = [r.ok for r in result.images]


def fast(p: Pictures, right: _Right, device: str, decoder: str) -> tuple[dict[str, Any], Differences]:
    """fidelity="fast" with a decoder wherever that may be had, against the exact pixels."""
    import fastpre

    os.environ["FASTPRE_CUDA_DECODER"] = decoder
    there = fastpre.Preprocessor(right.spec.replace(fidelity="fast"), device)
    total = Differences()
    by_decoder: dict[str, Differences] = collections.defaultdict(Differences)
    retried: collections.Counter[str] = collections.Counter()
    other_fate: list[str] = []
    for begin in range(0, len(p.images), BATCH):
        got = there.run(p.images[begin : begin + BATCH], on_error="fill")
        pixels = got.tensor.cpu().numpy()
        for i, image in enumerate(got.images):
            at = begin + i
            if image.retried:
                retried[image.retried] += 1
            if image.ok != right.ok[at]:
                other_fate.append(p.names[at])  # a truncated tail may go unnoticed: that is "fast"
            elif image.ok:
                one = Differences()
                one.add(p.names[at], pixels[i], right.pixels[at])
                total.join(one)
                by_decoder[image.decoder if image.target == "CUDA" else f"{image.decoder} on the CPU"].join(one)
    report = total.as_json() | {
        "decoders": {name: d.as_json() for name, d in sorted(by_decoder.items())},
        "retried": sum(retried.values()),
        "retried_why": dict(retried.most_common(NAMED)),
        "other_fate": other_fate[:NAMED],
    }
    return report, total


def _fast_on_cpu(p: Pictures, right: _Right) -> dict[str, Any]:
    """For comparison: what "fast" costs without a device."""
    report, _ = fast(p, right, "cpu", "auto")
    report.pop("decoders")
    return report
