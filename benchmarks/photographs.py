"""The photographs: the project's corpus where it is at hand, else the few that ship in PyPI packages."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import io
import os
import pathlib

from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Files inside the wheels of scikit-image and scikit-learn.
PACKAGED = {
    "skimage": ("data/hubble_deep_field.jpg", "data/retina.jpg", "data/rocket.jpg", "data/astronaut.png",
                "data/chelsea.png", "data/coffee.png"),
    "sklearn": ("datasets/images/china.jpg", "datasets/images/flower.jpg"),
}  # fmt: skip


class NoPhotographs(RuntimeError):
    """Neither the corpus nor a package with photographs is here."""


@dataclasses.dataclass(frozen=True)
class Photos:
    """Compressed photographs and where they are from.

    Attributes:
        source: in words, for the report.
        names: one for each image.
        images: complete JPEG streams.
    """

    source: str
    names: list[str]
    images: list[bytes]

    def first(self, count: int) -> Photos:
        """At most `count` of them, evenly spaced, so that a subset stays a fair sample of the set."""
        if count >= len(self.images):
            return self
        picked = [i * len(self.images) // count for i in range(count)]
        return Photos(self.source, [self.names[i] for i in picked], [self.images[i] for i in picked])


def folder() -> pathlib.Path | None:
    """$FASTPRE_CORPUS, else `shared/corpus` beside the repository; None if it holds no index."""
    root = pathlib.Path(os.environ.get("FASTPRE_CORPUS") or ROOT.parent / "shared" / "corpus")
    return root if (root / "INDEX.csv").is_file() else None


def load(photos: str) -> Photos:
    """One set, "natural", "large" or "small": the images that Pillow itself can open.

    Raises:
        NoPhotographs: with the way to get some.
    """
    root = folder()
    return _packaged(photos) if root is None else _indexed(root, photos)


def _indexed(root: pathlib.Path, photos: str) -> Photos:
    with open(root / "INDEX.csv", newline="", encoding="utf-8") as f:
        names = [row["file"] for row in csv.DictReader(f) if row["set"] == photos and row["pillow_ok"] == "1"]
    names.sort()
    return Photos(f"corpus/{photos}", names, [(root / photos / name).read_bytes() for name in names])


def _packaged(photos: str) -> Photos:
    names, images = [], []
    for package, files in PACKAGED.items():
        spec = importlib.util.find_spec(package)
        for file in files if spec and spec.origin else ():
            path = pathlib.Path(spec.origin).parent / file  # type: ignore[union-attr, arg-type]
            if path.is_file():
                names.append(f"{package}/{file}")
                images.append(_as_set(path, photos))
    if not images:
        raise NoPhotographs("no photographs: set FASTPRE_CORPUS, or pip install scikit-image scikit-learn")
    how = {"natural": "shrunk to 500 pixels", "large": "enlarged to 12 MP", "small": "shrunk to 100 pixels"}
    return Photos(f"{len(images)} photographs of {' and '.join(PACKAGED)}, {how[photos]}", names, images)


def _as_set(path: pathlib.Path, photos: str) -> bytes:
    image = Image.open(path).convert("RGB")
    if photos == "large":
        scale = (12e6 / (image.width * image.height)) ** 0.5
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    else:
        side = 500 if photos == "natural" else 100
        image.thumbnail((side, side))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()
