"""The gRPC messages of the Open Inference Protocol that a client of encoded images needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf import json_format

from ..serve.protocol.schema import message
from .plan import Plan
from .target import Target, Unreachable, only_model

__all__ = ["METHOD", "describe", "infer_request", "metadata_of"]

SERVICE = "/inference.GRPCInferenceService/"
METHOD = SERVICE + "ModelInfer"

LARGEST = -1  # no limit: segmentation answers megabytes
CHANNEL_OPTIONS = (("grpc.max_receive_message_length", LARGEST), ("grpc.max_send_message_length", LARGEST))


def infer_request(target: Target, images: Sequence[bytes]) -> bytes:
    """A ModelInferRequest of encoded images: elements of a BYTES tensor are their length (4 bytes) and their bytes."""
    request = message("inference.ModelInferRequest")(model_name=target.model)
    request.inputs.add(name=target.input, datatype="BYTES", shape=target.shape(len(images)))
    raw = b"".join(part for image in images for part in (len(image).to_bytes(4, "little"), image))
    request.raw_input_contents.append(raw)
    return bytes(request.SerializeToString())


def metadata_of(plan: Plan) -> tuple[tuple[str, str], ...]:
    """The plan's headers as metadata, whose names are lower case."""
    return tuple((name.lower(), value) for name, value in plan.sent_headers())


def describe(plan: Plan) -> tuple[Any, Any]:
    """The metadata of the plan's model and of the server."""
    with grpc.insecure_channel(plan.authority, options=CHANNEL_OPTIONS) as channel:

        def ask(method: str, **fields: str) -> Any:
            call = channel.unary_unary(
                f"{SERVICE}{method}",
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=message(f"inference.{method}Response").FromString,
            )
            try:
                answer = call(
                    message(f"inference.{method}Request")(**fields), timeout=plan.timeout_s, metadata=metadata_of(plan)
                )
            except grpc.RpcError as e:
                raise Unreachable(f"{plan.url}: {method}: {e.code().name}: {e.details()}") from e
            return json_format.MessageToDict(answer, preserving_proto_field_name=True)

        server = ask("ServerMetadata")
        model = plan.model or only_model(ask("RepositoryIndex").get("models", []))
        return ask("ModelMetadata", name=model), server
