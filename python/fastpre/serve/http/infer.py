"""`POST /v2/models/{model}[/versions/{version}]/infer`."""

from __future__ import annotations

import re
import time

from ..inference import Service
from ..protocol.http_request import Call, decode_request
from ..protocol.http_response import encode_response, server_timing
from ..protocol.memory import SharedMemory
from .coding import decoded_body, encoded
from .exchange import Answer, Exchange
from .limits import Limits
from .watch import watched

__all__ = ["Inference", "model_of", "traceparent"]

_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

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
        body = await decoded_body(exchange, self._limits)
        arrived = time.monotonic()
        length = exchange.headers.get(b"inference-header-content-length")
        call = Call(
            model,
            version,
            length,
            self._raw_input(model, version) if length == b"0" else "",
            exchange.received,
            arrived,
            traceparent(exchange),
        )
        request = decode_request(body, call, self._regions)
        response = await watched(self._service.infer(request), exchange.receive)
        labels: tuple[str, ...] = ()
        if any(output.classification for output in request.outputs):
            labels = self._service.model(model, version).labels
        headers, chunks = encode_response(response, request, labels=labels, regions=self._regions)
        if response.stages_ms:
            headers.append((b"server-timing", server_timing(response.stages_ms)))
        return Answer(200, headers, await encoded(exchange, headers, chunks))

    def _raw_input(self, model: str, version: str) -> str:
        inputs = self._service.model(model, version).inputs
        return next((tensor.name for tensor in inputs if tensor.datatype == "BYTES"), "")
