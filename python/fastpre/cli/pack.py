"""`fastpre pack`: a folder of JPEGs to shards."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from typing import Any

import click
from click.core import ParameterSource

from fastpre import _core
from fastpre._backend.fields import INTERPOLATIONS
from fastpre.transcoding import METADATA
from fastpre.typing import Interpolation, Metadata, Size

from .command import Command, section
from .errors import Unusable
from .files import list_failures, printable
from .options import SizeType, field_options, json_option, threads_option
from .packing.formats import FORMATS, shard_type_of
from .packing.recipe import SUBSAMPLINGS, Recipe, require_encoder
from .packing.samples import LABELS, listing
from .packing.shard import Shards, ShardSize
from .packing.summary import Summary
from .packing.work import Outcome
from .packing.work import pack as pack_samples
from .progress import progress

__all__ = ["pack"]

UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


class ShardSizeType(click.ParamType):  # type: ignore[type-arg]
    """`256MB` (also kB, GB, KiB, MiB, GiB), or `10000` samples."""

    name = "shard size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ShardSize:
        """The bound that it says."""
        if isinstance(value, ShardSize):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?) *([a-zA-Z]*)", value, re.ASCII)
        number, unit = found.groups() if found else ("", "")
        if not unit and number.isdigit() and int(number) > 0:
            return ShardSize(samples=int(number))
        factor = UNITS.get(unit.lower())
        if factor is None or float(number) * factor < 1:
            self.fail(f"{value!r} is neither bytes, such as 256MB, nor a number of samples", param, ctx)
        return ShardSize(bytes=int(float(number) * factor))


encoding = section("Re-encoding, with a loss")
copying = section("Transcoding, without loss")
either = section("Of whatever is re-encoded or transcoded")
shards_ = section("Shards")


@click.command(
    cls=Command,
    examples=[
        "fastpre pack train/ -o shards/ --resize 500 --transcode",
        "fastpre pack train/ -o shards/ --resize 320 --quality 85 --subsampling 4:2:0 --shard-size 1GB",
        "fastpre pack train/ -o shards/ --transcode --crop 512 --format parquet",
    ],
)
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.option(
    "-o", "--output", required=True, metavar="DIR", type=click.Path(), help="Where shards go: a new or empty folder."
)
@click.option("--strict", is_flag=True, help="A bad file is fatal: exit code 1, and no output.")
@threads_option
@json_option
@encoding(
    "--resize",
    metavar="N",
    type=click.IntRange(min=1),
    help="Shorter side of images that are larger; smaller ones are not re-encoded, unless EXIF turns them.",
)
@encoding("--reencode-all", is_flag=True, help="Re-encode the others too, at their own size.")
@encoding("--quality", type=click.IntRange(1, 100), default=90, show_default=True, help="libjpeg's.")
@encoding(
    "--subsampling", type=click.Choice(SUBSAMPLINGS), default="4:4:4", show_default=True, help="Chroma subsampling."
)
@encoding(
    "--interpolation",
    type=click.Choice(INTERPOLATIONS),
    default="bicubic",
    show_default=True,
    help="Pillow's filter, antialiased.",
)
@copying("--transcode", is_flag=True, help="Make one sequential scan of what is not re-encoded; pixels stay.")
@copying(
    "--crop",
    metavar="N|HxW",
    type=SizeType(),
    help="Centre crop, begun at the nearest MCU (8 or 16 pixels); needs --transcode.",
)
@either("--optimize/--no-optimize", default=True, show_default=True, help="Huffman tables made for each image.")
@either(
    "--restart-rows",
    metavar="N",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Rows of MCUs between restart markers, which crops are found by; 0: none.",
)
@either(
    "--metadata",
    type=click.Choice(METADATA),
    default="icc",
    show_default=True,
    help="What is kept: the colour profile; all: EXIF and XMP as well, of what is transcoded.",
)
@shards_("--format", "file_format", type=click.Choice(list(FORMATS)), default="tar", show_default=True, help="Files.")
@shards_(
    "--shard-size",
    metavar="BYTES|N",
    type=ShardSizeType(),
    default="256MB",
    show_default=True,
    help="Bytes, or samples, of each.",
)
@shards_(
    "--labels",
    type=click.Choice(LABELS),
    default="auto",
    show_default=True,
    help="Class folders become labels; auto: if all images lie in some.",
)
@shards_("--seed", metavar="N", type=int, default=0, show_default=True, help="Of the shuffled order of samples.")
@shards_("--in-order", is_flag=True, help="Sort samples by name instead: a shard may then hold one class alone.")
@field_options("max_pixels", "max_bytes", "max_work", section="Limits")
def pack(
    folder: str,
    output: str,
    strict: bool,
    threads: int | None,
    as_json: bool,
    resize: int | None,
    reencode_all: bool,
    quality: int,
    subsampling: str,
    interpolation: Interpolation,
    transcode: bool,
    crop: Size | None,
    optimize: bool,
    restart_rows: int,
    metadata: Metadata,
    file_format: str,
    shard_size: ShardSize,
    labels: str,
    seed: int,
    in_order: bool,
    **limits: int,
) -> None:
    """Pack a folder's JPEGs into shards.

    Without options images stay as they are, byte for byte. With --resize those that are larger are decoded, turned
    upright as EXIF says, resized and encoded again; with --transcode the others (or all) get another coding of the same
    pixels. Every image is decoded once: bad files are listed at the end, with reasons, and left out.

    Tar shards are WebDataset's: key.jpg, and key.cls with the class's number; beside each lies an index of where its
    images are (.idx.json). Parquet shards have the columns image and label, which Hugging Face's datasets knows as
    Image and ClassLabel. classes.json and index.json, which lists the shards with their SHA-256, come last.

    The same images and options give the same bytes, whatever the number of threads. A run that is stopped leaves the
    shards that are complete, and no index.json; it cannot be resumed.
    """
    _refuse_idle_options(click.get_current_context())
    recipe = Recipe(
        resize,
        reencode_all,
        quality,
        subsampling,
        interpolation,
        transcode,
        crop,
        optimize,
        restart_rows,
        metadata,
        limits,
    )
    if recipe.reencodes:
        require_encoder()
    shard_type = shard_type_of(file_format)
    _refuse_used_folder(output)
    found = listing(folder, labels, None if in_order else seed)
    threads = threads or _core.available_threads()
    outcome = Outcome(failures=list(found.failures))
    with contextlib.ExitStack() as stack:
        shards = Shards(output, shard_type, shard_size, found.classes, at_once=not strict)
        stack.callback(shards.discard)
        try:
            with progress(len(found.samples), "packing") as report:
                pack_samples(found.samples, recipe, shards, threads, outcome, report)
            written = outcome.packed > 0 and not (strict and outcome.failures)
            if written:
                shards.finish(dataclasses.asdict(recipe))
        except OSError as e:
            raise Unusable(f"cannot write {printable(output)}: {e.strerror or e}") from e
    summary = Summary(outcome, found, shards, recipe, threads, written)
    if as_json:
        click.echo(json.dumps(summary.json(), indent=2))
    else:
        summary.show()
    list_failures(outcome.failures)
    if not written:
        click.echo("nothing was written", err=True)
        raise SystemExit(1)


def _refuse_idle_options(ctx: click.Context) -> None:
    """An option that would change nothing is a misunderstanding.

    Raises:
        click.UsageError: there is one.
    """
    values = ctx.params
    given = {name for name in values if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT}
    encodes = values["resize"] is not None or values["reencode_all"]
    if values["crop"] is not None and encodes:
        raise click.UsageError("--crop cuts without loss, --resize and --reencode-all encode again: take one of them")
    if values["crop"] is not None and not values["transcode"]:
        raise click.UsageError("--crop needs --transcode")
    if values["transcode"] and values["reencode_all"]:
        raise click.UsageError("--reencode-all leaves nothing to --transcode: take one of them")
    needs = {
        "--resize or --reencode-all": (encodes, ("quality", "subsampling", "interpolation")),
        "--resize, --reencode-all or --transcode": (
            encodes or values["transcode"],
            ("optimize", "restart_rows", "metadata"),
        ),
    }
    for what, (there, names) in needs.items():
        idle = [name for name in names if name in given]
        if idle and not there:
            raise click.UsageError(f"--{idle[0].replace('_', '-')} needs {what}: images stay as they are without")
    if values["in_order"] and "seed" in given:
        raise click.UsageError("--in-order leaves nothing to --seed")


def _refuse_used_folder(output: str) -> None:
    """Shards are never mixed with what is there.

    Raises:
        click.UsageError: there is something.
    """
    if not os.path.lexists(output):
        return
    if not os.path.isdir(output):
        raise click.UsageError(f"-o {printable(output)} is not a folder")
    if os.listdir(output):
        raise click.UsageError(f"-o {printable(output)} is not empty: shards need a folder of their own")
