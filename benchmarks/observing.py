"""What it costs a server to be seen: counters, traces, the live page's numbers.

usage: observing.py [--out FILE.json]

Microseconds of one core: medians of repeated runs, and their quartiles. Nothing is sent anywhere.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from fastpre.serve.building import ModelChoice, build
from fastpre.serve.engine import Settings
from fastpre.serve.errors import Overloaded
from fastpre.serve.inference import InferRequest, InferResponse, InputTensor
from fastpre.serve.observing.live import HISTORY_S, Live
from fastpre.serve.observing.loop_lag import LoopLag
from fastpre.serve.observing.prometheus import metrics, registry
from fastpre.serve.observing.recorder import REQUEST_STAGES
from fastpre.serve.observing.tracing import Tracing
from fastpre.serve.service import EngineService

RUNS = 25
STAGES_MS = dict.fromkeys(REQUEST_STAGES, 0.5)
REQUEST = InferRequest("tiny", [InputTensor("image", "BYTES", (1,), [b"x"])], received=time.monotonic())
UNSAMPLED = InferRequest("tiny", REQUEST.inputs, received=REQUEST.received, traceparent=f"00-{'a' * 32}-{'b' * 16}-00")
RESPONSE = InferResponse("tiny", "1", [], stages_ms=STAGES_MS)


class Discard(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class Holder:
    def __init__(self, tracing: Tracing | None) -> None:
        self.tracing = tracing

    def request(self, request: InferRequest) -> None:
        """What `EngineService.infer` does about traces."""
        if self.tracing is not None:
            self.tracing.answered(request, request.received, RESPONSE)


def measured(call: Callable[[], Any], count: int) -> dict[str, float]:
    """Microseconds a call."""
    took = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        for _ in range(count):
            call()
        took.append((time.perf_counter() - begun) / count * 1e6)
    low, median, high = statistics.quantiles(took, n=4)
    return {"us": round(median, 3), "q1": round(low, 3), "q3": round(high, 3)}


def traced(sampler: Sampler) -> Holder:
    provider = TracerProvider(sampler=ParentBased(sampler), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Discard()))
    return Holder(Tracing(provider))


def page(service: EngineService) -> dict[str, dict[str, float]]:
    recorder, live, now = service.recorders["tiny"], Live(service), 1000.0
    for _ in range(HISTORY_S):
        for _ in range(20):
            recorder.answered(0.01, STAGES_MS)
        recorder.failed(Overloaded("full"), 0.0, "")
        for size in range(1, 17):
            recorder.batch(size, 0.001, 0)
        for _ in range(10):
            now += 0.1
            live.sample(0.0, now)

    def second() -> None:
        nonlocal now
        recorder.outcomes["ok"] += 1000  # their latencies are there already
        for _ in range(10):
            now += 0.1
            live.sample(0.0, now)

    draw = random.Random(1)
    for _ in range(10_000):
        recorder.answered(draw.expovariate(100), STAGES_MS)
    own = registry(service.engines, service.recorders, LoopLag())
    return {
        "page: one poll": measured(lambda: live.document(live._next - 2), 50),
        "page: first poll, five minutes": measured(live.document, 20),
        "page: sampling, each second, at 1000 requests/s": measured(second, 20),
        "metrics: one scrape": measured(lambda: metrics(own, ""), 5),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    service = build([ModelChoice("builtin:tiny")], Settings(threads=1))
    recorder = service.recorders["tiny"]
    ratio, always = traced(TraceIdRatioBased(0.01)), traced(ALWAYS_ON)
    off = Holder(None)
    results = {
        "counters: an answered request": measured(lambda: recorder.answered(0.01, STAGES_MS), 2000),
        "traces off": measured(lambda: off.request(REQUEST), 20000),
        "traces on, 1% sampled": measured(lambda: ratio.request(REQUEST), 2000),
        "traces on, parent not sampled": measured(lambda: ratio.request(UNSAMPLED), 500),
        "traces on, all sampled": measured(lambda: always.request(REQUEST), 200),
        **page(service),
    }
    for engine in service.engines.values():
        engine.close(0)
    for name, row in results.items():
        print(f"{name:52} {row['us']:9.2f} us   ({row['q1']:.2f} to {row['q3']:.2f})")
    if arguments.out is not None:
        about = {
            "date": datetime.date.today().isoformat(),
            "opentelemetry-sdk": importlib.metadata.version("opentelemetry-sdk"),
            "runs": RUNS,
            "machine": machine.describe(),
        }
        arguments.out.write_text(json.dumps({**about, "results": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
