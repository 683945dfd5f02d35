"""`fastpre bench`: a short, checked side by side on this machine."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from fastpre import Spec, _core

from . import Unusable
from .files import find, printable
from .options import json_option
from .photographs import generated, shipped
from .reference import Contestant, fastpre_contestant, one_thread, torchvision_contestants
from .rivals import rivals
from .timing import Rate, interleaved

__all__ = ["bench"]

GENERATED = 16


@click.command()
@click.argument("paths", nargs=-1, metavar="[DIR|FILE]...", type=click.Path(exists=True))
@click.option("--limit", type=click.IntRange(min=1), default=64, show_default=True, help="Images, evenly spread.")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Each contestant once a round."
)
@json_option
def bench(paths: tuple[str, ...], limit: int, rounds: int, as_json: bool) -> None:
    r"""Compare fastpre with torchvision, Pillow, OpenCV and simplejpeg, one thread each.

    The job is the default one (shorter side to 256, centre crop 224, ImageNet's normalization) from
    bytes in memory to a float32 tensor. Images are those given, else those that installed packages
    ship, else made ones. Rounds are interleaved; the table gives each contestant's median, worst
    and best, how many times faster fastpre is, and how far its result is from torchvision's PIL path.

    \b
    Example:
      fastpre bench photos/
      fastpre bench --rounds 9 --json > bench.json
    """
    spec = Spec()
    contestants, missing = torchvision_contestants(spec)
    others, missing_others = rivals()
    source, images = _images(paths, limit)
    own = fastpre_contestant(spec)
    contestants = [own, *contestants, *others]
    with one_thread():
        images, results = _usable(contestants, images)
        if not images:
            raise Unusable(f"not one image of {source} is usable for every contestant")
        rest = contestants[1:]  # torchvision's PIL path first, else a rival that makes the same pixels
        reference = rest[0].name if rest else None
        distances = {c.name: _distance(results[c.name], results[reference]) if reference else None for c in contestants}
        calls = {c.name: partial(c.run, images) for c in contestants}
        rates = interleaved(calls, len(images), rounds)
    report = {
        "images": len(images),
        "source": source,
        "bytes": sum(map(len, images)),
        "rounds": rounds,
        "target": _core.active_target(),
        "reference": reference,
        "results": {
            name: {
                "images_per_s": dataclasses.asdict(rate),
                "ratio": rates[own.name].median / rate.median,
                "max_difference": distances[name],
            }
            for name, rate in rates.items()
        },
        "missing": {**missing, **missing_others},
    }
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _show(report, rates)


def _images(paths: Sequence[str], limit: int) -> tuple[str, list[bytes]]:
    """What the images are, and their bytes."""
    if paths:
        files = [found.path for found in find(paths)[0]]
        source = ", ".join(map(printable, paths))
        if not files:
            raise click.UsageError(f"no JPEG files in {source}")
    else:
        files = [str(path) for path in shipped()]
        if not files:
            return f"{GENERATED} generated images", generated(GENERATED)
        source = "photographs that installed packages ship"
    streams = []
    for i in range(min(limit, len(files))):
        with open(files[i * len(files) // min(limit, len(files))], "rb") as f:
            streams.append(f.read())
    return source, streams


def _usable(contestants: Sequence[Contestant], images: Sequence[bytes]) -> tuple[list[bytes], dict[str, list[Any]]]:
    """The images that every contestant can use, and its results for them."""
    kept: list[bytes] = []
    results: dict[str, list[Any]] = {c.name: [] for c in contestants}
    for image in images:
        try:
            row = [np.asarray(c.run([image])[0]) for c in contestants]
        except Exception:  # whatever a contestant raises: it is an image that it cannot use
            continue
        kept.append(image)
        for contestant, result in zip(contestants, row, strict=True):
            results[contestant.name].append(result)
    return kept, results


def _distance(results: Sequence[Any], reference: Sequence[Any]) -> float:
    """The largest absolute difference, in the normalized output's units."""
    return max(float(np.abs(a - b).max()) for a, b in zip(results, reference, strict=True))


def _show(report: dict[str, Any], rates: dict[str, Rate]) -> None:
    table = Table(box=None, pad_edge=False)
    checked = f"off {report['reference']}" if report["reference"] else "unchecked"
    for heading in ("one thread", "images/s", "worst..best", "fastpre is", checked):
        table.add_column(heading, justify="left" if heading == "one thread" else "right", no_wrap=True)
    for name, rate in rates.items():
        result = report["results"][name]
        off = result["max_difference"]
        table.add_row(
            name,
            f"{rate.median:,.1f}",
            f"{rate.least:,.1f}..{rate.most:,.1f}",
            f"{result['ratio']:.2f}x",
            "" if off is None else "bit-equal" if off == 0 else f"{off:.2g}",
        )
    click.echo(
        f"{report['images']} images ({report['source']}), {report['bytes'] / report['images'] / 1000:,.0f} kB each "
        f"on average; median of {report['rounds']} rounds; {report['target']}"
    )
    Console(width=max(100, Console().width)).print(table)
    for name, why in report["missing"].items():
        click.echo(f"{name} left out: {why}")
