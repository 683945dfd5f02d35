"""What a request may take at most."""

from __future__ import annotations

import dataclasses

__all__ = ["Limits"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one request.

    Attributes:
        max_body_bytes: of a body, as it is sent and when it is decompressed; also of its inputs in shared memory.
        body_timeout_s: from the request's headers to the end of its body.
        max_images: of one form that is sent to `/v1/predict`.
    """

    max_body_bytes: int = 64 << 20
    body_timeout_s: float = 30.0
    max_images: int = 64
