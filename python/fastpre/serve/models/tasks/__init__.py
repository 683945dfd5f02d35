"""What a model's outputs are, by its task: arrays of a fixed shape with the batch first.

| task | outputs |
|---|---|
| classification | `logits` FP32 (-1, K) |
| segmentation | `classes` UINT8 (UINT16 for more than 256 classes) (-1, H, W): the best class of each pixel of the \
input; with `with_logits` also `logits` FP32 (-1, K, H, W) |
| detection | `boxes` FP32 (-1, M, 4), `scores` FP32 (-1, M), `classes` INT64 (-1, M), `num_detections` INT32 (-1,) |
| depth | `depth` FP32 (-1, H, W), in the model's own unit |
| any other | the model's tensors under its own names; `output_0`, `output_1` where it has none; for the task \
"embedding" the one tensor is `embedding` |

H and W are those of the model's input.
"""

from __future__ import annotations

from ..found import Options, Reader
from . import classification, depth, segmentation, tensors

__all__ = ["reader"]


def reader(task: str, options: Options) -> Reader:
    """Of a task's raw output; detection is its sources' own, since no two of them say it alike."""
    if task == "classification":
        return classification.Classification()
    if task == "segmentation":
        return segmentation.Segmentation(options.with_logits)
    if task == "depth":
        return depth.Depth()
    return tensors.Tensors(task)
