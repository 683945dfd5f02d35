"""The one output size of a batch whose `Spec` leaves it open, from the images' headers."""

from __future__ import annotations

from typing import Any

from .. import _core
from .call import Call


def common_size(compiled: _core.CompiledSpec, images: list[Any], out: Any, call: Call) -> tuple[int, int]:
    """(height, width) that all outputs share.

    Raises:
        ValueError: they differ, or there are no images.
    """
    sizes = _core.output_sizes(compiled, images, *call.ending())
    known = [(i, s) for i, s in enumerate(sizes) if s is not None]
    if not known:
        shape: tuple[int, ...] = getattr(out, "shape", ())
        if len(shape) == 4:
            return int(shape[2]), int(shape[3])
        if not images:
            raise ValueError("an empty batch has no size: set crop, or resize=(height, width)")
        return 1, 1  # every image failed, and the run proper reports why: any size will do
    first_index, first = known[0]
    for i, size in known:
        if size != first:
            msg = (
                f"outputs differ in size: image {first_index} gives {first[0]}x{first[1]}, image {i} gives "
                f"{size[0]}x{size[1]} (height x width); set crop, or resize=(height, width)"
            )
            raise ValueError(msg)
    return first
