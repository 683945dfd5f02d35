"""Numbers of the report: percentiles, histograms, stages, and the rule of falling behind."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from fastpre.load import LoadImage, Measurement, Percentiles, Plan
from fastpre.load.alarm import Alarm
from fastpre.load.histogram import histogram, percentiles, seconds_to_unit, summed
from fastpre.load.honesty import reasons
from fastpre.load.stages import MOST, StageSample, stage_times
from misbehaving import Answer, misbehaving


def test_percentiles_are_those_of_the_values() -> None:
    seconds = np.random.default_rng(0).gamma(2, 0.005, 5000)
    parts = [histogram(), histogram()]
    for i, value in enumerate(seconds):
        parts[i % 2].record_value(seconds_to_unit(value))
    found = percentiles(summed(parts))
    assert found.count == 5000
    for name, level in [("p50", 50), ("p75", 75), ("p90", 90), ("p95", 95), ("p99", 99), ("p999", 99.9)]:
        lower, upper = np.percentile(seconds, [level - 0.03, level + 0.03]) * 1e3  # the neighbours of the value
        assert lower * 0.999 <= getattr(found, name) <= upper * 1.001
    assert found.mean == pytest.approx(seconds.mean() * 1e3, rel=2e-3)
    assert found.max == pytest.approx(seconds.max() * 1e3, rel=2e-3)
    assert percentiles(histogram()) == Percentiles()


def test_a_percentile_needs_a_value_above_it() -> None:
    assert Percentiles(count=100).supports(99)
    assert not Percentiles(count=99).supports(99)
    assert Percentiles(count=1000).supports(99.9)
    assert not Percentiles(count=999).supports(99.9)


def test_times_out_of_range_are_kept_at_its_ends() -> None:
    assert seconds_to_unit(-1) == 0
    assert seconds_to_unit(1e9) == 3_600_000_000
    recorded = histogram()
    assert recorded.record_value(seconds_to_unit(1e9))
    assert recorded.record_value(0)


def lag(p50: float, p99: float) -> Percentiles:
    return Percentiles(count=1000, p50=p50, p99=p99)


@pytest.mark.parametrize(
    ("own", "loop", "latency", "cpu", "late", "count"),
    [
        (lag(0.4, 1.9), lag(0.4, 1.9), lag(0.1, 0.2), 0.9, 0, 0),  # below what counts
        (lag(0.6, 1.9), lag(0.1, 0.1), lag(2.9, 50), 0.1, 0, 1),
        (lag(0.6, 1.9), lag(0.1, 0.1), lag(3.1, 50), 0.1, 0, 0),
        (lag(0.1, 5.0), lag(0.1, 0.1), lag(3.0, 24), 0.1, 0, 1),
        (lag(0.1, 5.0), lag(0.1, 5.0), lag(3.0, 26), 0.1, 0, 0),
        (Percentiles(), lag(0.1, 5.0), lag(3.0, 24), 0.1, 0, 1),
        (lag(0.1, 0.1), lag(0.1, 0.1), lag(3.0, 24), 0.91, 0, 1),
        (lag(0.1, 0.1), lag(0.1, 0.1), lag(3.0, 24), 0.1, 1, 1),
        (lag(3.0, 9.0), lag(3.0, 9.0), Percentiles(), 0.95, 3, 6),
    ],
)
def test_the_rule(own: Percentiles, loop: Percentiles, latency: Percentiles, cpu: float, late: int, count: int) -> None:
    assert len(reasons(own, loop, latency, cpu, late)) == count


@pytest.mark.parametrize(
    ("header", "times"),
    [
        (b"queue;dur=0.25, decode;dur=1.5", {"queue": 0.25, "decode": 1.5}),
        (b'a;desc="x, y;dur=9";dur=2, b, c;dur="3"', {"a": 2.0, "c": 3.0}),
        (b"a; dur = 1.5e-1 ,a;dur=1", {"a": 1.15}),
        (b"cache;desc=hit, total;dur=", {}),
        (b"a;dur=1.2.3,b;dur=1", {"b": 1.0}),
        (b"", {}),
        (b"\xff;;=,", {}),
    ],
)
def test_server_timing_is_read_as_it_is_specified(header: bytes, times: dict[str, float]) -> None:
    assert stage_times(header) == pytest.approx(times)


def test_stages_are_sampled_evenly() -> None:
    sample = StageSample()
    for i in range(10 * MOST):
        sample.add(f"a;dur={i}".encode())
    assert MOST / 2 <= len(sample) <= MOST
    assert sample.medians()["a"] == pytest.approx(5 * MOST, rel=0.01)


@pytest.fixture(scope="module")
def measured() -> Measurement:
    with misbehaving(lambda r: Answer(503 if r.number % 5 == 4 else 200)) as server:
        plan = Plan(url=server.url, requests=50, warmup_s=0, api_key="secret-key", headers=(("x-a", "secret-value"),))
        measurement = Measurement(plan, [LoadImage("a.jpg", b"a" * 100)])
        measurement.report = measurement.carry_out()  # type: ignore[attr-defined]
    return measurement


def test_the_report_is_json_without_secrets(measured: Any) -> None:
    text = json.dumps(measured.report.json(), allow_nan=False)
    assert "secret" not in text
    found = json.loads(text)
    assert found["plan"]["headers"] == ["x-a"]
    assert found["outcomes"]["refused"] == 10
    assert found["latency_ms"]["ok"]["count"] == 40
    assert found["generator"]["fell_behind"] in (True, False)
    assert found["machine"]["versions"]["hdrhistogram"]
    assert len(found["seconds"]) == len(measured.report.seconds)
    assert math.isfinite(found["window_s"])
    assert {f.name for f in dataclasses.fields(measured.report)} == found.keys()


def test_histograms_are_what_other_readers_read(measured: Any, tmp_path: Path) -> None:
    path = tmp_path / "load.hdr"
    path.write_text(measured.histogram_log())
    lines = [line for line in path.read_text().splitlines() if line.startswith("Tag=")]
    found = {line.split(",")[0]: HdrHistogram.decode(line.split(",")[4]) for line in lines}
    assert found.keys() == {
        *(f"Tag={what}.{kind}.small" for what in ("latency", "service") for kind in ("ok", "refused")),
        "Tag=send_lag",
        "Tag=loop_lag",
    }
    ok = found["Tag=latency.ok.small"]
    assert ok.get_total_count() == 40
    assert ok.get_value_at_percentile(50) / 1e3 == pytest.approx(measured.report.latency_ms["ok"].p50)
    reader = HistogramLogReader(str(path), HdrHistogram(1, 3_600_000_000, 3))
    try:
        assert reader.get_next_interval_histogram().get_total_count() == 40
    finally:
        reader.close()


def test_the_distribution_is_in_milliseconds(measured: Any) -> None:
    text = measured.percentile_distribution()
    assert "TotalCount     =       40.000" in text
    rows = [line.split() for line in text.splitlines() if line[:1] == " " and line.split()[0][0].isdigit()]
    assert float(rows[-1][0]) == pytest.approx(measured.report.latency_ms["ok"].max, abs=2e-3)


@pytest.mark.parametrize("precise", [True, False])
def test_the_alarm_rings_in_time_and_never_early(precise: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not precise:
        monkeypatch.setattr(sys, "platform", "other")
    rung: list[float] = []

    async def ring() -> None:
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        due = time.monotonic() + 0.02

        def note() -> None:
            nonlocal due
            rung.append(time.monotonic() - due)
            due += 0.003
            if len(rung) < 10:
                alarm.set(due)
            elif not over.done():
                over.set_result(None)

        alarm = Alarm(loop, note)
        assert alarm.precise == (precise and sys.platform == "linux")
        alarm.set(time.monotonic() + 60)  # replaced by the next
        alarm.set(due)
        await asyncio.wait_for(over, 10)
        alarm.set(time.monotonic() - 1)  # in the past: at once
        alarm.cancel()
        await asyncio.sleep(0.01)
        alarm.set(float("inf"))
        alarm.close()

    asyncio.run(ring())
    assert len(rung) == 10
    assert min(rung) >= (-1e-6 if precise else -1e-3)
    assert sorted(rung)[2] < 0.01


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, fastpre; assert 'fastpre.load' not in sys.modules and 'hdrh' not in sys.modules\n"
    code += "import fastpre.load; print(*{'torch', 'grpc', 'google.protobuf', 'uvloop'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
