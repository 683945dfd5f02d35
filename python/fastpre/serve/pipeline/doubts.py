"""A cheap pass first, and a full one for the images that it is not sure of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import BadRequest
from ..model import Described
from ..scheduling.items import Item, Prepared
from .passage import Joined

__all__ = ["Doubts", "confidence", "same_outputs"]


def confidence(row: np.ndarray[Any, Any]) -> float:
    """The largest probability of one image's classes; of logits, that of their softmax. NaN where there is none."""
    values = row.astype(np.float64).reshape(-1)
    if values.min() >= 0.0 and abs(float(values.sum()) - 1.0) < 1e-3:
        return float(values.max())
    with np.errstate(all="ignore"):
        return float(1.0 / np.exp(values - values.max()).sum())


def same_outputs(full: Described, other: Described) -> None:
    """Raises ValueError if clients could not take one model's answer for the other's."""
    if full.outputs != other.outputs:
        raise ValueError(
            f"{other.name!r} cannot stand in for {full.name!r}: its outputs are {_said(other)}, not {_said(full)}"
        )


def _said(model: Described) -> str:
    return ", ".join(f"{output.name} {output.datatype} {output.shape}" for output in model.outputs)


class Doubts:
    """The `Joint` of a cascade, as in "HawkVision": low confidence asks for the full pass.

    Args:
        full: the model, a classifier: its first output has a number for each class.
        below: a confidence below it is not enough; one that is no number is none.
        rung: of the first pass, as `Engine.submit` takes it.
        qualities: what answers can be; the first pass's is `cheap`.
        cheap: index into it.

    Raises:
        ValueError: the model is no classifier.
    """

    most = 1

    def __init__(self, full: Described, below: float, rung: int | None, qualities: tuple[str, ...], cheap: int) -> None:
        if not classifies(full):
            raise ValueError(f"a cascade needs a classifier, and {full.name!r} is for {full.task}")
        self.rung = rung
        self.qualities = qualities
        self.cheap = cheap
        self._below = below
        self._output = full.outputs[0].name

    def onward(self, image: Any, item: Item) -> Sequence[Any]:
        """The image once more, or nothing."""
        if isinstance(image, Prepared):
            raise BadRequest("a model with a cascade takes images: its own input has no cheaper pass")
        assert item.outputs is not None
        sure = confidence(item.outputs[self._output][item.row]) >= self._below
        return () if sure else (image,)

    def joined(self, image: Any, item: Item, others: Sequence[Item]) -> Joined:
        """The last pass's answer."""
        return Joined(others[0].result(), others[0].rung) if others else Joined(item.result(), self.cheap)


def classifies(model: Described) -> bool:
    """True if its first output has a number for each class."""
    first = model.outputs[0]
    return model.task == "classification" and len(first.shape) == 2 and first.datatype.startswith("FP")
