"""What the HTTP side of the server costs beside a bare ASGI echo: one client, one binary request of 100 kB at a time.

    python benchmarks/http_overhead.py

Three uvicorn servers (httptools, uvloop), each a process of its own, are asked in turn: an echo of the body, an ASGI
application that reads it and answers in a word, and `fastpre.serve.http.Application` over a service that answers at
once with 1000 floats. The client is a socket without any library, so that the difference is the servers'.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import click
import machine
import numpy as np

from fastpre.serve.inference import InferRequest, InferResponse, ModelInfo, OutputTensor, TensorInfo

MODEL = ModelInfo(
    "m", ("1",), "none", "classification", 8, (TensorInfo("x", "BYTES", (-1,)),), (TensorInfo("y", "FP32", (-1, 1000)),)
)
SCORES = np.zeros((1, 1000), np.float32)


class AtOnce:
    """A service that does nothing."""

    name, version, ready = "none", "0", True

    def models(self) -> list[ModelInfo]:
        return [MODEL]

    def model(self, name: str, version: str = "") -> ModelInfo:
        return MODEL

    def model_ready(self, name: str, version: str = "") -> bool:
        return True

    def config(self, name: str, version: str = "") -> dict[str, Any]:
        return {}

    def statistics(self, name: str = "", version: str = "") -> list[dict[str, Any]]:
        return []

    async def infer(self, request: InferRequest) -> InferResponse:
        outputs = [OutputTensor("y", "FP32", SCORES)]
        return InferResponse("m", "1", outputs, request.id, stages_ms={"decode": 1.0, "queue": 0.5, "model": 2.0})


def reading(answer: bytes | None) -> Callable[..., Awaitable[None]]:
    """An application that reads the body and sends `answer`; None: the body."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message["body"])
            more = message["more_body"]
        body = b"".join(parts) if answer is None else answer
        length = b"%d" % len(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})

    return app


def serve(kind: str, listener: socket.socket) -> None:
    import uvicorn

    from fastpre.serve.http import Application, Connection

    app: Any = {"echo": reading(None), "word": reading(b"read")}.get(kind)
    options: dict[str, Any] = {"http": "httptools", "lifespan": "off", "interface": "asgi3"}
    if app is None:
        app, options["http"] = Application(AtOnce()), Connection
    config = uvicorn.Config(app, loop="uvloop", log_level="warning", access_log=False, **options)
    uvicorn.Server(config).run(sockets=[listener])


def request_bytes(kind: str, size: int) -> bytes:
    element = len(head_of(size)[1]).to_bytes(4, "little")
    head, image = head_of(size)
    body = head + element + image
    path = "/v2/models/m/infer" if kind == "fastpre" else "/"
    lines = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
    lines += f"Inference-Header-Content-Length: {len(head)}\r\nContent-Length: {len(body)}\r\n\r\n"
    return lines.encode() + body


def head_of(size: int) -> tuple[bytes, bytes]:
    tensor = {"name": "x", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": size + 4}}
    head = {"id": "1", "inputs": [tensor], "parameters": {"binary_data_output": True}}
    return json.dumps(head).encode(), bytes(size)


def ask(connection: socket.socket, data: bytes) -> float:
    """Milliseconds of one request."""
    started = time.perf_counter()
    connection.sendall(data)
    got = connection.recv(1 << 20)
    while (end := got.find(b"\r\n\r\n")) < 0:
        got += connection.recv(1 << 20)
    assert got.startswith(b"HTTP/1.1 200"), got[:300]
    mark = b"content-length: "
    at = got.index(mark) + len(mark)
    left = int(got[at : got.index(b"\r\n", at)]) - (len(got) - end - 4)
    while left > 0:
        left -= len(connection.recv(1 << 20))
    return (time.perf_counter() - started) * 1e3


@click.command()
@click.option("--rounds", default=15, show_default=True)
@click.option("--requests", default=200, show_default=True, help="Of each server in each round.")
@click.option("--size", default=100_000, show_default=True, help="Bytes of the image.")
def main(rounds: int, requests: int, size: int) -> None:
    """Prints medians over the rounds, and the spread of the rounds' medians."""
    context = multiprocessing.get_context("spawn")
    kinds = ("echo", "word", "fastpre")
    servers, connections = [], {}
    for kind in kinds:
        listener = socket.create_server(("127.0.0.1", 0))
        server = context.Process(target=serve, args=(kind, listener), daemon=True)
        server.start()
        servers.append(server)
        connections[kind] = socket.create_connection(listener.getsockname())
        connections[kind].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        data = {kind: request_bytes(kind, size) for kind in kinds}
        for kind in kinds:
            for _ in range(50):
                ask(connections[kind], data[kind])
        medians: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind in kinds:
                medians[kind].append(statistics.median(ask(connections[kind], data[kind]) for _ in range(requests)))
    finally:
        for server in servers:
            server.terminate()
            server.join()
    print(machine.describe())
    base = statistics.median(medians["echo"])
    for kind in kinds:
        p50 = statistics.median(medians[kind])
        spread = f"({min(medians[kind]):.3f} to {max(medians[kind]):.3f})"
        print(f"{kind:8} p50 {p50:.3f} ms  {spread}  {p50 - base:+.3f} ms")


if __name__ == "__main__":
    main()
