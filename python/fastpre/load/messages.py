"""The gRPC messages of the Open Inference Protocol that a client of encoded images needs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

from .plan import Plan
from .target import Target, Unreachable, only_model

__all__ = ["METHOD", "describe", "infer_request", "message", "metadata_of"]

SERVICE = "/inference.GRPCInferenceService/"
METHOD = SERVICE + "ModelInfer"

LARGEST = -1  # no limit: segmentation answers megabytes
CHANNEL_OPTIONS = (("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST))

# Fields by message, with the numbers of the protocol's own .proto; those that are not read or written are left out.
FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {"name": (1, "string"), "version": (2, "string")},
    "RepositoryIndexRequest": {},
    "ModelIndex": {"name": (1, "string")},
    "RepositoryIndexResponse": {"models": (1, "*ModelIndex")},
    "ModelMetadataRequest": {"name": (1, "string")},
    "TensorMetadata": {"name": (1, "string"), "datatype": (2, "string"), "shape": (3, "*int64")},
    "ModelMetadataResponse": {"name": (1, "string"), "inputs": (4, "*TensorMetadata")},
    "InferInputTensor": {"name": (1, "string"), "datatype": (2, "string"), "shape": (3, "*int64")},
    "ModelInferRequest": {
        "model_name": (1, "string"),
        "inputs": (5, "*InferInputTensor"),
        "raw_input_contents": (7, "*bytes"),
    },
}


@functools.cache
def message(name: str) -> Any:
    """A message's class.

    It lives in a pool of its own: the process may have tritonclient's or KServe's classes of the same names.
    """
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"fastpre.load.{name}"))


def infer_request(target: Target, images: Sequence[bytes]) -> bytes:
    """A ModelInferRequest of encoded images: elements of a BYTES tensor are their length (4 bytes) and their bytes."""
    request = message("ModelInferRequest")(model_name=target.model)
    request.inputs.add(name=target.input, datatype="BYTES", shape=target.shape(len(images)))
    raw = b"".join(part for image in images for part in (len(image).to_bytes(4, "little"), image))
    request.raw_input_contents.append(raw)
    return bytes(request.SerializeToString())


def metadata_of(plan: Plan) -> tuple[tuple[str, str], ...]:
    """The plan's headers as metadata, whose names are lower case."""
    return tuple((name.lower(), value) for name, value in plan.sent_headers())


def describe(plan: Plan) -> tuple[Any, Any]:
    """The metadata of the plan's model and of the server."""
    host, port = plan.address
    with grpc.insecure_channel(f"{host}:{port}", options=CHANNEL_OPTIONS) as channel:

        def ask(method: str, **fields: str) -> Any:
            call = channel.unary_unary(
                f"{SERVICE}{method}",
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=message(f"{method}Response").FromString,
            )
            try:
                answer = call(message(f"{method}Request")(**fields), timeout=plan.timeout_s, metadata=metadata_of(plan))
            except grpc.RpcError as e:
                raise Unreachable(f"{plan.url}: {method}: {e.code().name}: {e.details()}") from e
            return json_format.MessageToDict(answer, preserving_proto_field_name=True)

        server = ask("ServerMetadata")
        model = plan.model or only_model(ask("RepositoryIndex").get("models", []))
        return ask("ModelMetadata", name=model), server


@functools.cache
def _pool() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="fastpre/load.proto", package="fastpre.load", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in FIELDS.items():
        described = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            plain = kind.removeprefix("*")
            added = described.field.add(name=field, number=number)
            added.label = kinds.LABEL_REPEATED if kind != plain else kinds.LABEL_OPTIONAL
            if plain in FIELDS:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".fastpre.load.{plain}"
            else:
                added.type = getattr(kinds, f"TYPE_{plain.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool
