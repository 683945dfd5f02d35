"""A request for inference and its response, as every protocol of the server makes and sends them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

__all__ = [
    "DTYPES",
    "InferRequest",
    "InferResponse",
    "InputTensor",
    "ModelInfo",
    "OutputTensor",
    "Parameters",
    "RequestedOutput",
    "Service",
    "SharedRegion",
    "TensorInfo",
]

Parameters: TypeAlias = Mapping[str, "bool | int | float | str"]

# Datatypes of the Open Inference Protocol and what holds them. BF16 has no NumPy dtype: its 16 bits are kept.
DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BF16": np.dtype("<u2"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class TensorInfo:
    """An input or output of a model, as metadata says it.

    Attributes:
        datatype: "BYTES" or a key of `DTYPES`.
        shape: with the batch first; -1 where it varies.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class ModelInfo:
    """What clients are told of a model.

    Attributes:
        platform: what runs it, such as "torchvision", "onnxruntime".
        task: "classification", "segmentation", "detection", "depth" or another word.
        max_batch: largest number of images of one request.
        inputs: the alternatives: encoded images (BYTES), or raw pixels; a request has one of them.
        labels: names of the classes, where they are known.
    """

    name: str
    versions: tuple[str, ...]
    platform: str
    task: str
    max_batch: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    labels: tuple[str, ...] = ()


@dataclasses.dataclass(slots=True)
class InputTensor:
    """An input as it arrived.

    Attributes:
        shape: as the request says it, checked against the data.
        data: for BYTES the elements in row-major order, as views of the request's body or of shared memory; otherwise
            an array of `shape`, read-only, of `DTYPES[datatype]`.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[bytes | memoryview] | np.ndarray[Any, Any]
    parameters: Parameters = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class SharedRegion:
    """Where in registered shared memory an output goes, in bytes."""

    name: str
    offset: int
    size: int


@dataclasses.dataclass(slots=True)
class RequestedOutput:
    """An output that the request names.

    Attributes:
        classification: the number of classes to send as BYTES "score:index[:label]" strings, best first; 0: the tensor.
        region: where to write it instead of sending it.
    """

    name: str
    classification: int = 0
    region: SharedRegion | None = None
    parameters: Parameters = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class InferRequest:
    """One request.

    Attributes:
        version: empty: the newest.
        outputs: empty: all of them.
        received: `time.monotonic()` when its first byte was seen.
        arrived: `time.monotonic()` when its body was complete.
        deadline: `time.monotonic()` after which its answer is worth nothing; None: the server's own.
        priority: lower ones go first; 0 is the default.
        traceparent: W3C trace context, or empty.
    """

    model: str
    inputs: Sequence[InputTensor]
    version: str = ""
    id: str = ""
    outputs: Sequence[RequestedOutput] = ()
    parameters: Parameters = dataclasses.field(default_factory=dict)
    received: float = 0.0
    arrived: float = 0.0
    deadline: float | None = None
    priority: int = 0
    traceparent: str = ""


@dataclasses.dataclass(slots=True)
class OutputTensor:
    """An output of the response; the array is contiguous, of `DTYPES[datatype]`; for BYTES an object array of bytes."""

    name: str
    datatype: str
    array: np.ndarray[Any, Any]
    parameters: Parameters = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(slots=True)
class InferResponse:
    """The answer to one request.

    Attributes:
        parameters: what the server has to say beside the tensors, such as the rung of the quality ladder.
        stages_ms: milliseconds by stage, in the order of the stages: what `Server-Timing` and traces show.
    """

    model: str
    version: str
    outputs: Sequence[OutputTensor]
    id: str = ""
    parameters: Parameters = dataclasses.field(default_factory=dict)
    stages_ms: Mapping[str, float] = dataclasses.field(default_factory=dict)


class Service(Protocol):
    """What stands behind every protocol: models by name, and `infer`.

    Methods that take a model's name raise `NotFound`. `infer` raises `ServeError`; cancelling the task that awaits it
    gives the request's slots back.
    """

    name: str
    version: str

    @property
    def ready(self) -> bool:
        """True if requests are taken and every model is ready."""

    def models(self) -> Sequence[ModelInfo]:
        """All models."""

    def model(self, name: str, version: str = "") -> ModelInfo:
        """One model."""

    def model_ready(self, name: str, version: str = "") -> bool:
        """True if it takes requests."""

    def config(self, name: str, version: str = "") -> dict[str, Any]:
        """Its configuration, in the shape of Triton's ModelConfig as JSON."""

    def statistics(self, name: str = "", version: str = "") -> list[dict[str, Any]]:
        """Counters in the shape of Triton's `model_stats` as JSON, of one model or of all."""

    async def infer(self, request: InferRequest) -> InferResponse:
        """Answers one request."""
