"""Images that have no name of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..._backend import sources
from ...errors import ImageReadError

__all__ = ["named"]


def named(image: Any, name: str) -> Any:
    """The image with a name for its errors, and its path where it has one; where it is null, its error."""
    if isinstance(image, ImageReadError):
        return image if image.name is not None else ImageReadError(image.reason, name=name)
    data, path = image, None
    if isinstance(image, Mapping) and image.keys() == {"bytes", "path"}:  # of Hugging Face's datasets
        data, path = image["bytes"], image["path"]
    if data is None and path is None:
        return ImageReadError("it is null", name=name)
    if data is None or isinstance(data, Mapping) or sources.name(data) is not None:
        return image  # a path is its own name; and of another mapping an error says what it should be
    return {"bytes": data, "path": f"{name}: {path}" if path else name}
