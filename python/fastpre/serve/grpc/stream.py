"""ModelStreamInfer: each request of a stream is answered as it finishes, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import grpc

from ..errors import Draining, ServeError
from ..protocol.schema import message, parsed
from .inference import Inference
from .refusal import reason, refuse, told

__all__ = ["Stream"]

logger = logging.getLogger(__name__)

# A client asks with the first parameter that a request's last response has the second.
FINAL_WANTED, FINAL = "triton_enable_empty_final_response", "triton_final_response"


class Stream:
    """One stream, from its first message to its end.

    Args:
        inference: what answers each request.
        context: of grpc.aio.
    """

    def __init__(self, inference: Inference, context: Any) -> None:
        self._inference = inference
        self._context = context
        self._state = inference.state
        self._message = message("inference.ModelStreamInferResponse")
        self._slots = asyncio.Semaphore(self._state.limits.streamed)
        self._writing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._abandoned = False

    async def run(self) -> None:
        """Returns after the client has ended the stream and has every response. Draining ends it earlier.

        Cancelling it cancels the requests that are worked on.
        """
        try:
            while True:
                await self._slots.acquire()
                raw = await self._next()
                if raw is None:
                    break
                task = asyncio.create_task(self._answer(raw))
                self._tasks.add(task)
                task.add_done_callback(self._finished)
            await asyncio.gather(*self._tasks)
            if self._state.draining.is_set():
                await refuse(self._context, Draining("the server is shutting down; open a new stream"))
        finally:
            self._abandoned = True
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()

    async def _next(self) -> bytes | None:
        """The next message; None after the last, or as soon as the server drains."""
        reading = asyncio.ensure_future(self._context.read())
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

    async def _answer(self, raw: bytes) -> None:
        asked, received = None, time.monotonic()
        try:
            refused = self._state.admit()
            asked = parsed(self._inference.message, raw)
            if refused is not None:
                raise refused
            with self._state.holding.of(len(raw)):
                request = self._inference.request(asked, self._context, received)
                response, _ = await self._inference.answer(request)
            sent = self._message(infer_response=response)
        except asyncio.CancelledError:
            if self._abandoned:
                raise
            sent = self._failure(ServeError("the request was cancelled inside the server"), asked)
        except Exception as error:
            seen = told(error)
            if seen is error:  # or it is a fault of ours, which the service has counted
                self._state.refused(seen)
            sent = self._failure(seen, asked)
        size = sent.ByteSize()  # counts until it is written: its client may not take it
        try:
            self._state.answers.take(size)
        except ServeError as error:
            size, sent = 0, self._failure(error, asked)
        if asked is not None and FINAL_WANTED in asked.parameters and asked.parameters[FINAL_WANTED].bool_param:
            sent.infer_response.parameters[FINAL].bool_param = True
        try:
            async with self._writing:  # grpc.aio takes one write at a time
                await self._context.write(sent.SerializeToString())
        except Exception as error:  # the client has gone, and `run` is about to be cancelled
            logger.debug("a response of a stream was not sent: %s", error)
        finally:
            self._state.answers.give(size)

    def _failure(self, error: ServeError, asked: Any) -> Any:
        """A failed request's response. It has no trailing metadata: parameters say the same.

        Args:
            error: as the client may see it.
            asked: the request's message; None if it could not be read.
        """
        sent = self._message(error_message=reason(error) or error.code)
        response = sent.infer_response
        if asked is not None:  # which of the stream's requests it was
            response.model_name, response.model_version, response.id = asked.model_name, asked.model_version, asked.id
        response.parameters["error_code"].string_param = error.code
        if error.index is not None:
            response.parameters["image_index"].int64_param = error.index
        if error.retry_after_s is not None:
            response.parameters["retry_after_s"].double_param = error.retry_after_s
        return sent
