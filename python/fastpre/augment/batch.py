"""The draws for one call's images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import _core
from .._backend import lazy_torch
from .._backend.call import Call
from ..errors import ImageError, UnsupportedImage
from ..typing import Interpolation
from .compose import Compose
from .draw import Box, CannotDraw, Draw
from .random import Random

__all__ = ["Drawn", "Start", "draw_batch"]


class Start(NamedTuple):
    """Where the steps begin: the Spec's geometry, as far as they leave it in place.

    Attributes:
        compiled: a Spec of what is left; None: nothing is, and they begin at the whole image.
        interpolation: of resizes.
    """

    compiled: _core.CompiledSpec | None
    interpolation: Interpolation

    def draw(self, height: int, width: int, part: Box | None = None) -> Draw:
        """For an image of that size.

        Args:
            part: a rectangle inside of it, which is treated as if it were the whole image.

        Raises:
            LimitExceeded: the Spec would enlarge it too much.
        """
        draw = Draw.of(height, width)._replace(interpolation=self.interpolation)
        if part is not None:
            draw = draw.cropped(*part)
        if self.compiled is None:
            return draw
        resized, window = _core.geometry_for(self.compiled, *draw.size)
        return draw.resized_to(*resized, self.interpolation).cropped(*window)


class Drawn(NamedTuple):
    """A batch with its draws.

    Attributes:
        items: for the core, one for each output; an `ImageError` where drawing has failed.
        draws: one for each output, None for images that have none, because they cannot be read; None without any
            augmentation.
        views: outputs for each image.
    """

    items: list[Any]
    draws: list[Draw | None] | None
    views: int

    def compiled(self) -> list[_core.Draw | None] | None:
        """The draws as the core takes them."""
        return None if self.draws is None else [None if draw is None else draw.compiled() for draw in self.draws]

    def of(self, index: int) -> tuple[Draw, ...]:
        """The draws of one image; empty without any."""
        if self.draws is None:
            return ()
        return tuple(d for d in self.draws[index * self.views : (index + 1) * self.views] if d is not None)

    def rows(self, indices: list[int]) -> list[int]:
        """The outputs of some images."""
        return [index * self.views + view for index in indices for view in range(self.views)]

    def first_failed(self, records: list[_core.Record], index: int) -> _core.Record:
        """An image's record: of its first output that failed, or of the first one."""
        own = records[index * self.views : (index + 1) * self.views]
        return next((record for record in own if not record.ok), own[0])

    def by_views(self, tensor: Any) -> Any:
        """(N * views, C, H, W) as (N, views, C, H, W) where there are several."""
        return tensor if self.views == 1 else tensor.reshape(-1, self.views, *tensor.shape[1:])

    def erase(self, tensor: Any, records: list[_core.Record]) -> None:
        """Overwrites what was drawn for that, in images that are ok."""
        rows: Any = None
        for row, draw in enumerate(self.draws or ()):
            if draw is None or not draw.erasures or not records[row].ok:
                continue
            rows = lazy_torch.require().as_tensor(tensor) if rows is None else rows  # shares a NumPy array's memory
            for erasure in draw.erasures:
                erasure.apply(rows[row])

    def common_size(self) -> tuple[int, int] | None:
        """(height, width) that all outputs share; None without any.

        Raises:
            ValueError: they differ.
        """
        known = [(place // self.views, d.size) for place, d in enumerate(self.draws or ()) if d is not None]
        for index, size in known:
            if size != known[0][1]:
                first, (height, width) = known[0]
                msg = (
                    f"outputs differ in size: image {first} gives {height}x{width}, image {index} gives "
                    f"{size[0]}x{size[1]} (height x width); let the augmentation end with one size"
                )
                raise ValueError(msg)
        return known[0][1] if known else None


def draw_batch(
    augment: Compose,
    items: list[Any],
    start: Start,
    channels: int,
    seeds: Sequence[int] | None,
    compiled: _core.CompiledSpec,
    max_bytes: int,
    call: Call,
) -> Drawn:
    """Reads the images' headers and draws for each, in order; files are read whole, so that they are read once.

    Args:
        seeds: one for each image, which then alone decides what is drawn for it. None: torch's default generator.
        compiled: the Spec, for limits and EXIF.

    Raises:
        ValueError: another number of seeds than of images.
    """
    if seeds is not None and len(seeds) != len(items):
        raise ValueError(f"seeds must be one for each image: {len(seeds)} seeds, {len(items)} images")
    items = _core.read_files(items, max_bytes, call.threads, *call.ending())
    sizes = _core.image_sizes(compiled, items, *call.ending())
    generator = None if seeds is None else lazy_torch.require().Generator()
    random = Random(generator)
    outputs: list[Any] = []
    draws: list[Draw | None] = []
    for index, (item, size) in enumerate(zip(items, sizes, strict=True)):
        views: list[Draw] | list[None] = [None] * augment.views
        if size is not None:
            if generator is not None and seeds is not None:
                generator.manual_seed(int(seeds[index]))
            try:
                views = augment.draw(start.draw(*size), channels, random)
            except CannotDraw as error:
                item = UnsupportedImage(str(error))
            except ImageError as error:
                item = error
        outputs.extend([item] * augment.views)
        draws.extend(views)
    return Drawn(outputs, draws, augment.views)
