"""Names of classes, as given or from a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import ModelUnavailable

__all__ = ["labels_of"]


def labels_of(given: Sequence[str] | Mapping[Any, str] | str | os.PathLike[str]) -> tuple[str, ...]:
    """Names by index, of a sequence, a mapping of indices to names, or a file: either as JSON, or a name per line."""
    if isinstance(given, (str, os.PathLike)):
        try:
            text = Path(given).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as e:
            raise ModelUnavailable(f"the labels cannot be read: {e}") from e
        given = json.loads(text) if text.lstrip()[:1] in ("[", "{") else text.splitlines()
    if isinstance(given, Mapping):
        by_index = {int(index): str(name) for index, name in given.items()}
        given = [by_index.get(index, "") for index in range(max(by_index, default=-1) + 1)]
    return tuple(str(name) for name in given)
