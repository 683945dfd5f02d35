"""The training transform, image by image on one core: `python benchmarks/augment.py [--set natural] [--rounds 9]`.

RandomResizedCrop(224), flip, normalize: torchvision's on PIL images, the same fused, and `fastpre.augment`; beside them
fastpre's own center crop. First every implementation's tensors are compared with torchvision's, bit for bit, from the
same seed; then all of them are timed in turn. Each round draws the same crops for all.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import pathlib
from collections.abc import Callable
from typing import Any

import machine
import photographs
import torch
from PIL import Image
from torchvision import transforms as v1
from torchvision.transforms import v2

import fastpre.augment as fa
from fastpre.cli.timing import interleaved
from fastpre.transforms import DecodeResizeNormalize, fuse

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
REFERENCE = "torchvision v1, PIL"
POLICY = "with TrivialAugment: "


def transform(library: Any, *extra: Any) -> Any:
    last = v2.ToDtype(torch.float32, scale=True) if library is v2 else v1.ConvertImageDtype(torch.float32)
    steps = [library.RandomResizedCrop(224), library.RandomHorizontalFlip(), *extra, library.PILToTensor(), last]
    return library.Compose([*steps, library.Normalize(MEAN, STD)])


def implementations() -> dict[str, Callable[[bytes], torch.Tensor]]:
    """Each takes a JPEG's bytes."""

    def on_pil(steps: Any) -> Callable[[bytes], torch.Tensor]:
        return lambda data: steps(Image.open(io.BytesIO(data)).convert("RGB"))

    one, two = transform(v1), transform(v2)
    trivial = transform(v1, v1.TrivialAugmentWide())
    augment = [fa.RandomResizedCrop(224), fa.RandomHorizontalFlip()]
    return {
        REFERENCE: on_pil(one),
        "torchvision v2, PIL": on_pil(two),
        "fuse, v1": fuse(one, num_threads=1),
        "fuse, v2": fuse(two, num_threads=1),
        "fastpre.augment": DecodeResizeNormalize(augment=augment, num_threads=1),
        "fastpre, center crop": DecodeResizeNormalize(num_threads=1),
        f"{POLICY}torchvision v1": on_pil(trivial),
        f"{POLICY}fuse": fuse(trivial, num_threads=1),
    }


def check(passes: dict[str, Callable[[bytes], torch.Tensor]], images: list[bytes]) -> None:
    """Raises SystemExit where the same draws give other tensors."""
    pairs = [("fuse, v1", REFERENCE), ("fuse, v2", "torchvision v2, PIL")]
    pairs += [(f"{POLICY}fuse", f"{POLICY}torchvision v1")]
    for i, data in enumerate(images):
        for ours, theirs in pairs:
            results = []
            for name in (ours, theirs):
                torch.manual_seed(i)
                results.append(passes[name](data))
            if not torch.equal(*results):
                raise SystemExit(f"image {i}: {ours} differs from {theirs}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=["natural", "large"], default="natural")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=64, help="images at most")
    parser.add_argument("--out", type=pathlib.Path, help="a folder for the JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    chosen = photographs.load(arguments.set, arguments.count)
    with machine.pinned_to_one_core():
        passes = implementations()
        check(passes, chosen.images)

        def timed(run: Callable[[bytes], torch.Tensor]) -> Callable[[], int]:
            def once() -> int:
                torch.manual_seed(1)
                for data in chosen.images:
                    run(data)
                return len(chosen.images)

            return once

        timings = interleaved({name: timed(run) for name, run in passes.items()}, arguments.rounds)
    rows = {name: {"median_ms": t.median, "iqr_ms": t.iqr, "rounds_ms": t.rounds_ms} for name, t in timings.items()}
    print(f"{len(chosen.images)} images of {chosen.source}; {machine.cpu_model()}, one core; {arguments.rounds} rounds")
    for name, t in timings.items():
        base = f"{POLICY}torchvision v1" if name.startswith(POLICY) else REFERENCE
        pairs = zip(timings[base].rounds_ms, t.rounds_ms, strict=True)
        ratio = sorted(a / b for a, b in pairs)[arguments.rounds // 2]
        print(f"  {name:38} {t.median:7.3f} ms (IQR {t.iqr:.3f})  {ratio:5.2f} times as fast")
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        date = datetime.date.today().isoformat()
        report = {
            "date": date,
            "machine": machine.describe(),
            "images": len(chosen.images),
            "source": chosen.source,
            "rows": rows,
        }
        path = arguments.out / f"{date}-augment-{arguments.set}.json"
        path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
