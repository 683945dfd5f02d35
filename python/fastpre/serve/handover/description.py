"""What a model says of itself, apart from running: what a process that has one tells the one that serves it."""

from __future__ import annotations

import dataclasses

from ...spec import Spec
from ..inference import TensorInfo
from ..model import Model

__all__ = ["Description"]


@dataclasses.dataclass(frozen=True, slots=True)
class Description:
    """A `Model`'s attributes, which mean what they mean there."""

    name: str
    platform: str
    task: str
    spec: Spec
    device: str
    outputs: tuple[TensorInfo, ...]
    labels: tuple[str, ...]
    max_batch: int

    @classmethod
    def of(cls, model: Model) -> Description:
        """Those of a model."""
        return cls(**{field.name: getattr(model, field.name) for field in dataclasses.fields(cls)})
