"""`builtin:NAME`: models for demonstrations, tests and benchmarks. Their weights are always random, seeded.

| name | what it is |
|---|---|
| `tiny` | a small CNN, 10 classes; a forward pass of one image takes about 0.34 ms on one core |
| `heavy` | the same kind, about 75 ms for each image on one core |
| `sleep?ms=75` | 10 classes, and no computation: a batch sleeps `ms`, and `ms_per_image` for each image |
| `detector?rows=2&columns=4&grow=1` | finds the cells of a grid, each as far as it is bright: its score is its mean; \
`grow` makes the boxes larger than the cells, so that they overlap and reach past the border |

Input is 224 x 224, of the detector 64 x 64, to which the whole image is squashed. Times are of an AMD EPYC core with
torch 2.14; benchmarks/models.py measures yours.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import tasks
from ..errors import ModelUnavailable
from ..found import Found, Network, Options
from ..modules import ModuleNetwork
from ..references import did_you_mean
from ..tasks.detection import Lists
from ..weights import seeded

if TYPE_CHECKING:
    import torch
    from torch import nn

    from ....spec import Spec

__all__ = ["find"]

LABELS = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay")

# (channels, stride) of its convolutions: the first is 4 x 4, the others are 3 x 3.
LAYERS = {
    "tiny": ((32, 4), (64, 2), (64, 2)),
    "heavy": ((64, 4), (256, 1), (256, 1), (256, 1), (256, 1), (512, 2), (512, 1)),
}


def find(target: str, parameters: Mapping[str, Any], options: Options) -> Found:
    """See the module."""
    if target == "detector":
        return _detector(parameters, options)
    if target != "sleep" and target not in LAYERS:
        names = [*LAYERS, "sleep", "detector"]
        raise ModelUnavailable(f"there is no builtin:{target}{did_you_mean(target, names)} (known: {', '.join(names)})")
    network: Network
    try:
        with seeded(options.seed):
            network = _Sleep(**parameters) if target == "sleep" else ModuleNetwork(_cnn(target, **parameters))
    except TypeError as e:
        raise ModelUnavailable(f"builtin:{target}: {e}") from e
    task = options.task or "classification"
    return Found(
        network=network,
        platform="builtin",
        task=task,
        fields={},
        read=tasks.reader(task, options),
        labels=LABELS,
    )


def _detector(parameters: Mapping[str, Any], options: Options) -> Found:
    try:
        network = _Grid(**parameters)
    except (TypeError, ValueError) as e:
        raise ModelUnavailable(f"builtin:detector: {e}") from e
    return Found(
        network=network,
        platform="builtin",
        task="detection",
        fields={"resize": (_Grid.SIZE, _Grid.SIZE), "crop": None, "mean": None, "std": None},
        read=Lists(options.max_detections),
        labels=tuple(f"cell {index}" for index in range(network.cells)),
    )


def _cnn(name: str) -> nn.Module:
    from torch import nn

    steps: list[nn.Module] = []
    before = 3
    for channels, stride in LAYERS[name]:
        kernel, padding = (4, 0) if not steps else (3, 1)
        steps += [nn.Conv2d(before, channels, kernel, stride, padding), nn.ReLU(inplace=True)]
        before = channels
    return nn.Sequential(*steps, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, len(LABELS)))


class _Sleep:
    """A `Network` that takes its time, and says of an image only how bright it is."""

    def __init__(self, ms: float = 0.0, ms_per_image: float = 0.0) -> None:
        self._ms = float(ms)
        self._ms_per_image = float(ms_per_image)

    def prepare(self, spec: Spec, options: Options) -> Spec:
        """See `Network`."""
        return spec

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        time.sleep((self._ms + self._ms_per_image * len(batch)) / 1000)
        return batch[:, 0, :1, : len(LABELS)].flatten(1)


class _Grid:
    """A `Network` that finds the cells of a grid, the brightest first."""

    SIZE = 64

    def __init__(self, rows: int = 2, columns: int = 4, grow: float = 1.0) -> None:
        if not (1 <= int(rows) <= self.SIZE and 1 <= int(columns) <= self.SIZE and grow > 0):
            raise ValueError(f"rows and columns are 1 to {self.SIZE} and grow is more than 0")
        self._shape = (int(rows), int(columns))
        self._grow = float(grow)

    @property
    def cells(self) -> int:
        """How many there are."""
        return self._shape[0] * self._shape[1]

    def prepare(self, spec: Spec, options: Options) -> Spec:
        """See `Network`."""
        if options.num_threads is not None:
            import torch

            torch.set_num_threads(options.num_threads)
        return spec

    def __call__(self, batch: torch.Tensor) -> Any:
        import torch

        rows, columns = self._shape
        means = torch.nn.functional.adaptive_avg_pool2d(batch.mean(1, keepdim=True), self._shape).flatten(1)
        scores, cells = means.sort(dim=1, descending=True, stable=True)
        y, x = torch.div(cells, columns, rounding_mode="floor") + 0.5, cells % columns + 0.5
        half = self._grow / 2
        corners = torch.stack(((x - half) / columns, (y - half) / rows, (x + half) / columns, (y + half) / rows), -1)
        boxes = corners * torch.tensor((batch.shape[3], batch.shape[2]) * 2, device=batch.device)
        return [{"boxes": b, "scores": s, "labels": c} for b, s, c in zip(boxes, scores, cells, strict=True)]
