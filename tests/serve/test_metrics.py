"""/metrics: what `promtool check metrics` and an OpenMetrics scraper would say of it; and stage times that add up."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import openmetrics
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import pictures
from fastpre.serve.observing.recorder import REQUEST_STAGES
from live_server import ask, running, served, until

IMAGE = pictures.photograph(64, 48, seed=3)
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
BASE_UNITS = ("_seconds", "_bytes", "_ratio")
# Of prometheus_client's own collectors, which have these names everywhere.
THEIRS = ("process_", "python_")


@pytest.fixture(scope="module")
def scraped() -> Iterator[dict[str, str]]:
    """Both formats, of a server that has answered and refused."""
    with served() as service, running(service) as server:
        for _ in range(5):
            ask(server.port, "/v1/predict", IMAGE)
        ask(server.port, "/v1/predict", IMAGE[:200])
        ask(server.port, "/v2/models/other/infer", b"{}")
        until(lambda: b"lag_seconds_count 0.0\n" not in ask(server.port, "/metrics")[2])
        found = {}
        for name, accept in (("text", "text/plain"), ("openmetrics", OPENMETRICS)):
            status, headers, body = ask(server.port, "/metrics", headers={"accept": accept})
            assert status == 200
            assert headers["content-type"].startswith(
                "application/openmetrics-text" if name == "openmetrics" else "text/plain"
            )
            found[name] = body.decode()
        yield found


def families(scraped: dict[str, str], form: str) -> list[Metric]:
    parse: Any = parse_openmetrics if form == "openmetrics" else parse_text
    return list(parse(scraped[form]))


@pytest.mark.parametrize("form", ["text", "openmetrics"])
def test_promtool_would_not_complain(scraped: dict[str, str], form: str) -> None:
    found = families(scraped, form)
    assert not [name for name, count in Counter(family.name for family in found).items() if count > 1]
    series = Counter(
        (sample.name, tuple(sorted(sample.labels.items()))) for family in found for sample in family.samples
    )
    assert not [one for one, count in series.items() if count > 1]
    own = [family for family in found if not family.name.startswith(THEIRS)]
    assert {family.name for family in own} >= {
        "fastpre_requests",
        "fastpre_request_seconds",
        "fastpre_event_loop_lag_seconds",
    }
    for family in own:
        assert family.documentation, family.name
        assert re.fullmatch(r"fastpre(_[a-z]+)+", family.name)
        # Units are base units, and no name has its type.
        assert not re.search(r"_(ms|milliseconds|us|kb|mb|percent|gauge|counter|histogram)(_|$)", family.name)
        for sample in family.samples:
            assert sample.value >= 0
            if family.type == "counter":
                assert sample.name == f"{family.name}_total"
            elif family.type == "gauge":
                assert not sample.name.endswith(("_total", "_count", "_sum", "_bucket"))
        if family.type == "histogram":
            histogram(family)
        if form == "openmetrics" and family.unit:
            assert f"_{family.unit}" in BASE_UNITS
            assert family.name.endswith(f"_{family.unit}")
    assert all("_seconds" not in family.name or family.unit for family in own) or form == "text"
    if form == "openmetrics":
        assert scraped[form].endswith("# EOF\n")
        assert openmetrics.exposition.CONTENT_TYPE_LATEST.startswith("application/openmetrics-text")


def histogram(family: Metric) -> None:
    """Buckets grow, end with +Inf, and agree with the count."""
    by_labels: dict[Any, list[Any]] = {}
    for sample in family.samples:
        key = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        by_labels.setdefault(key, []).append(sample)
    for samples in by_labels.values():
        buckets = [sample for sample in samples if sample.name.endswith("_bucket")]
        bounds = [float(sample.labels["le"]) for sample in buckets]
        counts = [sample.value for sample in buckets]
        assert bounds == sorted(set(bounds))
        assert bounds[-1] == float("inf")
        assert counts == sorted(counts)
        (total,) = (sample.value for sample in samples if sample.name.endswith("_count"))
        assert counts[-1] == total


def test_the_numbers_are_those_of_the_requests(scraped: dict[str, str]) -> None:
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families(scraped, "text")
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }
    assert samples["fastpre_requests_total", "means", "ok"] == 5
    assert samples["fastpre_requests_total", "corrupt_image", "means"] == 1
    assert samples["fastpre_requests_total", "", "not_found"] == 1
    assert samples["fastpre_request_seconds_count", "means"] == 5
    keys = [("fastpre_request_stage_seconds_total", *sorted(("means", stage))) for stage in REQUEST_STAGES]
    parts = sum(samples[key] for key in keys)
    assert parts == pytest.approx(samples["fastpre_request_seconds_sum", "means"], abs=1e-9)
    assert samples[("fastpre_event_loop_lag_seconds_count",)] > 0
    assert samples["fastpre_batch_seconds_total", "means"] > 0
    assert (samples["fastpre_threads", "means"], samples["fastpre_instances", "means"]) == (2, 1)
    assert not [key for key in samples if key[1:2] == ("",) and key[0] != "fastpre_requests_total"]


def test_server_timing_adds_up_to_what_a_client_sees() -> None:
    with served() as service, running(service) as server:
        ask(server.port, "/v1/predict", IMAGE)
        rest = []
        for path in ("/v1/predict", "/v2/models/means/infer"):
            headers = {"Inference-Header-Content-Length": "0"} if "infer" in path else {}
            for _ in range(10):
                begun = time.monotonic()
                status, answer, _ = ask(server.port, path, IMAGE, headers)
                took_ms = (time.monotonic() - begun) * 1e3
                assert status == 200
                parts = dict(part.split(";dur=") for part in answer["server-timing"].split(", "))
                assert list(parts) == list(REQUEST_STAGES)
                total_ms = sum(map(float, parts.values()))
                assert total_ms <= took_ms + 0.01  # each is rounded to a microsecond
                rest.append(took_ms - total_ms)
        recorder = service.recorders["means"]
        assert sum(recorder.request_seconds.values()) == pytest.approx(recorder.latency.total, abs=1e-9)
        # What is left is a connection's start, and the client; a stage that is missing would be in each of them.
        assert min(rest) < 20
