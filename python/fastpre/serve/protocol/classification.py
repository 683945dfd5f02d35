"""The classification extension: the best classes of an output as strings, in place of its tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import BadRequest
from ..inference import OutputTensor

__all__ = ["classified"]


def classified(output: OutputTensor, count: int, labels: Sequence[str] = ()) -> OutputTensor:
    """The `count` best classes of each image, as Triton writes them.

    Args:
        output: scores of (N, ...); the other dimensions count as one.
        count: how many; no more are given than there are classes.
        labels: the classes' names; those past its end have none.

    Returns:
        A BYTES output of (N, count): "score:index" or "score:index:label", best first, equal scores by index.

    Raises:
        BadRequest: the output is no tensor of numbers with the batch first.
    """
    scores = output.array
    if output.datatype in ("BYTES", "BOOL", "BF16") or scores.ndim < 2:
        raise BadRequest(f"output {output.name!r} of {output.datatype} {list(scores.shape)} has no classes")
    rows = scores.reshape(len(scores), math.prod(scores.shape[1:]))
    count = min(count, rows.shape[1])
    strings = np.empty((len(rows), count), dtype=np.object_)
    # Stable, from the largest; a NaN comes last.
    order = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :count]
    for row, best in enumerate(order):
        for place, index in enumerate(best.tolist()):
            strings[row, place] = _string(rows[row, index], index, labels)
    return OutputTensor(output.name, "BYTES", strings, output.parameters)


def _string(score: Any, index: int, labels: Sequence[str]) -> bytes:
    text = f"{float(score):f}:{index}"
    if index < len(labels):
        text += f":{labels[index]}"
    return text.encode()
