"""The live page: files of the package, and the numbers that they ask for each second."""

from __future__ import annotations

import importlib.resources
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .live import Live

__all__ = ["OPEN_PATHS", "routes"]

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page/live.css": ("live.css", "text/css; charset=utf-8"),
    "/page/live.js": ("live.js", "text/javascript; charset=utf-8"),
    "/page/charts.js": ("charts.js", "text/javascript; charset=utf-8"),
}

# The page itself needs no API key: a browser cannot send one before there is a page, and it holds no data. It asks for
# the key, and sends it with each question for numbers.
OPEN_PATHS = frozenset(_FILES)

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
_MOST_DIGITS = 12


def routes(live: Live) -> list[Route]:
    """The page at `/`, its style and scripts, and `/v1/live`."""
    folder = importlib.resources.files("fastpre.serve") / "page"
    table = [Route(path, _file((folder / name).read_bytes(), kind)) for path, (name, kind) in _FILES.items()]

    async def numbers(request: Request) -> Response:
        after = request.query_params.get("after", "")
        known = int(after) if after.isascii() and after.isdigit() and len(after) <= _MOST_DIGITS else -1
        headers = {**_HEADERS, "cache-control": "no-store"}
        return Response(live.document(known), media_type="application/json", headers=headers)

    return [*table, Route("/v1/live", numbers)]


def _file(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return answer
