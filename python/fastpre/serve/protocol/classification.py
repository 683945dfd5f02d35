"""The classification extension: "score:index:label" strings in place of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import BadRequest
from ..inference import OutputTensor

__all__ = ["best", "classified", "widened"]


def widened(output: OutputTensor) -> np.ndarray[Any, Any]:
    """The output's numbers; BF16, which NumPy does not know, as float32."""
    if output.datatype == "BF16":
        return (output.array.astype(np.uint32) << 16).view(np.float32)
    return output.array


def best(rows: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """Indices (N, count) of the largest numbers of each row (N, classes), best first.

    Among equals the earlier one is better; a count of more than there are classes is all of them; NaN is the worst.
    """
    keys = np.where(np.isnan(rows), -np.inf, rows) if rows.dtype.kind == "f" else rows.astype(np.float64)
    count = min(count, rows.shape[1])
    edges = np.partition(keys, rows.shape[1] - count, axis=1)[:, rows.shape[1] - count]
    order = np.empty((len(rows), count), np.intp)
    for row, edge in enumerate(edges):  # only what reaches the edge is sorted, ties there included
        near = np.flatnonzero(keys[row] >= edge)
        order[row] = near[np.argsort(-keys[row, near], kind="stable")[:count]]
    return order


def classified(output: OutputTensor, count: int, labels: Sequence[str]) -> OutputTensor:
    """The output (N, ...) as BYTES (N, count), where the classes of an image are all the numbers that it has.

    Raises:
        BadRequest: the output has no numbers.
    """
    if output.datatype == "BYTES" or output.array.ndim == 0 or output.array.size == 0:
        raise BadRequest(f"output {output.name!r}: it has no numbers to classify by")
    numbers = widened(output)
    rows = numbers.reshape(numbers.shape[0], -1)
    order = best(rows, count)
    texts = np.empty(order.shape, object)
    for row, indices in enumerate(order):
        for place, index in enumerate(indices):
            text = f"{rows[row, index]!s}:{index}"
            if index < len(labels):
                text += f":{labels[index]}"
            texts[row, place] = text.encode()
    return OutputTensor(output.name, "BYTES", texts, output.parameters)
