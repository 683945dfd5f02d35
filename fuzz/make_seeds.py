"""Writes a seed corpus for each fuzz target: small JPEGs of every kind that Pillow can encode.

    python fuzz/make_seeds.py OUT_DIR [FILE or FOLDER]...

A seed in OUT_DIR/preprocess is 12 bytes of Spec and a JPEG, one in OUT_DIR/baseline or OUT_DIR/transcode is 5 bytes
and a JPEG; files and folders named after OUT_DIR are wrapped likewise. These two also get decisions for the stream
writer of the C++ tests.
"""

from __future__ import annotations

import io
import itertools
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

SPEC_BYTES = 12
CHOICES_BYTES = 5  # of the other two targets; the first one's top bit: what follows are decisions, not a JPEG
WRITER_SEEDS = 96
MAX_SEED_BYTES = 1 << 16  # larger streams only slow the search down


def picture(mode: str, width: int, height: int) -> Image.Image:
    """Gradients under noise: every coefficient is in use, and runs of zeros too."""
    rng = random.Random(f"{mode}{width}x{height}")
    bands = [
        Image.frombytes(
            "L",
            (width, height),
            bytes((3 * x * (band + 1) + 5 * y + rng.randrange(40)) % 256 for y in range(height) for x in range(width)),
        )
        for band in range(len(mode))
    ]
    return Image.merge(mode, bands)


def encoded() -> Iterator[tuple[str, bytes]]:
    """Every combination of mode, sampling, progressive and restart markers, with a few sizes."""
    sizes = itertools.cycle([(1, 1), (17, 9), (40, 33), (64, 48), (7, 90)])
    for mode, subsampling, progressive, restart in itertools.product(
        ("L", "RGB", "CMYK"), (0, 1, 2), (False, True), (0, 1)
    ):
        if mode != "RGB" and subsampling:
            continue
        width, height = next(sizes)
        options: dict[str, Any] = {"quality": 60, "progressive": progressive, "restart_marker_blocks": restart}
        if mode == "RGB":
            options["subsampling"] = subsampling
        yield f"{mode}-{subsampling}-{progressive:d}-{restart}", encode(picture(mode, width, height), **options)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"exif-{orientation}", encode(picture("RGB", 24, 40), exif=exif)


def encode(image: Image.Image, **options: Any) -> bytes:
    """The image as a JPEG stream."""
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def wrapped(paths: list[str]) -> Iterator[tuple[str, bytes]]:
    """Files as they are, folders' files recursively."""
    for root in map(Path, paths):
        files = sorted(root.rglob("*")) if root.is_dir() else [root]
        for index, path in enumerate(files):
            if path.is_file() and path.stat().st_size <= MAX_SEED_BYTES:
                yield f"{root.name}-{index}", path.read_bytes()


def main(arguments: list[str]) -> None:
    """Writes the seeds and says how many."""
    preprocess, *others = (Path(arguments[0]) / target for target in ("preprocess", "baseline", "transcode"))
    rng = random.Random(0)
    seeds = dict(itertools.chain(encoded(), wrapped(arguments[1:])))
    for folder in (preprocess, *others):
        folder.mkdir(parents=True, exist_ok=True)
    for name, jpeg in seeds.items():
        (preprocess / name).write_bytes(rng.randbytes(SPEC_BYTES) + jpeg)
        for folder in others:
            (folder / name).write_bytes(bytes([rng.randrange(0x80)]) + rng.randbytes(CHOICES_BYTES - 1) + jpeg)
    for index in range(WRITER_SEEDS):
        decisions = rng.randbytes(rng.choice((40, 400, 2000)))
        for folder in others:
            (folder / f"writer-{index}").write_bytes(bytes([0x80 | rng.randrange(0x80)]) + decisions)
    print(f"{len(seeds)} seeds in {preprocess}, {len(seeds) + WRITER_SEEDS} in each of {', '.join(map(str, others))}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
