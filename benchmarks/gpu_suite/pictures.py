"""The sets of images: the project's corpus where it is at hand, else generated ones, and the report says which."""

from __future__ import annotations

import csv
import dataclasses
import io
from typing import Any

import numpy as np
import photographs
from PIL import Image

SETS = ("natural", "large", "small", "odd")
GENERATED_SIZES = {"natural": (500, 375), "large": (4000, 3000), "small": (100, 75)}
EXIF_ROTATED = 6


@dataclasses.dataclass(frozen=True)
class Pictures:
    """One set.

    Attributes:
        source: in words, for the report.
        names, images: of each, in the same order; complete or not, as the set has them.
    """

    source: str
    names: list[str]
    images: list[bytes]

    def first(self, count: int) -> Pictures:
        """At most `count` of them, evenly spaced."""
        p = photographs.Photos(self.source, self.names, self.images).first(count)
        return Pictures(p.source, p.names, p.images)


def load(name: str, quick: bool = False) -> Pictures:
    """One of SETS; in "odd", images that nobody can open may be among them.

    Args:
        quick: two generated images where there is no corpus.
    """
    root = photographs.folder()
    if root is None:
        images = _generated(name, 2 if quick else 16)
        return Pictures("generated", [f"generated-{name}-{i}" for i in range(len(images))], images)
    with open(root / "INDEX.csv", newline="", encoding="utf-8") as f:
        rows = [row for row in csv.DictReader(f) if row["set"] == name]
    names = sorted(row["file"] for row in rows if name == "odd" or row["pillow_ok"] == "1")
    return Pictures(f"corpus/{name}", names, [(root / name / file).read_bytes() for file in names])


def encode(width: int, height: int, seed: int = 0, mode: str = "RGB", orientation: int = 1, **options: Any) -> bytes:
    """Soft shapes with a little noise: about the bytes a pixel that a photograph has."""
    rng = np.random.default_rng([seed, width, height])
    rough = rng.integers(0, 256, (9, 9, len(mode)), np.uint8).squeeze()
    soft = np.asarray(Image.fromarray(rough, mode).resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noise = rng.integers(-12, 13, soft.shape[:2], np.int16)
    pixels = np.clip(soft + (noise if soft.ndim == 2 else noise[..., None]), 0, 255).astype(np.uint8)
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
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
        "rotated": encode(width, height + 5, seed, orientation=EXIF_ROTATED),
        "tall": encode(max(8, width // 4), 4 * height, seed),
        "cmyk": encode(width, height, seed, "CMYK"),
    }


def _generated(name: str, count: int) -> list[bytes]:
    if name == "odd":
        return [*kinds(130, 90).values(), *kinds(33, 21).values()][:count]
    width, height = GENERATED_SIZES[name]
    count = min(count, 3) if name == "large" else count
    return [encode(width + 8 * i, height - 3 * i, i) for i in range(count)]
