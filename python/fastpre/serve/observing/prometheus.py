"""Metrics for Prometheus, collected when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from .histogram import Histogram
from .recorder import STAGES, Recorder

if TYPE_CHECKING:
    from ..engine import Engine

__all__ = ["Lag", "metrics", "registry"]

Family = TypeVar("Family", CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily)


class Lag(Protocol):
    """How late the event loop is."""

    @property
    def histogram(self) -> Histogram:
        """Seconds that a timer came late."""


class Models(Collector):
    """The engines' counters. Counting is the recorders' own, so that a request costs no more than a few additions."""

    def __init__(self, engines: Mapping[str, Engine], recorders: Mapping[str, Recorder], lag: Lag) -> None:
        self._engines = engines
        self._recorders = recorders
        self._lag = lag

    def collect(self) -> Iterator[Metric]:
        """All metrics."""
        requests = CounterMetricFamily("fastpre_requests", "Requests by outcome.", labels=["model", "code"])
        images = CounterMetricFamily("fastpre_images", "Images answered, by quality.", labels=["model", "quality"])
        cascade = CounterMetricFamily(
            "fastpre_cascade", "Images by what became of the cheap pass.", labels=["model", "outcome"]
        )
        moves = CounterMetricFamily("fastpre_moves", "Images copied so that a batch had no hole.", labels=["model"])
        latency = _seconds(HistogramMetricFamily, "fastpre_request_seconds", "First byte to answer.", "model")
        stages = _seconds(HistogramMetricFamily, "fastpre_stage_seconds", "Of each image.", "model", "stage")
        parts = _seconds(
            CounterMetricFamily,
            "fastpre_request_stage_seconds",
            "Of answered requests, without a gap.",
            "model",
            "stage",
        )
        busy = _seconds(CounterMetricFamily, "fastpre_batch_seconds", "That instances ran batches.", "model")
        sizes = HistogramMetricFamily("fastpre_batch_images", "Images of each batch.", labels=["model"])
        for name, recorder in self._recorders.items():
            with recorder.lock:
                for code, count in recorder.outcomes.items():
                    requests.add_metric([name, code], count)
                if not name:  # requests that came to no model
                    continue
                for rung, count in recorder.qualities.items():
                    images.add_metric([name, recorder.rungs[rung]], count)
                if recorder.cheap is not None:
                    kept = recorder.qualities[recorder.cheap]
                    cascade.add_metric([name, "kept"], kept)
                    cascade.add_metric([name, "retried"], recorder.qualities.total() - kept)
                moves.add_metric([name], recorder.moves)
                _add(latency, [name], recorder.latency)
                for stage in STAGES:
                    _add(stages, [name, stage], recorder.stages[stage])
                for stage, seconds in recorder.request_seconds.items():
                    parts.add_metric([name, stage], seconds)
                busy.add_metric([name], sum(batch.seconds for batch in recorder.batches.values()))
                _add(sizes, [name], recorder.sizes)
        yield from (requests, images, cascade, moves, latency, stages, parts, busy, sizes)
        yield from self._gauges()
        lag = _seconds(HistogramMetricFamily, "fastpre_event_loop_lag_seconds", "How late the event loop is.")
        _add(lag, [], self._lag.histogram)
        yield lag

    def _gauges(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily("fastpre_images_now", "Images by where they are.", labels=["model", "place"])
        ready = GaugeMetricFamily("fastpre_ready", "1 if the model takes requests.", labels=["model"])
        free = GaugeMetricFamily("fastpre_slots_free", "Free slots of the batch memory.", labels=["model"])
        threads = GaugeMetricFamily("fastpre_threads", "That preprocess, shared by all models.", labels=["model"])
        instances = GaugeMetricFamily("fastpre_instances", "Batches that run at a time.", labels=["model"])
        wait = _seconds(GaugeMetricFamily, "fastpre_predicted_wait_seconds", "For an image that comes now.", "model")
        for name, engine in self._engines.items():
            scheduler = engine.scheduler
            for place in ("queued", "preprocessing", "ready", "running"):
                depth.add_metric([name, place], getattr(scheduler, place))
            ready.add_metric([name], float(engine.ready))
            free.add_metric([name], scheduler.slots.free)
            threads.add_metric([name], engine.pool.threads)
            instances.add_metric([name], engine.settings.instances)
            wait.add_metric([name], scheduler.predicted_wait_s())
        yield from (depth, ready, free, threads, instances, wait)


def _seconds(kind: type[Family], name: str, text: str, *labels: str) -> Family:
    """A family whose unit OpenMetrics says, too."""
    return kind(name, text, labels=labels, unit="seconds")


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    family.add_metric(labels, histogram.cumulative(), histogram.total)


def registry(engines: Mapping[str, Engine], recorders: Mapping[str, Recorder], lag: Lag) -> CollectorRegistry:
    """A registry of its own: the application's default one stays as it is."""
    own = CollectorRegistry()
    own.register(Models(engines, recorders, lag))
    ProcessCollector(registry=own)
    PlatformCollector(registry=own)
    GCCollector(registry=own)
    return own


def metrics(own: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The metrics and their Content-Type, in the format that an Accept header prefers."""
    encode, content_type = choose_encoder(accept)
    return encode(own), content_type
