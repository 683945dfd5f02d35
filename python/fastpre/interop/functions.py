"""Functions among torchvision's transforms: the one that fusing knows is `image.convert("RGB")`.

A function is never tried out: one that passes on a few images may draw random numbers, or treat others differently.
Its bytecode is compared instead with that of the usual spellings, compiled by the same interpreter: equal code does
the same. Other spellings are not recognized, and refused by name.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Callable
from inspect import CO_VARARGS, CO_VARKEYWORDS
from typing import Any

__all__ = ["converts_to_rgb", "function_of"]


def _by_position(image: Any) -> Any:  # CLIP's and open_clip's
    return image.convert("RGB")


def _by_keyword(image: Any) -> Any:
    return image.convert(mode="RGB")


def _where_needed(image: Any) -> Any:
    if image.mode != "RGB":
        image = image.convert("RGB")
    return image


def _returned_where_needed(image: Any) -> Any:
    if image.mode != "RGB":
        return image.convert("RGB")
    return image


SPELLINGS: tuple[Callable[[Any], Any], ...] = (
    _by_position,
    _by_keyword,
    _where_needed,
    _returned_where_needed,
    lambda image: image.convert("RGB") if image.mode != "RGB" else image,
    lambda image: image if image.mode == "RGB" else image.convert("RGB"),
)


def function_of(step: Any) -> types.FunctionType | None:
    """The Python function that a step is, or that its `Lambda` holds; None if it is no such step."""
    if type(step).__name__ == "Lambda":
        step = getattr(step, "lambd", None)
    return step if isinstance(step, types.FunctionType) else None


def converts_to_rgb(function: types.FunctionType) -> bool:
    """True if all that the function does is to give its PIL image in RGB."""
    code = function.__code__
    if code.co_argcount != 1 or code.co_kwonlyargcount or code.co_flags & (CO_VARARGS | CO_VARKEYWORDS):
        return False
    return _instructions(function) in [_instructions(spelling) for spelling in SPELLINGS]


def _instructions(function: Callable[[Any], Any]) -> list[tuple[str, Any]]:
    """Operations with their operands: constants and attributes by value, local variables by number."""
    return [
        (each.opname, each.arg if "FAST" in each.opname else each.argval) for each in dis.get_instructions(function)
    ]
