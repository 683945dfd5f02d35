"""Steps in a row, and the draws for a batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from .draw import Draw, Erasure
from .erasing import RandomErasing
from .random import Random
from .steps import Augmentation, Pad, RandomCrop, RandomHorizontalFlip, RandomResizedCrop, RandomVerticalFlip, Replaces
from .views import FiveCrop, TenCrop

__all__ = ["Augment", "Compose", "compose"]

GEOMETRY: Final = (RandomResizedCrop, RandomCrop, Pad, RandomHorizontalFlip, RandomVerticalFlip)


class Compose:
    """Random steps of geometry, then `FiveCrop` or `TenCrop`, then `RandomErasing`.

    A step that resizes (`RandomResizedCrop`) takes the place of the Spec's resize and crop; one that crops
    (`RandomCrop`, `FiveCrop`, `TenCrop`) takes the place of its crop; the others follow what the Spec says.

    Args:
        steps: in the order in which they are done. The draws are made in that order, image by image.

    Raises:
        TypeError: a step of another kind; torchvision's are read by `fastpre.transforms.fuse`.
        ValueError: steps in another order.
    """

    def __init__(self, steps: Iterable[Augmentation | Compose]) -> None:
        self.steps: tuple[Augmentation, ...] = tuple(_leaves(steps))
        kinds = [_rank(step) for step in self.steps]
        if kinds != sorted(kinds) or kinds.count(1) > 1:
            raise ValueError(
                f"{self!r}: geometry comes first, then at most one FiveCrop or TenCrop, then RandomErasing"
            )
        self._geometry: list[Any] = [step for step, kind in zip(self.steps, kinds, strict=True) if kind == 0]
        self._views: Any = next((step for step, kind in zip(self.steps, kinds, strict=True) if kind == 1), None)
        self._erasing: list[Any] = [step for step, kind in zip(self.steps, kinds, strict=True) if kind == 2]

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.steps))}])"

    def __eq__(self, other: object) -> bool:
        return self.steps == other.steps if isinstance(other, Compose) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.steps)

    @property
    def replaces(self) -> Replaces | None:
        """What the steps take the place of: the Spec's "crop", its "resize" and crop, or nothing."""
        replaced = {step.replaces for step in self.steps}
        return "resize" if "resize" in replaced else "crop" if "crop" in replaced else None

    @property
    def views(self) -> int:
        """Outputs for each image: 5 with `FiveCrop`, 10 with `TenCrop`, else 1."""
        return 1 if self._views is None else int(self._views.count)

    def draw(self, start: Draw, channels: int, random: Random) -> list[Draw]:
        """The draws for one image: as many as there are views.

        Args:
            start: what the Spec's geometry, as far as the steps leave it in place, makes of the image.
            channels: of the output.

        Raises:
            CannotDraw: the image is too small for a crop.
        """
        draw = start
        for step in self._geometry:
            draw = step.draw(draw, random)
        views: list[Draw] = [draw] if self._views is None else self._views.views(draw)
        return [self._erased(view, channels, random) for view in views] if self._erasing else views

    def _erased(self, draw: Draw, channels: int, random: Random) -> Draw:
        drawn = [step.draw(channels, *draw.size, random) for step in self._erasing]
        erasures: tuple[Erasure, ...] = tuple(e for e in drawn if e is not None)
        return draw._replace(erasures=erasures) if erasures else draw


# What calls take as `augment`.
Augment = Compose | Augmentation


def _leaves(steps: Iterable[Any]) -> Iterable[Any]:
    for step in steps:
        if isinstance(step, Compose):
            yield from step.steps
        else:
            yield step


def _rank(step: Any) -> int:
    if isinstance(step, GEOMETRY):
        return 0
    if isinstance(step, (FiveCrop, TenCrop)):
        return 1
    if isinstance(step, RandomErasing):
        return 2
    theirs = type(step).__module__.partition(".")[0] in ("torchvision", "timm")
    hint = "; fastpre.transforms.fuse takes whole transforms of torchvision and timm" if theirs else ""
    raise TypeError(f"an augmentation is made of fastpre.augment's steps, got {type(step).__name__}{hint}")


def compose(augment: Augment | Sequence[Any]) -> Compose:
    """One step or several as a `Compose`."""
    if isinstance(augment, Compose):
        return augment
    return Compose([augment] if isinstance(augment, Augmentation) else augment)
