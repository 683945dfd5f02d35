"""What the server's gRPC adds to a call, beside a bare echo and another way to build it; what shared memory costs.

python benchmarks/grpc_calls.py [BYTES]

Each server runs in a process of its own and answers at once with 1,000 scores; one synchronous tritonclient sends one
image of BYTES (100,000) in turn to each. "echo" is a grpc.aio handler that parses nothing, "server" is
fastpre.serve.grpc, "threads" the same parsing behind grpc.server with one thread that hands over to the event loop.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import multiprocessing
import os
import random
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import machine
import numpy as np

from fastpre.serve.grpc import start
from fastpre.serve.inference import InferRequest, InferResponse, OutputTensor
from fastpre.serve.protocol.messages import infer_request, infer_response
from fastpre.serve.protocol.regions import Regions
from fastpre.serve.protocol.schema import message

KINDS = ("echo", "server", "threads")
ROUNDS, CALLS = 15, 300
SCORES = np.zeros((1, 1000), np.float32)


class Instant:
    """A service that answers at once; the calls measured here use nothing else of it."""

    name, version, ready = "instant", "0", True

    async def infer(self, request: InferRequest) -> InferResponse:
        stages = {"queue": 0.1, "preprocess": 1.0, "infer": 0.3}
        return InferResponse(request.model, "1", (OutputTensor("scores", "FP32", SCORES),), stages_ms=stages)


async def answer(raw: bytes) -> bytes:
    """From bytes to bytes, without gRPC."""
    asked = message("inference.ModelInferRequest").FromString(raw)
    request = infer_request(asked, Regions(), received=time.monotonic(), max_bytes=1 << 26)
    return bytes(infer_response(await Instant().infer(request), (), (), Regions()).SerializeToString())


async def serve(kind: str, said: Any) -> None:
    loop = asyncio.get_running_loop()
    if kind == "server":
        held = await start(Instant(), Regions(), "127.0.0.1", 0)  # type: ignore[arg-type]
        said.send(held.port)
    else:
        ready = await answer(b"")

        async def echo(raw: bytes, context: Any) -> bytes:
            return ready

        def hand_over(raw: bytes, context: Any) -> bytes:
            return asyncio.run_coroutine_threadsafe(answer(raw), loop).result()

        server = grpc.aio.server() if kind == "echo" else grpc.server(futures.ThreadPoolExecutor(1))
        handler = grpc.unary_unary_rpc_method_handler(echo if kind == "echo" else hand_over)
        handlers = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelInfer": handler})
        server.add_generic_rpc_handlers((handlers,))
        said.send(server.add_insecure_port("127.0.0.1:0"))
        started = server.start()
        if started is not None:
            await started
    await asyncio.Event().wait()


def run(kind: str, said: Any) -> None:
    asyncio.run(serve(kind, said))


def median_us(call: Callable[[], Any], calls: int) -> float:
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1e6)
    return statistics.median(times)


def calls(size: int) -> None:
    import tritonclient.grpc as triton

    context = multiprocessing.get_context("spawn")
    image = triton.InferInput("image", [1], "BYTES")
    image.set_data_from_numpy(np.array([bytes(size)], np.object_))
    processes, ways = [], {}
    for kind in KINDS:
        here, there = context.Pipe()
        processes.append(context.Process(target=run, args=(kind, there), daemon=True))
        processes[-1].start()
        ways[kind] = functools.partial(triton.InferenceServerClient(f"127.0.0.1:{here.recv()}").infer, "net", [image])
    rounds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(ROUNDS + 1):
        for kind in random.sample(KINDS, len(KINDS)):
            p50 = median_us(ways[kind], CALLS)
            if number:  # the first warms up
                rounds[kind].append(p50)
    for kind, values in rounds.items():
        added = statistics.median(a - b for a, b in zip(values, rounds["echo"], strict=True))
        print(
            f"{kind:8} p50 {statistics.median(values):4.0f} us ({min(values):.0f} to {max(values):.0f}), "
            f"over echo {added:+.0f} us"
        )
    for process in processes:
        process.kill()


def shared_memory(size: int) -> None:
    path = Path("/dev/shm") / f"benchmark-{uuid.uuid4().hex}"
    path.write_bytes(os.urandom(size))
    regions = Regions()
    regions.register("r", path.name, 0, size)
    path.unlink()
    data = bytes(size)
    number = max(50, min(2000, 100_000_000 // size))
    read = median_us(lambda: regions.view("r", 0, size), number)
    write = median_us(lambda: regions.write("r", 0, data), number)
    copy = median_us(lambda: bytearray(data), number)
    print(f"shared memory, {size:>10,} bytes: read {read:.1f} us, write {write:.1f} us; a copy in memory {copy:.1f} us")
    regions.close()


def main() -> None:
    """Prints p50 by kind, medians over rounds and their range; then what regions cost by size."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"{machine.cpu_model()}, {machine.cores()} cores, {datetime.date.today()}, commit {machine.commit()}")
    print(f"grpcio {grpc.__version__}, one image of {size:,} bytes, {ROUNDS} rounds of {CALLS} calls")
    calls(size)
    for each in (10_000, 100_000, 1_000_000, 10_000_000):
        shared_memory(each)


if __name__ == "__main__":
    main()
