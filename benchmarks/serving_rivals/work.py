"""What every rival does with an image: torchvision's preprocessing, and fastpre's model with the very same weights.

The environment says what to do, because some servers read the command line themselves: `SERVING_PORT`, `SERVING_MODEL`
(a reference, `builtin:tiny`), and `SERVING_DESCRIBE`, a file into which a rival writes its settings and versions.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import pathlib
from typing import Any

import torch
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms import v2

from fastpre.serve.models import load

PORT = int(os.environ.get("SERVING_PORT", "8000"))
MODEL = os.environ.get("SERVING_MODEL", "builtin:tiny")
CORES = len(os.sched_getaffinity(0))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def describe(packages: list[str], **settings: Any) -> None:
    """Writes down what a rival is and how it is tuned, if that was asked for."""
    path = os.environ.get("SERVING_DESCRIBE")
    if path:
        versions = {package: importlib.metadata.version(package) for package in packages}
        pathlib.Path(path).write_text(json.dumps({"versions": versions, "settings": settings}), encoding="utf-8")


class Preprocess:
    """torchvision on tensors, the faster of its two ways: 256 on the shorter side, 224 x 224, normalized float32."""

    def __init__(self) -> None:
        self._transform = v2.Compose([
            v2.Resize(256, antialias=True),
            v2.CenterCrop(224),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ])  # fmt: skip

    def __call__(self, data: bytes) -> torch.Tensor:
        """(3, 224, 224)."""
        stream = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        image: torch.Tensor = self._transform(decode_jpeg(stream, ImageReadMode.RGB))
        return image


class Classify:
    """A batch in, logits out. One thread computes: a rival's workers or threads are what use the other cores."""

    def __init__(self, threads: int = 1) -> None:
        torch.set_num_threads(threads)
        self._model = load(MODEL)

    def __call__(self, batch: torch.Tensor) -> Any:
        """(N, 10), NumPy."""
        return self._model(batch)["logits"]


def answer(logits: Any) -> bytes:
    """The body of a rival's response to one image."""
    return json.dumps({"logits": [float(value) for value in logits]}).encode()
