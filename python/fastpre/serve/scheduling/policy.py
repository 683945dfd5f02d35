"""When a batch goes to the model: by hand, or for a tail latency from the measured load."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from .measures import ServiceCurve

__all__ = ["Adaptive", "Choice", "Chooses", "Load", "Policy"]


@dataclasses.dataclass(frozen=True)
class Choice:
    """How a batch is made.

    Attributes:
        batch: its largest number of images.
        wait_s: how long its first image waits for others, in seconds.
        patient: wait even if fewer images are on their way than are there already. What may arrive is worth a wait to
            those who set it by hand; a policy that aims at a tail waits for what it knows of.
    """

    batch: int
    wait_s: float
    patient: bool = False


@dataclasses.dataclass(frozen=True)
class Load:
    """What is measured.

    Attributes:
        rate: images per second that arrive.
        curve: of the model.
        preprocess_s: thread seconds of an image before the model.
        instances: batches that run at a time.
        cores: CPU cores that preprocessing and the model share; 0: the model has a device of its own.
        waiting: images that are here already.
    """

    rate: float
    curve: ServiceCurve
    preprocess_s: float
    instances: int
    cores: int
    waiting: int = 0


class Chooses(Protocol):
    """A policy."""

    def choose(self, load: Load) -> Choice:
        """The choice for a load."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """A fixed choice: the knobs, set by hand."""

    choice: Choice

    def choose(self, load: Load) -> Choice:
        """The choice, whatever the load."""
        return self.choice


@dataclasses.dataclass(frozen=True)
class Adaptive:
    """Batch and wait for a p99 target, as in "BATCH" (Ali, Pinciroli, Yan, Smirni; SC 2020), by a simpler model.

    Waiting costs latency and makes batches larger, and larger ones cost less per image. So the shortest wait is taken
    that keeps what is busy below `busy`; if there is none, the one with the least work of those that meet the target.

    An image's time after preprocessing is at most: its wait, one batch that runs already, and its own:
    `wait + 2 * curve(batch)`. For `batch` to gather at `rate` takes `(batch - 1) / rate` on average.

    Attributes:
        target_s: p99 of a request, from its arrival to its answer.
        largest: of a batch.
        busy: share of the instances' or the cores' time that may be used before larger batches are worth a wait.
    """

    target_s: float
    largest: int
    busy: float = 0.95

    def choose(self, load: Load) -> Choice:
        """The choice for a load; without measurements: take what is there."""
        if not load.curve.known or load.rate <= 0:
            return Choice(self.largest, 0.0)
        best = self._in_time(load)
        # More waits, or arrives, than can be answered in time: what counts then is how many are answered at all.
        rest_s = load.waiting / best.batch * load.curve.seconds(best.batch) / load.instances
        late = rest_s > self.target_s or self._use(load, best.batch) > 1
        return Choice(self.largest, 0.0) if late else best

    def _in_time(self, load: Load) -> Choice:
        """The choice that meets the target, if there is one."""
        allowed = self.target_s - 2 * load.preprocess_s
        best = Choice(self._largest_in_time(load.curve, allowed), 0.0)
        least = self._use(load, 1)
        if least <= self.busy:
            return best
        size = 2
        while size <= self.largest:
            wait = (size - 1) / load.rate
            if wait + 2 * load.curve.seconds(size) > allowed:
                break
            use = self._use(load, size)
            if use < least:
                least, best = use, Choice(size, wait)
            if use <= self.busy:
                break
            size *= 2
        return best

    @staticmethod
    def _use(load: Load, size: int) -> float:
        """The share of time that is used if batches have `size` images; of the scarcer of instances and cores."""
        each = load.curve.seconds(size) / size
        instances = load.rate * each / load.instances
        cores = load.rate * (load.preprocess_s + each) / load.cores if load.cores else 0.0
        return max(instances, cores)

    def _largest_in_time(self, curve: ServiceCurve, allowed: float) -> int:
        """The largest batch of which two fit into the time; at least 1."""
        size = self.largest
        while size > 1 and 2 * curve.seconds(size) > allowed:
            size -= 1
        return size
