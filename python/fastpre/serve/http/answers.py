"""Errors as answers."""

from __future__ import annotations

import logging
import uuid
from typing import Any

import orjson

from ..errors import Draining, ServeError
from ..protocol.http_response import encode_error
from .exchange import Answer

__all__ = ["failed", "refused"]

_log = logging.getLogger("fastpre.serve.http")


def refused(error: ServeError) -> Answer:
    """The answer that an error is."""
    headers, body = encode_error(error)
    if isinstance(error, Draining):  # so that the client's next request goes to another server
        headers.append((b"connection", b"close"))
    return Answer(error.status, headers, [body])


def failed(path: str) -> Answer:
    """The answer for a bug: an id that stands in the log beside the traceback."""
    identifier = uuid.uuid4().hex
    _log.exception("request %s to %s failed", identifier, path)
    document: dict[str, Any] = {
        "error": f"internal error; the server's log has it as request {identifier}",
        "code": ServeError.code,
        "request_id": identifier,
    }
    return Answer(ServeError.status, [(b"content-type", b"application/json")], [orjson.dumps(document)])
