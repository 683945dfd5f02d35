"""What became of a request: one of six kinds, with the server's own word for it where it has one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

__all__ = ["KINDS", "Outcome", "of_grpc", "of_http"]

OK = "ok"
REFUSED = "refused"
CLIENT_ERROR = "client_error"
SERVER_ERROR = "server_error"
TIMEOUT = "timeout"
CONNECTION_ERROR = "connection_error"
KINDS = (OK, REFUSED, CLIENT_ERROR, SERVER_ERROR, TIMEOUT, CONNECTION_ERROR)


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended.

    Attributes:
        kind: one of `KINDS`.
        code: the server's machine-readable word, else the status, else what was wrong with the connection.
        retry_after_s: what the server asked for, if it did.
        timing: the `Server-Timing` of the answer, as it came.
    """

    kind: str
    code: str = ""
    retry_after_s: float | None = None
    timing: bytes = b""


def of_http(status: int, body: bytes, retry_after: bytes, timing: bytes) -> Outcome:
    """By status: 2xx is ok, 429 and 503 are refusals, other 4xx the client's fault, all else the server's."""
    if 200 <= status < 300:
        return Outcome(OK, timing=timing)
    kind = REFUSED if status in (429, 503) else CLIENT_ERROR if 400 <= status < 500 else SERVER_ERROR
    return Outcome(kind, _code(body) or f"http_{status}", _number(retry_after), timing)


# Server's refusals for want of room; RESOURCE_EXHAUSTED is also the status of messages that are too large.
REFUSALS = ("RESOURCE_EXHAUSTED", "UNAVAILABLE")
TOO_LARGE = ("body_too_large", "image_too_large")
CLIENTS_FAULTS = (
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
)


def of_grpc(status: str, trailers: Mapping[str, str | bytes]) -> Outcome:
    """By gRPC status and trailing metadata.

    A channel that has lost its server says UNAVAILABLE, and one whose deadline passed on this side DEADLINE_EXCEEDED,
    as a server may. Trailing metadata, such as `error-code`, make them the server's.
    """
    timing = _bytes(trailers.get("server-timing", b""))
    if status == "OK":
        return Outcome(OK, timing=timing)
    word = _bytes(trailers.get("error-code", b"")).decode(errors="replace")
    pushback_ms = _number(_bytes(trailers.get("grpc-retry-pushback-ms", b"")))
    retry_after = None if pushback_ms is None else pushback_ms / 1e3
    code = word or status.lower()
    if status in CLIENTS_FAULTS or word in TOO_LARGE:
        return Outcome(CLIENT_ERROR, code, None, timing)
    if status == "DEADLINE_EXCEEDED" and not word:
        return Outcome(TIMEOUT, code, None, timing)
    if status == "UNAVAILABLE" and not trailers:
        return Outcome(CONNECTION_ERROR, code)
    if status in REFUSALS:
        return Outcome(REFUSED, code, retry_after, timing)
    return Outcome(SERVER_ERROR, code, retry_after, timing)


def _code(body: bytes) -> str:
    """`code` of a JSON object, at its top or in its `error`."""
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    for place in (answer, answer.get("error") if isinstance(answer, dict) else None):
        code = place.get("code") if isinstance(place, dict) else None
        if isinstance(code, str) and code:
            return code[:80]
    return ""


def _number(text: bytes) -> float | None:
    """Seconds; None for dates and for nothing."""
    try:
        return float(text)
    except ValueError:
        return None


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
