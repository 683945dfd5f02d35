"""What a measurement gives: frozen values, and the same as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .histogram import Percentiles
from .plan import Plan
from .target import Target

__all__ = ["Generator", "Machine", "Report", "Second", "SizeClass"]


@dataclasses.dataclass(frozen=True)
class Machine:
    """Where the generator ran.

    Attributes:
        cpus: that it could use.
        nice: its priority; negative ones are scheduled sooner.
    """

    cpus: int
    nice: int
    system: str
    python: str
    event_loop: str
    versions: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class SizeClass:
    """Requests with images of one size class; `ok` has the times of those that were answered so."""

    sent: int
    outcomes: Mapping[str, int]
    images: int
    mean_image_bytes: float
    latency_ms: Percentiles
    service_ms: Percentiles


@dataclasses.dataclass(frozen=True)
class Second:
    """One second of the measurement.

    Attributes:
        second: since the warm-up's end; after the last one requests were sent in come those that answers came in.
        due: requests that had their time in it (with an outcome).
        sent: requests that were sent in it.
        ok, refused, failed: answers that came in it, whenever their requests were due.
        p50_ms, p99_ms: latency of the ok ones of the requests that were due in it; None if there is none.
    """

    second: int
    due: int
    sent: int
    ok: int
    refused: int
    failed: int
    p50_ms: float | None
    p99_ms: float | None


@dataclasses.dataclass(frozen=True)
class Generator:
    """How well the load generator itself did.

    Attributes:
        send_lag_ms: from being due to being sent, whatever the reason.
        own_lag_ms: from being due to the event loop's turning to it; the generator's own part.
        loop_lag_ms: how late a timer of every 20 ms rang: answers are seen as late as that.
        held_back: requests that waited because `max_outstanding` others had no answer.
        never_sent: requests that were still waiting so when the window ended, or that the generator was behind with.
        connections_opened: requests that had to wait for a connection to be opened.
        opening_ms: how long they waited.
        cpu_share: of one core, by this process, while it sent.
        cpu_ms_per_request: CPU time by request sent.
        precise_timer: False where the system has only timers of a millisecond.
        fell_behind: by the rule of `honesty`; the results are then the generator's, not the server's.
        reasons: why it says so.
    """

    send_lag_ms: Percentiles
    own_lag_ms: Percentiles
    loop_lag_ms: Percentiles
    held_back: int
    never_sent: int
    connections_opened: int
    opening_ms: Percentiles
    cpu_share: float
    cpu_ms_per_request: float
    precise_timer: bool
    fell_behind: bool
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Report:
    """One measurement. The warm-up is in none of its numbers but `warmup_requests`.

    Attributes:
        begun: when, in UTC, ISO 8601.
        window_s: what rates are over: the asked duration, or up to the last answer where a number was asked for or it
            was stopped.
        due: requests that had their time in the window: with an outcome, never sent, or left without one.
        outcomes: requests by kind.
        codes: by kind and code.
        refused_with_retry_after: refusals that said when to come again.
        unfinished: requests without an outcome when it was stopped.
        bad_images: outcomes of the requests that had a damaged image; they are in `outcomes`, too.
        error_share: of what was due: all that is not ok, but for damaged images that got the 4xx that they should.
        rate_due, rate_sent: requests a second.
        goodput: ok answers a second that came within the window.
        goodput_images: images in them.
        sent_bytes_per_s: of requests.
        latency_ms: from being due to the answer's end, by kind.
        service_ms: from being sent, by kind.
        sizes: by size class of the images.
        stages_ms: medians by stage, of `Server-Timing`.
        stages_from: answers that these were taken from.
        seconds: the series.
        stopped: it was ended early.
    """

    plan: Plan
    target: Target
    machine: Machine
    begun: str
    window_s: float
    warmup_requests: int
    due: int
    outcomes: Mapping[str, int]
    codes: Mapping[str, Mapping[str, int]]
    refused_with_retry_after: int
    unfinished: int
    bad_images: Mapping[str, int]
    error_share: float
    rate_due: float
    rate_sent: float
    goodput: float
    goodput_images: float
    sent_bytes_per_s: float
    latency_ms: Mapping[str, Percentiles]
    service_ms: Mapping[str, Percentiles]
    sizes: Mapping[str, SizeClass]
    stages_ms: Mapping[str, float]
    stages_from: int
    generator: Generator
    seconds: tuple[Second, ...]
    stopped: bool

    def json(self) -> dict[str, Any]:
        """As values that `json.dumps` takes; names are the attributes'. Neither key nor headers' values are in it."""
        found: dict[str, Any] = _plain(self)
        found["plan"].pop("api_key")
        found["plan"]["headers"] = [name for name, _ in self.plan.headers]
        return found


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(entry) for entry in value]
    return round(value, 6) if isinstance(value, float) else value
