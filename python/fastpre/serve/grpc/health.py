"""gRPC's standard health service, `grpc.health.v1.Health`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from ..errors import BadRequest, NotFound
from ..protocol.schema import message, parsed
from .refusal import refuse
from .state import State

__all__ = ["Health"]

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
SERVICES = ("", "inference.GRPCInferenceService")
# How long a watcher may not know that the server has become ready or not; draining is told at once.
WATCH_S = 0.5


class Health:
    """Check and Watch: serving means that inferences are taken."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._asked = message("grpc.health.v1.HealthCheckRequest")
        self._said = message("grpc.health.v1.HealthCheckResponse")

    async def check(self, raw: bytes, context: Any) -> bytes:
        """The status now."""
        status = self._status(await self._service(raw, context))
        if status == SERVICE_UNKNOWN:
            await refuse(context, NotFound("the health of that service is not known here"))
        return bytes(self._said(status=status).SerializeToString())

    async def watch(self, raw: bytes, context: Any) -> None:
        """The status now and whenever it changes; the stream ends when the server drains."""
        service = await self._service(raw, context)
        last = 0
        while True:
            draining = self._state.draining.is_set()
            status = self._status(service)
            if status != last:
                await context.write(self._said(status=status).SerializeToString())
                last = status
            if draining:
                return
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._state.draining.wait(), WATCH_S)

    def _status(self, service: str) -> int:
        if service not in SERVICES:
            return SERVICE_UNKNOWN
        return SERVING if self._state.ready else NOT_SERVING

    async def _service(self, raw: bytes, context: Any) -> str:
        try:
            return str(parsed(self._asked, raw).service)
        except BadRequest as error:
            await refuse(context, error)
