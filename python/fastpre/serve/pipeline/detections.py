"""From a detector's boxes to crops for a second model, and from both answers to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...augment import Box
from ...augment.batch import Start
from ...spec import Spec
from ..engine.cropping import Crop, crops_of
from ..errors import BadRequest, ModelFailed
from ..inference import DTYPES, TensorInfo
from ..model import Described
from ..scheduling.items import Item, Pixels, Prepared
from .passage import Joined
from .pipeline import Pipeline

__all__ = ["Detections", "pixel_box"]

Array = np.ndarray[Any, Any]


def pixel_box(corners: Sequence[float], size: tuple[int, int]) -> Box:
    """A box in pixels from its corners (x0, y0, x1, y1), in pixels that need not be whole.

    Corners are rounded as `PIL.Image.crop` rounds them: to the nearest, halves to even. A box that is less than a pixel
    high or wide then becomes one pixel high or wide, moved into the image of `size` (height, width) where that has an
    end.
    """
    left, top, right, bottom = (int(value) for value in np.rint(np.asarray(corners, np.float64)))
    if bottom <= top:
        top, bottom = _one(top, size[0])
    if right <= left:
        left, right = _one(left, size[1])
    return Box(top, left, bottom - top, right - left)


def _one(start: int, end: int) -> tuple[int, int]:
    start = min(max(start, 0), end - 1)
    return start, start + 1


class Detections:
    """The `Joint` of a pipeline.

    The answer has for each image, padded with zeros to M = `Pipeline.most` boxes:

    | output | datatype, shape | what |
    |---|---|---|
    | `boxes` | FP32 (-1, M, 4) | x0, y0, x1, y1 as fractions of the image, best score first |
    | `scores`, `classes` | FP32, INT64 (-1, M) | of the detector |
    | `num_detections` | INT32 (-1,) | how many boxes there are |
    | `crop_NAME` | (-1, M, ...) | each output of the second model, for each box |
    | `crop_classes` | INT64 (-1, M) | the index of the largest logit, if the second model is a classifier |

    Args:
        specs: of the first model, by rung: where its boxes are in the image.
        qualities: of the rungs, as `Engine.qualities`; of both models, as far as both have them.

    Raises:
        ValueError: the first model is no detector, or the second cannot take its boxes.
    """

    rung: int | None = None

    def __init__(
        self,
        pipeline: Pipeline,
        first: Described,
        second: Described,
        specs: Sequence[Spec] = (),
        qualities: tuple[str, ...] = ("full",),
    ) -> None:
        _check(pipeline, first, second)
        self.pipeline = pipeline
        self.most = pipeline.most
        self.qualities = qualities
        self._starts = [Start(spec.compiled(), spec.interpolation) for spec in specs or (first.spec,)]
        self._others = second.outputs
        self._named = second.task == "classification" and second.outputs[0].datatype == "FP32"

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """As metadata says them."""
        most, prefix = self.most, self.pipeline.join
        own = (
            TensorInfo("boxes", "FP32", (-1, most, 4)),
            TensorInfo("scores", "FP32", (-1, most)),
            TensorInfo("classes", "INT64", (-1, most)),
            TensorInfo("num_detections", "INT32", (-1,)),
        )
        others = [TensorInfo(prefix + o.name, o.datatype, (-1, most, *o.shape[1:])) for o in self._others]
        best = [TensorInfo(prefix + "classes", "INT64", (-1, most))] if self._named else []
        return (*own, *others, *best)

    def onward(self, image: Any, item: Item) -> list[Crop]:
        """A crop for each box."""
        pixels, size = _source(image, item)
        chosen = self._chosen(item)
        if not len(chosen):
            return []
        corners = self._corners(item, size)[chosen]
        if not np.isfinite(corners).all():
            raise ModelFailed(f"{self.pipeline.first} gave a box that is no number")
        # A box of nonsense must not overflow what counts pixels; no image is larger than 65535 pixels a side.
        corners = corners.clip(-1e6, 1e6)
        return crops_of(pixels, size, [pixel_box(box, size) for box in corners], item.cost)

    def joined(self, image: Any, item: Item, others: Sequence[Item]) -> Joined:
        """Both answers, padded."""
        outputs = {info.name: np.zeros((1, *info.shape[1:]), DTYPES[info.datatype]) for info in self.outputs}
        chosen, count = self._chosen(item), len(others)
        if count:
            _, size = _source(image, item)
            scale = (size[1], size[0], size[1], size[0])
            outputs["boxes"][0, :count] = self._corners(item, size)[chosen] / scale
        for name in ("scores", "classes"):
            outputs[name][0, :count] = _row(item, name)[chosen]
        outputs["num_detections"][0] = count
        prefix = self.pipeline.join
        for info in self._others:
            for index, other in enumerate(others):
                outputs[prefix + info.name][0, index] = _row(other, info.name)
        if self._named and count:
            logits = outputs[prefix + self._others[0].name][0, :count]
            outputs[prefix + "classes"][0, :count] = logits.argmax(axis=-1)
        return Joined(outputs, max(item.rung, *(other.rung for other in others)) if others else item.rung)

    def _chosen(self, item: Item) -> Array:
        """Indices of the boxes, best first."""
        scores = _row(item, "scores")[: int(_row(item, "num_detections"))]
        order = np.argsort(-scores, kind="stable")
        found: Array = order[scores[order] >= self.pipeline.threshold][: self.most]
        return found

    def _corners(self, item: Item, size: tuple[int, int]) -> Array:
        """Boxes in pixels of the image, of float64: the model's are fractions of what its Spec shows of the image."""
        top, left, height, width = self._starts[item.rung].draw(*size).crop
        scale, origin = (width, height, width, height), (left, top, left, top)
        corners: Array = _row(item, "boxes").astype(np.float64) * scale + origin
        return corners


def _row(item: Item, name: str) -> Array:
    assert item.outputs is not None
    row: Array = item.outputs[name][item.row]
    return row


def _source(image: Any, item: Item) -> tuple[Any, tuple[int, int]]:
    """The image as crops take it, and its (height, width)."""
    if isinstance(image, Pixels):
        return image.array, image.array.shape[:2]
    if isinstance(image, Prepared):
        raise BadRequest("a pipeline takes images: of the model's own input nothing can be cropped")
    return image, (item.record.height, item.record.width)


def _check(pipeline: Pipeline, first: Described, second: Described) -> None:
    has: Mapping[str, TensorInfo] = {output.name: output for output in first.outputs}
    missing = [name for name in ("boxes", "scores", "classes", "num_detections") if name not in has]
    if missing:
        raise ValueError(
            f"pipeline {pipeline.name!r}: {first.name!r} is no detector (task {first.task}, without {missing[0]})"
        )
    if second.task == "detection":
        raise ValueError(f"pipeline {pipeline.name!r}: {second.name!r} is a detector, which cannot be the second model")
    if first.spec.exif_orientation != second.spec.exif_orientation:
        raise ValueError(
            f"pipeline {pipeline.name!r}: one model's spec has exif_orientation=True and the other's has not, so boxes "
            "of one are not where the other sees them"
        )
    for output in second.outputs:
        if output.datatype not in DTYPES or -1 in output.shape[1:]:
            raise ValueError(
                f"pipeline {pipeline.name!r}: output {output.name!r} of {second.name!r} has no fixed shape and type"
            )
    names = [f"{pipeline.join}{output.name}" for output in second.outputs]
    for name in ("boxes", "scores", "classes", "num_detections"):
        if name in names:
            raise ValueError(f"pipeline {pipeline.name!r}: join={pipeline.join!r} makes two outputs called {name!r}")
