"""Object detection: boxes, padded to one number of them.

`boxes` FP32 (N, M, 4): x0, y0, x1, y1 as fractions of the model's input. The Specs of detection models squash the whole
image to one size, so the same fractions hold in the original image: times its width and height they are pixels.
`scores` FP32 (N, M), best first. `classes` INT64 (N, M): indices of the model's labels. `num_detections` INT32 (N,):
how many of them there are; what follows is zeros. They are all that the model keeps: a threshold of the scores is the
client's to set.
"""

from __future__ import annotations

from typing import Any

from ..found import Outputs

__all__ = ["Lists", "Queries"]


class Lists:
    """Reads torchvision's lists: for each image boxes in pixels of the input, "scores" best first, and "labels".

    Args:
        most: M.
    """

    def __init__(self, most: int) -> None:
        self._most = most

    def __call__(self, raw: Any, size: tuple[int, int]) -> Outputs:
        """See the module."""
        import torch

        count, device = len(raw), raw[0]["boxes"].device
        boxes = torch.zeros(count, self._most, 4, device=device)
        scores = torch.zeros(count, self._most, device=device)
        classes = torch.zeros(count, self._most, dtype=torch.int64, device=device)
        found = torch.zeros(count, dtype=torch.int32)
        for index, image in enumerate(raw):
            n = min(self._most, len(image["scores"]))
            boxes[index, :n] = image["boxes"][:n]
            scores[index, :n] = image["scores"][:n]
            classes[index, :n] = image["labels"][:n]
            found[index] = n
        height, width = size
        boxes /= torch.tensor((width, height, width, height), device=device)
        return {"boxes": boxes, "scores": scores, "classes": classes, "num_detections": found}


class Queries:
    """Reads what DETR and its kin return in transformers: a class and a box for each of Q queries.

    "logits" are (N, Q, K + 1), the last for "no object", where a query has one class (softmax: DETR, YOLOS); or
    (N, Q, K), where each pair of a query and a class is a candidate (sigmoid: Conditional and Deformable DETR,
    RT-DETR). Both are read as by transformers' `post_process_object_detection`. "pred_boxes" are (N, Q, 4): centre x,
    centre y, width and height as fractions.

    Args:
        num_labels: K.
        most: M.
    """

    def __init__(self, num_labels: int, most: int) -> None:
        self._num_labels = num_labels
        self._most = most

    def __call__(self, raw: Any, size: tuple[int, int]) -> Outputs:
        """See the module."""
        import torch

        logits, centres = raw["logits"].float(), raw["pred_boxes"].float()
        if logits.shape[-1] == self._num_labels + 1:
            best, labels = logits.softmax(-1)[..., :-1].max(-1)
            scores, query = best.topk(min(self._most, best.shape[1]))
            classes = labels.gather(1, query)
        else:
            pairs = logits.sigmoid().flatten(1)
            scores, pair = pairs.topk(min(self._most, pairs.shape[1]))
            classes = pair % self._num_labels
            query = torch.div(pair, self._num_labels, rounding_mode="floor")
        x, y, width, height = centres.gather(1, query[..., None].expand(-1, -1, 4)).unbind(-1)
        corners = torch.stack((x - 0.5 * width, y - 0.5 * height, x + 0.5 * width, y + 0.5 * height), dim=-1)
        missing = self._most - scores.shape[1]
        pad = torch.nn.functional.pad
        return {
            "boxes": pad(corners, (0, 0, 0, missing)),
            "scores": pad(scores, (0, missing)),
            "classes": pad(classes, (0, missing)),
            "num_detections": torch.full((len(logits),), self._most - missing, dtype=torch.int32),
        }
