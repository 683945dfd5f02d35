"""Asking the server for its model, before anything is measured."""

from __future__ import annotations

import dataclasses
import http.client
import json
import urllib.parse
from typing import Any

from . import plan as plans
from .plan import Plan
from .target import Target, Unreachable, from_metadata, only_model

__all__ = ["discover"]


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
