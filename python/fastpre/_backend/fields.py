"""What each field of a `Spec` may be, and the form in which it is kept."""

from __future__ import annotations

import enum
import functools
import numbers
from collections.abc import Sequence
from typing import Any, Final, get_args

from ..typing import Color, DtypeName, Fidelity, Interpolation, MemoryFormatName, PassOrder, Rescale, Size, Truncated
from .arguments import integer, one_of

INTERPOLATIONS: Final[tuple[Interpolation, ...]] = get_args(Interpolation)
COLORS: Final[tuple[Color, ...]] = get_args(Color)
FIDELITIES: Final[tuple[Fidelity, ...]] = get_args(Fidelity)
RESCALES: Final[tuple[Rescale, ...]] = get_args(Rescale)
PASS_ORDERS: Final[tuple[PassOrder, ...]] = get_args(PassOrder)
TRUNCATED: Final[tuple[Truncated, ...]] = get_args(Truncated)
DTYPES: Final[tuple[DtypeName, ...]] = get_args(DtypeName)
MEMORY_FORMATS: Final[tuple[MemoryFormatName, ...]] = get_args(MemoryFormatName)

# The smallest normal float32: dividing by less gives infinities.
FLOAT32_TINY: Final = 2.0**-126
FLOAT32_MAX: Final = (2.0 - 2.0**-23) * 2.0**127


def interpolation(value: object) -> str:
    """A filter's name; torchvision's and Pillow's enums are known by name, so that neither is imported.

    torchvision runs NEAREST_EXACT as Pillow's nearest where it resizes a PIL image.
    """
    kind = type(value).__name__ if isinstance(value, enum.Enum) else ""
    if kind == "InterpolationMode":
        value = {"nearest-exact": "nearest"}.get(value.value, value.value)  # type: ignore[attr-defined]
    elif kind == "Resampling":
        value = value.name.lower()  # type: ignore[attr-defined]
    return one_of("interpolation", value, INTERPOLATIONS)


def size(name: str, value: object) -> Size | None:
    """An int, (height, width) or None; a sequence of one is the int in it."""
    if value is None:
        return None
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        if len(value) == 1:
            return integer(name, value[0])
        if len(value) != 2:
            raise ValueError(f"{name} must be an int, (height, width) or None, got {value!r}")
        return integer(f"{name} height", value[0]), integer(f"{name} width", value[1])
    return integer(name, value)


def limit(name: str, value: object) -> int:
    """A bound on one image, which may be larger than any: the core counts in 64 bits."""
    return min(integer(name, value, below=None), 1 << 62)


def per_channel(name: str, value: object, channels: int) -> tuple[float, ...]:
    """One number per channel, of which a single one stands for all."""
    if isinstance(value, numbers.Real):
        values: tuple[Any, ...] = (value,) * channels
    elif isinstance(value, str):
        raise TypeError(f"{name} must be one number per channel, a number, 'imagenet' or None, got {value!r}")
    else:
        try:
            values = tuple(value)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"{name} must be one number per channel, got {value!r}") from None
    if len(values) != channels:
        raise ValueError(f"{name} must have {channels} values, one per output channel, got {len(values)}")
    result = tuple(float(v) for v in values)
    if not all(abs(v) <= FLOAT32_MAX for v in result):
        raise ValueError(f"{name} must be finite in float32, got {value!r}")
    return result


def in_color_order(rgb: tuple[float, float, float], color: str) -> tuple[float, ...]:
    """Values given for R, G, B in the order of `color`; for "L" their average."""
    if color == "L":
        return (round(sum(rgb) / 3, 3),)
    return rgb[::-1] if color == "BGR" else rgb


@functools.cache
def installed_pass_order() -> str:
    """What the installed Pillow does; reading its version imports nothing else of it."""
    try:
        from PIL import __version__
    except ImportError:
        return "adaptive"
    major = __version__.partition(".")[0]
    return "horizontal_first" if major.isdigit() and int(major) < 13 else "adaptive"
