"""What a pipeline holds of an image goes with its request, without Python looking for cycles."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pictures
from detecting import Finds, idle, pipeline
from fastpre.serve.errors import ServeError
from serving import Gate, Means

PHOTOGRAPH = pictures.photograph(60, 40)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("boxes", [0, 2, 6])
@pytest.mark.parametrize("end", ["answered", "corrupt", "first raised", "second raised", "late", "in line"])
def test_nothing_of_an_image_stays(end: str, boxes: int) -> None:
    def poison(batch: Any) -> None:
        raise ValueError("no")

    gate, detector, model = Gate(), Finds(), Means()
    detector.boxes, detector.scores = [(0.1, 0.1, 0.9, 0.9)] * boxes, [0.9] * boxes
    with pipeline(detector, model, most=6, second_settings={"queue_limit": 8}) as relay:
        detector.hook = {"first raised": poison, "late": gate}.get(end)
        model.hook = {"second raised": poison}.get(end)
        if end == "in line":
            relay.second.keep(4, float("inf"))
        array = np.frombuffer(PHOTOGRAPH[:900] if end == "corrupt" else PHOTOGRAPH, np.uint8).copy()
        image, alive = memoryview(array.data), weakref.ref(array)
        del array

        async def ask() -> bool:
            nonlocal image
            images = [image]
            del image
            seconds = 0.05 if end in ("late", "in line") else 10
            try:
                job = await relay.infer_all(images, deadline=time.monotonic() + seconds)
            except ServeError:
                return False
            return job.items[0].error is None

        answered = asyncio.run(ask())
        assert answered is (end == "answered" or (end == "second raised" and not boxes))
        gate.open()
        detector.hook = model.hook = None
        if end == "in line":
            relay.second.give_back(4)
        until = time.monotonic() + 10
        while alive() is not None or not idle(relay):  # what runs still holds it until it is done
            assert time.monotonic() < until
            time.sleep(0.001)
