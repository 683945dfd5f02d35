"""`fastpre bench`: a short, checked side by side on this machine."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from fastpre import ImageError, ImageReadError, Spec, _core
from fastpre.errors import path_as_text

from .command import Command
from .errors import Unusable
from .files import Failure, find, list_failures, paths_argument, printable
from .libraries import other_implementations
from .options import device_option, json_option
from .photographs import generated, shipped
from .reference import Implementation, fastpre_implementation, one_thread, torchvision_implementations
from .timing import Rate, interleaved

__all__ = ["bench"]

GENERATED = 16


@click.command(cls=Command, examples=["fastpre bench photos/", "fastpre bench --rounds 9 --json > bench.json"])
@paths_argument(required=False)
@click.option(
    "--limit", metavar="N", type=click.IntRange(min=1), default=64, show_default=True, help="Images, evenly spread."
)
@click.option(
    "--rounds",
    metavar="N",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Each implementation once a round.",
)
@device_option
@json_option
def bench(paths: tuple[str, ...], limit: int, rounds: int, device: str, as_json: bool) -> None:
    """Compare with other libraries, here.

    That is torchvision, Pillow, OpenCV and simplejpeg, one thread each. The job is the default one (shorter side to
    256, centre crop 224, ImageNet's normalization) from bytes in memory to a float32 tensor in the host's memory,
    whatever the --device. Images are those given, else those that installed packages ship, else made ones.
    Rounds are interleaved; the table gives each implementation's median, worst and best, how many times faster
    fastpre is, and how far its result is from torchvision's PIL path.
    """
    source, images = _images(paths, limit)
    spec = Spec()
    torchvision, missing = torchvision_implementations(spec)
    others, missing_others = other_implementations()
    own = fastpre_implementation(spec, device)
    implementations = [own, *torchvision, *others]
    with one_thread():
        images, results = _usable(implementations, images)
        if not images:
            raise Unusable(f"not one image of {source} is usable for every implementation")
        names = [i.name for i in implementations]
        reference = names[1] if len(names) > 1 else None  # torchvision's PIL path, else one that makes the same pixels
        distances = {name: _distance(results[name], results[reference]) if reference else None for name in names}
        timings = interleaved({i.name: i.passes(images) for i in implementations}, rounds)
    rates = {name: timing.rate for name, timing in timings.items()}
    report = {
        "images": len(images),
        "source": source,
        "bytes": sum(map(len, images)),
        "rounds": rounds,
        "device": device,
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
        search = find(paths)
        search.say_skipped()
        list_failures(search.failures)
        files = [found.path for found in search.files]
        source = ", ".join(map(printable, paths))
        if not files:
            raise Unusable(f"not one file of {source} can be read")
    else:
        files = [str(path) for path in shipped()]
        if not files:
            return f"{GENERATED} generated images", generated(GENERATED)
        source = "photographs that installed packages ship"
    streams = []
    for i in range(min(limit, len(files))):
        path = files[i * len(files) // min(limit, len(files))]
        try:
            with open(path, "rb") as f:
                streams.append(f.read())
        except OSError as e:
            list_failures([Failure(path_as_text(path), ImageReadError.__name__, f"cannot open: {e.strerror}")])
    return source, streams


def _usable(
    implementations: Sequence[Implementation], images: Sequence[bytes]
) -> tuple[list[bytes], dict[str, list[Any]]]:
    """The images that every implementation can use, fastpre first, and its results for them."""
    own, *others = implementations
    kept: list[bytes] = []
    results: dict[str, list[Any]] = {i.name: [] for i in implementations}
    for image in images:
        try:
            row = [np.asarray(own.run([image])[0])]
        except ImageError:
            continue
        try:
            row += [np.asarray(other.run([image])[0]) for other in others]
        except Exception:  # whatever another one raises: it is an image that it cannot use
            continue
        kept.append(image)
        for implementation, result in zip(implementations, row, strict=True):
            results[implementation.name].append(result)
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
    where = report["target"] if report["device"] == "cpu" else f"{report['device']}, {report['target']}"
    click.echo(
        f"{report['images']} images ({report['source']}), {report['bytes'] / report['images'] / 1000:,.0f} kB each "
        f"on average; median of {report['rounds']} rounds; {where}"
    )
    Console(width=max(100, Console().width)).print(table)
    for name, why in report["missing"].items():
        click.echo(f"{name} left out: {why}")
