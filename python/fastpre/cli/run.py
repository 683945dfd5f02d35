"""`fastpre run`: folders of JPEGs to one tensor on disk."""

from __future__ import annotations

import contextlib
import json

import click

from fastpre import Preprocessor, Spec

from .command import Command
from .compare import compare
from .contact_sheet import MOST_PICTURES, check_preview, contact_sheet
from .errors import Unusable
from .files import Search, find, list_failures, list_truncated, paths_argument, printable
from .formats import Shard, format_of, shard_paths
from .options import device_option, json_option, spec_options, threads_option
from .output_file import PartialFile, refuse_special_file
from .preprocess import Outcome, preprocess
from .progress import progress
from .summary import Summary

__all__ = ["run"]


@click.command(
    cls=Command,
    examples=[
        "fastpre run photos/ -o photos.safetensors --preview sheet.png --compare",
        "fastpre run photos/ -o photos.npy --dtype uint8",
        "fastpre run a.jpg b.jpg -o two.pt --device cuda",
    ],
)
@paths_argument()
@click.option(
    "-o", "--output", required=True, metavar="FILE", type=click.Path(), help="What to write: .safetensors, .npy or .pt."
)
@click.option("--preview", metavar="FILE", type=click.Path(), help="Write a contact sheet (.png) of the tensors.")
@click.option("--compare", "with_torchvision", is_flag=True, help="Check and time torchvision on the same files.")
@click.option("--strict", is_flag=True, help="A bad file is fatal: exit code 1, and no output.")
@click.option(
    "--batch-size",
    metavar="N",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="Images in memory at a time.",
)
@click.option(
    "--shard-size",
    metavar="N",
    type=click.IntRange(min=1),
    default=16384,
    show_default=True,
    help="Images per output file.",
)
@device_option
@threads_option
@json_option
@spec_options
def run(
    paths: tuple[str, ...],
    output: str,
    preview: str | None,
    with_torchvision: bool,
    strict: bool,
    batch_size: int,
    shard_size: int,
    device: str,
    threads: int | None,
    as_json: bool,
    spec: Spec,
) -> None:
    r"""Turn JPEGs into one tensor on disk.

    Folders are searched recursively for JPEGs: by name, and by the first bytes of files named otherwise. Other
    files are skipped and counted. Bad files are listed at the end, with reasons, and left out.

    The output's name says the format, and with the tensor goes what it holds: `files` (names, in the order of
    rows), `spec`, `layout` and fastpre's version. In .safetensors that is the tensor `images`, and metadata; in
    .npy one array, with the rest in a .npy.json beside it; in .pt a dict of `images` and the rest. `layout` is
    NHWC with --channels-last, else NCHW; a .pt is always NCHW, with that memory format. Names are UTF-8; other
    bytes of a path are written \xNN.

    More than --shard-size images go to out-00001-of-000NN.safetensors and so on. Files get their names once
    all are complete. A .pt takes twice its size on disk while it is written.
    """
    if spec.output_size is None:
        raise click.UsageError("one tensor needs one size: set --crop, or --resize HEIGHTxWIDTH")
    file_format = format_of(output, spec)
    if preview is not None:
        check_preview(preview)
        refuse_special_file(preview, "--preview")
    search = find(paths)
    search.say_skipped()
    for shard in shard_paths(output, len(search.files), shard_size):
        for path in file_format.paths_of(shard):
            refuse_special_file(path, "-o")

    try:
        pre = Preprocessor(spec, device, threads)
    except ValueError as e:
        raise click.UsageError(str(e)) from e
    with contextlib.ExitStack() as stack:
        sheet = picture = None
        if preview is not None:
            sheet = PartialFile(preview)
            stack.callback(sheet.discard)
            picture = sheet.open()  # an error now, not after an hour of work
        outcome = _preprocess(
            search, pre, output, file_format, batch_size, shard_size, MOST_PICTURES if sheet else 0, strict
        )
        if sheet is not None and picture is not None and outcome.outputs and outcome.pictures:
            contact_sheet(outcome.pictures).save(picture, format="PNG")
            sheet.publish()
            outcome.outputs.append(sheet.path)
    comparison = compare(outcome.kept, spec, device) if with_torchvision and outcome.kept else None

    summary = Summary(outcome, search.skipped, comparison, pre)
    if as_json:
        click.echo(json.dumps(summary.json(), indent=2))
    else:
        summary.show()
    list_truncated(outcome.truncated)
    list_failures(outcome.failures)
    if not outcome.outputs:
        click.echo("nothing was written", err=True)
    if (strict and outcome.failures) or not outcome.kept:
        raise SystemExit(1)


def _preprocess(
    search: Search,
    pre: Preprocessor,
    output: str,
    file_format: type[Shard],
    batch_size: int,
    shard_size: int,
    pictures: int,
    strict: bool,
) -> Outcome:
    with progress(len(search.files)) as report:
        try:
            return preprocess(
                search,
                pre,
                output,
                file_format,
                batch_size=batch_size,
                shard_size=shard_size,
                pictures=pictures,
                strict=strict,
                progress=report,
            )
        except OSError as e:
            raise Unusable(f"cannot write {printable(output)}: {e.strerror or e}") from e
