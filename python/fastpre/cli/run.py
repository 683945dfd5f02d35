"""`fastpre run`: folders of JPEGs to a safetensors file."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fastpre import Preprocessor, Spec, _core

from . import Unusable
from .batch import row_shape
from .compare import Comparison, compare
from .files import Found, find, printable
from .job import Failure, Outcome, process
from .options import json_option, spec_options, threads_option
from .sheet import MOST_PICTURES, check_pillow, contact_sheet

__all__ = ["run"]

MOST_LISTED = 20  # bad files named on a terminal; --json lists all


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="DIR|FILE...", type=click.Path(exists=True))
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False), help="The safetensors file to write.")
@click.option("--preview", type=click.Path(dir_okay=False), help="Write a contact sheet (PNG) of the tensors.")
@click.option("--compare", "with_torchvision", is_flag=True, help="Check and time torchvision on the same files.")
@click.option("--strict", is_flag=True, help="A bad file is fatal: exit code 1, and no output.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=128, show_default=True, help="Images in memory at a time."
)
@click.option(
    "--shard-size", type=click.IntRange(min=1), default=16384, show_default=True, help="Images per output file."
)
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
    threads: int | None,
    as_json: bool,
    spec: Spec,
) -> None:
    r"""Preprocess JPEGs into the tensor `images` (N, C, H, W) of a safetensors file.

    Folders are searched recursively for .jpg, .jpeg, .jpe and .jfif. Bad files are listed at the
    end, with reasons, and left out. The file's metadata say which files are kept, in order (`files`,
    a JSON list), the `spec`, the `layout` (NHWC with --channels-last, else NCHW) and fastpre's version.
    More than --shard-size images go to out-00001-of-000NN.safetensors and so on.

    \b
    Example:
      fastpre run photos/ -o photos.safetensors --preview sheet.png --compare
      python -c "import safetensors.torch as s; print(s.load_file('photos.safetensors')['images'].shape)"
    """
    if spec.output_size is None:
        raise click.UsageError("one tensor needs one size: set --crop, or --resize HEIGHTxWIDTH")
    if preview is not None:
        check_pillow()
    files, unreadable = find(paths)
    if not files:
        raise click.UsageError(f"no JPEG files in {', '.join(map(printable, paths))}")
    for path in (output, preview):
        if path is not None and os.path.dirname(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)

    outcome = _process(
        files,
        Preprocessor(spec, num_threads=threads),
        output,
        batch_size,
        shard_size,
        MOST_PICTURES if preview else 0,
        strict,
    )
    outcome.failures += [Failure(str(e.filename), type(e).__name__, e.strerror or str(e)) for e in unreadable]
    if preview is not None and outcome.pictures:
        contact_sheet(outcome.pictures).save(preview, format="PNG")
        outcome.outputs.append(preview)
    comparison = compare(outcome.kept, spec) if with_torchvision and outcome.kept else None

    used = threads or _core.available_threads()
    if as_json:
        click.echo(json.dumps(_summary(outcome, comparison, spec, used), indent=2))
    else:
        _report(outcome, comparison, spec, used)
    _list_failures(outcome.failures, nothing_written=not outcome.outputs)
    if (strict and outcome.failures) or not outcome.kept:
        raise SystemExit(1)


def _process(
    files: list[Found], pre: Preprocessor, output: str, batch_size: int, shard_size: int, pictures: int, strict: bool
) -> Outcome:
    console = Console(stderr=True)
    columns = (TextColumn("preprocessing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=len(files))
        try:
            return process(
                files,
                pre,
                output,
                batch_size=batch_size,
                shard_size=shard_size,
                pictures=pictures,
                strict=strict,
                progress=lambda done: bar.advance(task, done),
            )
        except OSError as e:
            raise Unusable(f"cannot write {printable(output)}: {e.strerror or e}") from e


def _shares(stages_us: Counter[str]) -> dict[str, float]:
    total = sum(stages_us.values())
    return {stage: us / total if total else 0.0 for stage, us in stages_us.items()}


def _rate(outcome: Outcome) -> float:
    return len(outcome.kept) / outcome.preprocess_s if outcome.preprocess_s else 0.0


def _report(outcome: Outcome, comparison: Comparison | None, spec: Spec, threads: int) -> None:
    assert spec.output_size is not None
    shape = (len(outcome.kept), *row_shape(spec, spec.output_size))
    where = ", ".join(f"{stage} {share:.1%}" for stage, share in _shares(outcome.stages_us).items())
    decoders = ", ".join(f"{name} {count}" for name, count in outcome.decoders.items())
    rows = {
        "images": f"{len(outcome.kept)} kept, {len(outcome.failures)} failed; {spec.dtype_name} {shape}",
        "speed": f"{_rate(outcome):,.1f} images/s ({outcome.preprocess_s:.3f} s, threads: {threads}), "
        f"then {outcome.write_s:.3f} s of writing",
        "time": where,
        "decoded": decoders or "nothing",
    }
    for name, text in rows.items():
        click.echo(f"{name:<8} {text}")
    for line in comparison.lines() if comparison else ():
        click.echo(f"{'compare':<8} {line}")
    for path in outcome.outputs:
        click.echo(f"{'wrote':<8} {printable(path)} ({os.path.getsize(path):,} bytes)")


def _summary(outcome: Outcome, comparison: Comparison | None, spec: Spec, threads: int) -> dict[str, object]:
    assert spec.output_size is not None
    return {
        "images": len(outcome.kept),
        "failed": [dataclasses.asdict(f) for f in outcome.failures],
        "shape": [len(outcome.kept), *row_shape(spec, spec.output_size)],
        "dtype": spec.dtype_name,
        "spec": repr(spec),
        "outputs": outcome.outputs,
        "threads": threads,
        "images_per_s": _rate(outcome),
        "preprocess_s": outcome.preprocess_s,
        "write_s": outcome.write_s,
        "stages_us": dict(outcome.stages_us),
        "decoders": dict(outcome.decoders),
        "compare": dataclasses.asdict(comparison) if comparison else None,
    }


def _list_failures(failures: list[Failure], nothing_written: bool) -> None:
    for failure in failures[:MOST_LISTED]:
        click.echo(f"bad file {printable(failure.name)}: {failure.error}: {failure.reason}", err=True)
    if len(failures) > MOST_LISTED:
        click.echo(f"... and {len(failures) - MOST_LISTED} more; --json lists them all", err=True)
    if nothing_written:
        click.echo("nothing was written", err=True)
