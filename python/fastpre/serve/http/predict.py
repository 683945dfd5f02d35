"""`POST /v1/predict`: an image, or a form with images, for labels and scores as JSON."""

from __future__ import annotations

import asyncio
import dataclasses
import time
import urllib.parse
from typing import Any

import orjson

from ..errors import BadRequest, ServeError, UnsupportedMediaType
from ..inference import InferRequest, InferResponse, InputTensor, ModelInfo, Service
from ..protocol.http_response import server_timing
from .coding import decoded_body, encoded
from .exchange import Answer, Exchange
from .form import FormFiles, Upload
from .infer import traceparent
from .limits import Limits
from .predictions import MAX_TOP, described
from .watch import watched

__all__ = ["Prediction"]

_JSON = (b"content-type", b"application/json")

# The last one is what curl --data-binary says unless it is told otherwise.
_IMAGE_TYPES = (b"", b"application/octet-stream", b"application/x-www-form-urlencoded")


@dataclasses.dataclass(frozen=True, slots=True)
class _Query:
    """The query string.

    Attributes:
        model: empty: the only one.
        top: classes in the answer.
        truncated: "partial": an image whose end is missing is answered from what is there of it.
    """

    model: str = ""
    version: str = ""
    top: int = 5
    truncated: str = ""

    @classmethod
    def of(cls, text: bytes) -> _Query:
        """Raises `BadRequest` for what it does not know."""
        if not text:
            return cls()
        try:
            pairs = urllib.parse.parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=16)
        except ValueError:
            raise BadRequest("the query string has too many parameters") from None
        values: dict[str, str] = {}
        for key, value in pairs:
            if key not in ("model", "version", "top", "truncated"):
                raise BadRequest(f"query parameter {key[:40]!r}: there are model, version, top and truncated")
            values[key] = value
        top = values.get("top", "5")
        if not (top.isascii() and top.isdigit() and len(top) < 5 and 1 <= int(top) <= MAX_TOP):
            raise BadRequest(f"query parameter 'top' is a number from 1 to {MAX_TOP}, not {top[:40]!r}")
        truncated = values.get("truncated", "")
        if truncated not in ("", "partial"):
            raise BadRequest(f"query parameter 'truncated' is 'partial' or not there, not {truncated[:40]!r}")
        return cls(values.get("model", ""), values.get("version", ""), int(top), truncated)


class Prediction:
    """Answers images with what the model makes of them."""

    def __init__(self, service: Service, limits: Limits) -> None:
        self._service = service
        self._limits = limits

    async def __call__(self, exchange: Exchange) -> Answer:
        """The answer; raises `ServeError` and `ClientGone`."""
        query = _Query.of(exchange.scope["query_string"])
        model = self._model(query)
        uploads = await self._uploads(exchange)
        arrived = time.monotonic()
        requests = [_request(model, query, upload, exchange, arrived) for upload in uploads]
        if len(requests) == 1:
            response = await watched(self._service.infer(requests[0]), exchange.receive)
            document = _document(model, response, query.top)
        else:
            answers = await watched(self._all(requests), exchange.receive)
            document = _batch(model, uploads, answers, query.top)
        headers = [_JSON]
        chunks: list[bytes | memoryview] = [orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)]
        if len(requests) == 1 and response.stages_ms:
            headers.append((b"server-timing", server_timing(response.stages_ms)))
        return Answer(200, headers, await encoded(exchange, headers, chunks))

    async def _all(self, requests: list[InferRequest]) -> list[InferResponse | ServeError]:
        """Each answered apart, so that one that is refused costs the others nothing."""
        return await asyncio.gather(*[self._one(request) for request in requests])

    async def _one(self, request: InferRequest) -> InferResponse | ServeError:
        try:
            return await self._service.infer(request)
        except ServeError as error:
            return error

    def _model(self, query: _Query) -> ModelInfo:
        if query.model:
            return self._service.model(query.model, query.version)
        models = self._service.models()
        if len(models) != 1:
            names = ", ".join(model.name for model in models)
            raise BadRequest(f"which model? Name it as ?model=NAME; there are: {names}")
        return self._service.model(models[0].name, query.version)

    async def _uploads(self, exchange: Exchange) -> list[Upload]:
        header = exchange.headers.get(b"content-type", b"")
        kind = header.partition(b";")[0].strip().lower()
        if kind == b"multipart/form-data":
            form = FormFiles(header, self._limits.max_images)
            if b"content-encoding" in exchange.headers:
                form.feed(bytes(await decoded_body(exchange, self._limits)))
            else:
                async for part in exchange.parts(self._limits):
                    form.feed(part)
            return form.finish()
        if kind not in _IMAGE_TYPES and not kind.startswith(b"image/"):
            said = kind[:40].decode("latin-1")
            raise UnsupportedMediaType(
                f"Content-Type {said!r} is not taken; image/*, application/octet-stream and multipart/form-data are"
            )
        body = await decoded_body(exchange, self._limits)
        if not body:
            raise BadRequest("the body is empty; send the bytes of an image file")
        return [Upload("", body)]


def _request(model: ModelInfo, query: _Query, upload: Upload, exchange: Exchange, arrived: float) -> InferRequest:
    name = next((tensor.name for tensor in model.inputs if tensor.datatype == "BYTES"), None)
    if name is None:
        raise BadRequest(f"model {model.name!r} takes no encoded images")
    return InferRequest(
        model.name,
        (InputTensor(name, "BYTES", (1,), (upload.data,)),),
        version=query.version,
        parameters={"truncated": query.truncated} if query.truncated else {},
        received=exchange.received,
        arrived=arrived,
        traceparent=traceparent(exchange),
    )


def _document(model: ModelInfo, response: InferResponse, top: int) -> dict[str, Any]:
    document: dict[str, Any] = {"model": response.model, "version": response.version}
    document.update(described(model, response, top))
    if response.parameters:
        document["parameters"] = dict(response.parameters)
    document["stages_ms"] = {stage: round(value, 3) for stage, value in response.stages_ms.items()}
    return document


def _batch(
    model: ModelInfo, uploads: list[Upload], answers: list[InferResponse | ServeError], top: int
) -> dict[str, Any]:
    """Answers and errors by image. Raises the first error if the server, and no image, is at fault for all of them."""
    failures = [answer for answer in answers if isinstance(answer, ServeError)]
    if len(failures) == len(answers) and all(failure.status >= 500 for failure in failures):
        raise failures[0]
    images: list[dict[str, Any]] = []
    for index, (upload, answer) in enumerate(zip(uploads, answers, strict=True)):
        image: dict[str, Any] = {"index": index, "name": upload.name}
        if isinstance(answer, ServeError):
            image.update(error=answer.reason, code=answer.code)
        else:
            image.update(_document(model, answer, top))
        images.append(image)
    return {"images": images, "failed": len(failures)}
