"""Images and outputs go when their request does: no cycle of references keeps them until Python looks for cycles."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from collections.abc import Iterator, MutableMapping
from typing import Any

import numpy as np
import pytest

import pictures
from fastpre.serve.engine import Engine, Settings
from fastpre.serve.errors import ServeError
from fastpre.serve.http.watch import watched
from fastpre.serve.inference import InferRequest, InputTensor
from fastpre.serve.models.info import model_info
from fastpre.serve.observing.recorder import Recorder
from fastpre.serve.service import EngineService
from serving import Gate, Means

PHOTOGRAPH = pictures.photograph(60, 40)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def kept(data: bytes) -> tuple[memoryview, Any]:
    array = np.frombuffer(data, np.uint8).copy()
    return memoryview(array.data), weakref.ref(array)


def request(image: memoryview) -> InferRequest:
    now = time.monotonic()
    return InferRequest("means", (InputTensor("IMAGE", "BYTES", (1,), (image,)),), received=now, deadline=now + 0.5)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize(
    "end", ["answered", "refused by its header", "corrupt", "model raised", "late", "overloaded", "client gone"]
)
def test_nothing_of_a_request_stays(end: str) -> None:
    def hook(batch: Any) -> None:
        if end == "model raised" and serving:
            raise ValueError("no")
        if end in ("late", "client gone") and serving:
            gate(batch)

    serving: list[bool] = []
    outputs: list[Any] = []
    gate = Gate()
    data = {"refused by its header": b"no image", "corrupt": PHOTOGRAPH[:900]}.get(end, PHOTOGRAPH)
    model = Means(hook)
    with Engine(model, Settings(threads=1, queue_limit=1)) as engine:
        service = EngineService(
            "", "", {"means": engine}, {"means": model_info(model, max_batch=8)}, {"means": Recorder()}
        )
        if end == "overloaded":
            engine.scheduler.queue_limit = 0
        serving.append(True)
        image, alive = kept(data)

        async def ask() -> type | None:
            nonlocal image
            asked = request(image)
            del image
            if end == "client gone":
                task = asyncio.create_task(service.infer(asked))
                while not engine.scheduler.running:
                    await asyncio.sleep(0.001)
                task.cancel()
                await asyncio.wait([task])
                return asyncio.CancelledError
            try:
                response = await service.infer(asked)
                array = response.outputs[0].array
                outputs.append(weakref.ref(array if array.base is None else array.base))
            except ServeError as error:
                return type(error)
            return None

        failure = asyncio.run(ask())
        assert (failure is None) is (end == "answered")
        gate.open()
    assert alive() is None
    assert [output for output in outputs if output() is not None] == []


class Receive:
    """A client that says nothing more."""

    async def __call__(self) -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError("it said nothing")


@pytest.mark.usefixtures("no_collector")
def test_nothing_of_a_connection_stays_because_it_was_watched() -> None:
    async def watch() -> Any:
        receive = Receive()
        await watched(asyncio.sleep(0.05), receive)  # long enough for the watching to begin
        return weakref.ref(receive)

    alive = asyncio.run(watch())
    assert alive() is None
