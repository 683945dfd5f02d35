"""Requests as the bytes that go to the server, made once for each image before anything is measured."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from . import plan as plans
from .plan import Plan
from .target import Target

__all__ = ["encoder"]

BOUNDARY = "fastpre-load-boundary-6b1f0c2e9d"


def encoder(plan: Plan, target: Target) -> Callable[[Sequence[bytes]], bytes]:
    """The function from a request's images to what is sent: for HTTP the whole request, head and body."""
    if plan.protocol == plans.V2_GRPC:
        from . import messages

        return lambda images: messages.infer_request(target, images)
    if plan.protocol == plans.V2_HTTP:
        return lambda images: _with_head(plan, target.path, *v2_body(target, images))
    return lambda images: _with_head(plan, target.path, *predict_body(images))


def v2_body(target: Target, images: Sequence[bytes]) -> tuple[dict[str, str], bytes]:
    """Headers and body of the Open Inference Protocol with the binary-tensor extension.

    Elements of a BYTES tensor are their length (4 bytes, little-endian) and their bytes.
    """
    tensor = b"".join(part for image in images for part in (len(image).to_bytes(4, "little"), image))
    tensor_header = {
        "name": target.input,
        "shape": target.shape(len(images)),
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(tensor)},
    }
    request = {"inputs": [tensor_header], "parameters": {"binary_data_output": True}}
    header = json.dumps(request, separators=(",", ":")).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(header))}
    return headers, header + tensor


def predict_body(images: Sequence[bytes]) -> tuple[dict[str, str], bytes]:
    """Headers and body of a plain upload: the image itself, or one part of multipart/form-data for each of several."""
    if len(images) == 1:
        return {"content-type": "image/jpeg"}, images[0]
    parts = []
    for i, image in enumerate(images):
        disposition = f'content-disposition: form-data; name="image"; filename="{i}.jpg"'
        parts += [f"--{BOUNDARY}\r\n{disposition}\r\ncontent-type: image/jpeg\r\n\r\n".encode(), image, b"\r\n"]
    parts.append(f"--{BOUNDARY}--\r\n".encode())
    return {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}, b"".join(parts)


def _with_head(plan: Plan, path: str, headers: dict[str, str], body: bytes) -> bytes:
    own = {"host": plan.authority, "content-length": str(len(body)), **headers}
    own |= {name.lower(): value for name, value in plan.sent_headers()}
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in own.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
