"""What the engine makes of images that are unlike those before, and of models that do not return."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

import pictures
from fastpre.serve.engine import Engine, Settings
from fastpre.serve.errors import WorkerLost
from fastpre.serve.handover import WorkerDied
from fastpre.serve.handover.threads import Threads
from fastpre.serve.scheduling.items import Job
from serving import Gate, Means

SMALL = pictures.photograph(24, 24)
LARGE = pictures.photograph(2600, 1950)


def test_a_photograph_after_thumbnails_is_not_thought_to_take_for_ever() -> None:
    with Engine(Means(), Settings(threads=1)) as engine:
        for _ in range(20):
            engine.run(SMALL)
        item = Job([LARGE], lambda job: None, 0.0).items[0]
        engine._costs.predict(item, 0, engine.scheduler.preprocess_s.value)
        assert 0 < item.cost_s < 1


class Restarting(Threads):
    """Its worker dies with a batch, and the next one takes a while to be there."""

    def __init__(self, model: Means, deaths: int) -> None:
        super().__init__(lambda: model)
        self.deaths = deaths
        self.asked_too_early = 0
        self.there = threading.Event()
        self.there.set()

    @property
    def ready(self) -> bool:
        return super().ready and self.there.is_set()

    def run(self, memory: torch.Tensor, first: int, count: int, instance: int) -> Mapping[str, np.ndarray[Any, Any]]:
        if not self.there.is_set():
            self.asked_too_early += 1
            raise WorkerDied("is being started")
        if self.deaths:
            self.deaths -= 1
            self.there.clear()
            threading.Timer(0.2, self.there.set).start()
            raise WorkerDied("killed")
        return super().run(memory, first, count, instance)


@pytest.mark.parametrize("deaths", [1, 2])
def test_the_second_try_waits_for_the_next_worker(deaths: int) -> None:
    model = Means()
    handover = Restarting(model, 0)
    with Engine(model, Settings(threads=1), handover=handover) as engine:
        handover.deaths = deaths
        if deaths == 1:
            assert engine.run(SMALL).outputs["mean"].shape == (1, 3)
        else:
            with pytest.raises(WorkerLost, match="killed"):
                engine.run(SMALL)
        assert engine.run(SMALL).outputs["mean"].shape == (1, 3)
        assert handover.asked_too_early == 0


def test_a_model_that_does_not_return_is_left_behind() -> None:
    gate = Gate()
    model = Means()
    engine = Engine(model, Settings(threads=1)).start()
    model.hook = gate
    engine.submit([SMALL], lambda job: None)
    assert gate.inside.acquire(timeout=10)
    begun = time.monotonic()
    engine.close(0.05)
    assert time.monotonic() - begun < 5
    assert not engine.ready
    gate.open()
