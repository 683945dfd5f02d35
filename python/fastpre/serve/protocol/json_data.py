"""Tensors whose values stand in the JSON part of a request, flat or nested as their shape says."""

from __future__ import annotations

import base64
import binascii
import itertools
import math
from typing import Any

import numpy as np

from ..errors import BadRequest
from ..inference import DTYPES
from .tensors import MAX_ELEMENTS

__all__ = ["array_of", "elements_of"]


def array_of(values: object, datatype: str, shape: tuple[int, ...], where: str) -> np.ndarray[Any, Any]:
    """A read-only array of `shape`.

    Nothing is converted silently: 1.5 is no integer, "1" and null are no numbers, and what the datatype cannot hold is
    refused.

    Raises:
        BadRequest: any of these, or the count does not fit the shape.
    """
    if datatype in ("FP16", "BF16"):
        raise BadRequest(f"{where}: {datatype} cannot be sent as JSON; send it as binary data")
    flat = _flat(values, shape, where)
    kinds = set(map(type, flat))
    dtype = DTYPES[datatype]
    if dtype.kind == "b":
        if not kinds <= {bool, int} or not all(value in (0, 1) for value in flat):
            raise BadRequest(f"{where}: values of BOOL are true and false")
        array = np.array(flat, np.bool_)
    elif dtype.kind == "f":
        array = _floats(flat, kinds, dtype, where)
    else:
        if not kinds <= {int}:
            raise BadRequest(f"{where}: values of {datatype} are whole numbers, not {_named(kinds - {int})}")
        bounds = np.iinfo(dtype)
        if flat and (min(flat) < bounds.min or max(flat) > bounds.max):
            raise BadRequest(f"{where}: values of {datatype} lie between {bounds.min} and {bounds.max}")
        array = np.array(flat, dtype)
    array.flags.writeable = False
    return array.reshape(shape)


def elements_of(values: object, shape: tuple[int, ...], where: str, *, as_base64: bool) -> list[bytes]:
    """Elements of a BYTES tensor: strings, which stand for their UTF-8 bytes or for base64.

    Raises:
        BadRequest: other values, another count, too many, or no base64.
    """
    flat = _flat(values, shape, where)
    if len(flat) > MAX_ELEMENTS:
        raise BadRequest(f"{where}: {len(flat)} elements; at most {MAX_ELEMENTS} are taken")
    kinds = set(map(type, flat))
    if not kinds <= {str}:
        raise BadRequest(f"{where}: values of BYTES are strings, not {_named(kinds - {str})}")
    if not as_base64:
        return [value.encode() for value in flat]
    try:
        return [base64.b64decode(value, validate=True) for value in flat]
    except (binascii.Error, ValueError):
        raise BadRequest(f"{where}: a value is no base64, which its content_type promises") from None


def _flat(values: object, shape: tuple[int, ...], where: str) -> list[Any]:
    """The values in row-major order, as many as the shape says."""
    count = math.prod(shape)
    if type(values) is not list:
        raise BadRequest(f"{where}: data is a list")
    flat: list[Any] = values
    if flat and type(flat[0]) is list:
        fits = bool(shape) and len(flat) == shape[0]
        for size in shape[1:]:
            fits = fits and all(type(part) is list and len(part) == size for part in flat)
            if not fits:
                break
            flat = list(itertools.chain.from_iterable(flat))
        if not fits:
            raise BadRequest(f"{where}: the lists of data do not nest as its shape {list(shape)} says")
    if len(flat) != count:
        raise BadRequest(f"{where}: {len(flat)} values, but its shape {list(shape)} has {count}")
    return flat


def _floats(flat: list[Any], kinds: set[type], dtype: np.dtype[Any], where: str) -> np.ndarray[Any, Any]:
    if not kinds <= {int, float}:
        raise BadRequest(f"{where}: values are numbers, not {_named(kinds - {int, float})}")
    with np.errstate(over="ignore", under="ignore"):
        array = np.array(flat, np.float64).astype(dtype)
    if not np.isfinite(array).all():
        raise BadRequest(f"{where}: a value is too large for its datatype")
    return array


def _named(kinds: set[type]) -> str:
    names = {bool: "booleans", int: "integers", float: "fractions", str: "strings", list: "lists", dict: "objects"}
    return ", ".join(sorted(names.get(kind, "null") for kind in kinds))
