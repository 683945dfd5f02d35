"""What a request costs besides preprocessing and model: HTTP and gRPC beside bare echoes, one photograph at a time.

Every photograph is taken through the preprocessor and the model in this process, sent to `fastpre serve` over HTTP and
over gRPC, and sent to an echo of either, in an order that is drawn anew each round. What a way adds to a photograph is
the difference of its medians over the rounds; reported is the median over the photographs.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import random
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import http_overhead
import numpy as np
import rivals

import grpc_calls
from fastpre import Preprocessor

WAYS = ("HTTP", "HTTP echo", "gRPC", "gRPC echo")


def added(reference: str, images: list[bytes], model: Any, rounds: int) -> dict[str, Any]:
    """Milliseconds by way: p50 of the request, what it adds, and its quartiles over the photographs."""
    preprocess = Preprocessor(model.spec, num_threads=1)
    with ways(reference, images) as calls:
        calls = {"alone": lambda i: model(preprocess([images[i]])), **calls}
        times: dict[str, list[list[float]]] = {name: [[] for _ in images] for name in calls}
        for turn in range(rounds + 1):
            for i in range(len(images)):
                for name in random.sample(list(calls), len(calls)):
                    began = time.perf_counter()
                    calls[name](i)
                    if turn:  # the first warms up
                        times[name][i].append((time.perf_counter() - began) * 1e3)
    medians = {name: [statistics.median(each) for each in found] for name, found in times.items()}
    rows = {"alone": {"p50_ms": statistics.median(medians["alone"])}}
    for name in WAYS:
        base = [0.0] * len(images) if name.endswith("echo") else medians["alone"]
        more = sorted(a - b for a, b in zip(medians[name], base, strict=True))
        rows[name] = {
            "p50_ms": statistics.median(medians[name]),
            "added_ms": statistics.median(more),
            "added_quartiles_ms": [more[len(more) // 4], more[3 * len(more) // 4]],
        }
    return {"images": len(images), "rounds": rounds, "ways": rows}


@contextlib.contextmanager
def ways(reference: str, images: list[bytes]) -> Iterator[dict[str, Callable[[int], object]]]:
    """By name a call that sends one of the photographs and waits for the answer."""
    import tritonclient.grpc as triton

    with contextlib.ExitStack() as stack:
        rival = next(each for each in rivals.RIVALS if each.key == "fastpre")
        server = stack.enter_context(rivals.running(rival, sys.executable, reference, images[0], []))
        context = multiprocessing.get_context("spawn")
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        here, there = context.Pipe()
        for target, arguments in ((http_overhead.serve, ("word", listener)), (grpc_calls.run, ("echo", there))):
            process = context.Process(target=target, args=arguments, daemon=True)
            process.start()
            stack.callback(process.join)
            stack.callback(process.kill)
        requests = [_v2(image) for image in images]
        tensors = [triton.InferInput("IMAGE", [1], "BYTES") for _ in images]
        for tensor, image in zip(tensors, images, strict=True):
            tensor.set_data_from_numpy(np.array([image], np.object_))
        sockets = [_connected(stack, port) for port in (server.port, listener.getsockname()[1])]
        clients = [triton.InferenceServerClient(f"127.0.0.1:{port}") for port in (server.grpc_port, here.recv())]
        for client in clients:
            stack.callback(client.close)
        yield {
            "HTTP": lambda i: http_overhead.ask(sockets[0], requests[i]),
            "HTTP echo": lambda i: http_overhead.ask(sockets[1], requests[i]),
            "gRPC": lambda i: clients[0].infer("model", [tensors[i]]),
            "gRPC echo": lambda i: clients[1].infer("model", [tensors[i]]),
        }


def _connected(stack: contextlib.ExitStack, port: int) -> socket.socket:
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _v2(image: bytes) -> bytes:
    """A request of the Open Inference Protocol with one image in binary."""
    tensor = {"name": "IMAGE", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(image) + 4}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    size = len(head) + 4 + len(image)
    lines = "POST /v2/models/model/infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
    lines += f"Inference-Header-Content-Length: {len(head)}\r\nContent-Length: {size}\r\n\r\n"
    return lines.encode() + head + len(image).to_bytes(4, "little") + image
