"""From what was counted to the report."""

from __future__ import annotations

import os
import platform
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from . import honesty
from . import outcome as outcomes
from .histogram import Percentiles, percentiles, summed
from .loops import Loop
from .plan import Plan
from .report import Generator, Machine, Report, Second, SizeClass
from .tally import SecondTally, Tally
from .target import Target

__all__ = ["summarize"]


def summarize(
    plan: Plan,
    target: Target,
    sizes: Mapping[str, Sequence[int]],
    loop: Loop,
    *,
    begun: str,
    event_loop: str,
    precise: bool,
    stopped: bool,
) -> Report:
    """The report of a loop that is over; `sizes`: bytes of the images by size class."""
    tally = loop.tally
    ended = Counter[str]()
    codes: dict[str, dict[str, int]] = {}
    for (kind, code), count in sorted(tally.codes.items(), key=lambda entry: -entry[1]):
        ended[kind] += count
        codes.setdefault(kind, {})[code] = count
    unfinished = max(0, loop.launched - sum(ended.values())) if stopped else 0
    due = sum(ended.values()) + loop.never_sent + unfinished
    complete = loop.ended >= tally.end
    window_s = (tally.end if complete else max(tally.last_end, loop.ended if stopped else 0.0)) - tally.begin
    window_s = max(0.0, window_s)
    latency = _by_kind(tally.latency)
    expected = tally.bad[outcomes.CLIENT_ERROR]
    errors = due - unfinished - ended[outcomes.OK] - expected

    def rate(count: float) -> float:
        return count / window_s if window_s > 0 else 0.0

    return Report(
        plan=plan,
        target=target,
        machine=_machine(event_loop),
        begun=begun,
        window_s=window_s,
        warmup_requests=tally.warmup,
        due=due,
        outcomes={kind: ended[kind] for kind in outcomes.KINDS},
        codes=codes,
        refused_with_retry_after=tally.retry_after,
        unfinished=unfinished,
        bad_images={kind: tally.bad[kind] for kind in outcomes.KINDS if tally.bad[kind]},
        error_share=errors / (due - unfinished) if due > unfinished else 0.0,
        rate_due=rate(due),
        rate_sent=rate(tally.sent),
        goodput=rate(tally.ok_in_window),
        goodput_images=rate(tally.ok_in_window * plan.batch),
        sent_bytes_per_s=rate(tally.sent_bytes),
        latency_ms=latency,
        service_ms=_by_kind(tally.service),
        sizes=_sizes(tally, sizes),
        stages_ms=tally.stages.medians(),
        stages_from=len(tally.stages),
        generator=_generator(plan, loop, precise),
        seconds=tuple(_second(index, row) for index, row in sorted(tally.seconds.items()) if index >= 0),
        stopped=stopped,
    )


def _generator(plan: Plan, loop: Loop, precise: bool) -> Generator:
    tally = loop.tally
    of_ok = [recorded for (kind, _), recorded in tally.latency.items() if kind == outcomes.OK]
    latency = percentiles(summed(of_ok or list(tally.latency.values())))
    cpu_share = loop.cpu_s / loop.cpu_over_s if loop.cpu_over_s > 0 else 0.0
    own_lag = percentiles(tally.handling_lag) if plan.open_loop else Percentiles()
    loop_lag = percentiles(tally.loop_lag)
    why = honesty.reasons(own_lag, loop_lag, latency, cpu_share, loop.behind)
    return Generator(
        send_lag_ms=percentiles(tally.send_lag),
        own_lag_ms=own_lag,
        loop_lag_ms=loop_lag,
        held_back=tally.held,
        never_sent=loop.never_sent,
        connections_opened=tally.opening.get_total_count(),
        opening_ms=percentiles(tally.opening),
        cpu_share=cpu_share,
        cpu_ms_per_request=loop.cpu_s / loop.launched * 1e3 if loop.launched else 0.0,
        precise_timer=precise,
        fell_behind=bool(why),
        reasons=tuple(why),
    )


def _by_kind(histograms: Mapping[tuple[str, str], Any]) -> dict[str, Percentiles]:
    found = {}
    for kind in outcomes.KINDS:
        parts = [recorded for (of, _), recorded in histograms.items() if of == kind]
        if parts:
            found[kind] = percentiles(summed(parts))
    return found


def _sizes(tally: Tally, sizes: Mapping[str, Sequence[int]]) -> dict[str, SizeClass]:
    found = {}
    for name in sorted({size for _, size in tally.latency}):
        ended = {k: r.get_total_count() for (k, size), r in tally.latency.items() if size == name}
        key = outcomes.OK, name
        of_class = sizes.get(name) or [n for numbers in sizes.values() for n in numbers]
        found[name] = SizeClass(
            sent=sum(ended.values()),
            outcomes=ended,
            images=len(of_class),
            mean_image_bytes=statistics.fmean(of_class),
            latency_ms=percentiles(tally.latency[key]) if key in tally.latency else Percentiles(),
            service_ms=percentiles(tally.service[key]) if key in tally.service else Percentiles(),
        )
    return found


def _second(index: int, row: SecondTally) -> Second:
    latencies = sorted(row.latencies_ms)

    def at(share: float) -> float | None:
        return latencies[min(len(latencies) - 1, int(share * len(latencies)))] if latencies else None

    return Second(index, row.due, row.sent, row.ok, row.refused, row.failed, at(0.5), at(0.99))


def _machine(event_loop: str) -> Machine:
    versions = {}
    for package in ("fastpre", "hdrhistogram", "httptools", "uvloop", "grpcio"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Machine(cpus, os.nice(0), system, platform.python_version(), event_loop, versions)
