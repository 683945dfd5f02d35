"""CPU that a client needs for a request: fastpre.load beside aiohttp, httpx, tritonclient; 8 at a time, 100 kB each.

    python benchmarks/load_clients.py

Servers that answer at once with 1 kB run in processes of their own, and so does each client, anew in every round.
Counted is the client's CPU time, its kernel's part of the sending included, by request; connections are open before.
fastpre.load does more than the others meanwhile: it counts, by outcome and size, into HDR histograms. "aiohttp traced"
is aiohttp asked when a request went out and on which connection, as a load generator has to know. "open" is an open
loop of 300 requests a second, which sleeps and wakes between them.
"""

from __future__ import annotations

import asyncio
import functools
import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import click
import machine

from fastpre.load import Plan, run

CLIENTS = (
    "fastpre http",
    "fastpre http open",
    "aiohttp",
    "aiohttp traced",
    "httpx",
    "fastpre grpc",
    "fastpre grpc open",
    "grpc.aio",
    "tritonclient grpc.aio",
)
AT_A_TIME = 8
OPEN_RATE = 300  # requests a second
BODY = bytes(100_000)
ANSWER = bytes(1000)
GRPC_METHOD = "inference.GRPCInferenceService"

Call = Callable[[], Awaitable[Any]]


class Answering(asyncio.Protocol):
    """As little of an HTTP server as these clients do with."""

    def __init__(self) -> None:
        self.head = b""
        self.left = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.left:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = self.head[:end].lower().split(b"\r\n")
            length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
            self.left, data, self.head = length, self.head[end + 4 :], b""
        self.left -= len(data)
        if not self.left:
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\nserver-timing: decode;dur=1.5\r\n"
            self.transport.write(head + b"content-length: %d\r\n\r\n" % len(ANSWER) + ANSWER)


def serve_http(ports: Any) -> None:
    import uvloop

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


def serve_grpc(ports: Any) -> None:
    import grpc
    import grpc.aio

    from fastpre.serve.protocol.schema import message

    async def main() -> None:
        kind = message("inference.ModelMetadataResponse")
        metadata = kind(name="m", inputs=[kind.TensorMetadata(name="image", datatype="BYTES", shape=[-1])])
        server_metadata = message("inference.ServerMetadataResponse")(name="echo")
        result = message("inference.ModelInferResponse")(model_name="m", raw_output_contents=[ANSWER])
        answers = {"ModelMetadata": metadata, "ServerMetadata": server_metadata, "ModelInfer": result}

        def handler(answer: bytes) -> Any:
            async def handle(request: bytes, context: Any) -> bytes:
                return answer

            return grpc.unary_unary_rpc_method_handler(handle)

        handlers = {name: handler(answer.SerializeToString()) for name, answer in answers.items()}
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(GRPC_METHOD, handlers),))
        ports.put(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await server.wait_for_termination()

    asyncio.run(main())


async def cpu_of(call: Call, seconds: float) -> float:
    """Milliseconds of CPU by call."""
    calls = 0

    async def client(until: float) -> None:
        nonlocal calls
        while time.monotonic() < until:
            await call()
            calls += 1

    async def clients(duration: float) -> None:
        until = time.monotonic() + duration
        await asyncio.gather(*(client(until) for _ in range(AT_A_TIME)))

    await clients(0.5)
    calls, begun = 0, time.process_time()
    await clients(seconds)
    return (time.process_time() - begun) / calls * 1e3


async def aiohttp_client(port: int, seconds: float, traced: bool = False) -> float:
    import aiohttp

    trace = aiohttp.TraceConfig()

    async def note(session: Any, context: Any, parameters: Any) -> None:
        context.moment = time.monotonic()

    if traced:
        trace.on_request_start.append(note)
        trace.on_connection_create_start.append(note)
        trace.on_connection_reuseconn.append(note)
        trace.on_request_headers_sent.append(note)
    async with aiohttp.ClientSession(trace_configs=[trace] if traced else None) as session:

        async def call() -> None:
            async with session.post(f"http://127.0.0.1:{port}/", data=BODY) as response:
                await response.read()

        return await cpu_of(call, seconds)


async def httpx_client(port: int, seconds: float) -> float:
    import httpx

    async with httpx.AsyncClient() as client:
        return await cpu_of(lambda: client.post(f"http://127.0.0.1:{port}/", content=BODY), seconds)


async def grpc_client(port: int, seconds: float) -> float:
    import grpc.aio

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.unary_unary(f"/{GRPC_METHOD}/ModelInfer")
        return await cpu_of(lambda: method(BODY), seconds)


async def triton_client(port: int, seconds: float) -> float:
    import numpy as np
    import tritonclient.grpc.aio as triton

    client = triton.InferenceServerClient(f"127.0.0.1:{port}")
    image = np.array([BODY], np.object_)

    async def call() -> None:
        tensor = triton.InferInput("image", [1], "BYTES")
        tensor.set_data_from_numpy(image)
        await client.infer("m", [tensor])

    try:
        return await cpu_of(call, seconds)
    finally:
        await client.close()


def fastpre_client(url: str, seconds: float, open_loop: bool) -> float:
    protocol = "predict" if url.startswith("http") else ""
    how: dict[str, Any] = {"rate": OPEN_RATE} if open_loop else {"concurrency": AT_A_TIME}
    plan = Plan(url=url, protocol=protocol, model="m", **how, duration_s=seconds, warmup_s=0.5)
    report = run(plan, [BODY])
    assert report.outcomes["ok"] == report.due, report.codes
    return report.generator.cpu_ms_per_request


def measure(name: str, port: int, seconds: float) -> float:
    """Runs in a process of its own."""
    if name.startswith("fastpre"):
        return fastpre_client(f"{name.split()[1]}://127.0.0.1:{port}", seconds, "open" in name)
    import uvloop

    others = {
        "aiohttp": aiohttp_client,
        "aiohttp traced": functools.partial(aiohttp_client, traced=True),
        "httpx": httpx_client,
        "grpc.aio": grpc_client,
        "tritonclient grpc.aio": triton_client,
    }
    return float(uvloop.run(others[name](port, seconds)))


@click.command()
@click.option("--rounds", default=9, show_default=True)
@click.option("--seconds", default=1.5, show_default=True, help="Of each client in each round.")
@click.option("--client", hidden=True)
@click.option("--port", hidden=True, type=int)
def main(rounds: int, seconds: float, client: str | None, port: int) -> None:
    """Prints medians over the rounds, and their smallest and largest."""
    if client is not None:
        print(measure(client, port, seconds))
        return
    context = multiprocessing.get_context("spawn")
    ports = context.SimpleQueue()
    servers = []
    found: dict[str, list[float]] = {name: [] for name in CLIENTS}
    try:
        where = {}
        for kind, serve in (("http", serve_http), ("grpc", serve_grpc)):
            servers.append(context.Process(target=serve, args=(ports,), daemon=True))
            servers[-1].start()
            where[kind] = ports.get()
        for _ in range(rounds):
            for name in CLIENTS:
                chosen = where["grpc" if "grpc" in name else "http"]
                command = [sys.executable, __file__, "--client", name, "--port", str(chosen), "--seconds", str(seconds)]
                found[name].append(float(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout))
    finally:
        for server in servers:
            server.terminate()
            server.join()
    print(json.dumps(machine.describe()))
    for name, values in found.items():
        median = statistics.median(values)
        base = statistics.median(found["fastpre grpc" if "grpc" in name else "fastpre http"])
        spread = f"({min(values):.3f} to {max(values):.3f})"
        print(f"{name:22} {median:.3f} ms of CPU a request  {spread}  {median / base:.1f}x")


if __name__ == "__main__":
    main()
