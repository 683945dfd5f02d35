"""`fastpre inspect`: what a file is, and what would be done to it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import click

from fastpre import ImageError, Plan, Spec, plan

from .command import Command
from .files import Failure, find, paths_argument, printable
from .options import json_option, spec_options

__all__ = ["inspect", "subsampling"]

# ITU-T T.81, table B.1: SOF markers.
PROCESSES = {
    0xC0: "baseline",
    0xC1: "extended sequential",
    0xC2: "progressive",
    0xC3: "lossless",
    0xC9: "arithmetic sequential",
    0xCA: "arithmetic progressive",
    0xCB: "arithmetic lossless",
}

# (H, V) of luma where both chroma components have (1, 1).
SUBSAMPLINGS = {
    (1, 1): "4:4:4",
    (2, 1): "4:2:2",
    (2, 2): "4:2:0",
    (1, 2): "4:4:0",
    (4, 1): "4:1:1",
    (4, 2): "4:1:0",
    (1, 4): "4:4:1",
}


@click.command(
    cls=Command,
    examples=[
        "fastpre inspect cat.jpg",
        "fastpre inspect photos/",
        "fastpre inspect --json --resize 480x640 --crop none *.jpg",
    ],
)
@paths_argument(exist=False)
@json_option
@spec_options
def inspect(paths: tuple[str, ...], as_json: bool, spec: Spec) -> None:
    """Show a JPEG's header, plan and cost.

    The plan is what the options make of the header; nothing is decoded. Folders are searched as by `fastpre run`.
    The reason why a file cannot be used goes to stderr, and the exit code is 1.
    """
    search = find(paths)
    search.say_skipped()
    results: list[dict[str, Any]] = []
    failed = False

    def fail(failure: Failure) -> None:
        nonlocal failed
        failed = True
        results.append({"file": failure.name, "error": failure.error, "reason": failure.reason})
        click.echo(failure.line(), err=True)

    for file in search.files:
        try:
            made = plan(file.path, spec)
        except ImageError as e:
            fail(Failure(file.name, type(e).__name__, e.reason))
        else:
            results.append({"file": file.name, **dataclasses.asdict(made)})
            if not as_json:
                _show(file.name, made)
    for failure in search.failures:
        fail(failure)
    if as_json:
        click.echo(json.dumps(results, indent=2))
    if failed:
        raise SystemExit(1)


def subsampling(sampling: Sequence[tuple[int, int]]) -> str:
    """The usual name of the components' sampling factors, or the factors themselves."""
    if len(sampling) == 1:
        return "gray"
    plain = list(sampling[1:3]) == [(1, 1), (1, 1)] and len(sampling) == 3
    named = SUBSAMPLINGS.get(sampling[0]) if plain else None
    if named is None and len(set(sampling)) == 1:
        named = ":".join("4" for _ in sampling)
    return named or " ".join(f"{h}x{v}" for h, v in sampling)


def _show(name: str, p: Plan) -> None:
    h = p.header
    process = PROCESSES.get(h["sof"], f"SOF {h['sof']:#x}")
    components = "1 component" if h["components"] == 1 else f"{h['components']} components"
    scans = "1 scan" if h["scans"] == 1 else f"{h['scans']} scans"
    restarts = f", restarts every {h['restart_interval']} MCUs" if h["restart_interval"] else ""
    top, left, height, width = p.rectangle
    share = height * width / (h["height"] * h["width"])
    window_top, window_left, window_height, window_width = p.window
    turned = ", ".join(
        word
        for word, on in (("transposed", p.transpose), ("flipped in y", p.flip[0]), ("flipped in x", p.flip[1]))
        if on
    )
    order = "vertical pass first" if p.vertical_first else "horizontal pass first"
    why = f" ({p.declined})" if p.declined else ""
    rows = {
        "image": f"{h['width']} x {h['height']} pixels, {components}, {subsampling(h['sampling'])}",
        "stream": f"{process}, {scans}, {h['bytes']:,} bytes{restarts}",
        "EXIF": f"orientation {h['orientation']}" + (f": {turned}" if turned else ""),
        "decode": f"{p.decoder}{why}, scale {p.decode_scale[0]}/{p.decode_scale[1]}",
        "read": f"{width} x {height} pixels at x {left}, y {top} ({share:.0%} of the picture)",
        "resize": f"to {p.resized[1]} x {p.resized[0]}, at most {p.taps[1]} x {p.taps[0]} taps, {order}",
        "crop": f"{window_width} x {window_height} at x {window_left}, y {window_top}"
        + (f", padded by {p.padding[1]}, {p.padding[0]}" if any(p.padding) else ""),
        "output": f"{p.output[1]} x {p.output[0]} pixels",
        "cost": f"{p.cost:,.0f} (arbitrary units, about proportional to time)",
    }
    click.echo(printable(name))
    for key, text in rows.items():
        click.echo(f"  {key:<7} {text}")
