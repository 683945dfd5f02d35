"""ModelInfer, and what a stream shares with it: from a message's bytes to its response."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Any

import grpc

from ..errors import BadRequest, ServeError, TooSlow
from ..inference import InferRequest
from ..protocol.http_response import server_timing
from ..protocol.messages import infer_request, infer_response
from ..protocol.regions import Regions
from ..protocol.schema import message, parsed
from .refusal import refuse, told
from .state import State

__all__ = ["Inference"]

SHORT_BYTES = 64 << 10  # messages of less are not counted; HTTP/2's window takes them at once


class Inference:
    """ModelInfer. Messages are parsed here and not by gRPC, so that a refused call costs no parsing."""

    def __init__(self, regions: Regions, state: State) -> None:
        self.state = state
        self._regions = regions
        self.message = message("inference.ModelInferRequest")

    async def infer(self, received: float, context: Any) -> bytes:
        """Answers the call. The client's deadline and cancellation reach `Service.infer`.

        Args:
            received: `time.monotonic()` when the call's headers came.
            context: of grpc.aio.
        """
        try:
            return await self._answered(received, context)
        except asyncio.CancelledError:
            # Mostly the client has gone, and this goes nowhere. But if a task inside the service was cancelled, the
            # client would wait for ever.
            with contextlib.suppress(Exception):
                await refuse(context, ServeError("the request was cancelled inside the server"))
            raise
        except Exception as error:
            seen = told(error)
            if seen is error:  # or it is a fault of ours, which the service has counted
                self.state.refused(seen)
            await refuse(context, seen)

    async def _answered(self, received: float, context: Any) -> bytes:
        raw = await self._body(context)
        with self.state.holding.of(len(raw)):
            request = self.request(parsed(self.message, raw), context, received)
            response, stages_ms = await self.answer(request)
        if stages_ms:
            context.set_trailing_metadata((("server-timing", server_timing(stages_ms).decode()),))
        return self._held(bytes(response.SerializeToString()), context)

    def _held(self, sent: bytes, context: Any) -> bytes:
        """The message of a response, which counts until the call is over: its client may not take it."""
        if len(sent) > SHORT_BYTES:
            answers = self.state.answers
            answers.take(len(sent))
            context.add_done_callback(lambda _: answers.give(len(sent)))
        return sent

    def request(self, asked: Any, context: Any, received: float) -> InferRequest:
        """The request of a message that has just arrived, and began to at `received`.

        The call's deadline is its deadline, too.

        Raises:
            ServeError: it is malformed.
        """
        request = infer_request(asked, self._regions, received=received, max_bytes=self.state.limits.message_bytes)
        request.arrived = time.monotonic()
        remaining = context.time_remaining()
        if remaining is not None:
            ends = request.arrived + float(remaining)
            request.deadline = ends if request.deadline is None else min(request.deadline, ends)
        for key, value in context.invocation_metadata():
            if key == "traceparent":
                request.traceparent = str(value)
        return request

    async def answer(self, request: InferRequest) -> tuple[Any, Mapping[str, float]]:
        """The ModelInferResponse of a request, and the milliseconds by stage.

        Raises:
            ServeError: it is refused.
        """
        service = self.state.service
        response = await service.infer(request)
        labels: tuple[str, ...] = ()
        if any(output.classification for output in request.outputs):
            labels = service.model(request.model, request.version).labels
        response.id = response.id or request.id
        return infer_response(response, request.outputs, labels, self._regions), response.stages_ms

    async def _body(self, context: Any) -> bytes:
        """The one message of a call, if it arrives in time."""
        task = asyncio.current_task()
        assert task is not None
        late = False

        def expire() -> None:
            nonlocal late
            late = True
            task.cancel()

        # asyncio.wait_for makes a task of its own, for 20 µs.
        timer = asyncio.get_running_loop().call_later(self.state.limits.body_s, expire)
        try:
            raw = await context.read()
        except asyncio.CancelledError:
            if late:
                raise TooSlow(f"the request did not arrive within {self.state.limits.body_s:g} s") from None
            raise
        finally:
            timer.cancel()
        if raw is grpc.aio.EOF:
            raise BadRequest("the call has no message")
        return bytes(raw)
