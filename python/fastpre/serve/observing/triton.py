"""Statistics in the shape that Triton's clients and load tools read (`model_stats`)."""

from __future__ import annotations

from typing import Any

from .recorder import Recorder

__all__ = ["statistics"]


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": int(seconds * 1e9)}


def statistics(name: str, version: str, recorder: Recorder) -> dict[str, Any]:
    """One model's entry.

    `compute_input` is preprocessing, `compute_infer` the model; outputs are views of the model's arrays, so
    `compute_output` takes no time of its own. `queue` is both waits, before preprocessing and before the model.
    """
    with recorder.lock:
        stages, outcomes = recorder.stages, recorder.outcomes
        ok = outcomes["ok"]
        waits = stages["queue"].total + stages["batch"].total
        inference = {
            "success": _duration(ok, recorder.latency.total),
            "fail": _duration(outcomes.total() - ok, recorder.failed_seconds),
            "queue": _duration(recorder.images, waits),
            "compute_input": _duration(recorder.images, stages["preprocess"].total),
            "compute_infer": _duration(recorder.images, stages["inference"].total),
            "compute_output": _duration(recorder.images, 0.0),
            "cache_hit": _duration(0, 0.0),
            "cache_miss": _duration(0, 0.0),
        }
        batches = [
            {
                "batch_size": size,
                "compute_input": _duration(batch.count, 0.0),
                "compute_infer": _duration(batch.count, batch.seconds),
                "compute_output": _duration(batch.count, 0.0),
            }
            for size, batch in sorted(recorder.batches.items())
        ]
        return {
            "name": name,
            "version": version,
            "last_inference": int(recorder.last_inference * 1e3),
            "inference_count": recorder.images,
            "execution_count": sum(batch.count for batch in recorder.batches.values()),
            "inference_stats": inference,
            "response_stats": {},
            "batch_stats": batches,
            "memory_usage": [],
        }
