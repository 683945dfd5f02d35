"""Where a call's time goes, for comparing two states of the tree: `python benchmarks/stages.py --photos natural`.

Microseconds per image and stage on one pinned core: each pass over all images gives a mean, and the
smallest mean of the passes is printed, because a busy machine only ever adds.
"""

from __future__ import annotations

import argparse
import collections

import machine
import photographs
import torch

import fastpre


def stages_us(images: list[bytes], passes: int) -> dict[str, float]:
    """The smallest mean of each stage over `passes` passes."""
    pre = fastpre.Preprocessor(num_threads=1)
    out = torch.empty(1, 3, 224, 224)
    least: dict[str, float] = {}
    for _ in range(passes):
        total: collections.Counter[str] = collections.Counter()
        for image in images:
            total.update(pre.run([image], out=out).images[0].stages_us)
        for stage, us in total.items():
            least[stage] = min(us / len(images), least.get(stage, us))
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", choices=["natural", "large", "small"], default="natural")
    parser.add_argument("--passes", type=int, default=6)
    arguments = parser.parse_args()
    photos = photographs.load(arguments.photos)
    with machine.pinned_to_one_core():
        least = stages_us(photos.images, arguments.passes)
    print(f"{len(photos.images)} images ({photos.source}), us per image, smallest of {arguments.passes} passes")
    for stage, us in least.items():
        print(f"  {stage:<10}{us:9.1f}")


if __name__ == "__main__":
    main()
