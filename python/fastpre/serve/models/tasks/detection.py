"""Object detection: boxes, padded to one number of them.

`boxes` FP32 (N, M, 4): x0, y0, x1, y1 as fractions of the model's input. The Specs of detection models squash the whole
image to one size, so the same fractions hold in the original image: times its width and height they are pixels.
`scores` FP32 (N, M), best first. `classes` INT64 (N, M): indices of the model's labels. `num_detections` INT32 (N,): how
many of them there are; what follows is zeros. They are all that the model keeps: set your own threshold of the scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..found import Outputs

if TYPE_CHECKING:
    import torch

__all__ = ["from_lists", "from_queries"]


def from_lists(images: Sequence[Mapping[str, torch.Tensor]], size: tuple[int, int], most: int) -> Outputs:
    """Of torchvision's lists: for each image boxes in pixels of the input, "scores" best first, and "labels"."""
    import torch

    count, device = len(images), images[0]["boxes"].device
    boxes = torch.zeros(count, most, 4, device=device)
    scores = torch.zeros(count, most, device=device)
    classes = torch.zeros(count, most, dtype=torch.int64, device=device)
    found = torch.zeros(count, dtype=torch.int32)
    height, width = size
    for index, image in enumerate(images):
        n = min(most, len(image["scores"]))
        boxes[index, :n] = image["boxes"][:n]
        scores[index, :n] = image["scores"][:n]
        classes[index, :n] = image["labels"][:n]
        found[index] = n
    boxes /= torch.tensor((width, height, width, height), device=device)
    return {"boxes": boxes, "scores": scores, "classes": classes, "num_detections": found}


def from_queries(logits: torch.Tensor, centres: torch.Tensor, num_labels: int, most: int) -> Outputs:
    """Of DETR and its kin: a class and a box for each of Q queries.

    Args:
        logits: (N, Q, K + 1), the last one for "no object", and a query has one class (softmax; DETR, YOLOS); or
            (N, Q, K), and each pair of query and class is a candidate (sigmoid; Deformable and Conditional DETR,
            RT-DETR). Both as in transformers' `post_process_object_detection`.
        centres: (N, Q, 4): centre x, centre y, width, height as fractions.
    """
    import torch

    logits, centres = logits.float(), centres.float()
    if logits.shape[-1] == num_labels + 1:
        best, labels = logits.softmax(-1)[..., :-1].max(-1)
        scores, query = best.topk(min(most, best.shape[1]))
        classes = labels.gather(1, query)
    else:
        pairs = logits.sigmoid().flatten(1)
        scores, pair = pairs.topk(min(most, pairs.shape[1]))
        classes = pair % num_labels
        query = torch.div(pair, num_labels, rounding_mode="floor")
    x, y, width, height = centres.gather(1, query[..., None].expand(-1, -1, 4)).unbind(-1)
    corners = torch.stack((x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height), dim=-1)
    missing = most - scores.shape[1]
    pad = torch.nn.functional.pad
    return {
        "boxes": pad(corners, (0, 0, 0, missing)),
        "scores": pad(scores, (0, missing)),
        "classes": pad(classes, (0, missing)),
        "num_detections": torch.full((len(logits),), most - missing, dtype=torch.int32),
    }
