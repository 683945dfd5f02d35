"""What a model's output says, for people: labels with scores, or small tensors as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..inference import InferResponse, ModelInfo, OutputTensor

__all__ = ["MAX_TOP", "described"]

MAX_TOP = 1000

# An output of more numbers is described by datatype and shape; the Open Inference Protocol delivers it in binary.
_MAX_NUMBERS = 4096


def described(model: ModelInfo, response: InferResponse, top: int) -> dict[str, Any]:
    """For one image: `predictions` of a classifier, best first, or `outputs` by name of any other model."""
    if model.task == "classification" and response.outputs:
        scores = _numbers(response.outputs[0])
        if scores.ndim >= 2 and scores.size and scores.dtype.kind in "fiu":
            return {"predictions": _predictions(scores[0].reshape(-1), model.labels, top)}
    return {"outputs": {output.name: _tensor(output) for output in response.outputs}}


def _predictions(row: np.ndarray[Any, Any], labels: tuple[str, ...], top: int) -> list[dict[str, Any]]:
    probabilities = _probabilities(row.astype(np.float64))
    predictions: list[dict[str, Any]] = []
    order = np.argsort(-probabilities, kind="stable")  # NaN comes last
    for index in order[:top].tolist():
        label = labels[index] if index < len(labels) else str(index)
        value = float(probabilities[index])
        predictions.append({"label": label, "index": index, "score": round(value, 6) if np.isfinite(value) else None})
    return predictions


def _probabilities(row: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Probabilities as they are; what are none (do not lie between 0 and 1, or sum to 1) are logits: their softmax."""
    if row.min() >= 0.0 and abs(float(row.sum()) - 1.0) < 1e-3:
        return row
    with np.errstate(all="ignore"):  # a model that gives infinity or NaN gets no score
        weights = np.exp(row - row.max())
        return np.asarray(weights / weights.sum())


def _numbers(output: OutputTensor) -> np.ndarray[Any, Any]:
    """The output's array; BF16, which NumPy does not know, as float32."""
    if output.datatype == "BF16":
        return (output.array.astype(np.uint32) << 16).view(np.float32)
    return output.array


def _tensor(output: OutputTensor) -> dict[str, Any]:
    """Without the batch's dimension."""
    array = _numbers(output)
    array = array[0] if array.ndim else array
    tensor: dict[str, Any] = {"datatype": output.datatype, "shape": list(array.shape)}
    if array.size > _MAX_NUMBERS:
        return tensor
    if output.datatype == "BYTES":
        flat = np.asarray(array, object).reshape(-1)
        tensor["data"] = [element.decode("utf-8", "replace") for element in flat]
    else:
        tensor["data"] = array.tolist()
    return tensor
