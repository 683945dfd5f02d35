"""Where requests go, by what a server says of its model."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["Target", "Unreachable", "from_metadata", "only_model"]


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
