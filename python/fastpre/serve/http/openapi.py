"""The OpenAPI description of the HTTP paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..inference import DTYPES
from .limits import Limits
from .predictions import MAX_TOP

__all__ = ["document"]

_ERRORS = {
    400: "The request is malformed; the reason names what is wrong.",
    401: "The API key is missing or wrong.",
    404: "There is no such model, version, region or path.",
    408: "The body did not arrive in time.",
    413: "The body, or the image, is larger than the server takes.",
    415: "The Content-Type, the Content-Encoding or the kind of image is not supported.",
    422: "The image is corrupt.",
    500: "A bug or a failing model; the server's log has more.",
    503: "No room or not ready; Retry-After says when to come again, if that is known.",
    504: "The request's deadline passed.",
}

_MODEL = {
    "name": "model",
    "in": "path",
    "required": True,
    "description": "The model's name.",
    "schema": {"type": "string", "minLength": 1},
}
_VERSION = {**_MODEL, "name": "version", "description": "The model's version."}
_REGION = {**_MODEL, "name": "name", "description": "The name that the client gives the region."}

_NAME = {"type": "string", "minLength": 1, "maxLength": 256}
_PARAMETERS = {
    "type": "object",
    "additionalProperties": {"anyOf": [{"type": kind} for kind in ("boolean", "number", "string")]},
}
_DATATYPE = {"type": "string", "enum": ["BYTES", *DTYPES]}


def _object(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(required)}


def _list(items: Mapping[str, Any], **bounds: int) -> dict[str, Any]:
    return {"type": "array", "items": dict(items), **bounds}


_TEXT, _NUMBER, _FLAG, _COUNT = {"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "integer"}
_TENSOR_INFO = _object({"name": _TEXT, "datatype": _TEXT, "shape": _list(_COUNT)}, "name", "datatype", "shape")
_PREDICTION = _object(
    {"label": _TEXT, "index": _COUNT, "score": {"type": ["number", "null"]}}, "label", "index", "score"
)
_PICTURE = {
    "model": _TEXT,
    "version": _TEXT,
    "predictions": _list({"$ref": "#/components/schemas/Prediction"}),
    "outputs": {"type": "object"},
    "parameters": _PARAMETERS,
    "stages_ms": {"type": "object", "additionalProperties": _NUMBER},
}

_SCHEMAS: dict[str, Any] = {
    "Error": _object(
        {
            "error": {**_TEXT, "description": "What is wrong, for people."},
            "code": {**_TEXT, "description": "The kind of error, for programs; it does not change."},
            "index": {**_COUNT, "description": "Which image of the request is at fault."},
            "request_id": {**_TEXT, "description": "Where the server's log has a bug."},
        },
        "error",
        "code",
    ),
    "InferRequest": _object(
        {
            "id": _TEXT,
            "parameters": _PARAMETERS,
            "inputs": _list(
                _object(
                    {
                        "name": _NAME,
                        "shape": _list({"type": "integer", "minimum": 1}, maxItems=16),
                        "datatype": _DATATYPE,
                        "parameters": _PARAMETERS,
                        "data": _list({}),
                    },
                    "name",
                    "shape",
                    "datatype",
                ),
                minItems=1,
                maxItems=64,
            ),
            "outputs": _list(_object({"name": _NAME, "parameters": _PARAMETERS}, "name"), maxItems=64),
        },
        "inputs",
    ),
    "InferResponse": _object(
        {
            "model_name": _TEXT,
            "model_version": _TEXT,
            "id": _TEXT,
            "parameters": _PARAMETERS,
            "outputs": _list(
                _object(
                    {
                        "name": _TEXT,
                        "datatype": _TEXT,
                        "shape": _list(_COUNT),
                        "parameters": _PARAMETERS,
                        "data": _list({}),
                    },
                    "name",
                    "datatype",
                    "shape",
                )
            ),
        },
        "model_name",
        "outputs",
    ),
    "Prediction": _PREDICTION,
    "Image": _object(_PICTURE, "model", "version"),
    "Images": _object(
        {
            "failed": _COUNT,
            "images": _list(
                _object({"index": _COUNT, "name": _TEXT, "error": _TEXT, "code": _TEXT, **_PICTURE}, "index", "name")
            ),
        },
        "images",
        "failed",
    ),
    "ServerMetadata": _object({"name": _TEXT, "version": _TEXT, "extensions": _list(_TEXT)}, "name", "extensions"),
    "ModelMetadata": _object(
        {
            "name": _TEXT,
            "versions": _list(_TEXT),
            "platform": _TEXT,
            "inputs": _list(_TENSOR_INFO),
            "outputs": _list(_TENSOR_INFO),
            "parameters": _PARAMETERS,
        },
        "name",
        "platform",
        "inputs",
        "outputs",
    ),
    "Region": _object(
        {
            "key": {**_NAME, "description": "Of the POSIX shared memory object."},
            "offset": {"type": "integer", "minimum": 0, "default": 0},
            "byte_size": {"type": "integer", "minimum": 0},
        },
        "key",
        "byte_size",
    ),
}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": dict(schema)}}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _binary() -> dict[str, Any]:
    return {"schema": {"type": "string", "format": "binary"}}


def _operation(
    summary: str,
    answer: Mapping[str, Any],
    *errors: int,
    parameters: tuple[Mapping[str, Any], ...] = (),
    body: Mapping[str, Any] | None = None,
    needs_body: bool = True,
    not_ready: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": dict(answer)}}
    for status in sorted({*errors, 500}):
        responses[str(status)] = {"description": _ERRORS[status], "content": _json(_ref("Error"))}
    if not_ready is not None:
        responses["503"] = {"description": "It is not ready.", "content": _json(not_ready)}
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    if parameters:
        operation["parameters"] = [dict(parameter) for parameter in parameters]
    if body is not None:
        operation["requestBody"] = {"required": needs_body, "content": dict(body)}
    return operation


def _inference(limits: Limits) -> dict[str, Any]:
    """The paths that images and tensors are sent to."""
    infer_errors = (400, 404, 408, 413, 415, 422, 503, 504)
    header = {
        "name": "Inference-Header-Content-Length",
        "in": "header",
        "required": False,
        "description": (
            "Bytes of the JSON part, decompressed; binary tensors follow it. 0: the body is one encoded image. "
            "Without it, all of the body is JSON."
        ),
        "schema": {"type": "integer", "minimum": 0},
    }
    tensors = {**_json(_ref("InferRequest")), "application/octet-stream": _binary()}
    answer = {**_json(_ref("InferResponse")), "application/octet-stream": _binary()}
    query = [
        ("model", "The model; needed if there are several.", {"type": "string"}),
        ("version", "Its version; the newest without it.", {"type": "string"}),
        ("top", "Classes in the answer.", {"type": "integer", "minimum": 1, "maximum": MAX_TOP, "default": 5}),
        (
            "truncated",
            "partial: an image whose end is missing is answered from what is there of it.",
            {"type": "string", "enum": ["partial"]},
        ),
    ]
    form = {
        "type": "object",
        "properties": {"image": _list({"type": "string", "format": "binary"}, minItems=1, maxItems=limits.max_images)},
    }
    predict = _operation(
        f"Labels and scores of an image, or of each of up to {limits.max_images} images of a form. A single image that "
        "is refused gets its 4xx; of several, the bad ones have an error in place of predictions.",
        _json({"anyOf": [_ref("Image"), _ref("Images")]}),
        *infer_errors,
        parameters=tuple(
            {"name": name, "in": "query", "required": False, "description": text, "schema": schema}
            for name, text, schema in query
        ),
        body={
            "image/*": _binary(),
            "application/octet-stream": _binary(),
            "multipart/form-data": {"schema": form},
        },
    )
    summary = "Inference: tensors as JSON, or as binary data behind the JSON part."
    return {
        "/v1/predict": {"post": predict},
        "/v2/models/{model}/infer": {
            "post": _operation(summary, answer, *infer_errors, parameters=(_MODEL, header), body=tensors)
        },
        "/v2/models/{model}/versions/{version}/infer": {
            "post": _operation(summary, answer, *infer_errors, parameters=(_MODEL, _VERSION, header), body=tensors)
        },
    }


def _about() -> dict[str, Any]:
    """The paths that tell of the server and its models."""
    flag = _json(_object({"live": _FLAG}, "live"))
    ready = _object({"ready": _FLAG}, "ready")
    index = _list(_object({"name": _TEXT, "version": _TEXT, "state": _TEXT, "reason": _TEXT}, "name"))
    paths: dict[str, Any] = {
        "/v2": {
            "get": _operation("The server, and the protocol's extensions that it has.", _json(_ref("ServerMetadata")))
        },
        "/v2/health/live": {"get": _operation("Is it running?", flag)},
        "/v2/health/ready": {"get": _operation("Does it take requests?", _json(ready), not_ready=ready)},
        "/v2/models": {"get": _operation("The models' names.", _json(_object({"models": _list(_TEXT)}, "models")))},
        "/v2/models/stats": {"get": _operation("Counters of all models.", _json({"type": "object"}))},
        "/v2/repository/index": {
            "post": _operation(
                "The models and whether they are ready.",
                _json(index),
                400,
                408,
                413,
                body=_json(_object({"ready": {**_FLAG, "description": "Only those that are."}})),
                needs_body=False,
            )
        },
    }
    for prefix, parameters in (
        ("/v2/models/{model}", (_MODEL,)),
        ("/v2/models/{model}/versions/{version}", (_MODEL, _VERSION)),
    ):
        paths[prefix] = {
            "get": _operation("Inputs and outputs.", _json(_ref("ModelMetadata")), 404, parameters=parameters)
        }
        paths[f"{prefix}/ready"] = {
            "get": _operation(
                "Does the model take requests?", _json(ready), 404, parameters=parameters, not_ready=ready
            )
        }
        for name, text in (("config", "Its configuration."), ("stats", "Its counters.")):
            paths[f"{prefix}/{name}"] = {"get": _operation(text, _json({"type": "object"}), 404, parameters=parameters)}
    return paths


def _shared_memory() -> dict[str, Any]:
    """The paths of system shared memory."""
    prefix = "/v2/systemsharedmemory"
    status, done = _json(_list({"type": "object"})), _json({"type": "object"})
    region = f"{prefix}/region/{{name}}"
    return {
        f"{prefix}/status": {"get": _operation("The registered regions.", status)},
        f"{prefix}/unregister": {"post": _operation("Forgets all regions.", done)},
        f"{region}/status": {"get": _operation("One region.", status, 404, parameters=(_REGION,))},
        f"{region}/register": {
            "post": _operation(
                "Makes shared memory of this machine known to the server.",
                done,
                400,
                404,
                408,
                413,
                parameters=(_REGION,),
                body=_json(_ref("Region")),
            )
        },
        f"{region}/unregister": {"post": _operation("Forgets a region.", done, 404, parameters=(_REGION,))},
    }


def document(version: str, limits: Limits, *, guarded: bool) -> dict[str, Any]:
    """The description, as /openapi.json gives it.

    Args:
        version: of the server.
        guarded: an API key is needed.
    """
    paths = {**_inference(limits), **_about(), **_shared_memory()}
    components: dict[str, Any] = {"schemas": _SCHEMAS}
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "fastpre",
            "version": version,
            "description": "Images and tensors to what a model makes of them: the Open Inference Protocol, version 2, "
            "and plain images.",
        },
        "paths": paths,
        "components": components,
    }
    if guarded:
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        described["security"] = [{"bearer": []}, {"key": []}]
        for path, operations in paths.items():
            for operation in operations.values():
                if path.startswith("/v2/health/"):
                    operation["security"] = []
                else:
                    refused = {"401": {"description": _ERRORS[401], "content": _json(_ref("Error"))}}
                    operation["responses"] = dict(sorted({**operation["responses"], **refused}.items()))
    return described
