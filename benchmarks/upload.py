"""What an image costs before a CUDA device has it, by path: bytes on the bus, and time of one CPU core beside that of
the whole exact call on the CPU. Counted on the emulator, so no GPU is needed.

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

ROUNDS = 5


def bytes_of(path: str, photos: photographs.Photographs) -> list[tuple[int, int]]:
    """(uploaded, compressed) bytes of each image that takes the path."""
    os.environ["FASTPRE_CUDA_DECODER"] = path
    pre = fastpre.Preprocessor(device="emulated")
    results = [pre.run([image]).images[0] for image in photos.images]
    return [
        (result.uploaded_bytes, len(image))
        for result, image in zip(results, photos.images, strict=True)
        if path == "pixels" or result.target == "CUDA"
    ]


def core_us(pre: fastpre.Preprocessor, photos: photographs.Photographs) -> float:
    """Mean over the images of what the stages took, in microseconds; the emulated kernels are no stage."""
    totals = [sum(pre.run([image]).images[0].stages_us.values()) for image in photos.images]
    return statistics.mean(totals)


def main() -> None:
    """Prints bytes for each image and for each compressed byte, and core time, round by round."""
    photos = photographs.load(sys.argv[1] if len(sys.argv) > 1 else "natural")
    print(f"{photos.source}, {len(photos.images)} images, fastpre {fastpre.__version__}, commit {machine.commit()}")
    print(f"{machine.cpu_model()}, {datetime.date.today()}")
    for path in ("coefficients", "pixels"):
        taken = bytes_of(path, photos)
        ratios = [sent / size for sent, size in taken]
        print(
            f"{path}: {len(taken)} images, median {statistics.median(sent for sent, _ in taken) / 1000:.0f} kB, "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) for each compressed byte"
        )
    os.environ["FASTPRE_CUDA_DECODER"] = "coefficients"
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    device, cpu = (fastpre.Preprocessor(device=name, num_threads=1) for name in ("emulated", "cpu"))
    rounds = [(core_us(device, photos), core_us(cpu, photos)) for _ in range(ROUNDS)]
    for name, times in zip(("coefficients", "the whole call on the CPU"), zip(*rounds, strict=True), strict=True):
        print(f"core time, {name}: median {statistics.median(times):.0f} us ({min(times):.0f} to {max(times):.0f})")
    print(f"ratio: median {statistics.median(a / b for a, b in rounds):.2f}")


if __name__ == "__main__":
    main()
