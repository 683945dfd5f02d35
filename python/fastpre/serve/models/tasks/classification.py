"""Classification: a number for each class."""

from __future__ import annotations

from typing import Any

from ..errors import ModelUnavailable
from ..found import Outputs
from .tensors import only

__all__ = ["Classification"]


class Classification:
    """Reads (N, K)."""

    def __call__(self, raw: Any, size: tuple[int, int]) -> Outputs:
        """`logits` FP32 (N, K), as the model gives them: no softmax."""
        logits = only(raw, "classification", ("logits",))
        if logits.dim() != 2:
            raise ModelUnavailable(
                f"for classification an output is (N, K), this model's is {tuple(logits.shape)}; say what it is with "
                "task= (--task), such as segmentation, depth or tensors"
            )
        return {"logits": logits.float()}
