"""Traces: what a collector of OpenTelemetry gets of requests, and of which ones."""

from __future__ import annotations

import threading
import time

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanKind, StatusCode

import pictures
from collector import collector
from fastpre.serve.observing.recorder import REQUEST_STAGES
from fastpre.serve.observing.tracing import Tracing
from live_server import ask, running, served
from serving import Means

IMAGE = pictures.photograph(48, 32, seed=2)
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VARIABLES = ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT",
             "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")  # fmt: skip


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def traced(*requests: tuple[bytes, dict[str, str]], sampler: Sampler = ALWAYS_ON) -> list[ReadableSpan]:
    """The spans that some requests give, in the order of their ends."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(sampler), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    with served() as service:
        service.tracing = Tracing(provider)
        with running(service) as server:
            for body, headers in requests:
                ask(server.port, "/v1/predict", body, headers)
    return list(memory.get_finished_spans())


def parent(flag: str) -> dict[str, str]:
    return {"traceparent": f"00-{TRACE}-{SPAN}-{flag}"}


def test_a_request_is_a_span_with_a_child_for_each_stage() -> None:
    before = time.time_ns()
    *stages, request = traced((IMAGE, {}))
    assert [span.name for span in stages] == list(REQUEST_STAGES)
    assert (request.name, request.kind, request.parent) == ("infer means", SpanKind.SERVER, None)
    assert request.attributes is not None
    assert dict(request.attributes) == {
        "fastpre.model.name": "means",
        "fastpre.images": 1,
        "fastpre.model.version": "1",
    }
    assert request.status.status_code is StatusCode.UNSET
    assert request.start_time is not None
    assert before <= request.start_time
    end = request.start_time
    for span in stages:  # one after the other, without a gap, from the request's start to its end
        assert span.parent is not None
        assert request.context is not None
        assert span.parent.span_id == request.context.span_id
        assert span.start_time == end
        assert span.end_time is not None
        end = span.end_time
    assert end == request.end_time
    assert end <= time.time_ns()


def test_the_parent_decides() -> None:
    spans = traced((IMAGE, parent("01")), (IMAGE, parent("00")), sampler=ALWAYS_OFF)
    assert len(spans) == 1 + len(REQUEST_STAGES)
    assert spans[-1].context is not None
    assert spans[-1].parent is not None
    assert f"{spans[-1].context.trace_id:032x}" == TRACE
    assert f"{spans[-1].parent.span_id:016x}" == SPAN
    assert spans[-1].parent.is_remote
    assert traced((IMAGE, {}), (IMAGE, {"traceparent": "00-nonsense"}), sampler=ALWAYS_OFF) == []
    assert traced((IMAGE, {"traceparent": "00-nonsense"}))[-1].parent is None


def test_a_failure_says_what_it_was() -> None:
    def fail(_: object) -> None:
        raise ValueError("no")

    rejected = traced((IMAGE[:100], {}))[-1]
    assert rejected.attributes is not None
    assert rejected.attributes["error.type"] == "corrupt_image"
    assert rejected.status.status_code is StatusCode.UNSET  # the client's fault
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    model = Means()
    with served(model) as service, running(service) as server:
        service.tracing = Tracing(provider)
        model.hook = fail
        assert ask(server.port, "/v1/predict", IMAGE)[0] == 500
    (failed,) = memory.get_finished_spans()
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "model_failed"
    assert failed.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("how", ["argument", "environment", "whole path"])
def test_a_real_collector_gets_them_over_http(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "cats")
    with collector() as (url, got):
        if how == "environment":
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        given = {"argument": url, "environment": None, "whole path": f"{url}/v1/traces"}[how]
        tracing = Tracing.configured(given)
        assert tracing is not None
        with served() as service:
            service.tracing = tracing
            with running(service) as server:
                ask(server.port, "/v1/predict", IMAGE)
            tracing.close()
    ((path, message),) = got
    assert path == "/v1/traces"
    (resource,) = message.resource_spans
    named = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert named["service.name"] == "cats"
    spans = resource.scope_spans[0].spans
    assert [span.name for span in spans] == [*REQUEST_STAGES, "infer means"]


def test_without_an_endpoint_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Tracing.configured() is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert Tracing.configured() is None
    monkeypatch.delenv("OTEL_SDK_DISABLED")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    assert Tracing.configured() is None


def test_a_collector_that_does_not_answer_holds_back_nothing() -> None:
    tracing = Tracing.configured("http://127.0.0.1:9")
    assert tracing is not None
    threads = set(threading.enumerate())
    with served() as service:
        service.tracing = tracing
        with running(service) as server:
            assert ask(server.port, "/v1/predict", IMAGE)[0] == 200
    tracing.close()  # an SDK of its own would retry for a minute
    assert set(threading.enumerate()) <= threads
