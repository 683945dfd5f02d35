"""A small model, and loops that train it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

import fastpre
from loading import SPEC, Items

CLASSES = 12


def network() -> torch.nn.Module:
    """The same weights each time, for images of 32 x 32."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, stride=2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(900, CLASSES)
        )


class Loop:
    """A loop as in any script, which remembers what it saw.

    Attributes:
        losses: of each step.
        labels: of each batch.
    """

    def __init__(self, model: torch.nn.Module | None = None) -> None:
        self.model = network() if model is None else model
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05)
        self.losses: list[float] = []
        self.labels: list[list[int]] = []

    def run(self, batches: Iterable[Any], steps: int | None = None) -> Loop:
        """An epoch, or so many steps of it."""
        for step, (images, labels) in enumerate(batches, 1):
            self.optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(self.model(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.losses.append(loss.item())
            self.labels.append(labels.tolist())
            if step == steps:
                break
        return self


def numbered(images: list[bytes]) -> list[tuple[bytes, int]]:
    """Samples whose class is their index."""
    return [(image, i) for i, image in enumerate(images)]


def decoded(images: list[bytes], batch_size: int) -> list[Any]:
    """What every loader has to give, in order."""
    whole = fastpre.Preprocessor(SPEC)(images)
    places = range(0, len(images), batch_size)
    return [[whole[i : i + batch_size], torch.arange(len(images))[i : i + batch_size]] for i in places]


class Transformed(Items):
    """A dataset with a transform, as torchvision's."""

    def __init__(self, items: list[Any], transform: Any) -> None:
        super().__init__(items)
        self.transform = transform

    def __getitem__(self, index: int) -> Any:
        image, label = self.items[index]
        return self.transform(image), label
