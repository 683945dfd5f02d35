"""What is not asked for a thousand times a second: health, metadata, statistics, shared memory, documentation."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from ..errors import BadRequest, NotFound, ServeError
from ..inference import ModelInfo, Service, TensorInfo
from ..protocol import fields
from ..protocol.memory import SharedMemory
from .answers import failed, refused
from .exchange import Answer, ClientGone, Exchange
from .limits import Limits
from .openapi import document as openapi_document
from .page import page

__all__ = ["EXTENSIONS", "routes", "starlette_handlers"]

# By Triton's names; clients look for them before they use what they stand for.
EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "statistics",
)
_SHARED_MEMORY = "system_shared_memory"

_SMALL = Limits(max_body_bytes=64 << 10, body_timeout_s=5.0)  # bodies of these paths

_NOT_POST = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"]

Endpoint: TypeAlias = "Callable[[Request], Awaitable[Response]]"


def routes(
    service: Service,
    regions: SharedMemory | None,
    metrics: Callable[[str], tuple[bytes, str]] | None,
    limits: Limits,
    *,
    guarded: bool,
) -> list[BaseRoute]:
    """The protocol's paths, and those of the documentation; the arguments are `Application`'s."""
    server = _Server(service, regions)
    memory = _Memory(regions)
    site = _Site(openapi_document(service.version, limits, guarded=guarded), metrics)
    table: list[tuple[str, str, Callable[[Request], Awaitable[Any]]]] = [
        ("GET", "/v2", server.metadata),
        ("GET", "/v2/health/live", server.live),
        ("GET", "/v2/health/ready", server.ready),
        ("GET", "/v2/models", server.names),
        ("GET", "/v2/models/stats", server.statistics),
        ("POST", "/v2/repository/index", server.index),
        ("GET", "/v2/systemsharedmemory/status", memory.status),
        ("POST", "/v2/systemsharedmemory/unregister", memory.unregister),
        ("GET", "/v2/systemsharedmemory/region/{name:path}/status", memory.status),
        ("POST", "/v2/systemsharedmemory/region/{name:path}/register", memory.register),
        ("POST", "/v2/systemsharedmemory/region/{name:path}/unregister", memory.unregister),
        ("GET", "/v2/cudasharedmemory/status", memory.no_cuda_regions),
        ("POST", "/v2/cudasharedmemory/unregister", memory.no_cuda_regions),
        ("GET", "/v2/cudasharedmemory/region/{name:path}/status", memory.no_cuda_region),
        ("POST", "/v2/cudasharedmemory/region/{name:path}/register", memory.no_cuda),
        ("POST", "/v2/cudasharedmemory/region/{name:path}/unregister", memory.no_cuda_regions),
    ]
    for prefix in ("/v2/models/{model:path}/versions/{version}", "/v2/models/{model:path}"):
        table += [
            ("GET", f"{prefix}/ready", server.model_ready),
            ("GET", f"{prefix}/config", server.config),
            ("GET", f"{prefix}/stats", server.statistics),
        ]
    table += [
        ("GET", "/v2/models/{model:path}/versions/{version}", server.model),
        ("GET", "/v2/models/{model:path}", server.model),
        ("GET", "/openapi.json", site.openapi),
        ("GET", "/docs", site.docs),
        ("GET", "/metrics", site.metrics),
    ]
    return [
        # POST never comes this far; any other method would find a model whose name ends in "/infer".
        Route("/v1/predict", _post_only, methods=_NOT_POST),
        Route("/v2/models/{model:path}/infer", _post_only, methods=_NOT_POST),
        *(Route(path, _answering(endpoint), methods=[method]) for method, path, endpoint in table),
    ]


class _Server:
    """The server, and its models."""

    def __init__(self, service: Service, regions: SharedMemory | None) -> None:
        self._service = service
        self._extensions = sorted((*EXTENSIONS, _SHARED_MEMORY) if regions is not None else EXTENSIONS)

    async def metadata(self, request: Request) -> Any:
        return {"name": self._service.name, "version": self._service.version, "extensions": self._extensions}

    async def live(self, request: Request) -> Any:
        return {"live": True}

    async def ready(self, request: Request) -> Any:
        ready = self._service.ready
        return _json({"ready": ready}, 200 if ready else 503)

    async def names(self, request: Request) -> Any:
        return {"models": [model.name for model in self._service.models()]}

    async def model(self, request: Request) -> Any:
        return _metadata(self._service.model(*_model(request)))

    async def model_ready(self, request: Request) -> Any:
        name, version = _model(request)
        ready = self._service.model_ready(name, version)
        return _json({"name": name, "ready": ready}, 200 if ready else 503)

    async def config(self, request: Request) -> Any:
        return self._service.config(*_model(request))

    async def statistics(self, request: Request) -> Any:
        return {"model_stats": self._service.statistics(*_model(request))}

    async def index(self, request: Request) -> Any:
        ready_only = fields.flag(await _body(request), "ready", "the body")
        index: list[dict[str, str]] = []
        for model in self._service.models():
            for version in model.versions:
                ready = self._service.model_ready(model.name, version)
                if ready or not ready_only:
                    state, reason = ("READY", "") if ready else ("UNAVAILABLE", "not ready")
                    index.append({"name": model.name, "version": version, "state": state, "reason": reason})
        return index


class _Memory:
    """Shared memory."""

    def __init__(self, regions: SharedMemory | None) -> None:
        self._regions = regions

    async def status(self, request: Request) -> Any:
        name = request.path_params.get("name")
        if self._regions is None:
            if name is not None:
                raise NotFound(f"there is no shared memory region {name!r}; this server takes none")
            return []
        return self._regions.status(name)

    async def register(self, request: Request) -> Any:
        if self._regions is None:
            raise BadRequest("this server takes no shared memory")
        where = f"region {request.path_params['name']!r}"
        body = await _body(request)
        self._regions.register(
            request.path_params["name"],
            fields.text(body, "key", where),
            fields.size(body, "offset", where, 0),
            fields.size(body, "byte_size", where),
        )
        return {}

    async def unregister(self, request: Request) -> Any:
        if self._regions is not None:
            self._regions.unregister(request.path_params.get("name"))
        return {}

    async def no_cuda_regions(self, request: Request) -> Any:
        """There are none: a status is empty, and all are unregistered."""
        return [] if request.method == "GET" else {}

    async def no_cuda_region(self, request: Request) -> Any:
        raise NotFound(f"there is no CUDA shared memory region {request.path_params['name']!r}; this server takes none")

    async def no_cuda(self, request: Request) -> Any:
        raise BadRequest("this server takes no CUDA shared memory; use system shared memory")


class _Site:
    """Documentation and metrics."""

    def __init__(self, document: dict[str, Any], metrics: Callable[[str], tuple[bytes, str]] | None) -> None:
        self._document = document
        self._metrics = metrics

    async def openapi(self, request: Request) -> Any:
        return self._document

    async def docs(self, request: Request) -> Any:
        html, policy = page(self._document)
        return HTMLResponse(html, headers={"content-security-policy": policy})

    async def metrics(self, request: Request) -> Any:
        if self._metrics is None:
            raise NotFound("this server has no metrics")
        body, kind = self._metrics(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": kind})


async def _post_only(_: Request) -> Response:
    raise HTTPException(405, headers={"Allow": "POST"})


def _model(request: Request) -> tuple[str, str]:
    return request.path_params.get("model", ""), request.path_params.get("version", "")


def _metadata(model: ModelInfo) -> dict[str, Any]:
    return {
        "name": model.name,
        "versions": model.versions,
        "platform": model.platform,
        "inputs": [_tensor(tensor) for tensor in model.inputs],
        "outputs": [_tensor(tensor) for tensor in model.outputs],
        "parameters": {"task": model.task, "max_batch": model.max_batch},
    }


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


async def _body(request: Request) -> dict[str, Any]:
    """The body as a JSON object; an empty one is one without fields."""
    body = await Exchange(request.scope, request.receive, _no_send).body(_SMALL)
    try:
        return fields.table(orjson.loads(body or b"{}"), "the body")
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is no JSON: {error}") from None


async def _no_send(_: Any) -> None:
    raise AssertionError("the route answers")


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _answering(endpoint: Callable[[Request], Awaitable[Any]]) -> Endpoint:
    """The endpoint with what it returns as JSON, and its errors as answers."""

    @functools.wraps(endpoint)
    async def answering(request: Request) -> Response:
        try:
            value = await endpoint(request)
        except ServeError as error:
            return _response(refused(error))
        except ClientGone:
            return Response(status_code=400)  # sent to no client
        except Exception:
            return _response(failed(request.url.path))
        return value if isinstance(value, Response) else _json(value)

    return answering


def _response(answer: Answer) -> Response:
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(b"".join(answer.chunks), answer.status, headers=headers)


async def _refuse(request: Request, error: Exception) -> Response:
    """What Starlette's router has no route for: 404, and 405 for another method."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    reason = {
        404: f"there is nothing at {request.url.path!r}; /docs has the paths",
        405: f"{request.url.path!r} does not take {request.method}",
    }.get(error.status_code, error.detail)
    response = _json({"error": reason, "code": code}, error.status_code)
    response.headers.update(error.headers or {})
    return response


def starlette_handlers() -> dict[Any, Callable[[Request, Exception], Awaitable[Response]]]:
    """For `Starlette(exception_handlers=...)`: its own errors in the server's form."""
    return {HTTPException: _refuse}
