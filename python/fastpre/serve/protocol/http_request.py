"""The body of an HTTP inference request, JSON and the binary tensors behind it, to an `InferRequest`."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
import orjson

from ..errors import BadRequest, BodyTooLarge
from ..inference import InferRequest, InputTensor, Parameters, RequestedOutput, SharedRegion
from . import fields, json_data
from .memory import SharedMemory
from .tensors import element_count, from_raw

__all__ = ["MAX_JSON_BYTES", "Call", "decode_request"]

# Parsed JSON takes up to 20 times its bytes, and the event loop stands still meanwhile. Tensors of more have the
# binary extension.
MAX_JSON_BYTES = 8 << 20

# Each becomes a Python object or more: 8 MB of numbers take a second, and a list around each takes four. An image of
# 384 x 384 has 442,368.
MAX_JSON_VALUES = 1 << 19

_SEQUENCE = frozenset(("sequence_id", "sequence_start", "sequence_end"))
_OF_INPUT = frozenset(
    ("binary_data_size", "shared_memory_region", "shared_memory_offset", "shared_memory_byte_size", "content_type")
)


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """What is known of a request besides its body.

    Attributes:
        header_length: the value of `Inference-Header-Content-Length` as it came; None: the header is missing.
        raw_input: name of the BYTES input that the whole body is where that header says 0; empty: there is none.
        received: see `InferRequest`; 0: now. So are the others.
    """

    model: str
    version: str = ""
    header_length: bytes | None = None
    raw_input: str = ""
    received: float = 0.0
    arrived: float = 0.0
    traceparent: str = ""


def decode_request(
    body: bytes | memoryview, call: Call, regions: SharedMemory | None = None, max_shared_bytes: int = 64 << 20
) -> InferRequest:
    """The request that the body is.

    Inputs of binary data are views of the body, or of shared memory; an array that would not be aligned is copied.
    Whether outputs are wanted as binary data stays among the parameters: `binary_data_output` of the request,
    `binary_data` of an output. `priority`, `timeout` and `sequence_*` do not.

    Args:
        body: decompressed; nothing changes it while the request lives.
        regions: where shared memory is looked up; None: the server has none.
        max_shared_bytes: of all inputs in shared memory together.

    Raises:
        BadRequest: the body is malformed; the reason names the tensor.
        BodyTooLarge: its JSON part has more than `MAX_JSON_BYTES` or `MAX_JSON_VALUES`; or its inputs in shared memory
            have too many bytes.
        NotFound: there is no such shared memory region.
    """
    view = memoryview(body)
    length = _header_length(call.header_length, len(view))
    received = call.received or time.monotonic()
    request = InferRequest(
        call.model,
        (),
        version=call.version,
        received=received,
        arrived=call.arrived or received,
        traceparent=call.traceparent,
    )
    if length == 0 and call.header_length is not None:
        if not call.raw_input:
            raise BadRequest("the body is said to be one encoded image, but the model has no BYTES input")
        request.inputs = (InputTensor(call.raw_input, "BYTES", (1,), (view,)),)
        request.parameters = {"binary_data_output": True}
        return request
    if length > MAX_JSON_BYTES:
        raise BodyTooLarge(f"the JSON part has {length} bytes of at most {MAX_JSON_BYTES}; send tensors as binary data")
    text = bytes(view[:length])
    if text.count(b",") > MAX_JSON_VALUES:
        raise BodyTooLarge(f"the JSON part has more than {MAX_JSON_VALUES} values; send tensors as binary data")
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the JSON part, {length} bytes, cannot be read: {error}") from None
    document = fields.table(document, "the JSON part")
    request.id = _identifier(document.get("id"))
    _set_parameters(request, fields.parameters(document, "the request"))
    request.inputs = _inputs(document, view[length:], regions, max_shared_bytes)
    request.outputs = _outputs(document, regions)
    return request


def _header_length(value: bytes | None, available: int) -> int:
    if value is None:
        return available
    # Only digits: int() would also take signs, blanks and underscores.
    if not value.isdigit() or len(value) > 19 or int(value) > available:
        said = value[:40].decode("latin-1")
        raise BadRequest(
            f"Inference-Header-Content-Length is {said!r}, but is a number of bytes of the body, which has {available}"
        )
    return int(value)


def _identifier(value: object) -> str:
    if value is None:
        return ""
    if type(value) is int:
        return str(value)
    if type(value) is not str or len(value) > fields.MAX_NAME:
        raise BadRequest(f"the request's id is text of at most {fields.MAX_NAME} characters")
    return value


def _set_parameters(request: InferRequest, parameters: dict[str, bool | int | float | str]) -> None:
    if not parameters:
        return
    where = "the request"
    if "binary_data_output" in parameters:
        fields.flag(parameters, "binary_data_output", where)
    if "priority" in parameters:
        request.priority = fields.size(parameters, "priority", where)
    timeout_us = fields.size(parameters, "timeout", where, 0)
    if timeout_us:
        request.deadline = request.received + timeout_us * 1e-6
    request.parameters = {
        key: value for key, value in parameters.items() if key not in _SEQUENCE and key not in ("priority", "timeout")
    }


def _inputs(
    document: dict[str, Any], binary: memoryview, regions: SharedMemory | None, max_shared_bytes: int
) -> list[InputTensor]:
    known: set[str] = set()
    inputs: list[InputTensor] = []
    at = 0
    shared_bytes = 0
    for index, item in enumerate(fields.tables(document.get("inputs"), "inputs")):
        name = fields.name(item, f"inputs[{index}]", known)
        where = f"input {name!r}"
        datatype = fields.datatype(item, where)
        shape = fields.shape(item, name)
        parameters = fields.parameters(item, where)
        if (item.get("data") is not None) + ("binary_data_size" in parameters) + (
            "shared_memory_region" in parameters
        ) != 1:
            raise BadRequest(f"{where}: has one of data, binary_data_size and shared_memory_region")
        if "binary_data_size" in parameters:
            size = fields.size(parameters, "binary_data_size", where)
            if size > len(binary) - at:
                raise BadRequest(
                    f"{where}: binary_data_size is {size}, but {len(binary) - at} bytes are left of the body behind "
                    "its JSON part, which ends where Inference-Header-Content-Length says"
                )
            data = _of_bytes(name, datatype, shape, binary[at : at + size])
            at += size
        elif "shared_memory_region" in parameters:
            region, memory = _region(parameters, where, regions)
            shared_bytes += region.size
            if shared_bytes > max_shared_bytes:
                raise BodyTooLarge(f"the inputs in shared memory have more than {max_shared_bytes} bytes")
            element_count(name, datatype, shape)  # before anything is read
            data = _of_bytes(name, datatype, shape, memory.view(region.name, region.offset, region.size))
        elif datatype == "BYTES":
            as_base64 = parameters.get("content_type") == "base64"
            data = json_data.elements_of(item["data"], shape, where, as_base64=as_base64)
        else:
            data = json_data.array_of(item["data"], datatype, shape, where)
        kept = {key: value for key, value in parameters.items() if key not in _OF_INPUT}
        inputs.append(InputTensor(name, datatype, shape, data, kept))
    if not inputs:
        raise BadRequest("the request has no inputs")
    if at != len(binary):
        raise BadRequest(f"{len(binary) - at} bytes follow the binary data of the inputs")
    return inputs


def _of_bytes(name: str, datatype: str, shape: tuple[int, ...], raw: memoryview) -> Any:
    """Binary data as `InputTensor.data` has it."""
    data = from_raw(name, datatype, shape, raw)
    if isinstance(data, np.ndarray) and not data.flags.aligned:
        data = data.copy()
        data.flags.writeable = False
    return data


def _outputs(document: dict[str, Any], regions: SharedMemory | None) -> list[RequestedOutput]:
    known: set[str] = set()
    outputs: list[RequestedOutput] = []
    for index, item in enumerate(fields.tables(document.get("outputs"), "outputs")):
        name = fields.name(item, f"outputs[{index}]", known)
        where = f"output {name!r}"
        parameters = fields.parameters(item, where)
        if "binary_data" in parameters:
            fields.flag(parameters, "binary_data", where)
        classes = fields.size(parameters, "classification", where, 0)
        region = None
        if "shared_memory_region" in parameters:
            if classes:
                raise BadRequest(f"{where}: classification does not go into shared memory")
            region, memory = _region(parameters, where, regions)
            memory.check(region.name, region.offset, region.size)
        outputs.append(RequestedOutput(name, classes, region, parameters))
    return outputs


def _region(parameters: Parameters, where: str, regions: SharedMemory | None) -> tuple[SharedRegion, SharedMemory]:
    if regions is None:
        raise BadRequest(f"{where}: this server takes no shared memory")
    region = SharedRegion(
        fields.text(parameters, "shared_memory_region", where),
        fields.size(parameters, "shared_memory_offset", where, 0),
        fields.size(parameters, "shared_memory_byte_size", where),
    )
    if not region.size:
        raise BadRequest(f"{where}: shared_memory_byte_size is 0")
    return region, regions
