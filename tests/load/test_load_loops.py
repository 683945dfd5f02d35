"""What latencies mean: an open loop omits nothing, and a generator that is late says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from fastpre.load import LoadImage, Measurement, Plan, Report, run
from misbehaving import Answer, Arrived, Server, misbehaving

IMAGES = [bytes([i]) * 300 for i in range(4)]
STALL_S = 0.3


class Stall:
    """A server that does nothing for 300 ms from its hundredth request on: what arrives meanwhile waits for the end."""

    def __init__(self) -> None:
        self.until = 0.0

    def __call__(self, request: Arrived) -> Answer:
        now = time.monotonic()
        if request.number == 100:
            self.until = now + STALL_S
        return Answer(after_s=max(0.0, self.until - now))


def test_a_stall_shows_in_every_request_that_was_due_meanwhile() -> None:
    """200 a second for 1.5 s, of which 300 ms are lost: 60 requests waited, 40 of them for more than 100 ms."""
    with misbehaving(Stall()) as server:
        plan = Plan(url=server.url, rate=200, arrivals="constant", duration_s=1.5, warmup_s=0)
        report = run(plan, IMAGES)
    assert report.outcomes["ok"] == report.due == 300
    latency = report.latency_ms["ok"]
    # Of 300 latencies the highest 60 are 300, 295, 290 ... ms. A busy machine makes them longer, never shorter.
    assert latency.max >= 295
    assert latency.p99 >= 280
    assert latency.p95 >= 215
    assert latency.p90 >= 140
    assert latency.p50 < latency.p90 / 2
    assert max(s.p99_ms or 0 for s in report.seconds) >= 290
    # They were sent meanwhile, on connections of their own, as the requests of so many users would have been.
    assert server.connections > 3 + 30


def test_a_closed_loop_does_not_see_it_and_that_is_why_it_is_not_the_default_with_a_rate() -> None:
    with misbehaving(Stall()) as server:
        report = run(Plan(url=server.url, concurrency=1, requests=300, warmup_s=0), IMAGES)
    assert report.latency_ms["ok"].max >= 295
    assert report.latency_ms["ok"].p95 < 100


def test_requests_held_back_count_from_when_they_were_due() -> None:
    """One outstanding request at most: those due during the stall are sent after it, and were late all the same."""
    with misbehaving(Stall()) as server:
        plan = Plan(url=server.url, rate=200, arrivals="constant", duration_s=1.5, warmup_s=0, max_outstanding=1)
        report = run(plan, IMAGES)
    assert report.latency_ms["ok"].p90 >= 140
    assert report.service_ms["ok"].p90 < 140  # they themselves took no time
    assert report.generator.held_back >= 50
    assert report.generator.send_lag_ms.p90 >= 140
    assert report.generator.own_lag_ms.count == report.due - report.generator.held_back - report.generator.never_sent
    assert server.connections == 3 + 1


def test_a_server_too_slow_for_the_rate_shows_and_memory_is_bounded() -> None:
    """Capacity of 4 x 20 requests a second, asked for 400: 4 are under way, no more, and the rest is reported."""
    with misbehaving(lambda _: Answer(after_s=0.05)) as server:
        plan = Plan(url=server.url, rate=400, duration_s=1, warmup_s=0.2, max_outstanding=4)
        report = run(plan, IMAGES)
    assert server.connections <= 3 + 4
    generator = report.generator
    assert generator.never_sent > 200
    assert report.due == report.outcomes["ok"] + generator.never_sent
    assert 300 < report.due < 500
    assert report.goodput <= 81
    assert report.error_share == pytest.approx(generator.never_sent / report.due)
    assert report.latency_ms["ok"].p50 > 200  # and rising: they waited ever longer
    assert report.service_ms["ok"].p50 < 200
    assert not any("never sent" in reason for reason in generator.reasons)  # that was the server's fault


def stalled(server: Server, stall: Callable[[], None], **options: Any) -> Report:
    """A measurement whose own event loop is blocked for 0.3 s after its first second."""
    plan = Plan(url=server.url, duration_s=1.7, warmup_s=0, **options)
    named = [LoadImage(str(i), image) for i, image in enumerate(IMAGES)]
    return Measurement(plan, named).carry_out(on_second=lambda second, _: stall() if second == 0 else None)


@pytest.mark.parametrize("options", [{"rate": 100, "arrivals": "constant"}, {"concurrency": 2}])
def test_a_generator_that_stalls_says_that_it_did(options: dict[str, Any]) -> None:
    with misbehaving(lambda _: Answer(after_s=0.005)) as server:
        report = stalled(server, lambda: time.sleep(STALL_S), **options)
    generator = report.generator
    assert generator.fell_behind
    assert generator.loop_lag_ms.max >= 270
    assert generator.loop_lag_ms.p90 >= 100  # every tick that it left out counts: 15 of 85
    if "rate" in options:
        assert report.outcomes["ok"] == 170
        assert generator.own_lag_ms.p95 >= 200
        assert report.latency_ms["ok"].max >= 280
        assert any("requests were sent" in reason for reason in generator.reasons)
    else:
        assert any("event loop" in reason for reason in generator.reasons)


def test_a_generator_that_cannot_keep_up_says_so() -> None:
    """A million requests a second are beyond it."""
    with misbehaving() as server:
        plan = Plan(url=server.url, rate=1e6, arrivals="constant", duration_s=0.2, warmup_s=0, max_outstanding=4096)
        report = run(plan, IMAGES)
    assert report.generator.fell_behind
    assert report.due == 200_000
    assert report.outcomes["ok"] < 200_000


def test_the_series_adds_up() -> None:
    with misbehaving(lambda r: Answer(503 if r.number % 10 == 9 else 200)) as server:
        report = run(Plan(url=server.url, rate=100, arrivals="constant", duration_s=2, warmup_s=0.5), IMAGES)
    assert report.due == 200
    assert [s.second for s in report.seconds] == list(range(len(report.seconds)))
    assert sum(s.due for s in report.seconds) == sum(s.sent for s in report.seconds) == 200
    assert sum(s.refused for s in report.seconds) >= report.outcomes["refused"] >= 18
    assert sum(s.ok for s in report.seconds) >= report.outcomes["ok"]  # the warm-up's last may be among them
    assert report.seconds[0].due == report.seconds[1].due == 100
    assert 48 <= report.warmup_requests <= 50
    assert all(s.p50_ms is not None and s.p50_ms <= (s.p99_ms or 0) for s in report.seconds[:2])
    assert report.window_s == pytest.approx(2, abs=1e-6)
    assert report.rate_due == pytest.approx(100)
    assert report.generator.cpu_ms_per_request > 0


def test_sizes_are_reported_apart() -> None:
    images = [bytes(100), bytes(50_000)]
    with misbehaving(lambda r: Answer(after_s=0.03 if len(r.body) > 1000 else 0)) as server:
        report = run(Plan(url=server.url, requests=40, warmup_s=0, mix={"small": 1, "medium": 1}), images)
    small, medium = report.sizes["small"], report.sizes["medium"]
    assert small.sent + medium.sent == 40
    assert (small.mean_image_bytes, medium.mean_image_bytes) == (100, 50_000)
    assert medium.latency_ms.p50 >= 30 > small.latency_ms.p50
    assert small.outcomes == {"ok": small.sent}


def test_batches_count_as_images() -> None:
    with misbehaving() as server:
        report = run(Plan(url=server.url, requests=10, warmup_s=0, batch=4), IMAGES)
    assert report.goodput_images == pytest.approx(4 * report.goodput)
    assert all(len(a.body) > 1200 for a in server.arrived)


@pytest.mark.parametrize("options", [{"rate": 200}, {"concurrency": 3}])
def test_the_count_bounds_too(options: dict[str, Any]) -> None:
    with misbehaving() as server:
        report = run(Plan(url=server.url, requests=31, duration_s=30, warmup_s=0.1, **options), IMAGES)
    assert report.due == report.outcomes["ok"] == 31
    assert 0 < report.window_s < 5


def test_a_trace_that_ends_is_the_end(tmp_path: Any) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("Timestamp\n" + "".join(f"{i / 100}\n" for i in range(30)))
    with misbehaving() as server:
        report = run(Plan(url=server.url, arrivals=str(path), duration_s=30, warmup_s=0.1), IMAGES)
    assert (report.due, report.warmup_requests) == (20, 10)


def test_an_error_of_our_own_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not: is printed by the event loop, again and again."""
    from fastpre.load.tally import Tally

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Tally, "add", broken)
    with misbehaving() as server, pytest.raises(ZeroDivisionError, match="a bug"):
        run(Plan(url=server.url, requests=5, warmup_s=0), IMAGES)
