"""The images: the project's corpus where it is at hand, else made ones."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from fastpre.cli.photographs import generated

ROOT = pathlib.Path(__file__).resolve().parents[1]
SETS = ("natural", "large", "small", "odd")
GENERATED = "generated"
SIZES = {"natural": (500, 375), "large": (4000, 3000), "small": (100, 75)}
COUNT = {"natural": 16, "large": 3, "small": 16}  # of made ones
ORIENTATION = 0x0112


@dataclasses.dataclass(frozen=True)
class Photographs:
    """Compressed images and where they are from.

    Attributes:
        source: in words, for the report.
        names: one for each image.
        images: JPEG streams; complete, except that those of the set "odd" may be anything.
    """

    source: str
    names: list[str]
    images: list[bytes]

    def first(self, count: int | None) -> Photographs:
        """At most `count` of them, evenly spaced, so that a subset stays a fair sample of the set."""
        if count is None or count >= len(self.images):
            return self
        picked = [i * len(self.images) // count for i in range(count)]
        return Photographs(self.source, [self.names[i] for i in picked], [self.images[i] for i in picked])


def folder() -> pathlib.Path | None:
    """$FASTPRE_CORPUS, else `shared/corpus` beside the repository; None if it holds no index."""
    root = pathlib.Path(os.environ.get("FASTPRE_CORPUS") or ROOT.parent / "shared" / "corpus")
    return root if (root / "INDEX.csv").is_file() else None


def load(name: str, count: int | None = None) -> Photographs:
    """One of SETS, or at most `count` of it; of the first three, the images that Pillow itself can open."""
    root = folder()
    if root is not None:
        with open(root / "INDEX.csv", newline="", encoding="utf-8") as f:
            rows = [row for row in csv.DictReader(f) if row["set"] == name]
        names = sorted(row["file"] for row in rows if name == "odd" or row["pillow_ok"] == "1")
        return Photographs(f"corpus/{name}", names, [(root / name / file).read_bytes() for file in names]).first(count)
    if name == "odd":
        images = [*kinds(130, 90).values(), *kinds(33, 21).values()]
    else:
        width, height = SIZES[name]
        made = min(COUNT[name], COUNT[name] if count is None else count)
        images = [generated(1, height - 3 * i, width + 8 * i, i)[0] for i in range(made)]
    return Photographs(GENERATED, [f"{GENERATED}-{name}-{i}" for i in range(len(images))], images).first(count)


def encode(width: int, height: int, seed: int = 0, mode: str = "RGB", orientation: int = 1, **options: Any) -> bytes:
    """Soft shapes with a little noise: about the bytes a pixel that a photograph has."""
    rng = np.random.default_rng([seed, width, height])
    rough = rng.integers(0, 256, (9, 9, len(mode)), np.uint8).squeeze()
    soft = np.asarray(Image.fromarray(rough, mode).resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noise = rng.integers(-12, 13, soft.shape[:2], np.int16)
    pixels = np.clip(soft + (noise if soft.ndim == 2 else noise[..., None]), 0, 255).astype(np.uint8)
    exif = Image.Exif()
    if orientation != 1:
        exif[ORIENTATION] = orientation
    stream = io.BytesIO()
    Image.fromarray(pixels, mode).save(stream, "JPEG", exif=exif, **({"quality": 88} | options))
    return stream.getvalue()


def kinds(width: int, height: int, seed: int = 0) -> dict[str, bytes]:
    """One of each kind that decoders tell apart, all of about this size."""
    return {
        "420": encode(width, height, seed, subsampling="4:2:0"),
        "422": encode(width + 1, height, seed, subsampling="4:2:2"),
        "444": encode(width, height + 1, seed, subsampling="4:4:4"),
        "gray": encode(width + 3, height, seed, "L"),
        "progressive": encode(width, height + 2, seed, progressive=True),
        "restarts": encode(width + 7, height, seed, restart_marker_blocks=3),
        "rotated": encode(width, height + 5, seed, orientation=6),
        "tall": encode(max(8, width // 4), 4 * height, seed),
        "cmyk": encode(width, height, seed, "CMYK"),
    }
