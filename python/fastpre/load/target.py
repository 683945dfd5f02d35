"""What the server says of its model, asked before anything is measured."""

from __future__ import annotations

import dataclasses
import http.client
import json
import urllib.parse
from typing import Any

from . import plan as plans
from .plan import Plan

__all__ = ["Target", "Unreachable", "discover"]


class Unreachable(Exception):
    """The server does not answer, or not with what is needed to send it requests; the message says what."""


@dataclasses.dataclass(frozen=True)
class Target:
    """Where requests go.

    Attributes:
        model: as the server calls it; empty for `predict` without a model.
        input: name of its input of encoded images.
        rank: dimensions of that input with the batch: 1, or 2 where each image is a row of one.
        path: of HTTP requests.
        server: name and version, where it says so.
    """

    model: str = ""
    input: str = ""
    rank: int = 1
    path: str = ""
    server: str = ""

    def shape(self, images: int) -> list[int]:
        """The input's shape in a request."""
        return [images] + [1] * (self.rank - 1)


def discover(plan: Plan) -> Target:
    """Asks the server for the model's input.

    Raises:
        Unreachable: there is no answer, no such model, or it does not take encoded images.
    """
    try:
        return _discover(plan)
    except (KeyError, TypeError, AttributeError) as e:
        raise Unreachable(f"{plan.url} does not speak the Open Inference Protocol: its metadata lack {e}") from e


def _discover(plan: Plan) -> Target:
    if plan.protocol == plans.PREDICT:
        path = plan.path or "/v1/predict"
        if plan.model:
            path += ("&" if "?" in path else "?") + urllib.parse.urlencode({"model": plan.model})
        return Target(model=plan.model, path=path)
    if plan.protocol == plans.V2_GRPC:
        from . import messages

        return from_metadata(*messages.describe(plan))
    prefix = plan.path
    server = _ask(plan, "GET", f"{prefix}/v2")
    model = plan.model or only_model(_ask(plan, "POST", f"{prefix}/v2/repository/index", b"{}"))
    quoted = urllib.parse.quote(model, safe="")
    target = from_metadata(_ask(plan, "GET", f"{prefix}/v2/models/{quoted}"), server)
    return dataclasses.replace(target, path=f"{prefix}/v2/models/{quoted}/infer")


def only_model(index: Any) -> str:
    """The name of the one model of a repository index."""
    names = sorted({entry["name"] for entry in index})
    if len(names) != 1:
        what = f"{len(names)} models ({', '.join(names)}): name one" if names else "no model"
        raise Unreachable(f"the server has {what}")
    return str(names[0])


def from_metadata(model: Any, server: Any) -> Target:
    """The target by a model's and a server's metadata."""
    inputs = [entry for entry in model["inputs"] if entry["datatype"] == "BYTES"]
    if not inputs:
        raise Unreachable(f"the model {model['name']} has no BYTES input, so it takes no encoded images")
    name = f"{server.get('name', '')} {server.get('version', '')}".strip()
    # Shapes have the batch first: [-1], or [-1, 1] where each image is a row of one element.
    return Target(model=model["name"], input=inputs[0]["name"], rank=max(1, len(inputs[0]["shape"])), server=name)


def _ask(plan: Plan, method: str, path: str, body: bytes | None = None) -> Any:
    """JSON from the server."""
    host, port = plan.address
    connection = http.client.HTTPConnection(host, port, timeout=plan.timeout_s)
    try:
        connection.request(method, path, body, {"content-type": "application/json", **dict(plan.sent_headers())})
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as e:
        raise Unreachable(f"{plan.url}: {e or type(e).__name__}") from e
    finally:
        connection.close()
    if response.status != 200:
        raise Unreachable(f"{method} {path}: {response.status} {text[:200].decode(errors='replace')}")
    try:
        return json.loads(text)
    except ValueError as e:
        raise Unreachable(f"{method} {path}: the answer is no JSON: {text[:80]!r}") from e
