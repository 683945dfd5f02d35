"""Optional libraries, imported when a model needs them."""

from __future__ import annotations

import importlib
import types

from .errors import ModelUnavailable

__all__ = ["required"]


def required(library: str, source: str) -> types.ModuleType:
    """An optional library, imported.

    Raises:
        ModelUnavailable: it is not installed; the message has pip's command.
    """
    try:
        return importlib.import_module(library)
    except ModuleNotFoundError as e:
        if e.name != library:
            raise  # the library is there, and lacks something itself
        raise ModelUnavailable(f"{source} models need {library} (pip install {library})") from e
