"""Traces for OpenTelemetry: a span for each request, made from its stage times once it is answered."""

from __future__ import annotations

import os
import re
import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ServeError
from ..inference import InferRequest, InferResponse

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["Tracing"]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_CLOSE_S = 2.0
_NOT_SAMPLED = re.compile("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][02468ace]")


class Tracing:
    """Makes the spans and sends them, in a thread of the SDK's.

    Nothing is measured for it: each request has its stage times anyway, and a span is made of them after the answer is
    known, with time stamps of then. What is not sampled costs the decision alone. A request's `traceparent` is its
    parent, and whether that one was sampled decides; without one the sampler does (`OTEL_TRACES_SAMPLER`, or all).

    Args:
        provider: of the SDK; `close` shuts it down.
        exporter: what sends; `close` ends its retries.
    """

    def __init__(self, provider: TracerProvider, exporter: SpanExporter | None = None) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation import tracecontext

        self._provider = provider
        self._exporter = exporter
        self._tracer = provider.get_tracer("fastpre.serve")
        self._kind = SpanKind.SERVER
        self._inside = set_span_in_context
        self._error = Status(StatusCode.ERROR)
        self._propagator = tracecontext.TraceContextTextMapPropagator()

    @classmethod
    def configured(cls, url: str | None = None) -> Tracing | None:
        """What the environment asks for, with all the OTEL_* variables that the SDK knows; None: no traces.

        Args:
            url: of a collector (OTLP over HTTP), such as http://127.0.0.1:4318; goes before the environment.
        """
        off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        none = os.environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none"
        if off or (url is None and (none or not any(os.environ.get(name) for name in _ENDPOINTS))):
            return None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        from ..._core import __version__

        named = os.environ.get("OTEL_SERVICE_NAME") or "fastpre"
        resource = Resource.create({"service.name": named, "service.version": __version__})
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(None if url is None else _traces_url(url))
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider, exporter)

    def answered(self, request: InferRequest, begun: float, response: InferResponse) -> None:
        """A request was answered; `begun` is `time.monotonic()` of its first byte."""
        if _left_out(request):
            return
        span, start = self._begin(request, begun)
        if not span.is_recording():
            return
        span.set_attribute("fastpre.model.version", response.version)
        for name, value in response.parameters.items():
            span.set_attribute(f"fastpre.{name}", value)
        inside = self._inside(span)
        at, passed_ms = start, 0.0
        for stage, took_ms in response.stages_ms.items():
            child = self._tracer.start_span(stage, inside, start_time=at)
            passed_ms += took_ms
            at = start + round(passed_ms * 1e6)
            child.end(at)
        span.end(at)

    def failed(self, request: InferRequest, begun: float, error: ServeError) -> None:
        """A request had an error as its answer."""
        if _left_out(request):
            return
        span, _ = self._begin(request, begun)
        if not span.is_recording():
            return
        span.set_attribute("error.type", error.code)
        span.set_attribute("fastpre.reason", error.reason)
        if error.status >= 500:  # by the semantic conventions, what the client has done is no error of the server
            span.set_status(self._error)
        span.end()

    def _begin(self, request: InferRequest, begun: float) -> tuple[Any, int]:
        """The request's span, and when it began in nanoseconds since 1970."""
        from opentelemetry.context import Context

        parent = Context()
        if request.traceparent:
            parent = self._propagator.extract({"traceparent": request.traceparent}, parent)
        start = time.time_ns() - round((time.monotonic() - begun) * 1e9)
        span = self._tracer.start_span(f"infer {request.model}", parent, self._kind, start_time=start)
        if span.is_recording():
            span.set_attribute("fastpre.model.name", request.model)
            span.set_attribute("fastpre.images", len(request.inputs[0].data) if request.inputs else 0)
            if request.id:
                span.set_attribute("fastpre.request.id", request.id)
        return span, start

    def close(self) -> None:
        """Sends what is left, for at most 2 seconds."""
        # The SDK would wait for a collector that does not answer as long as its retries take.
        thread = threading.Thread(target=self._provider.shutdown, name="fastpre-last-traces", daemon=True)
        thread.start()
        thread.join(_CLOSE_S)
        if thread.is_alive() and self._exporter is not None:
            self._exporter.shutdown()
            thread.join(_CLOSE_S)


def _left_out(request: InferRequest) -> bool:
    """True if its parent was not sampled: most requests, where few are, so it is found out without the SDK (20 us)."""
    return bool(request.traceparent) and _NOT_SAMPLED.fullmatch(request.traceparent) is not None


def _traces_url(url: str) -> str:
    """The path is /v1/traces, unless the URL has one."""
    return url.rstrip("/") + "/v1/traces" if urlsplit(url).path in ("", "/") else url
