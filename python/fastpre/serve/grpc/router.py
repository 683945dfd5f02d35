"""Which function answers which call, and who may call it: decided on the call's headers, before its message is read."""

from __future__ import annotations

import functools
import hmac
import time
from collections.abc import Callable
from typing import Any

import grpc

from ..errors import Overloaded, ServeError, Unauthorized
from ..protocol.schema import message, parsed, service
from .descriptions import Descriptions
from .health import Health
from .inference import Inference
from .refusal import refuse, told
from .state import State
from .stream import Stream

__all__ = ["Router"]

SERVICE = "inference.GRPCInferenceService"
INFER, STREAM = f"/{SERVICE}/ModelInfer", f"/{SERVICE}/ModelStreamInfer"
# What probes ask, which have no key: it says no more than that the server is there.
OPEN = frozenset(
    {
        f"/{SERVICE}/ServerLive",
        f"/{SERVICE}/ServerReady",
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
    }
)


class Router(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Messages pass as bytes, whatever the call: no generated code takes part.

    Args:
        inference: ModelInfer, and what streams use.
        descriptions: the calls of one short message each.
        health: the standard health service.
        state: for `admit`.
        api_key: what callers must send as `authorization: Bearer KEY` or `x-api-key: KEY`; None: nothing.
    """

    def __init__(
        self, inference: Inference, descriptions: Descriptions, health: Health, state: State, api_key: str | None
    ) -> None:
        self._inference = inference
        self._state = state
        self._key = None if api_key is None else api_key.encode()
        self._handlers = {
            STREAM: grpc.stream_stream_rpc_method_handler(functools.partial(_stream, inference)),
            "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(health.check),
            "/grpc.health.v1.Health/Watch": grpc.unary_stream_rpc_method_handler(health.watch),
        }
        for method in service(SERVICE).methods:
            if method.name in descriptions.calls:
                answer = functools.partial(
                    _describe, descriptions.calls[method.name], message(method.input_type.full_name)
                )
                self._handlers[f"/{SERVICE}/{method.name}"] = grpc.unary_unary_rpc_method_handler(answer)

    def service(self, handler_call_details: Any) -> Any:
        """The handler of a call; None: there is no such call, which gRPC answers."""
        try:
            return self._handler(handler_call_details)
        except Exception as error:  # also a fault of ours: gRPC would send its text to the client
            seen = told(error)
            self._state.refused(seen)
            return _refusal(seen)

    def _handler(self, details: Any) -> Any:
        method, state = details.method, self._state
        if self._key is not None and method not in OPEN and not self._allowed(details):
            raise Unauthorized("the API key is missing or wrong")
        if method in (INFER, STREAM) and len(state.running) >= state.limits.calls:
            raise Overloaded(f"{state.limits.calls} calls are running, and that is the most")
        if (
            method == STREAM and state.streams >= state.limits.calls // 2
        ):  # they may be idle, and inferences must not wait
            raise Overloaded(f"{state.streams} streams are open, and that is the most")
        if method == INFER:
            refused = state.admit()
            if refused is not None:
                raise refused
            # As a stream of one, so that it runs before the message is there: it may be late, and is timed.
            answer = functools.partial(_infer, self._inference, time.monotonic())
            return grpc.stream_unary_rpc_method_handler(answer)
        return self._handlers.get(method)

    def _allowed(self, details: Any) -> bool:
        assert self._key is not None
        for key, value in details.invocation_metadata:
            sent = value if isinstance(value, bytes) else value.encode()
            if key == "authorization" and sent[:7].lower() == b"bearer ":
                sent = sent[7:]
            elif key != "x-api-key":
                continue
            if hmac.compare_digest(sent, self._key):
                return True
        return False


async def _infer(inference: Inference, received: float, _: Any, context: Any) -> bytes:
    with inference.state.run():
        return await inference.infer(received, context)


async def _stream(inference: Inference, _: Any, context: Any) -> None:
    with inference.state.run(stream=True):
        await Stream(inference, context).run()


async def _describe(answer: Callable[[Any], Any], asked: Any, raw: bytes, context: Any) -> bytes:
    try:
        return bytes(answer(parsed(asked, raw)).SerializeToString())
    except Exception as error:
        await refuse(context, error)


def _refusal(error: ServeError) -> Any:
    """A handler that reads nothing and refuses."""

    async def answer(_: Any, context: Any) -> None:
        await refuse(context, error)

    return grpc.stream_unary_rpc_method_handler(answer)
