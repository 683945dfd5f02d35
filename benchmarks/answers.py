"""Whether a server's answers are the reference's: the right class, and logits that belong to that very photograph."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
# torchvision on tensors differs from Pillow by a step of 255 here and there, which moves logits by less than a
# thousandth of what they differ by from photograph to photograph. Another crop or filter moves them by a tenth.
BOUND = 0.01
ROUNDED = 0.5e-6  # scores come with six decimals


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How near answers are to the reference.

    Attributes:
        same_class: share of images with the reference's best class.
        difference: the largest difference, in standard deviations between photographs.
    """

    images: int
    same_class: float
    difference: float

    @property
    def refusal(self) -> str | None:
        """Why they do not count as the same answers; None if they do."""
        if self.same_class < 1:
            return f"{1 - self.same_class:.0%} of the answers have another best class than the reference"
        if not self.difference <= BOUND:
            return (
                f"answers differ from the reference by {self.difference:.3f} of the deviation between photographs, "
                f"more than {BOUND}"
            )
        return None


def agreement(found: Array, reference: Array, kind: str = "logits") -> Agreement:
    """Compares rows of classes.

    Args:
        found: NaN where a server did not say.
        reference: logits.
        kind: what `found` is: "logits", or "scores", their softmax.
    """
    right = softmax(reference) if kind == "scores" else reference
    if found.shape != right.shape:
        return Agreement(len(right), 0.0, float("inf"))
    deviation = right.std(axis=0).mean() if len(right) > 1 else abs(right).max()
    off = float(np.nanmax(abs(found - right)))
    difference = max(0.0, off - (ROUNDED if kind == "scores" else 0.0)) / float(deviation)
    same = np.nanargmax(found, axis=1) == right.argmax(axis=1)
    return Agreement(len(right), float(same.mean()), difference)


def softmax(logits: Array) -> Array:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Array = powers / powers.sum(axis=-1, keepdims=True)
    return result
