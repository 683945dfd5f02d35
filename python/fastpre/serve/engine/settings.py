"""What can be set about an engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..scheduling.ladder import Ladder
from ..scheduling.policy import Adaptive, Choice, Policy

if TYPE_CHECKING:
    from ...spec import Spec

__all__ = ["Rung", "Settings"]


@dataclasses.dataclass(frozen=True)
class Rung:
    """A step of the quality ladder: another way to preprocess, with the same output shape and dtype.

    Attributes:
        name: what the response's parameter `quality` says.
        spec: what is done instead.
    """

    name: str
    spec: Spec

    def check(self, full: Spec) -> None:
        """Raises ValueError if a model that takes images of the full Spec cannot take this rung's."""
        for what in ("output_size", "channels", "dtype_name", "memory_format_name"):
            ours, theirs = getattr(self.spec, what), getattr(full, what)
            if ours != theirs:
                word = what.removesuffix("_name").replace("_", " ")
                raise ValueError(f"rung {self.name!r} has {word} {ours}, and the model takes {theirs}")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How an engine works; the defaults suit a CPU.

    Attributes:
        threads: that preprocess; None: the CPUs that this process may use.
        instances: batches of the model that run at a time.
        preprocess_batch, preprocess_wait_ms: the largest batch and the longest wait before preprocessing. On the CPU
            each image is its own batch; on CUDA a batch pays.
        batch, wait_ms: the largest batch, and the longest wait before the model. wait_ms=None: both follow the load so
            that `target_p99_ms` holds, with batches of at most `batch`.
        target_p99_ms: what a request may take, from its arrival to its answer, for 99 of 100.
        slots: images between the queue and the answer; None: room for `instances` batches that run, one that fills,
            and what the threads work on.
        queue_limit: images that may wait; more are refused at once.
        timeout_s: the deadline of a request that has none of its own.
        ladder: rungs below full quality, best first; empty: quality never changes.
        apart: more rungs, which no load chooses: for `Engine.submit(rung=...)`, counted on after those of the ladder.
        ladder_down_ms, ladder_up_ms: what is under way takes longer than the first: a step down; less than the second:
            up again.
        device: where preprocessing runs, as `fastpre.Preprocessor` takes it.
    """

    threads: int | None = None
    instances: int = 1
    preprocess_batch: int = 1
    preprocess_wait_ms: float = 0.0
    batch: int = 16
    wait_ms: float | None = None
    target_p99_ms: float = 50.0
    slots: int | None = None
    queue_limit: int = 256
    timeout_s: float = 30.0
    ladder: Sequence[Rung] = ()
    apart: Sequence[Rung] = ()
    ladder_down_ms: float = 100.0
    ladder_up_ms: float = 20.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("instances", "preprocess_batch", "batch", "queue_limit", "threads", "slots"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("preprocess_wait_ms", "wait_ms", "target_p99_ms", "timeout_s"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} must be at least 0, got {value}")
        if not 0 <= self.ladder_up_ms < self.ladder_down_ms:
            raise ValueError(
                f"ladder_up_ms ({self.ladder_up_ms:g}) must be at least 0 and below ladder_down_ms "
                f"({self.ladder_down_ms:g})"
            )
        if self.slots is not None and self.slots < max(self.batch, self.preprocess_batch):
            raise ValueError(f"slots ({self.slots}) must hold a batch of {max(self.batch, self.preprocess_batch)}")

    def before(self) -> Choice:
        """The knobs before preprocessing."""
        return Choice(self.preprocess_batch, self.preprocess_wait_ms / 1e3, patient=True)

    def policy(self, largest: int) -> Policy | Adaptive:
        """The knobs before the model, which takes batches of at most `largest`."""
        if self.wait_ms is None:
            return Adaptive(self.target_p99_ms / 1e3, largest)
        return Policy(Choice(largest, self.wait_ms / 1e3, patient=True))

    def slots_for(self, threads: int, largest: int) -> int:
        """How many slots the batch memory has."""
        if self.slots is not None:
            return self.slots
        return largest * (self.instances + 1) + threads * self.preprocess_batch

    def steps(self) -> Ladder | None:
        """The ladder's state, or None."""
        if not self.ladder:
            return None
        return Ladder(len(self.ladder) + 1, self.ladder_down_ms / 1e3, self.ladder_up_ms / 1e3)
