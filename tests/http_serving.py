"""A service that does what its requests say, and the HTTP server over it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import uvicorn

from fastpre.serve.errors import ImageRefused, NotFound, Overloaded
from fastpre.serve.http import Connection
from fastpre.serve.inference import (
    DTYPES,
    InferRequest,
    InferResponse,
    ModelInfo,
    OutputTensor,
    TensorInfo,
)

LABELS = ("cat", "dog", "bird")
STAGES = {"decode": 1.25, "queue": 0.5, "model": 2.0}


def model(name: str, task: str, inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]) -> ModelInfo:
    labels = LABELS if task == "classification" else ()
    return ModelInfo(name, ("1", "2"), "fake", task, 16, inputs, outputs, labels)


IMAGE = (TensorInfo("image", "BYTES", (-1,)),)
MODELS = {
    found.name: found
    for found in (
        model("classify", "classification", IMAGE, (TensorInfo("scores", "FP32", (-1, 3)),)),
        model("detect", "detection", IMAGE, (TensorInfo("boxes", "FP32", (-1, 2, 4)),)),
        model("mirror", "any", (TensorInfo("x", "FP32", (-1, -1)),), (TensorInfo("x", "FP32", (-1, -1)),)),
    )
}


def scores(element: bytes | memoryview) -> list[float]:
    """Logits: the images' lengths choose the best class."""
    return [2.0 if len(element) % 3 == index else float(index) / 10 for index in range(3)]


class FakeService:
    """`classify` and `detect` take images, whose first bytes say what becomes of them; `mirror` sends its inputs back.

    Attributes:
        requests: all that came.
        cancelled: how many were cancelled while they waited.
    """

    name = "fake"
    version = "1.2.3"

    def __init__(self) -> None:
        self.ready = True
        self.requests: list[InferRequest] = []
        self.waiting = 0
        self.cancelled = 0

    def models(self) -> list[ModelInfo]:
        return list(MODELS.values())

    def model(self, name: str, version: str = "") -> ModelInfo:
        if name not in MODELS:
            raise NotFound(f"there is no model {name!r}")
        if version not in ("", *MODELS[name].versions):
            raise NotFound(f"model {name!r} has no version {version!r}")
        return MODELS[name]

    def model_ready(self, name: str, version: str = "") -> bool:
        return self.model(name, version) is not None and self.ready

    def config(self, name: str, version: str = "") -> dict[str, Any]:
        found = self.model(name, version)
        return {"name": found.name, "platform": found.platform, "max_batch_size": found.max_batch}

    def statistics(self, name: str = "", version: str = "") -> list[dict[str, Any]]:
        names = [self.model(name, version).name] if name else list(MODELS)
        return [{"name": found, "version": "1", "inference_count": len(self.requests)} for found in names]

    async def infer(self, request: InferRequest) -> InferResponse:
        self.requests.append(request)
        found = self.model(request.model, request.version)
        if found.name == "mirror":
            outputs = [OutputTensor(tensor.name, tensor.datatype, as_array(tensor)) for tensor in request.inputs]
        else:
            elements = [bytes(element) for element in request.inputs[0].data]
            for index, element in enumerate(elements):
                await self._act(element, index)
            if found.name == "classify":
                array = np.array([scores(element) for element in elements], np.float32)
                outputs = [OutputTensor("scores", "FP32", array)]
            else:
                outputs = [OutputTensor("boxes", "FP32", np.ones((len(elements), 2, 4), np.float32))]
        return InferResponse(found.name, "2", outputs, request.id, stages_ms=STAGES)

    async def _act(self, element: bytes, index: int) -> None:
        if element.startswith(b"bad"):
            raise ImageRefused("not an image", index=index)
        if element.startswith(b"full"):
            raise Overloaded("the queue is full", retry_after_s=1.5)
        if element.startswith(b"bug"):
            raise RuntimeError("a secret of the server")
        if element.startswith(b"wait"):
            self.waiting += 1
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise


def as_array(tensor: Any) -> np.ndarray[Any, Any]:
    if tensor.datatype != "BYTES":
        return np.array(tensor.data, DTYPES[tensor.datatype])
    array = np.empty(len(tensor.data), object)
    array[:] = [bytes(element) for element in tensor.data]
    return array.reshape(tensor.shape)


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=10)


@contextlib.contextmanager
def running(app: Any, connection: type[asyncio.Protocol] = Connection, keep_alive_s: int = 5) -> Iterator[Address]:
    """The application behind uvicorn, in a thread, on a free port of the loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=connection,
        timeout_keep_alive=keep_alive_s,
        ws="none",
        loop="uvloop",
        lifespan="off",
        log_level="critical",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        until(lambda: server.started)
        yield Address(*listener.getsockname()[:2])
    finally:
        server.should_exit = True
        server.force_exit = True
        thread.join()
        listener.close()


def until(condition: Callable[[], Any], seconds: float = 10.0) -> None:
    """Waits for what happens in another thread."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.002)
