"""What a client gets when a call fails: a status code, a reason, and words for machines beside it."""

from __future__ import annotations

import logging
import math
from typing import Any, NoReturn

import grpc

from ..errors import ServeError

__all__ = ["refuse", "told", "trailers"]

logger = logging.getLogger(__name__)

# The reason travels percent-encoded in a header, up to 12 bytes a character, and clients take 8 KiB of headers.
REASON_CHARACTERS = 400


def told(error: Exception) -> ServeError:
    """The error as clients may see it: what is no `ServeError` is logged, and only called internal."""
    if not isinstance(error, ServeError):
        logger.error("a gRPC call failed", exc_info=error)
    # gRPC keeps what `abort` raises in a cycle of references, and that has the error, whose traceback has the images.
    error.__traceback__ = error.__context__ = None
    return error if isinstance(error, ServeError) else ServeError("internal error; the server's log says more")


def reason(error: ServeError) -> str:
    """Its reason, cut to what every client takes."""
    text = error.reason
    return text if len(text) <= REASON_CHARACTERS else text[: REASON_CHARACTERS - 1] + "…"


def trailers(error: ServeError) -> tuple[tuple[str, str], ...]:
    """The trailing metadata: `error-code`, and where known `image-index` and gRPC's own `grpc-retry-pushback-ms`."""
    found = [("error-code", error.code)]
    if error.index is not None:
        found.append(("image-index", str(error.index)))
    if error.retry_after_s is not None:
        found.append(("grpc-retry-pushback-ms", str(math.ceil(error.retry_after_s * 1e3))))
    return tuple(found)


async def refuse(context: Any, error: Exception) -> NoReturn:
    """Ends the call with the error."""
    seen = told(error)
    await context.abort(getattr(grpc.StatusCode, seen.grpc), reason(seen), trailers(seen))
    raise AssertionError("abort returned")
