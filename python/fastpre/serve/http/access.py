"""The optional API key."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from ..errors import Unauthorized

__all__ = ["OPEN_PATHS", "check"]

# Orchestrators that ask these have no keys.
OPEN_PATHS = frozenset(("/v2/health/live", "/v2/health/ready"))


def check(key: bytes, headers: Mapping[bytes, bytes]) -> None:
    """Compares in constant time.

    Raises:
        Unauthorized: neither `Authorization: Bearer` nor `X-API-Key` has the key.
    """
    given = headers.get(b"x-api-key", b"")
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        given = token.strip()
    if not hmac.compare_digest(given, key):
        raise Unauthorized("the API key is missing or wrong: send it as Authorization: Bearer KEY or X-API-Key: KEY")
