"""What an image costs on the bus to a CUDA device, by route; counted on the emulator, so no GPU is needed.

python benchmarks/upload.py [natural|large|small]
"""

from __future__ import annotations

import datetime
import os
import statistics
import sys

import machine
import photographs

import fastpre


def main() -> None:
    """Prints bytes for each image and for each compressed byte: median, smallest, largest."""
    photos = photographs.load(sys.argv[1] if len(sys.argv) > 1 else "natural")
    print(f"{photos.source}, {len(photos.images)} images, fastpre {fastpre.__version__}, commit {machine.commit()}, {datetime.date.today()}")
    for route in ("coefficients", "pixels"):
        os.environ["FASTPRE_CUDA_DECODER"] = route
        pre = fastpre.Preprocessor(device="emulated")
        taken = [
            (result.uploaded_bytes, len(image))
            for start in range(0, len(photos.images), 16)
            for result, image in zip(
                pre.run(photos.images[start : start + 16]).images, photos.images[start : start + 16], strict=True
            )
            if route == "pixels" or result.target == "CUDA"
        ]
        ratios = [sent / size for sent, size in taken]
        print(
            f"{route}: {len(taken)} images, median {statistics.median(sent for sent, _ in taken) / 1000:.0f} kB, "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) for each compressed byte"
        )


if __name__ == "__main__":
    main()
