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
from . import fields
from .classification import classified
from .regions import Regions
from .schema import message
from .tensors import checked_shape, element_count, from_raw, to_raw

__all__ = ["infer_request", "infer_response", "parameters"]

# Elements of one input in typed `contents`. Each becomes a Python number on its way, 23 ns: a tenth of a second.
MAX_TYPED = 4 * 2**20
MAX_PARAMETERS = 64  # of a request, and of each tensor

_TAKEN = frozenset(("priority", "timeout", "sequence_id", "sequence_start", "sequence_end"))
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


def infer_request(asked: Any, regions: Regions, *, received: float, max_bytes: int) -> InferRequest:
    """What a ModelInferRequest asks for.

    Its parameters `priority` and `timeout` (microseconds from `received` on) become attributes of the result; those of
    sequences are left out, as over HTTP.

    Args:
        asked: the message.
        regions: where inputs and outputs in shared memory are.
        received: `time.monotonic()`.
        max_bytes: of all inputs in shared memory together.

    Raises:
        BadRequest: it is malformed; the reason names the tensor.
        BodyTooLarge: inputs in shared memory have too many bytes.
        NotFound: a region of shared memory is not registered.
    """
    where = "the request"
    extra = parameters(asked.parameters, where)
    timeout_us = fields.size(extra, "timeout", where, 0)
    return InferRequest(
        model=asked.model_name,
        version=asked.model_version,
        id=asked.id,
        inputs=_inputs(asked, regions, max_bytes),
        outputs=_requested(asked.outputs, regions),
        parameters={key: value for key, value in extra.items() if key not in _TAKEN} if extra else extra,
        received=received,
        arrived=received,
        deadline=received + timeout_us * 1e-6 if timeout_us else None,
        priority=fields.size(extra, "priority", where, 0),
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


def _region(extra: dict[str, bool | int | float | str], where: str) -> SharedRegion | None:
    """Takes the parameters that name shared memory out of the dict."""
    if "shared_memory_region" not in extra:
        return None
    region = SharedRegion(
        fields.text(extra, "shared_memory_region", where),
        fields.size(extra, "shared_memory_offset", where, 0),
        fields.size(extra, "shared_memory_byte_size", where),
    )
    for key in ("shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"):
        extra.pop(key, None)
    return region


def _inputs(asked: Any, regions: Regions, max_bytes: int) -> list[InputTensor]:
    raws = asked.raw_input_contents
    if len(asked.inputs) > fields.MAX_TENSORS:
        raise BadRequest(f"the request has {len(asked.inputs)} inputs; the most is {fields.MAX_TENSORS}")
    found: list[InputTensor] = []
    taken = 0
    shared_bytes = 0
    for tensor in asked.inputs:
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
    if len(outputs) > fields.MAX_TENSORS:
        raise BadRequest(f"the request asks for {len(outputs)} outputs; the most is {fields.MAX_TENSORS}")
    found: list[RequestedOutput] = []
    for tensor in outputs:
        owner = f"output {tensor.name!r}"
        if any(tensor.name == other.name for other in found):
            raise BadRequest(f"{owner} is asked for twice")
        extra = parameters(tensor.parameters, owner)
        classification = fields.size(extra, "classification", owner, 0)
        extra.pop("classification", None)
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
