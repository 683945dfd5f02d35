"""An `InferResponse`, or an error, to the headers and the body of an HTTP response."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import orjson

from ..errors import BadRequest, ServeError
from ..inference import InferRequest, InferResponse, OutputTensor, RequestedOutput
from .classification import classified
from .memory import SharedMemory
from .tensors import joined_elements

__all__ = ["Chunks", "Headers", "encode_error", "encode_response", "server_timing"]

Headers: TypeAlias = "list[tuple[bytes, bytes]]"
Chunks: TypeAlias = "list[bytes | memoryview]"

_JSON = (b"content-type", b"application/json")
_BINARY = (b"content-type", b"application/octet-stream")


def encode_response(
    response: InferResponse,
    request: InferRequest,
    *,
    labels: Sequence[str] = (),
    regions: SharedMemory | None = None,
) -> tuple[Headers, Chunks]:
    """Headers without Content-Length, and the body.

    An output goes into shared memory if the request says so, else behind the JSON part if `binary_data` of the output
    or `binary_data_output` of the request say so, else into the JSON part.

    Args:
        request: as `decode_request` gave it.
        labels: the classes' names, for the classification extension.

    Raises:
        BadRequest: the model has no such output; JSON cannot hold it (FP16, BF16, NaN and infinity, bytes that are no
            UTF-8); its region is too small.
        NotFound: its region is gone.
    """
    by_default = request.parameters.get("binary_data_output", False) is True
    tail: Chunks = []
    outputs: list[dict[str, Any]] = []
    for tensor, wanted in _chosen(response.outputs, request.outputs):
        binary = by_default
        if wanted is not None:
            if wanted.classification:
                tensor = classified(tensor, wanted.classification, labels)
            binary = wanted.parameters.get("binary_data", by_default) is True
        parameters: dict[str, bool | int | float | str] = dict(tensor.parameters)
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.array.shape}
        if wanted is not None and wanted.region is not None:
            parameters.update(_share(tensor, wanted, regions))
        elif binary:
            data = _binary(tensor)
            parameters["binary_data_size"] = len(data)
            tail.append(data)
        else:
            entry["data"] = _listed(tensor)
        if parameters:
            entry["parameters"] = parameters
        outputs.append(entry)
    document: dict[str, Any] = {"model_name": response.model, "model_version": response.version}
    identifier = response.id or request.id
    if identifier:
        document["id"] = identifier
    if response.parameters:
        document["parameters"] = dict(response.parameters)
    document["outputs"] = outputs
    head = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if not tail:
        return [_JSON], [head]
    return [_BINARY, (b"inference-header-content-length", b"%d" % len(head))], [head, *tail]


def encode_error(error: ServeError) -> tuple[Headers, bytes]:
    """Headers without Content-Length, and the body: reason, code, and the index of the image if there is one."""
    document: dict[str, Any] = {"error": error.reason, "code": error.code}
    if error.index is not None:
        document["index"] = error.index
    headers: Headers = [_JSON]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after_s))))
    return headers, orjson.dumps(document)


def server_timing(stages_ms: Mapping[str, float]) -> bytes:
    """The value of a `Server-Timing` header: stages in their order, in milliseconds."""
    return ", ".join([f"{stage};dur={value:.3f}" for stage, value in stages_ms.items()]).encode()


def _chosen(
    outputs: Sequence[OutputTensor], wanted: Sequence[RequestedOutput]
) -> list[tuple[OutputTensor, RequestedOutput | None]]:
    if not wanted:
        return [(output, None) for output in outputs]
    by_name = {output.name: output for output in outputs}
    for one in wanted:
        if one.name not in by_name:
            raise BadRequest(f"output {one.name!r}: the model has none of this name; it has {', '.join(by_name)}")
    return [(by_name[one.name], one) for one in wanted]


def _binary(tensor: OutputTensor) -> bytes | memoryview:
    if tensor.datatype == "BYTES":
        return joined_elements(tensor.array.ravel())
    array = np.ascontiguousarray(tensor.array)
    return array.reshape(-1).view(np.uint8).data if array.size else b""


def _listed(tensor: OutputTensor) -> Any:
    """What orjson writes as the flat list of the values."""
    where = f"output {tensor.name!r}"
    flat = np.ascontiguousarray(tensor.array).reshape(-1)
    if tensor.datatype == "BYTES":
        try:
            return [element.decode() for element in flat]
        except UnicodeDecodeError:
            raise BadRequest(f"{where}: an element is no UTF-8 text; ask for binary data") from None
    if tensor.datatype in ("FP16", "BF16"):
        raise BadRequest(f"{where}: {tensor.datatype} cannot be sent as JSON; ask for binary data")
    if flat.dtype.kind == "f" and not np.isfinite(flat).all():
        raise BadRequest(f"{where}: it holds NaN or infinity, which JSON cannot express; ask for binary data")
    return flat


def _share(
    tensor: OutputTensor, wanted: RequestedOutput, regions: SharedMemory | None
) -> dict[str, bool | int | float | str]:
    """Writes the tensor into its region, and says where it lies."""
    region = wanted.region
    assert region is not None
    assert regions is not None  # or the request would not have been decoded
    data = _binary(tensor)
    if len(data) > region.size:
        raise BadRequest(
            f"output {tensor.name!r}: it takes {len(data)} bytes, and {region.size} of region {region.name!r} are given"
        )
    regions.write(region.name, region.offset, data)
    shared: dict[str, bool | int | float | str] = {
        "shared_memory_region": region.name,
        "shared_memory_byte_size": len(data),
    }
    if region.offset:
        shared["shared_memory_offset"] = region.offset
    return shared
