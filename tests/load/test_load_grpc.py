"""What becomes of requests over gRPC, against grpc.aio with tritonclient's messages."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
from tritonclient.grpc import service_pb2 as pb

from fastpre.load import Plan, Report, Unreachable, run
from fastpre.load.outcome import of_grpc

IMAGES = [bytes([i]) * 300 for i in range(4)]
SERVICE = "inference.GRPCInferenceService"

Infer = Callable[[Any, Any, int], Awaitable[None]]


@dataclasses.dataclass
class Server:
    url: str = ""
    requests: list[Any] = dataclasses.field(default_factory=list)
    metadata: list[dict[str, str]] = dataclasses.field(default_factory=list)
    cancelled: int = 0


@contextlib.contextmanager
def serving(infer: Infer, datatype: str = "BYTES") -> Iterator[Server]:
    """A server in a thread of its own, on a free port of 127.0.0.1."""
    found = Server()
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = loop.create_future()

    async def model_infer(request: Any, context: Any) -> Any:
        found.requests.append(request)
        found.metadata.append(dict(context.invocation_metadata()))
        try:
            await infer(request, context, len(found.requests) - 1)
        except asyncio.CancelledError:
            found.cancelled += 1
            raise
        return pb.ModelInferResponse(model_name="m", raw_output_contents=[bytes(1000)])

    async def server_metadata(request: Any, context: Any) -> Any:
        return pb.ServerMetadataResponse(name="echo", version="1")

    async def repository_index(request: Any, context: Any) -> Any:
        return pb.RepositoryIndexResponse(models=[pb.RepositoryIndexResponse.ModelIndex(name="m")])

    async def model_metadata(request: Any, context: Any) -> Any:
        if request.name != "m":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such model")
        tensor = pb.ModelMetadataResponse.TensorMetadata(name="image", datatype=datatype, shape=[-1, 1])
        return pb.ModelMetadataResponse(name="m", inputs=[tensor])

    async def main() -> None:
        server = grpc.aio.server()
        methods = {
            "ModelInfer": (model_infer, pb.ModelInferRequest),
            "ServerMetadata": (server_metadata, pb.ServerMetadataRequest),
            "RepositoryIndex": (repository_index, pb.RepositoryIndexRequest),
            "ModelMetadata": (model_metadata, pb.ModelMetadataRequest),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(call, kind.FromString, lambda m: m.SerializeToString())
            for name, (call, kind) in methods.items()
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        found.url = f"grpc://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        ready.set()
        await stop
        await server.stop(None)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(stop.set_result, None)
        thread.join(10)
        assert not thread.is_alive()
        loop.close()


def loaded(server: Server, **options: Any) -> Report:
    bounds: dict[str, Any] = {"requests": 12, "warmup_s": 0, "timeout_s": 5}
    return run(Plan(url=server.url, **{**bounds, **options}), IMAGES)


async def fine(request: Any, context: Any, number: int) -> None:
    context.set_trailing_metadata((("server-timing", "decode;dur=1.5"),))


@pytest.mark.parametrize("options", [{"concurrency": 3}, {"rate": 100}])
def test_ok(options: dict[str, Any]) -> None:
    with serving(fine) as server:
        report = loaded(server, batch=2, headers=(("X-Tag", "a"),), api_key="k", **options)
    assert report.outcomes["ok"] == report.due == 12
    assert report.stages_ms == {"decode": 1.5}
    assert (report.target.model, report.target.rank, report.target.server) == ("m", 2, "echo 1")
    for request, metadata in zip(server.requests, server.metadata, strict=True):
        assert request.model_name == "m"
        assert list(request.inputs[0].shape) == [2, 1]
        assert len(request.raw_input_contents[0]) == 2 * (4 + 300)
        assert (metadata["x-tag"], metadata["authorization"]) == ("a", "Bearer k")
    assert 0 < report.service_ms["ok"].p50 <= report.latency_ms["ok"].p50


async def refusing(request: Any, context: Any, number: int) -> None:
    errors = [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, (("error-code", "overloaded"), ("grpc-retry-pushback-ms", "500"))),
        (grpc.StatusCode.INVALID_ARGUMENT, (("error-code", "corrupt_image"),)),
        (grpc.StatusCode.INTERNAL, ()),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, (("error-code", "body_too_large"),)),
    ]
    status, trailers = errors[number % 4]
    await context.abort(status, "no", trailers)


def test_errors_are_counted_by_kind_and_code() -> None:
    with serving(refusing) as server:
        report = loaded(server)
    assert report.codes == {
        "refused": {"overloaded": 3},
        "client_error": {"corrupt_image": 3, "body_too_large": 3},
        "server_error": {"internal": 3},
    }
    assert report.refused_with_retry_after == 3


async def slow(request: Any, context: Any, number: int) -> None:
    await asyncio.sleep(30 if number % 3 == 0 else 0)


def test_deadlines_pass_on_both_sides() -> None:
    with serving(slow) as server:
        report = loaded(server, timeout_s=0.5, concurrency=3)
    assert report.codes["timeout"] == {"deadline_exceeded": 4}
    assert report.outcomes["ok"] == 8
    assert report.latency_ms["timeout"].min >= 490
    assert server.cancelled == 4


def test_a_server_that_is_gone_is_a_connection_error() -> None:
    """It goes while requests are sent: those under way, and those that come after."""

    async def stop_after_five(request: Any, context: Any, number: int) -> None:
        if number == 5:
            threading.Thread(target=over.set).start()
            await asyncio.sleep(30)

    over = threading.Event()
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(stop_after_five))
        closer = threading.Thread(target=lambda: (over.wait(10), stack.close()))
        closer.start()
        report = loaded(server, rate=50, timeout_s=2, requests=20)
        closer.join(10)
    assert report.outcomes["ok"] >= 5
    assert report.outcomes["connection_error"] + report.outcomes["timeout"] >= 10
    assert report.outcomes["connection_error"] > 0


def test_what_is_not_there_is_named() -> None:
    with serving(fine) as server, pytest.raises(Unreachable, match="ModelMetadata: NOT_FOUND: no such model"):
        loaded(server, model="other")
    with serving(fine, datatype="FP32") as server, pytest.raises(Unreachable, match="no BYTES input"):
        loaded(server)
    with pytest.raises(Unreachable, match="ServerMetadata: UNAVAILABLE"):
        loaded(server, timeout_s=2)


@pytest.mark.parametrize(
    ("status", "trailers", "kind", "code"),
    [
        ("UNAVAILABLE", {}, "connection_error", "unavailable"),
        ("UNAVAILABLE", {"error-code": "draining"}, "refused", "draining"),
        ("DEADLINE_EXCEEDED", {}, "timeout", "deadline_exceeded"),
        ("DEADLINE_EXCEEDED", {"error-code": "deadline_exceeded"}, "server_error", "deadline_exceeded"),
        ("RESOURCE_EXHAUSTED", {}, "refused", "resource_exhausted"),
        ("UNAUTHENTICATED", {"error-code": b"unauthorized"}, "client_error", "unauthorized"),
        ("UNKNOWN", {"grpc-retry-pushback-ms": "x"}, "server_error", "unknown"),
    ],
)
def test_statuses(status: str, trailers: dict[str, str | bytes], kind: str, code: str) -> None:
    found = of_grpc(status, trailers)
    assert (found.kind, found.code, found.retry_after_s) == (kind, code, None)
