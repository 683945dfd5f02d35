"""Quality rungs of which some are other models."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..engine import Engine
from ..engine.waiting import finished
from ..scheduling.items import Job
from ..scheduling.ladder import Ladder
from .doubts import same_outputs

__all__ = ["Variant", "Variants"]


class Variant(NamedTuple):
    """A rung.

    Attributes:
        name: what responses say.
        engine: the model's.
        rung: of that engine, as `Engine.submit` takes it.
    """

    name: str
    engine: Engine
    rung: int


class Variants:
    """Gives each request to the model that the load allows. The wait that counts is the longest of all engines.

    Within one engine the rung is chosen when an image's preprocessing begins; here when the request arrives, because it
    decides whose batch memory the image goes to.

    Args:
        variants: best first; the first one is the model itself.
        ladder: with as many rungs.

    Raises:
        ValueError: one of the models has other outputs.
    """

    def __init__(self, variants: Sequence[Variant], ladder: Ladder) -> None:
        for variant in variants:
            same_outputs(variants[0].engine.model, variant.engine.model)
        self._variants = variants
        self._ladder = ladder
        self._lock = threading.Lock()
        self._engines = list(dict.fromkeys(variant.engine for variant in variants))
        self.qualities = tuple(variant.name for variant in variants)

    @property
    def accepts(self) -> bool:
        """True if images are taken."""
        return self._engines[0].accepts

    @property
    def ready(self) -> bool:
        """True if every model is."""
        return all(engine.ready for engine in self._engines)

    def choose(self) -> int:
        """The rung for a request that arrives now."""
        wait = max(engine.scheduler.predicted_wait_s() for engine in self._engines)
        with self._lock:
            return self._ladder.choose(wait, time.monotonic())

    async def infer_all(
        self,
        images: Sequence[Any],
        *,
        deadline: float | None = None,
        priority: int = 0,
        partial: bool = False,
    ) -> Job:
        """As `Engine.infer_all`; the items' `rung` is an index into `qualities`."""
        index = self.choose()
        chosen = self._variants[index]
        submit: Callable[[Callable[[Job], None]], Job] = functools.partial(
            chosen.engine.submit, images, deadline=deadline, priority=priority, partial=partial, rung=chosen.rung
        )
        job = await finished(submit, chosen.engine.cancel)
        for item in job.items:
            item.rung = index
        return job
