"""Which stage holds a model's requests back, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Flow", "Verdict", "verdict"]

BUSY = 0.8  # of a stage's time: above it, waiting grows quickly
WAITS = ("queue", "batch")

NAMES = {
    "receive": "receiving",
    "parse": "the protocol",
    "queue": "the queue",
    "preprocess": "preprocessing",
    "batch": "the wait for a batch",
    "inference": "inference",
    "respond": "the protocol",
}
HINTS = {
    "receive": "Requests come in slowly: the clients' network, or large bodies.",
    "parse": "Reading requests takes longer than the work: binary tensors cost less than JSON.",
    "queue": "Images wait for a free thread or slot.",
    "preprocess": "Images are large for the model, or threads are few (--threads).",
    "batch": "Images wait for others, or for the batch that runs; --wait or --target-p99 shorten it.",
    "inference": "The model itself: a faster device, or a smaller model.",
    "respond": "Answers go out slowly: large outputs, or a late event loop.",
}


class Flow(NamedTuple):
    """What happened lately.

    Attributes:
        answered, turned_away: requests; those that had no room or were too late are turned away.
        seconds: that they came in.
        stages_ms: milliseconds of an answered request, by stage, in order.
        preprocess_busy, inference_busy: shares of the time of all threads, and of all instances.
        threads, instances: how many there are.
    """

    answered: int
    turned_away: int
    seconds: float
    stages_ms: Mapping[str, float]
    preprocess_busy: float
    inference_busy: float
    threads: int
    instances: int


class Verdict(NamedTuple):
    """What a person in a hurry should know.

    Attributes:
        state: "idle", "fine", "busy" or "overloaded".
        stage: the one that is to blame; empty: none.
        title, text: a heading, and a sentence or two.
    """

    state: str
    stage: str
    title: str
    text: str


def verdict(flow: Flow) -> Verdict:
    """Waiting is never to blame: a queue is long because what comes after it is busy, so the busier stage is named."""
    if not flow.answered and not flow.turned_away:
        return Verdict("idle", "", "No requests", f"None in the last {flow.seconds:.0f} seconds.")
    limit, share = ("inference", flow.inference_busy)
    if flow.preprocess_busy > flow.inference_busy:
        limit, share = ("preprocess", flow.preprocess_busy)
    workers = _plural(flow.threads, "thread") if limit == "preprocess" else _plural(flow.instances, "instance")
    verb = "is" if workers.startswith("1 ") else "are"
    cause = f"Its {workers} {verb} {min(share, 1):.0%} busy. {HINTS[limit]}"
    if flow.turned_away:
        total = flow.answered + flow.turned_away
        lost = f"{flow.turned_away / total:.0%} of the requests are turned away."
        if share < BUSY:
            return Verdict(
                "overloaded", "", "Overloaded", f"{lost} No stage is busy all the time: the load came in a burst."
            )
        return Verdict("overloaded", limit, f"Overloaded: {NAMES[limit]} is the limit", f"{lost} {cause}")
    total_ms = sum(flow.stages_ms.values())
    waits_ms = sum(flow.stages_ms.get(stage, 0.0) for stage in WAITS)
    if share >= BUSY and waits_ms > total_ms / 2:
        waiting = f"Requests wait {waits_ms:.1f} of {total_ms:.1f} ms."
        return Verdict("busy", limit, f"Nearly full: {NAMES[limit]} is the limit", f"{waiting} {cause}")
    stage = max(flow.stages_ms, key=flow.stages_ms.__getitem__, default="")
    if not stage:
        return Verdict("fine", "", "Answering", "")
    took = f"{flow.stages_ms[stage]:.1f} of {total_ms:.1f} ms."
    return Verdict("fine", stage, f"Keeping up; most time goes to {NAMES[stage]}", f"{took} {HINTS[stage]}")


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
