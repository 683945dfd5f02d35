"""Every file of the corpus: what Pillow decodes is bit-equal, what Pillow refuses is refused."""

from __future__ import annotations

import collections
import dataclasses
import io
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageOps
from torchvision import transforms

import corpus
import fastpre
import streams
from parity import OLDER_THAN_PILLOWS, under_the_flag
from reference import IMAGENET, geometry

pytestmark = pytest.mark.corpus

# The second keeps every pixel; the third cuts the decode short on all four sides.
GEOMETRIES: list[dict[str, Any]] = [
    {"resize": 256, "crop": 224},
    {"resize": None, "crop": None},
    {"resize": None, "crop": (40, 56)},
]
WHOLE_IMAGE_PIXELS = 3_000_000  # larger ones are compared through the other geometries


@dataclasses.dataclass
class Tally:
    """What became of one set of files."""

    equal: int = 0
    refused_as_pillow: int = 0
    lossless: list[str] = dataclasses.field(default_factory=list)
    smoothed: list[str] = dataclasses.field(default_factory=list)
    wrong: list[str] = dataclasses.field(default_factory=list)

    @property
    def files(self) -> int:
        return self.equal + self.refused_as_pillow + len(self.lossless) + len(self.smoothed) + len(self.wrong)

    def line(self, name: str) -> str:
        return (
            f"corpus/{name}: bit-equal {self.equal}, refused as Pillow {self.refused_as_pillow}, "
            f"refused though Pillow decodes {len(self.lossless)} (lossless), smoothed otherwise {len(self.smoothed)}, "
            f"wrong {len(self.wrong)}"
        )


def pillow(stream: bytes) -> Image.Image | Exception:
    try:
        return Image.open(io.BytesIO(stream)).convert("RGB")
    except Exception as error:  # OSError, SyntaxError, ValueError, DecompressionBombError, struct.error, ...
        return error


def compared(stream: bytes, image: Image.Image, options: dict[str, Any]) -> str | None:
    """None if fastpre gives `image` after `options`, else what is wrong."""
    steps = geometry(**options)
    if options["crop"] is None:
        want = transforms.Compose([*steps, transforms.PILToTensor()])(image)
        spec = fastpre.Spec(dtype="uint8", **options)
    else:
        want = transforms.Compose([*steps, transforms.ToTensor(), transforms.Normalize(*IMAGENET)])(image)
        spec = fastpre.Spec(**options)
    got = fastpre.Preprocessor(spec, num_threads=1)([stream])[0]
    if torch.equal(got, want):
        return None
    return f"{int((got != want).sum())} of {got.numel()} values differ, {options}"


def check(entry: corpus.Entry, geometries: list[dict[str, Any]], tally: Tally) -> None:
    stream = entry.path.read_bytes()
    image = pillow(stream)
    spec = fastpre.Spec(resize=256, crop=224)
    result = fastpre.Preprocessor(spec, num_threads=1).run([stream], on_error="fill").images[0]
    if isinstance(image, Exception):
        if isinstance(result.error, fastpre.ImageError):
            tally.refused_as_pillow += 1
        else:
            tally.wrong.append(f"{entry.id}: {result!r}, Pillow raises {image!r}")
        return
    if not result.ok:
        lossless = stream[streams.frame(stream) + 1] == 0xC3
        if OLDER_THAN_PILLOWS and lossless and isinstance(result.error, fastpre.UnsupportedImage):
            tally.lossless.append(entry.id)
        else:
            tally.wrong.append(f"{entry.id}: {result.error!r}, Pillow decodes it")
        return
    problems = [
        problem
        for options in geometries
        if options["crop"] is not None or image.width * image.height <= WHOLE_IMAGE_PIXELS
        for problem in [compared(stream, image, options)]
        if problem is not None
    ]
    if problems and OLDER_THAN_PILLOWS and streams.lacks_scans(stream):
        tally.smoothed.append(entry.id)
    elif problems:
        tally.wrong.append(f"{entry.id}: {problems}")
    else:
        tally.equal += 1


def run(root: Path, name: str, geometries: list[dict[str, Any]], summary: list[str]) -> Tally:
    entries = corpus.entries(root, name)
    tally = Tally()
    for entry in entries:
        check(entry, geometries, tally)
    summary.append(tally.line(name))
    assert tally.files == len(entries) > 0
    assert not tally.wrong, "\n".join(tally.wrong)
    return tally


@pytest.mark.parametrize("name", ["natural", "large", "small"])
def test_good_files(name: str, corpus_root: Path, summary: list[str]) -> None:
    tally = run(corpus_root, name, GEOMETRIES, summary)
    assert not tally.lossless
    assert not tally.smoothed


def test_odd_files(corpus_root: Path, summary: list[str]) -> None:
    tally = run(corpus_root, "odd", GEOMETRIES, summary)
    assert bool(tally.lossless) == OLDER_THAN_PILLOWS
    assert not tally.smoothed


def test_corrupt_files(corpus_root: Path, summary: list[str]) -> None:
    """Acceptance and pixels are Pillow's for broken streams too."""
    tally = run(corpus_root, "corrupt", [{"resize": 64, "crop": 56}, {"resize": None, "crop": (40, 56)}], summary)
    assert bool(tally.smoothed) == OLDER_THAN_PILLOWS


@pytest.mark.parametrize("name", ["odd", "corrupt"])
def test_what_arrived(name: str, corpus_root: Path, summary: list[str]) -> None:
    """truncated="partial" is Pillow's LOAD_TRUNCATED_IMAGES: for broken files as they are, for others cut somewhere."""
    options: dict[str, Any] = {"resize": 64, "crop": 56}
    # Giant ones take Pillow seconds to make smaller, and are black.
    spec = fastpre.Spec(**options, truncated="partial", max_pixels=WHOLE_IMAGE_PIXELS)
    pre = fastpre.Preprocessor(spec, num_threads=1)
    rng = random.Random(name)
    seen: collections.Counter[str] = collections.Counter()
    wrong = []
    for entry in corpus.entries(corpus_root, name):
        stream = entry.path.read_bytes()
        part = stream if name == "corrupt" else stream[: rng.randrange(len(stream) // 3, len(stream))]
        result = pre.run([part], on_error="fill")
        image = result.images[0]
        if isinstance(image.error, fastpre.LimitExceeded):
            continue
        want = under_the_flag(part, options)
        if image.ok and want is not None and torch.equal(result.tensor[0], want):
            seen["truncated" if image.truncated else "whole"] += 1
        elif not image.ok and want is None:
            seen["refused"] += 1
        elif OLDER_THAN_PILLOWS and entry.features & {"sof2_progressive", "sof10_arith_progressive", "sof3_lossless"}:
            seen["as an older library"] += 1
        else:
            wrong.append(f"{entry.id}: {len(part)} bytes, {image!r}")
    summary.append(f"corpus/{name}, truncated='partial': {dict(seen)}, wrong {len(wrong)}")
    assert not wrong, "\n".join(wrong)
    assert min(seen["truncated"], seen["whole"], seen["refused"]) > 0
    assert bool(seen["as an older library"]) == OLDER_THAN_PILLOWS


def test_orientation_of_every_file(corpus_root: Path) -> None:
    """EXIF and XMP as Pillow reads them, from cameras, phones and editors."""
    spec = fastpre.Spec(resize=None, crop=(32, 48), dtype="uint8", exif_orientation=True)
    pre = fastpre.Preprocessor(spec, num_threads=1)
    seen: collections.Counter[int] = collections.Counter()
    wrong = []
    for name in ("natural", "odd", "small"):
        for entry in corpus.entries(corpus_root, name):
            result = pre.run([entry.path], on_error="fill")
            if not result.images[0].ok:
                continue
            seen[fastpre.plan(entry.path, spec).header["orientation"]] += 1
            try:
                image = ImageOps.exif_transpose(Image.open(io.BytesIO(entry.path.read_bytes()))).convert("RGB")
            except Exception as error:
                wrong.append(f"{entry.id}: Pillow raises {error!r}")
                continue
            want = transforms.Compose([transforms.CenterCrop((32, 48)), transforms.PILToTensor()])(image)
            if not torch.equal(result.tensor[0], want):
                wrong.append(f"{entry.id}: orientation {fastpre.plan(entry.path, spec).header['orientation']}")
    assert not wrong, "\n".join(wrong)
    assert set(seen) == set(range(1, 9))
