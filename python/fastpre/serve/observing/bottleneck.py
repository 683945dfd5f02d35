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
    "receive": "Bodies come in slowly: the clients' network, or large images.",
    "parse": "Binary tensors or plain images cost less to read than JSON.",
    "queue": "Images wait for a free thread or slot.",
    "preprocess": "More threads or cores, or smaller images, would help.",
    "batch": "Images wait for others, or for the batch that runs; a lower --wait or --target-p99 shortens it.",
    "inference": "A faster device, a smaller model or larger batches would help.",
    "respond": "Large outputs, or a late event loop.",
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
    """Under load waiting is not to blame: a queue is long because what follows is busy, so the busier one is named."""
    if not flow.answered and not flow.turned_away:
        return Verdict("idle", "", "No requests", f"None in the last {flow.seconds:.0f} seconds.")
    limit, share = ("inference", flow.inference_busy)
    if flow.preprocess_busy > flow.inference_busy:
        limit, share = ("preprocess", flow.preprocess_busy)
    who = "The model's " + _plural(flow.instances, "instance")
    if limit == "preprocess":
        who = _plural(flow.threads, "thread")
    cause = f"{who} {min(share, 1):.0%} busy. {HINTS[limit]}"
    total_ms = sum(flow.stages_ms.values())
    waits_ms = sum(flow.stages_ms.get(stage, 0.0) for stage in WAITS)
    waiting = f"{waits_ms:,.0f} of {total_ms:,.0f} ms" if total_ms >= 10 else f"{waits_ms:.1f} of {total_ms:.1f} ms"
    if flow.turned_away:
        lost = f"{flow.turned_away / (flow.answered + flow.turned_away):.0%} of the requests are turned away"
        lost += f", the others wait {waiting}." if flow.answered else "."
        if share < BUSY:
            why = "No stage is busy all the time: the load came in a burst."
            return Verdict("overloaded", "", "Overloaded", f"{lost} {why}")
        return Verdict("overloaded", limit, f"Overloaded: {NAMES[limit]} is the limit", f"{lost} {cause}")
    if share >= BUSY and waits_ms > total_ms / 2:
        title = f"Nearly full: {NAMES[limit]} is the limit"
        return Verdict("busy", limit, title, f"Requests wait {waiting}. {cause}")
    stage = max(flow.stages_ms, key=flow.stages_ms.__getitem__)
    took = f"It takes {flow.stages_ms[stage]:.1f} of {total_ms:.1f} ms."
    return Verdict("fine", stage, f"Keeping up; most time goes to {NAMES[stage]}", f"{took} {HINTS[stage]}")


def _plural(count: int, word: str) -> str:
    return f"{count} {word} is" if count == 1 else f"{count} {word}s are"
