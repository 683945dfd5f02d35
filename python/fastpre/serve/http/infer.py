"""`POST /v2/models/{model}[/versions/{version}]/infer`."""

from __future__ import annotations

import asyncio
import re
import time

from ..inference import ModelInfo, Service
from ..protocol.http_request import Call, decode_request
from ..protocol.http_response import encode_response, server_timing
from ..protocol.memory import SharedMemory
from .coding import decoded_body, encoded
from .exchange import Answer, Exchange
from .limits import Limits
from .watch import watched

__all__ = ["Inference", "model_of", "traceparent"]

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

# What JSON of more takes, other requests are not to wait for. With a shorter one, there are views of the rest.
_SHORT_BYTES = 64 << 10

_PREFIX, _SUFFIX = "/v2/models/", "/infer"


def model_of(path: str) -> tuple[str, str] | None:
    """Model and version ("" without one) of a path to infer; None: it is another path. Names may have slashes."""
    if not path.startswith(_PREFIX) or not path.endswith(_SUFFIX):
        return None
    named = path[len(_PREFIX) : -len(_SUFFIX)]
    model, marked, version = named.rpartition("/versions/")
    if not marked:
        model, version = named, ""
    return (model, version) if model else None


def traceparent(exchange: Exchange) -> str:
    """The W3C trace context that the request came with; empty: none, or a malformed one."""
    value = exchange.headers.get(b"traceparent")
    return value.decode() if value is not None and _TRACEPARENT.fullmatch(value) else ""


class Inference:
    """Answers requests of the Open Inference Protocol."""

    def __init__(self, service: Service, regions: SharedMemory | None, limits: Limits) -> None:
        self._service = service
        self._regions = regions
        self._limits = limits

    async def __call__(self, exchange: Exchange, model: str, version: str) -> Answer:
        """The answer; raises `ServeError` and `ClientGone`."""
        info = self._service.model(model, version)  # what there is no model for is refused before its body is read
        body = await decoded_body(exchange, self._limits)
        arrived = time.monotonic()
        length = exchange.headers.get(b"inference-header-content-length")
        call = Call(
            model,
            version,
            length,
            _raw_input(info) if length == b"0" else "",
            exchange.received,
            arrived,
            traceparent(exchange),
        )
        arguments = body, call, self._regions, self._limits.max_body_bytes
        if len(body) > _SHORT_BYTES and (length is None or len(length) > len(b"65536")):
            request = await asyncio.to_thread(decode_request, *arguments)
        else:
            request = decode_request(*arguments)
        response = await watched(self._service.infer(request), exchange.receive)
        headers, chunks = encode_response(response, request, labels=info.labels, regions=self._regions)
        if response.stages_ms:
            headers.append((b"server-timing", server_timing(response.stages_ms)))
        return Answer(200, headers, await encoded(exchange, headers, chunks))


def _raw_input(model: ModelInfo) -> str:
    """The input that takes encoded images; empty: there is none."""
    return next((tensor.name for tensor in model.inputs if tensor.datatype == "BYTES"), "")
