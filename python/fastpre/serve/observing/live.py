"""The last five minutes of a server, second by second: what the live page shows."""

from __future__ import annotations

import collections
import os
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import orjson

from .counting import Counts, ModelCounts
from .loop_lag import PERIOD_S

if TYPE_CHECKING:
    from ..service import EngineService

__all__ = ["Live"]

HISTORY_S = 300
FAILURES = 30  # shown of one model


class Live:
    """Looks at the engines ten times a second, and keeps a line for each second.

    A line is kept as JSON: asking for it costs a copy. Memory is bounded by `HISTORY_S` lines of less than 1 KiB for
    each model, and one pair for each batch size in use.

    Args:
        service: whose engines are watched.
    """

    def __init__(self, service: EngineService) -> None:
        self._service = service
        self._run = uuid.uuid4().hex[:12]
        self._started = time.time()
        # Pipelines have no engine of their own: their models show what they do.
        self._models = {
            info.name: ModelCounts(service.engines[info.name], service.recorders[info.name], info.name)
            for info in service.models()
            if info.name in service.engines
        }
        self._about = orjson.dumps(_about(service))
        self._lines: collections.deque[bytes] = collections.deque(maxlen=HISTORY_S)
        self._next = 0  # number of the next line
        self._since = 0.0
        self._lag = 0.0
        self._cpu_s = time.process_time()
        self._refused = Counts(service.refusals)
        self._refused_recently: collections.deque[int] = collections.deque(maxlen=10)
        self._now: dict[str, Any] = {"lag_ms": 0.0, "cpu_cores": 0.0, "refused": 0}

    def sample(self, late_s: float, now: float) -> None:
        """Looks once; `LoopLag` calls it.

        Args:
            late_s: how late the event loop is.
            now: seconds of the loop's clock.
        """
        if not self._since:
            self._since = now - PERIOD_S
        self._lag = max(self._lag, late_s)
        for model in self._models.values():
            model.look()
        if now - self._since >= 1.0 - PERIOD_S / 2:
            self._close(now)

    def _close(self, now: float) -> None:
        """Ends a second."""
        seconds = now - self._since
        cpu_s = time.process_time()
        refused = self._refused.since_last().total()
        self._refused_recently.append(refused)
        self._now = {
            "lag_ms": round(self._lag * 1e3, 2),
            "cpu_cores": round((cpu_s - self._cpu_s) / seconds, 3),
            "refused": sum(self._refused_recently),
        }
        line = {
            "n": self._next,
            "at": round(time.time(), 2),
            "seconds": round(seconds, 3),
            "lag_ms": self._now["lag_ms"],
            "cpu_cores": self._now["cpu_cores"],
            "refused": refused,
            "models": {name: model.close(seconds) for name, model in self._models.items()},
        }
        models = self._models.values()
        for model in models:
            model.summarize(sum(other.preprocess_s for other in models if other.pool is model.pool))
        self._lines.append(orjson.dumps(line))
        self._next += 1
        self._since, self._lag, self._cpu_s = now, 0.0, cpu_s

    def document(self, after: int = -1) -> bytes:
        """What `GET /v1/live` answers, as JSON.

        Args:
            after: number of the last second that the reader has; -1: none. Numbers begin with 0 at the start of the
                server, which `run` tells apart from others.
        """
        first = self._next - len(self._lines)
        skipped = min(max(after + 1 - first, 0), len(self._lines))
        lines = b",".join(line for i, line in enumerate(self._lines) if i >= skipped)
        service = self._service
        models = {
            name: {
                "ready": service.engines[name].ready,
                **model.recent,
                "failures": model.recorder.last_failures(FAILURES),
                "totals": dict(model.recorder.outcomes),
            }
            for name, model in self._models.items()
        }
        document = {
            "run": self._run,
            "now": round(time.time(), 2),
            "uptime_s": round(time.time() - self._started, 1),
            "ready": service.ready,
            "draining": service.draining,
            "server": orjson.Fragment(self._about),
            **self._now,
            "failures": service.refusals.last_failures(FAILURES),
            "totals": dict(service.refusals.outcomes),
            "models": models,
            "history": orjson.Fragment(b"[" + lines + b"]"),
        }
        return orjson.dumps(document)


def _about(service: EngineService) -> Mapping[str, Any]:
    """What does not change while the server runs."""
    models = {}
    for info in service.models():
        engine = service.engines.get(info.name)
        if engine is None:
            continue
        settings, spec = engine.settings, engine.model.spec
        models[info.name] = {
            "platform": info.platform,
            "task": info.task,
            "device": engine.model.device,
            "versions": info.versions,
            "inputs": [_tensor(tensor) for tensor in info.inputs],
            "outputs": [_tensor(tensor) for tensor in info.outputs],
            "image": [spec.channels, *(spec.output_size or ())],
            "threads": engine.pool.threads,
            "instances": settings.instances,
            "batch": engine.largest,
            "wait_ms": settings.wait_ms,
            "target_p99_ms": None if settings.wait_ms is not None else settings.target_p99_ms,
            "queue_limit": engine.scheduler.queue_limit,
            "slots": engine.scheduler.slots.count,
            "qualities": service.recorders[info.name].rungs,
        }
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"name": service.name, "version": service.version, "cores": cores, "models": models}


def _tensor(tensor: Any) -> str:
    return f"{tensor.name}: {tensor.datatype} ({', '.join('n' if n < 0 else str(n) for n in tensor.shape)})"
