"""gRPC's ModelInferRequest to a request, and a response to ModelInferResponse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import BadRequest, BodyTooLarge
from ..inference import (
    DTYPES,
    InferRequest,
    InferResponse,
    InputTensor,
    OutputTensor,
    Parameters,
    RequestedOutput,
    SharedRegion,
)
from .classification import classified
from .regions import Regions
from .schema import message
from .tensors import checked_shape, element_count, from_raw, to_raw

__all__ = ["infer_request", "infer_response", "parameters"]

# Elements of one input in typed `contents`. Each becomes a Python number on its way, 23 ns: a tenth of a second.
MAX_TYPED = 4 * 2**20
MAX_TENSORS = 64  # inputs, and outputs, of one request
MAX_PARAMETERS = 64  # of a request, and of each tensor

_CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


def infer_request(received: Any, regions: Regions, *, arrived: float, max_bytes: int) -> InferRequest:
    """What a ModelInferRequest asks for.

    Its parameters `priority` and `timeout` (microseconds from `arrived` on) become attributes of the result.

    Args:
        received: the message.
        regions: where inputs and outputs in shared memory are.
        arrived: `time.monotonic()`.
        max_bytes: of all inputs in shared memory together.

    Raises:
        BadRequest: it is malformed; the reason names the tensor.
        BodyTooLarge: inputs in shared memory have too many bytes.
        NotFound: a region of shared memory is not registered.
    """
    extra = parameters(received.parameters, "the request")
    priority = _integer(extra, "priority", "the request")
    timeout_us = _integer(extra, "timeout", "the request")
    return InferRequest(
        model=received.model_name,
        version=received.model_version,
        id=received.id,
        inputs=_inputs(received, regions, max_bytes),
        outputs=_requested(received.outputs, regions),
        parameters=extra,
        received=arrived,
        arrived=arrived,
        deadline=arrived + timeout_us / 1e6 if timeout_us else None,
        priority=priority,
    )


def parameters(entries: Mapping[str, Any], owner: str) -> dict[str, bool | int | float | str]:
    """A map of InferParameter as a dict; `owner` is for errors.

    Raises:
        BadRequest: one has no value, or there are more than 64.
    """
    if len(entries) > MAX_PARAMETERS:
        raise BadRequest(f"{owner} has {len(entries)} parameters; the most is {MAX_PARAMETERS}")
    found: dict[str, bool | int | float | str] = {}
    for key, value in entries.items():
        choice = value.WhichOneof("parameter_choice")
        if choice is None:
            raise BadRequest(f"parameter {key!r} of {owner} has no value")
        found[key] = getattr(value, choice)
    return found


def _integer(extra: dict[str, bool | int | float | str], key: str, owner: str) -> int:
    """Takes a parameter that is a number from 0 up out of the dict; 0 if it is not there."""
    value = extra.pop(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadRequest(f"parameter {key!r} of {owner} is {value!r}; it takes a whole number from 0 up")
    return value


def _region(extra: dict[str, bool | int | float | str], owner: str) -> SharedRegion | None:
    """Takes the parameters that name shared memory out of the dict."""
    if "shared_memory_region" not in extra:
        return None
    name = extra.pop("shared_memory_region")
    if not isinstance(name, str):
        raise BadRequest(f"parameter 'shared_memory_region' of {owner} is {name!r}; it takes a name")
    size = _integer(extra, "shared_memory_byte_size", owner)
    if not size:
        raise BadRequest(f"{owner} is in shared memory and has no 'shared_memory_byte_size'")
    return SharedRegion(name, _integer(extra, "shared_memory_offset", owner), size)


def _inputs(received: Any, regions: Regions, max_bytes: int) -> list[InputTensor]:
    raws = received.raw_input_contents
    if len(received.inputs) > MAX_TENSORS:
        raise BadRequest(f"the request has {len(received.inputs)} inputs; the most is {MAX_TENSORS}")
    found: list[InputTensor] = []
    taken = 0
    shared_bytes = 0
    for tensor in received.inputs:
        name, datatype = tensor.name, tensor.datatype
        if not name or any(name == other.name for other in found):
            raise BadRequest(f"input {name!r} is there twice" if name else "an input has no name")
        shape = checked_shape(name, tensor.shape)
        extra = parameters(tensor.parameters, f"input {name!r}") if tensor.parameters else {}
        region = _region(extra, f"input {name!r}") if extra else None
        data: Any
        if region is not None:
            if tensor.HasField("contents"):
                raise BadRequest(f"input {name!r} is in shared memory and has contents")
            shared_bytes += region.size
            if shared_bytes > max_bytes:
                raise BodyTooLarge(f"the inputs in shared memory have more than {max_bytes} bytes")
            element_count(name, datatype, shape)  # before anything is read
            data = from_raw(name, datatype, shape, regions.view(region.name, region.offset, region.size))
        elif raws:
            if tensor.HasField("contents"):
                raise BadRequest(f"input {name!r} has contents although the request has raw_input_contents")
            if taken == len(raws):
                raise BadRequest(f"input {name!r} has no entry in raw_input_contents, which has {taken}")
            data = from_raw(name, datatype, shape, raws[taken])
            taken += 1
        else:
            data = _typed(name, datatype, shape, tensor.contents)
        found.append(InputTensor(name, datatype, shape, data, extra))
    if taken != len(raws):
        raise BadRequest(f"raw_input_contents has {len(raws)} entries; {taken} inputs use them")
    return found


def _typed(name: str, datatype: str, shape: tuple[int, ...], contents: Any) -> Any:
    """The data of an input that came as `contents`."""
    count = element_count(name, datatype, shape)
    field = _CONTENTS.get(datatype)
    if field is None:
        raise BadRequest(f"input {name!r} of {datatype} must be in raw_input_contents")
    others = [other.name for other, _ in contents.ListFields() if other.name != field]
    if others:
        raise BadRequest(f"input {name!r} of {datatype} has {others[0]}; it takes {field}")
    values = getattr(contents, field)
    if len(values) != count:
        raise BadRequest(f"input {name!r} has {len(values)} elements; {datatype} {list(shape)} takes {count}")
    if datatype == "BYTES":
        return list(values)
    if count > MAX_TYPED:
        raise BadRequest(f"input {name!r} has {count} typed elements; more than {MAX_TYPED} must be sent raw")
    dtype = DTYPES[datatype]
    wide = np.array(values[:], dtype=np.int64 if field in ("int_contents", "uint_contents") else dtype)
    if wide.dtype != dtype and count:
        limits = np.iinfo(dtype)
        if wide.min() < limits.min or wide.max() > limits.max:
            raise BadRequest(f"input {name!r} has elements that {datatype} cannot hold")
    return from_raw(name, datatype, shape, wide.astype(dtype, copy=False).tobytes())


def _requested(outputs: Any, regions: Regions) -> list[RequestedOutput]:
    if len(outputs) > MAX_TENSORS:
        raise BadRequest(f"the request asks for {len(outputs)} outputs; the most is {MAX_TENSORS}")
    found: list[RequestedOutput] = []
    for tensor in outputs:
        owner = f"output {tensor.name!r}"
        if any(tensor.name == other.name for other in found):
            raise BadRequest(f"{owner} is asked for twice")
        extra = parameters(tensor.parameters, owner)
        classification = _integer(extra, "classification", owner)
        region = _region(extra, owner)
        if region is not None:
            if classification:
                raise BadRequest(f"{owner} cannot be both classes and in shared memory")
            regions.check(region.name, region.offset, region.size)
        found.append(RequestedOutput(tensor.name, classification, region, extra))
    return found


def infer_response(
    response: InferResponse, requested: Sequence[RequestedOutput], labels: Sequence[str], regions: Regions
) -> Any:
    """The ModelInferResponse of a response; outputs that belong in shared memory are written there.

    Args:
        response: what the service said.
        requested: the request's outputs; empty: all of the response's.
        labels: the model's, for classification.
        regions: where to write.

    Raises:
        BadRequest: an output is asked for that the model does not have, or does not fit into its region.
        NotFound: a region has been unregistered meanwhile.
    """
    sent = message("inference.ModelInferResponse")(
        model_name=response.model, model_version=response.version, id=response.id or ""
    )
    _put(sent.parameters, response.parameters)
    by_name = {output.name: output for output in response.outputs}
    for wanted in requested or [RequestedOutput(name) for name in by_name]:
        if wanted.name not in by_name:
            raise BadRequest(f"model {response.model!r} has no output {wanted.name!r}; it has {', '.join(by_name)}")
        _add_output(sent, by_name[wanted.name], wanted, labels, regions)
    return sent


def _add_output(
    sent: Any, output: OutputTensor, wanted: RequestedOutput, labels: Sequence[str], regions: Regions
) -> None:
    if wanted.classification:
        output = classified(output, wanted.classification, labels)
    tensor = sent.outputs.add(name=output.name, datatype=output.datatype, shape=output.array.shape)
    _put(tensor.parameters, output.parameters)
    raw = to_raw(output.datatype, output.array)
    region = wanted.region
    if region is None:
        sent.raw_output_contents.append(raw)
        return
    if len(raw) > region.size:
        raise BadRequest(f"output {output.name!r} has {len(raw)} bytes; its shared memory has room for {region.size}")
    regions.write(region.name, region.offset, raw)
    _put(
        tensor.parameters,
        {
            "shared_memory_region": region.name,
            "shared_memory_offset": region.offset,
            "shared_memory_byte_size": len(raw),
        },
    )
    # Clients count entries by output; tritonclient fails without one.
    sent.raw_output_contents.append(b"")


def _put(entries: Any, values: Parameters) -> None:
    """Writes parameters into a map of InferParameter."""
    for key, value in values.items():
        if isinstance(value, bool):
            entries[key].bool_param = value
        elif isinstance(value, int):
            entries[key].int64_param = value
        elif isinstance(value, float):
            entries[key].double_param = value
        else:
            entries[key].string_param = value
