"""A server of gRPC in a thread of its own, around a service that a test scripts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastpre.serve.errors import NotFound, ServeError
from fastpre.serve.grpc import GrpcServer, start
from fastpre.serve.inference import InferRequest, InferResponse, ModelInfo, OutputTensor, TensorInfo
from fastpre.serve.protocol.regions import Regions

CLASSES = 10
INFO = ModelInfo(
    name="net",
    versions=("1",),
    platform="torchvision",
    task="classification",
    max_batch=8,
    inputs=(TensorInfo("image", "BYTES", (-1,)), TensorInfo("pixels", "FP32", (-1, 3, 4, 4))),
    outputs=(TensorInfo("scores", "FP32", (-1, CLASSES)), TensorInfo("sizes", "INT64", (-1,))),
    labels=("zero", "one", "two"),
)
CONFIG = {
    "name": "net",
    "platform": "torchvision",
    "max_batch_size": 8,
    "input": [{"name": "image", "data_type": "TYPE_STRING", "dims": [1], "optional": True}],
    "output": [{"name": "scores", "data_type": "TYPE_FP32", "dims": [CLASSES]}],
    "dynamic_batching": {"max_queue_delay_microseconds": 500, "preferred_batch_size": [8]},
    "a_field_of_next_year": 1,
}
STATISTICS = {
    "name": "net",
    "version": "1",
    "inference_count": 3,
    "execution_count": 2,
    "inference_stats": {"success": {"count": 3, "ns": 4_000_000}, "queue": {"count": 3, "ns": 1000}},
    "batch_stats": [{"batch_size": 2, "compute_infer": {"count": 1, "ns": 5}}],
}

Answer = Callable[[InferRequest], Awaitable[InferResponse]]


def scores(count: int) -> np.ndarray[Any, Any]:
    """Of (count, CLASSES): image i is best in class i, then in the others by number."""
    grid = -np.arange(CLASSES, dtype=np.float32)[None].repeat(count, 0)
    grid[np.arange(count), np.arange(count) % CLASSES] = 1.5
    return grid


async def answer_at_once(request: InferRequest) -> InferResponse:
    """Scores by position, and the bytes (or elements) of each image."""
    data = request.inputs[0].data
    sizes = np.array([len(each) if isinstance(each, bytes | memoryview) else each.size for each in data], np.int64)
    outputs = (OutputTensor("scores", "FP32", scores(len(sizes))), OutputTensor("sizes", "INT64", sizes))
    return InferResponse("net", "1", outputs, parameters={"rung": 0}, stages_ms={"queue": 0.25, "infer": 1.5})


class FakeService:
    """A `Service` of one model; `answer` is what infer does, `requests` what it has seen."""

    name = "fastpre"
    version = "9.9"

    def __init__(self) -> None:
        self.ready = True
        self.answer: Answer = answer_at_once
        self.requests: list[InferRequest] = []
        self.running = 0

    def models(self) -> Sequence[ModelInfo]:
        return (INFO,)

    def model(self, name: str, version: str = "") -> ModelInfo:
        if name != INFO.name or version not in ("", "1"):
            raise NotFound(f"there is no model {name!r} of version {version!r}")
        return INFO

    def model_ready(self, name: str, version: str = "") -> bool:
        self.model(name, version)
        return self.ready

    def config(self, name: str, version: str = "") -> dict[str, Any]:
        self.model(name, version)
        return CONFIG

    def statistics(self, name: str = "", version: str = "") -> list[dict[str, Any]]:
        if name:
            self.model(name, version)
        return [STATISTICS]

    async def infer(self, request: InferRequest) -> InferResponse:
        self.requests.append(request)
        self.model(request.model, request.version)
        self.running += 1
        try:
            return await self.answer(request)
        finally:
            self.running -= 1


class Served:
    """A server that runs; `refusal` is what its admission says."""

    def __init__(self, service: FakeService, regions: Regions) -> None:
        self.service = service
        self.regions = regions
        self.refusal: ServeError | None = None
        self.loop = asyncio.new_event_loop()
        self.server: GrpcServer

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.server.port}"

    def drain(self, grace_s: float = 2.0) -> float:
        """Seconds that draining took."""
        began = time.monotonic()
        asyncio.run_coroutine_threadsafe(self.server.drain(grace_s), self.loop).result(grace_s + 10)
        return time.monotonic() - began


@contextlib.contextmanager
def served(port: int = 0, **options: Any) -> Iterator[Served]:
    """A server on 127.0.0.1, in an event loop of its own, as long as the block runs."""
    it = Served(FakeService(), Regions())
    thread = threading.Thread(target=it.loop.run_forever, daemon=True)
    thread.start()
    begun = start(it.service, it.regions, "127.0.0.1", port, admit=lambda: it.refusal, **options)
    try:
        it.server = asyncio.run_coroutine_threadsafe(begun, it.loop).result(20)
        yield it
        it.drain(0)
    finally:
        it.loop.call_soon_threadsafe(it.loop.stop)
        thread.join(10)
        it.loop.close()
        it.regions.close()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for the condition; fails after the time."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not come true"
        time.sleep(0.002)
