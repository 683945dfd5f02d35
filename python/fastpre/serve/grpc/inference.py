"""ModelInfer and ModelStreamInfer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from ..errors import BadRequest, Draining, ServeError, TooSlow
from ..inference import InferRequest
from ..protocol.messages import infer_request, infer_response
from ..protocol.regions import Regions
from ..protocol.schema import message
from .refusal import reason, refuse, told
from .state import State

__all__ = ["Inference", "server_timing"]

logger = logging.getLogger(__name__)

# A client of a stream asks with this parameter that each request's last response says that it is the last.
FINAL_WANTED, FINAL = "triton_enable_empty_final_response", "triton_final_response"


def server_timing(stages_ms: Mapping[str, float]) -> str:
    """Stage times as the value of a `Server-Timing` header (W3C)."""
    return ", ".join(f"{stage};dur={milliseconds:.3f}" for stage, milliseconds in stages_ms.items())


class Inference:
    """The two calls that run a model. Messages are parsed here, so that a refused call costs no parsing."""

    def __init__(self, regions: Regions, state: State) -> None:
        self._regions = regions
        self._state = state
        self._received = message("inference.ModelInferRequest")
        self._streamed = message("inference.ModelStreamInferResponse")

    async def infer(self, received: float, context: Any) -> bytes:
        """ModelInfer. The client's deadline and cancellation reach `Service.infer`.

        Args:
            received: `time.monotonic()` when the call's headers came.
            context: of grpc.aio.
        """
        try:
            raw = await self._message(context)
            arrived = time.monotonic()
            request = self._request(raw, arrived, context)
            request.received = received
            sent, stages_ms = await self._answer(request)
            if stages_ms:
                context.set_trailing_metadata((("server-timing", server_timing(stages_ms)),))
            return bytes(sent.SerializeToString())
        except Exception as error:
            await refuse(context, error)

    async def stream(self, context: Any) -> None:
        """ModelStreamInfer: each request is answered as it finishes; a failed one is answered in the stream."""
        slots = asyncio.Semaphore(self._state.limits.streamed)
        writing = asyncio.Lock()
        tasks: set[asyncio.Task[None]] = set()

        def finished(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            slots.release()

        try:
            while True:
                await slots.acquire()
                raw = await self._next(context)
                if raw is None:
                    break
                task = asyncio.create_task(self._answer_streamed(raw, context, writing))
                tasks.add(task)
                task.add_done_callback(finished)
            await asyncio.gather(*tasks)
            if self._state.draining.is_set():
                await refuse(context, Draining("the server is shutting down; open a new stream"))
        finally:
            # The client has gone, or the server's time to drain has passed.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _message(self, context: Any) -> bytes:
        """The one message of a call, if it arrives in time."""
        task = asyncio.current_task()
        assert task is not None
        late = False

        def expire() -> None:
            nonlocal late
            late = True
            task.cancel()

        # asyncio.wait_for makes a task of its own, for 20 µs.
        timer = asyncio.get_running_loop().call_later(self._state.limits.body_s, expire)
        try:
            raw = await context.read()
        except asyncio.CancelledError:
            if late:
                raise TooSlow(f"the request did not arrive within {self._state.limits.body_s:g} s") from None
            raise
        finally:
            timer.cancel()
        if raw is grpc.aio.EOF:
            raise BadRequest("the call has no message")
        return bytes(raw)

    async def _next(self, context: Any) -> bytes | None:
        """The next message of a stream; None after the last, or as soon as the server drains."""
        reading = asyncio.ensure_future(context.read())
        draining = asyncio.ensure_future(self._state.draining.wait())
        try:
            await asyncio.wait((reading, draining), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return None
            raw = reading.result()
            return None if raw is grpc.aio.EOF else bytes(raw)
        finally:
            reading.cancel()
            draining.cancel()

    def _request(self, raw: bytes, arrived: float, context: Any) -> InferRequest:
        try:
            parsed = self._received.FromString(raw)
        except DecodeError:
            raise BadRequest("the message is no ModelInferRequest") from None
        request = infer_request(parsed, self._regions, arrived=arrived, max_bytes=self._state.limits.message_bytes)
        remaining = context.time_remaining()
        if remaining is not None:
            ends = arrived + float(remaining)
            request.deadline = ends if request.deadline is None else min(request.deadline, ends)
        for key, value in context.invocation_metadata():
            if key == "traceparent":
                request.traceparent = str(value)
        return request

    async def _answer(self, request: InferRequest) -> tuple[Any, Mapping[str, float]]:
        """The ModelInferResponse of a request, and the milliseconds by stage."""
        service = self._state.service
        response = await service.infer(request)
        labels: tuple[str, ...] = ()
        if any(output.classification for output in request.outputs):
            labels = service.model(request.model, request.version).labels
        response.id = response.id or request.id
        return infer_response(response, request.outputs, labels, self._regions), response.stages_ms

    async def _answer_streamed(self, raw: bytes, context: Any, writing: asyncio.Lock) -> None:
        request: InferRequest | None = None
        try:
            refused = self._state.admit()
            if refused is not None:
                raise refused
            request = self._request(raw, time.monotonic(), context)
            response, _ = await self._answer(request)
            sent = self._streamed(infer_response=response)
        except Exception as error:
            sent = self._failure(told(error), raw, request)
        if request is not None and request.parameters.get(FINAL_WANTED) is True:
            sent.infer_response.parameters[FINAL].bool_param = True
        try:
            async with writing:  # grpc.aio takes one write at a time
                await context.write(sent.SerializeToString())
        except Exception as error:  # the client has gone, and the stream's own task hears of it too
            logger.debug("a response of a stream was not sent: %s", error)

    def _failure(self, error: ServeError, raw: bytes, request: InferRequest | None) -> Any:
        """A failed request's response: streams have no trailing metadata for each, so parameters say the same."""
        sent = self._streamed(error_message=reason(error) or error.code)
        response = sent.infer_response
        if request is not None:
            response.model_name, response.model_version, response.id = request.model, request.version, request.id
        response.parameters["error_code"].string_param = error.code
        if error.index is not None:
            response.parameters["image_index"].int64_param = error.index
        if error.retry_after_s is not None:
            response.parameters["retry_after_s"].double_param = error.retry_after_s
        return sent
