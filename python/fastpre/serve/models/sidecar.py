"""`FILE.json` beside a model's file: what the file itself does not say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from ...typing import SpecFields
from .errors import ModelUnavailable
from .labels import labels_of
from .references import did_you_mean

__all__ = ["Sidecar", "model_file"]


@dataclasses.dataclass(frozen=True)
class Sidecar:
    """What it says; whatever `load` is given goes before."""

    spec: SpecFields = dataclasses.field(default_factory=SpecFields)
    labels: tuple[str, ...] = ()
    task: str | None = None

    @classmethod
    def beside(cls, file: Path) -> Sidecar:
        """Of `model.onnx`: `model.onnx.json`, or empty if there is none.

        Raises:
            ModelUnavailable: it is no such JSON.
        """
        path = file.with_name(f"{file.name}.json")
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return cls()
        try:
            values = json.loads(text)
            if not isinstance(values, dict):
                raise TypeError("it holds no object")
            return cls(_spec(values.pop("spec", {})), labels_of(values.pop("labels", ())), **values)
        except (TypeError, ValueError) as e:
            wanted = '{"spec": {...}, "labels": [...], "task": "..."}, each of them optional'
            raise ModelUnavailable(f"{path} is to hold {wanted}: {e}") from e


def _spec(values: object) -> SpecFields:
    """JSON's lists as the tuples that they stand for."""
    if not isinstance(values, dict):
        raise TypeError("spec is no object")
    fields: Any = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    checked: SpecFields = fields
    return checked


def model_file(target: str, suffix: str) -> Path:
    """The file of a model.

    Raises:
        ModelUnavailable: there is none.
    """
    path = Path(target)
    if not path.is_file():
        folder = path.parent
        beside = [file.name for file in folder.glob(f"*{suffix}")] if folder.is_dir() else []
        raise ModelUnavailable(f"there is no file {target!r}{did_you_mean(path.name, beside)}")
    return path
