"""What was counted within a second, from counters that only grow."""

from __future__ import annotations

import collections
import itertools
import time
from typing import TYPE_CHECKING, Any

from .bottleneck import Flow, verdict
from .recorder import CLIENT_GONE, REQUEST_STAGES, Recorder

if TYPE_CHECKING:
    from ..engine import Engine
    from ..engine.preprocessing import Pool

__all__ = ["OUTCOMES", "Counts", "ModelCounts", "outcome_of"]

RECENT_S = 10  # seconds that "lately" is
SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
PLACES = ("queued", "preprocessing", "ready", "running")

# What becomes of a request, for people: codes in groups. What is in none is the request's own fault: "rejected".
OUTCOMES = ("answered", "refused", "late", "rejected", "failed", "gone")
_OUTCOME_OF = {
    "ok": "answered",
    "overloaded": "refused",
    "draining": "refused",
    "deadline_exceeded": "late",
    "internal": "failed",
    "model_failed": "failed",
    "worker_lost": "failed",
    CLIENT_GONE: "gone",
}


def outcome_of(code: str) -> str:
    """The group of a code."""
    return _OUTCOME_OF.get(code, "rejected")


class Counts:
    """Requests by outcome since it was asked last."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._last: collections.Counter[str] = collections.Counter()
        self.since_last()

    def since_last(self) -> collections.Counter[str]:
        """By group; those without any are missing."""
        with self._recorder.lock:
            now = self._recorder.outcomes.copy()
        found: collections.Counter[str] = collections.Counter()
        for code, count in now.items():
            if count != self._last[code]:
                found[outcome_of(code)] += count - self._last[code]
        self._last = now
        return found


class Second:
    """Sums of one second: requests, milliseconds, batches."""

    __slots__ = ("batches", "inference_s", "outcomes", "preprocess_s", "seconds", "stages_s")

    def __init__(self, seconds: float, outcomes: collections.Counter[str], stages_s: dict[str, float]) -> None:
        self.seconds = seconds
        self.outcomes = outcomes
        self.stages_s = stages_s
        self.batches: dict[int, int] = {}
        self.preprocess_s = 0.0
        self.inference_s = 0.0


class ModelCounts:
    """One model's counters, second by second.

    Attributes:
        recorder: what is looked at.
        recent: of the last ten seconds, for the page: counts a second, percentiles, the verdict.
    """

    def __init__(self, engine: Engine, recorder: Recorder, name: str) -> None:
        self.recorder = recorder
        self.name = name
        self._engine = engine
        self._counts = Counts(recorder)
        self._looks = 0
        self._places = dict.fromkeys((*PLACES, "slots_used"), 0)
        self._wait_s = 0.0
        self._stages_s = dict.fromkeys(REQUEST_STAGES, 0.0)
        self._batches: dict[int, int] = {}
        self._inference_s = 0.0
        self._preprocess_s = 0.0
        self._qualities: collections.Counter[int] = collections.Counter()
        self._difference(0.0)  # what was counted before is no news
        self._new_qualities()
        self._seconds: collections.deque[Second] = collections.deque(maxlen=RECENT_S)
        self.recent: dict[str, Any] = {}
        self.summarize(0.0)

    @property
    def pool(self) -> Pool:
        """The threads that preprocess; other models may have the same."""
        return self._engine.pool

    @property
    def preprocess_s(self) -> float:
        """Thread seconds of the last ten seconds."""
        return sum(second.preprocess_s for second in self._seconds)

    def look(self) -> None:
        """Adds to the averages of what changes quickly."""
        scheduler = self._engine.scheduler
        for place in PLACES:
            self._places[place] += getattr(scheduler, place)
        self._places["slots_used"] += scheduler.slots.count - scheduler.slots.free
        self._wait_s = max(self._wait_s, scheduler.predicted_wait_s())
        self._looks += 1

    def close(self, seconds: float) -> dict[str, Any]:
        """Ends a second that took so many seconds; what happened in it, as JSON can have it."""
        second = self._difference(seconds)
        self._seconds.append(second)
        answered = second.outcomes["answered"]
        line: dict[str, Any] = {name: count for name, count in second.outcomes.items() if count}
        if answered:
            line["stages_ms"] = {stage: round(s / answered * 1e3, 3) for stage, s in second.stages_s.items()}
            line.update(self._percentiles(seconds))
        line.update((place, round(sum_ / max(self._looks, 1), 2)) for place, sum_ in self._places.items())
        line["wait_ms"] = round(self._wait_s * 1e3, 2)
        if second.batches:
            line["batches"] = sorted(second.batches.items())
        line["qualities"] = self._new_qualities()
        self._places = dict.fromkeys(self._places, 0)
        self._looks, self._wait_s = 0, 0.0
        return line

    def _difference(self, seconds: float) -> Second:
        recorder = self.recorder
        outcomes = self._counts.since_last()
        with recorder.lock:
            stages_s = dict(recorder.request_seconds)
            batches = {size: batch.count for size, batch in recorder.batches.items()}
            inference_s = sum(batch.seconds for batch in recorder.batches.values())
            preprocess_s = recorder.stages["preprocess"].total
        second = Second(seconds, outcomes, {name: s - self._stages_s[name] for name, s in stages_s.items()})
        new = {size: count - self._batches.get(size, 0) for size, count in batches.items()}
        second.batches = {size: count for size, count in new.items() if count}
        second.inference_s = inference_s - self._inference_s
        second.preprocess_s = preprocess_s - self._preprocess_s
        self._stages_s, self._batches = stages_s, batches
        self._inference_s, self._preprocess_s = inference_s, preprocess_s
        return second

    def _new_qualities(self) -> dict[str, int]:
        with self.recorder.lock:
            now = self.recorder.qualities.copy()
        names = self.recorder.rungs
        new = {names[rung]: count - self._qualities[rung] for rung, count in sorted(now.items())}
        self._qualities = now
        return {name: count for name, count in new.items() if count}

    def _percentiles(self, window_s: float) -> dict[str, float]:
        values = self.recorder.percentiles(tuple(SHARES.values()), window_s)
        return {name: round(value * 1e3, 3) for name, value in zip(SHARES, values, strict=False)}

    def summarize(self, pool_s: float) -> None:
        """Makes `recent` anew; `pool_s`: thread seconds that all models took from the pool meanwhile."""
        engine, seconds = self._engine, self._seconds
        took = sum(second.seconds for second in seconds)
        outcomes: collections.Counter[str] = sum((second.outcomes for second in seconds), collections.Counter())
        answered = outcomes["answered"]
        stages_ms = {}
        if answered:
            sums = {stage: sum(second.stages_s[stage] for second in seconds) for stage in REQUEST_STAGES}
            stages_ms = {stage: round(s / answered * 1e3, 3) for stage, s in sums.items()}
        batches = list(itertools.chain.from_iterable(second.batches.items() for second in seconds))
        runs = sum(count for _, count in batches)
        images = sum(size * count for size, count in batches)
        threads, instances = engine.pool.threads, engine.settings.instances
        busy = {
            "preprocess": pool_s / (took * threads) if took else 0.0,
            "inference": sum(second.inference_s for second in seconds) / (took * instances) if took else 0.0,
        }
        turned_away = outcomes["refused"] + outcomes["late"]
        shares = busy["preprocess"], busy["inference"]
        flow = Flow(answered, turned_away, took, stages_ms, *shares, threads, instances)
        self.recent = {
            "seconds": round(took, 1),
            "per_s": {name: round(outcomes[name] / took, 2) if took else 0.0 for name in OUTCOMES},
            "images_per_s": round(images / took, 2) if took else 0.0,
            "batch_mean": round(images / runs, 2) if runs else None,
            "stages_ms": stages_ms,
            "latency_ms": self._percentiles(took) if answered else {},
            "busy": {stage: round(min(share, 1.0), 3) for stage, share in busy.items()},
            "wait_ms": round(engine.scheduler.predicted_wait_s() * 1e3, 2),
            "verdict": verdict(flow)._asdict(),
            "looked": round(time.time(), 2),
        }
