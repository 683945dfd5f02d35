"""What `fastpre pack` costs and gives: `python benchmarks/pack.py --set natural`.

The same photographs as each choice of its options makes them: their bytes, the time of fastpre from them to a model's
input, and how far that input is from the original's. Rounds are interleaved, on one pinned core; times are the
processor's, so that other processes count little.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import io
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import machine
import numpy as np
import photographs
import report
from difference import psnr_db
from PIL.JpegImagePlugin import JpegImageFile

from fastpre import Preprocessor, Spec, _core
from fastpre.cli.packing.recipe import Recipe
from fastpre.cli.timing import interleaved

NOTHING = Recipe(
    resize=None,
    reencode_all=False,
    quality=90,
    subsampling="4:4:4",
    interpolation="bicubic",
    transcode=False,
    crop=None,
    optimize=True,
    restart_rows=1,
    metadata="icc",
    limits={"max_pixels": 1 << 40, "max_bytes": 1 << 40, "max_work": 1 << 60},
)
# What is timed: a model's input of the whole picture, and of its middle, at most a quarter of the area, as of a random
# crop. Upright, as what is re-encoded is.
WHOLE = Spec(resize=256, crop=224, dtype="uint8", exif_orientation=True)
MIDDLE = WHOLE.replace(resize=448)
SIZES = {"natural": (320, 256), "large": (500, 400, 320)}
PROGRESSIVE = "made progressive"  # by Pillow, with the same quantization tables; to be transcoded


def recipes(sizes: tuple[int, ...]) -> dict[str, Recipe]:
    """Choices by the options that make them; the first is the original."""

    def options(**changes: Any) -> Recipe:
        return dataclasses.replace(NOTHING, **changes)

    found = {
        "original": options(),
        "--transcode": options(transcode=True),
        "--transcode --restart-rows 0": options(transcode=True, restart_rows=0),
        "--transcode --no-optimize": options(transcode=True, optimize=False),
        "--reencode-all": options(reencode_all=True),
        "--reencode-all --subsampling 4:2:0": options(reencode_all=True, subsampling="4:2:0"),
    }
    for size in sizes:
        name = f"--resize {size}"
        found[name] = options(resize=size)
        found[f"{name} --subsampling 4:2:0"] = options(resize=size, subsampling="4:2:0")
        found[f"{name} --quality 85"] = options(resize=size, quality=85)
        found[f"{name} --quality 85 --subsampling 4:2:0"] = options(resize=size, quality=85, subsampling="4:2:0")
    name = f"--resize {sizes[0]}"
    found[f"{name} --quality 95"] = options(resize=sizes[0], quality=95)
    found[f"{name} --restart-rows 0"] = options(resize=sizes[0], restart_rows=0)
    found[f"{name} --no-optimize"] = options(resize=sizes[0], optimize=False)
    found[f"{name} --interpolation lanczos"] = options(resize=sizes[0], interpolation="lanczos")
    found[f"{name} --interpolation bilinear"] = options(resize=sizes[0], interpolation="bilinear")
    return found


@dataclasses.dataclass(frozen=True)
class Choice:
    """The photographs as one choice makes them, and the milliseconds that making one has taken."""

    images: list[bytes]
    pack_ms: float


def made(images: list[bytes], chosen: dict[str, Recipe]) -> dict[str, Choice]:
    """Every choice, through files, as `fastpre pack` has them."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "image.jpg")
        for name, recipe in chosen.items():
            results, seconds = [], 0.0
            for data in images:
                pathlib.Path(path).write_bytes(data)
                start = time.process_time()
                results.append(recipe.apply(path, _core.Cancellation()).data)
                seconds += time.process_time() - start
            found[name] = Choice(results, 1e3 * seconds / len(images))
    progressive = [as_progressive(data) for data in images]
    found[PROGRESSIVE] = Choice(progressive, 0.0)
    sequential = made_of(progressive, chosen["--transcode"])
    found[f"{PROGRESSIVE}, --transcode"] = sequential
    return found


def made_of(images: list[bytes], recipe: Recipe) -> Choice:
    """One choice alone, of other images."""
    start = time.process_time()
    results = [recipe._transcoding(None, recipe.metadata).apply(data) for data in images]
    return Choice(results, 1e3 * (time.process_time() - start) / len(images))


def as_progressive(data: bytes) -> bytes:
    """By Pillow, with the same quantization tables; of an MPO its first picture."""
    out = io.BytesIO()
    with JpegImageFile(io.BytesIO(data)) as image:
        image.save(out, "JPEG", quality="keep", progressive=True, exif=image.info.get("exif", b""))
    return out.getvalue()


def inputs(images: list[bytes]) -> list[np.ndarray[Any, Any]]:
    """The model's input of each, as int64 (3, 224, 224)."""
    pre = Preprocessor(WHOLE, num_threads=1)
    return [np.from_dlpack(pre.dlpack([data]))[0].astype(np.int64) for data in images]


def passes(images: list[bytes], spec: Spec) -> Callable[[], int]:
    """One call an image."""
    pre = Preprocessor(spec, num_threads=1)
    out = np.empty((1, 3, 224, 224), np.uint8)

    def once() -> int:
        for data in images:
            pre.run([data], out=out)
        return len(images)

    return once


def measured(images: list[bytes], sizes: tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
    """A row for each choice."""
    choices = made(images, recipes(sizes))
    want = inputs(images)
    runs = {
        (name, what): passes(choice.images, spec)
        for name, choice in choices.items()
        for what, spec in (("whole", WHOLE), ("middle", MIDDLE))
    }
    for once in runs.values():
        once()
    timings = interleaved({f"{name}|{what}": once for (name, what), once in runs.items()}, rounds, time.process_time)
    rows = []
    for name, choice in choices.items():
        squares = [float(((a - b) ** 2).sum()) for a, b in zip(inputs(choice.images), want, strict=True)]
        values = want[0].size
        row: dict[str, Any] = {
            "choice": name,
            "bytes_per_image": sum(map(len, choice.images)) / len(images),
            "pack_ms": round(choice.pack_ms, 3),
            "psnr_db": finite(psnr_db(sum(squares), values * len(images))),
            "worst_psnr_db": finite(min(psnr_db(s, values) for s in squares)),
        }
        for what in ("whole", "middle"):
            timing = timings[f"{name}|{what}"]
            ms = {"median": timing.median, "min": min(timing.rounds_ms), "max": max(timing.rounds_ms)}
            row[f"{what}_ms"] = {key: round(value, 4) for key, value in (ms | {"iqr": timing.iqr}).items()}
        rows.append(row)
    return rows


def finite(db: float) -> float | None:
    """None for equal images, because JSON has no infinity."""
    return round(db, 2) if db != float("inf") else None


def table(result: dict[str, Any]) -> str:
    """For people, as Markdown."""
    about, rows = result["machine"], result["rows"]
    first = rows[0]
    lines = [
        f"{result['images']} photographs ({result['photos']}), one pinned core, {result['rounds']} interleaved rounds, "
        "processor time, "
        f"{result['date']}",
        f"{about['cpu']}; {about['libraries']}; libjpeg-turbo {about['fastpre']['libjpeg_turbo']}; load "
        f"{about['load_average']}",
        "",
        "| options | kB/image | of original | whole: images/s | spread | ratio | middle: ratio | PSNR (worst), dB "
        "| packing, ms |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        whole, middle = row["whole_ms"], row["middle_ms"]
        psnr = "equal" if row["psnr_db"] is None else f"{row['psnr_db']:.1f} ({row['worst_psnr_db']:.1f})"
        lines.append(
            f"| {row['choice']} | {row['bytes_per_image'] / 1e3:,.1f} | "
            f"{row['bytes_per_image'] / first['bytes_per_image']:.0%} | {1e3 / whole['median']:,.0f} | "
            f"{whole['iqr'] / whole['median']:.0%} | {first['whole_ms']['median'] / whole['median']:.2f} | "
            f"{first['middle_ms']['median'] / middle['median']:.2f} | {psnr} | {row['pack_ms']:.1f} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=list(SIZES), default="natural", help="which photographs")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--images", type=int, help="at most so many, evenly spaced in the set")
    parser.add_argument("--results", type=pathlib.Path, default=report.RESULTS / "pack", help="folder of the JSON file")
    arguments = parser.parse_args()
    photos = photographs.load(arguments.set, arguments.images)
    with machine.pinned_to_one_core():
        rows = measured(photos.images, SIZES[arguments.set], arguments.rounds)
    result = {
        "task": f"pack-{arguments.set}",
        "threads": "1",
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine.describe(),
        "photos": photos.source,
        "images": len(photos.images),
        "rounds": arguments.rounds,
        "rows": rows,
    }
    report.write(result, arguments.results)
    print(table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
