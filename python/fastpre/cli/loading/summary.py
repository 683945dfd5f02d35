"""The report of `fastpre load`, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from ..files import printable

if TYPE_CHECKING:
    from fastpre.load import Percentiles, Report

__all__ = ["behind", "show"]

COLUMNS = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}
WORDS = {
    "ok": "ok",
    "refused": "refused",
    "client_error": "client errors (4xx)",
    "server_error": "server errors",
    "timeout": "timeouts",
    "connection_error": "connection errors",
}


def show(report: Report) -> None:
    """Prints it."""
    rows = {
        "asked": _asked(report),
        "images": _images(report),
        "sent": _sent(report),
        "answers": _answers(report),
        "bad": _bad(report),
    }
    for name, text in rows.items():
        if text:
            click.echo(f"{name:<10}{text}")
    click.echo()
    Console(width=max(100, Console().width), markup=False, emoji=False, highlight=False).print(_table(report))
    if any(not entry.supports(level) for _, entry in _measured(report) for level in COLUMNS.values()):
        click.echo("-: too few requests to tell it from the maximum")
    click.echo()
    for kind, codes in report.codes.items():
        if kind != "ok":
            click.echo(f"{'failures':<10}{WORDS[kind]}: {_counts(codes)}")
    if report.stages_ms:
        stages = " · ".join(f"{name} {ms:.3g} ms" for name, ms in report.stages_ms.items())
        click.echo(f"{'stages':<10}{stages} (Server-Timing; medians of {report.stages_from:,} answers)")
    for line in _generator(report):
        click.echo(f"{'generator':<10}{line}")
    for line in behind(report):
        click.secho(line, fg="red", bold=True)


def behind(report: Report) -> Iterator[str]:
    """What must be said wherever the numbers are: nothing, if they are the server's."""
    generator = report.generator
    if generator.fell_behind:
        yield f"FELL BEHIND: the results are the generator's, not the server's: {'; '.join(generator.reasons)}"
    if generator.never_sent and generator.held_back:
        yield (
            f"NEVER SENT: {generator.never_sent:,} requests that were due: {report.plan.max_outstanding:,} others had "
            "no answer (--max-outstanding). Their latencies, which would be longer, are not in the table"
        )
    if report.stopped:
        yield f"STOPPED after {report.window_s:.1f} s; {report.unfinished:,} requests were under way"


def _asked(report: Report) -> str:
    plan = report.plan
    if plan.open_loop:
        rate = f"{plan.rate:g} requests/s" if plan.rate is not None else "at its own rate"
        burst = f", cv {plan.cv:g}" if plan.arrivals == "gamma" else ""
        how = f"open loop, {rate}, {plan.arrivals}{burst}"
    else:
        how = f"closed loop, {plan.concurrency} client{'s' if plan.concurrency != 1 else ''}"
    model = f", model {report.target.model}" if report.target.model else ""
    server = f" ({report.target.server})" if report.target.server else ""
    return printable(f"{how}, seed {plan.seed}; {plan.protocol} to {plan.url}{model}{server}")


def _images(report: Report) -> str:
    classes = (
        f"{name} {size.images:,} of {size.mean_image_bytes / 1e3:,.0f} kB" for name, size in report.sizes.items()
    )
    return printable(f"{' · '.join(classes)} in the mean; {report.plan.batch} in each request")


def _sent(report: Report) -> str:
    sent = sum(report.outcomes.values())
    return (
        f"{sent:,} of the {report.due:,} requests that were due in {report.window_s:.1f} s, {report.rate_sent:,.1f}/s, "
        f"{report.sent_bytes_per_s / 1e6:,.1f} MB/s; {report.warmup_requests:,} more to warm up"
    )


def _answers(report: Report) -> str:
    parts = [f"{WORDS[kind]} {count:,}" for kind, count in report.outcomes.items() if count or kind == "ok"]
    if report.outcomes["refused"]:
        place = next(i for i, part in enumerate(parts) if part.startswith(WORDS["refused"]))
        parts[place] += f" ({report.refused_with_retry_after:,} with Retry-After)"
    goodput = f"goodput {report.goodput:,.1f} requests/s"
    images = f" = {report.goodput_images:,.1f} images/s" if report.plan.batch > 1 else ""
    return f"{' · '.join(parts)}; {goodput}{images}"


def _bad(report: Report) -> str:
    if not report.bad_images:
        return ""
    return f"{sum(report.bad_images.values()):,} of the requests had a damaged image: {_counts(report.bad_images)}"


def _measured(report: Report) -> Iterator[tuple[str, Percentiles]]:
    """Rows of the table."""
    for kind, latency in report.latency_ms.items():
        yield f"latency, {WORDS[kind]}", latency
        if kind == "ok":
            yield "service time, ok", report.service_ms[kind]
    if len(report.sizes) > 1:
        for name, size in report.sizes.items():
            yield f"latency, ok, {printable(name)}", size.latency_ms
    if report.plan.open_loop:
        yield "sent late", report.generator.send_lag_ms


def _table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("milliseconds", "requests", *(f"p{level:g}" for level in COLUMNS.values()), "max"):
        table.add_column(heading, justify="left" if heading == "milliseconds" else "right", no_wrap=True)
    for name, entry in _measured(report):
        if entry.count:
            levels = (_ms(getattr(entry, c)) if entry.supports(level) else "-" for c, level in COLUMNS.items())
            table.add_row(name, f"{entry.count:,}", *levels, _ms(entry.max))
    return table


def _generator(report: Report) -> Iterator[str]:
    """How it did itself."""
    found = report.generator
    lags = {"event loop": found.loop_lag_ms}
    if report.plan.open_loop:
        lags = {"its own part of lateness": found.own_lag_ms, **lags}
    late = " · ".join(
        f"{name} {_ms(lag.p50)} ms p50, {_ms(lag.p99)} p99, {_ms(lag.max)} max" for name, lag in lags.items()
    )
    yield late
    waited = [f"{found.connections_opened:,} requests waited for a new connection"]
    if report.plan.open_loop:
        waited.append(f"{found.held_back:,} for one of {report.plan.max_outstanding:,} outstanding to end")
    yield ", ".join(waited)
    timer = "" if found.precise_timer else "; timers of a millisecond only"
    verdict = "" if found.fell_behind else "; it kept up"
    yield f"{found.cpu_share:.0%} of a core, {found.cpu_ms_per_request:.3f} ms of CPU a request{timer}{verdict}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{WORDS.get(name) or printable(name)} {count:,}" for name, count in counts.items())


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
