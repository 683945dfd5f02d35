"""`fastpre load`: requests to an inference server, and what became of them."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from .command import Command, section
from .errors import Unusable
from .files import paths_argument, printable
from .loading import limits, read_images
from .output_file import PartialFile, refuse_special_file
from .signals import Stopped

if TYPE_CHECKING:
    from fastpre.load import LoadImage, Measurement, Plan, Report

__all__ = ["load"]

INSTALL = "pip install 'fastpre[serve]'"

when = section("When requests are sent")
what = section("What is sent")
where = section("How it is sent")
output = section("What is written")


class MixType(click.ParamType):  # type: ignore[type-arg]
    """`small=0.5,large=0.5`."""

    name = "mix"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, float]:
        """Shares by name."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        shares: dict[str, float] = {}
        for entry in value.split(","):
            name, equals, share = entry.rpartition("=")
            try:
                shares[name.strip()] = float(share)
            except ValueError:
                equals = ""
            if not (equals and name.strip()):
                self.fail(f"{entry!r} is not NAME=SHARE", param, ctx)
        return shares


class HeaderType(click.ParamType):  # type: ignore[type-arg]
    """`Name: value`."""

    name = "header"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Name and value."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        name, colon, text = value.partition(":")
        if not (colon and name.strip()):
            self.fail(f"{value!r} is not 'Name: value'", param, ctx)
        return name.strip(), text.strip()


@click.command(
    cls=Command,
    examples=[
        "fastpre load http://127.0.0.1:8000 photos/ --rate 200",
        "fastpre load http://127.0.0.1:8000 photos/ --rate 200 --arrivals gamma --cv 3",
        "fastpre load grpc://127.0.0.1:8001 photos/ --concurrency 8 --duration 30",
    ],
)
@click.argument("url")
@paths_argument()
@when("--rate", metavar="R", type=float, help="Requests a second, sent when they are due (open loop).")
@when("--concurrency", metavar="C", type=int, help="Clients that wait for their answers (closed loop).")
@when(
    "--arrivals",
    metavar="NAME|FILE.csv",
    default="poisson",
    show_default=True,
    help="constant, poisson, gamma, or a trace with time stamps.",
)
@when("--cv", metavar="CV", type=float, default=2.0, show_default=True, help="Burstiness of gamma; 1: Poisson.")
@when("--duration", metavar="S", type=float, help="Seconds; default: 10, or until all --requests are sent.")
@when("--requests", metavar="N", type=int, help="Requests, at most.")
@when("--warmup", metavar="S", type=float, default=1.0, show_default=True, help="Seconds before, not counted.")
@when("--seed", metavar="N", type=int, default=0, show_default=True, help="Of all that is drawn.")
@what("--batch", metavar="K", type=int, default=1, show_default=True, help="Images in each request.")
@what(
    "--mix",
    metavar="NAME=SHARE,...",
    type=MixType(),
    default=None,
    help="Shares of folders, or of small (< 32 kB), medium and large (>= 1 MB).",
)
@what(
    "--bad-fraction",
    metavar="SHARE",
    type=float,
    default=0.0,
    show_default=True,
    help="Requests with a damaged image.",
)
@what(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Images, evenly spread.",
)
@where(
    "--protocol",
    metavar="NAME",
    default="",
    help="v2-http, v2-grpc, or predict (POST of the image to the URL's path, else /v1/predict); default: by the URL.",
)
@where("--model", metavar="NAME", default="", help="Default: the server's only one.")
@where(
    "--timeout",
    metavar="S",
    type=float,
    default=10.0,
    show_default=True,
    help="Seconds after which a request is given up.",
)
@where(
    "--max-outstanding",
    metavar="N",
    type=int,
    default=512,
    show_default=True,
    help="Requests without an answer, at most; others wait.",
)
@where("--header", "headers", metavar="'X: y'", type=HeaderType(), multiple=True, help="May be repeated.")
@where(
    "--api-key",
    metavar="KEY",
    default="",
    envvar="FASTPRE_API_KEY",
    show_envvar=True,
    help="Sent as a bearer token.",
)
@output("--json", "json_path", metavar="FILE", type=click.Path(), help="The report with a series; - is stdout.")
@output(
    "--histogram",
    metavar="FILE",
    type=click.Path(),
    help="HDR histograms: .hdr, a histogram log; .hgrm, percentiles.",
)
@output(
    "--max-errors",
    metavar="SHARE",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Of requests that may fail or be refused before the exit code is 1.",
)
@output("-q", "--quiet", is_flag=True, help="No report on the terminal.")
def load(
    url: str,
    paths: tuple[str, ...],
    json_path: str | None,
    histogram: str | None,
    max_errors: float,
    quiet: bool,
    limit: int,
    **asked: Any,
) -> None:
    """Send requests to a server, and report honestly.

    Images are those of the files and folders, encoded once and sent from memory. With --rate each request is sent
    when it is due, however slow the server is, and its latency counts from then; with --concurrency so many clients
    wait for their answers. The report says what became of the requests, and how late and busy the generator itself
    was: "fell behind" means that the numbers are its own, not the server's.

    Exit code 1: more than --max-errors of the requests were refused, failed or never sent. Damaged images that got a
    4xx are no errors. Ctrl-C ends it with the report so far, and exit code 130.
    """
    try:
        from fastpre.load import Measurement, Plan, Unreachable
    except ImportError as e:
        raise Unusable(f"{INSTALL}: {e}") from e
    outputs = _outputs(json_path, histogram)
    try:
        plan = Plan(url=url, **_arguments(asked))
    except ValueError as e:
        raise click.UsageError(str(e)) from e
    images = read_images(paths, limit)
    limits.allow_connections(plan.max_outstanding)
    with contextlib.ExitStack() as stack:
        streams = {}
        for name, file in outputs.items():
            stack.callback(file.discard)
            streams[name] = file.open()  # an error now, not after the measurement
        try:
            measurement = Measurement(plan, images)
        except Unreachable as e:
            raise Unusable(printable(str(e))) from e
        except ImportError as e:
            raise Unusable(f"{INSTALL}: {e}") from e
        except ValueError as e:
            raise click.UsageError(str(e)) from e
        report = _carried_out(plan, measurement, images, quiet)
        for name, file in outputs.items():
            streams[name].write(_text(name, file.path, report, measurement).encode())
            file.publish()
    _show(report, json_path, quiet)
    if measurement.stopped_by is not None:
        raise Stopped(measurement.stopped_by)
    if report.error_share > max_errors:
        raise SystemExit(1)


def _arguments(asked: dict[str, Any]) -> dict[str, Any]:
    """Options by the names that `Plan` has for them."""
    return {
        **{name: asked[name] for name in ("rate", "concurrency", "arrivals", "cv", "seed", "requests", "batch")},
        **{name: asked[name] for name in ("protocol", "model", "bad_fraction", "max_outstanding", "api_key")},
        "headers": asked["headers"],
        "mix": asked["mix"] or {},
        "duration_s": asked["duration"],
        "warmup_s": asked["warmup"],
        "timeout_s": asked["timeout"],
    }


def _outputs(json_path: str | None, histogram: str | None) -> dict[str, PartialFile]:
    """Files to be written, by what they are to hold."""
    if histogram is not None and not histogram.endswith((".hdr", ".hgrm")):
        raise click.UsageError(f"--histogram {printable(histogram)} ends neither in .hdr nor in .hgrm")
    paths = {"json": None if json_path == "-" else json_path, "histogram": histogram}
    found = {}
    for name, path in paths.items():
        if path is not None:
            refuse_special_file(path, f"--{name}")
            found[name] = PartialFile(path)
    return found


def _carried_out(plan: Plan, measurement: Measurement, images: list[LoadImage], quiet: bool) -> Report:
    from .loading.progress import Ticker, first_line

    ticker = None
    if not quiet:
        click.echo(first_line(plan, len(images)), err=True)
        ticker = Ticker() if sys.stderr.isatty() else None
    try:
        return measurement.carry_out(on_second=ticker, until_signal=True)
    finally:
        if ticker is not None:
            ticker.clear()


def _text(name: str, path: str, report: Report, measurement: Measurement) -> str:
    """What goes into an output file."""
    if name == "json":
        return json.dumps(report.json(), indent=1) + "\n"
    return measurement.histogram_log() if path.endswith(".hdr") else measurement.percentile_distribution()


def _show(report: Report, json_path: str | None, quiet: bool) -> None:
    from .loading.summary import behind, show

    if json_path == "-":
        click.echo(json.dumps(report.json()))
    elif not quiet:
        show(report)
        return
    for line in behind(report):  # what must not be overlooked
        click.echo(line, err=True)
