"""Several crops of one JPEG: each decoded by itself, or all from one decoding of the rectangle around them.

    python benchmarks/crops.py

Core time of both, and their ratio, for photographs of three sizes, crops of a quarter of the width and height at random
places, by the server's own code (`fastpre.serve.engine.cropping`). Its `ROWS_MANY` says when which one is chosen; the
last column is what that compares: the rows that are read crop by crop, by those of one decoding.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import machine
import numpy as np
import torch
from photographs import encode

import fastpre
from fastpre.augment import Box
from fastpre.serve.engine.cropping import Crop, Cropper, Picture

SIZES = ((500, 375), (1600, 1200), (4000, 3000))
COUNTS = (2, 3, 4, 8)
PLACES = 7
ROUNDS = 5


def core_ms(run: Callable[[], None]) -> float:
    """Median of some rounds."""
    times = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        run()
        times.append(1e3 * (time.process_time() - begun))
    return statistics.median(times)


def places(width: int, height: int, count: int, rng: np.random.Generator) -> list[Box]:
    h, w = height // 4, width // 4
    return [Box(int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w) for _ in range(count)]


def main() -> None:
    """Prints a line for each size and number of crops: medians over the places."""
    torch.set_num_threads(1)
    spec = fastpre.Spec()
    cropper = Cropper(fastpre.Preprocessor(spec, num_threads=1))
    print(machine.cpu_model(), machine.commit())
    print(f"{'image':>10}{'crops':>7}{'each, ms':>10}{'once, ms':>10}{'ratio':>7}{'least':>7}{'most':>7}{'rows':>7}")
    for width, height in SIZES:
        data, size = encode(width, height), (height, width)
        rng = np.random.default_rng(0)
        for count in COUNTS:
            found = []
            for _ in range(PLACES):
                boxes = places(width, height, count, rng)
                top, left = min(box.top for box in boxes), min(box.left for box in boxes)
                bottom = max(box.top + box.height for box in boxes)
                around = Box(top, left, bottom - top, max(box.left + box.width for box in boxes) - left)
                slots = torch.empty(2, count, 3, 224, 224)

                def write(row: int, whole: Box | None, boxes: list[Box] = boxes, slots: torch.Tensor = slots) -> None:
                    picture = Picture(data, size, whole, len(boxes))  # noqa: B023
                    for i, box in enumerate(boxes):
                        cropper.write(Crop(picture, box), slots[row, i : i + 1])

                each, once = core_ms(lambda: write(0, None)), core_ms(lambda around=around: write(1, around))  # type: ignore[misc]
                assert torch.equal(slots[0], slots[1])
                found.append((each, once, each / once, sum(box.top + box.height for box in boxes) / bottom))
            each, once, ratio, rows = (statistics.median(column) for column in zip(*found, strict=True))
            spread = [row[2] for row in found]
            print(
                f"{f'{width}x{height}':>10}{count:7}{each:10.2f}{once:10.2f}"
                f"{ratio:7.2f}{min(spread):7.2f}{max(spread):7.2f}{rows:7.2f}"
            )


if __name__ == "__main__":
    main()
