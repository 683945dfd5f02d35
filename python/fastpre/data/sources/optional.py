"""Libraries that only some sources need, imported when they do."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["needed"]


def needed(module: str, source: str, package: str | None = None) -> Any:
    """The module.

    Raises:
        ImportError: it is not installed; the message says who needs it, and what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        msg = f"fastpre.data.{source} needs {module}: pip install {package or module.partition('.')[0]}"
        raise ImportError(msg) from error
