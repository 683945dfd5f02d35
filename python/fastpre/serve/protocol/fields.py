"""Fields of a request's JSON, each checked as it is read: what is wrong is said by its name."""

from __future__ import annotations

from typing import Any

from ..errors import BadRequest
from ..inference import DTYPES, Parameters
from .tensors import checked_shape

__all__ = ["datatype", "flag", "name", "parameters", "shape", "size", "table", "tables", "text"]

MAX_TENSORS = 64  # inputs, or outputs, of one request
MAX_NAME = 256
MAX_SIZE = 2**48  # bytes and offsets

_SCALARS = frozenset((bool, int, float, str))


def table(value: object, where: str) -> dict[str, Any]:
    """A JSON object."""
    if type(value) is not dict:
        raise BadRequest(f"{where} is a JSON object")
    return value


def tables(value: object, where: str) -> list[dict[str, Any]]:
    """A list of JSON objects; null: none of them."""
    if value is None:
        return []
    if type(value) is not list:
        raise BadRequest(f"{where} is a list")
    if len(value) > MAX_TENSORS:
        raise BadRequest(f"{where}: {len(value)} tensors; at most {MAX_TENSORS} are taken")
    return [table(item, f"{where}[{index}]") for index, item in enumerate(value)]


def name(fields: dict[str, Any], where: str, known: set[str]) -> str:
    """The name of a tensor, which is not yet among those that are known, and is from now on."""
    value = fields.get("name")
    if type(value) is not str or not value or len(value) > MAX_NAME:
        raise BadRequest(f"{where}: its name is text of 1 to {MAX_NAME} characters")
    if value in known:
        raise BadRequest(f"{where}: {value!r} is there twice")
    known.add(value)
    return value


def datatype(fields: dict[str, Any], where: str) -> str:
    """Its datatype: "BYTES" or a key of `DTYPES`."""
    value = fields.get("datatype")
    if type(value) is not str or (value != "BYTES" and value not in DTYPES):
        raise BadRequest(f"{where}: its datatype is BYTES or one of {', '.join(DTYPES)}, not {_said(value)}")
    return value


def shape(fields: dict[str, Any], name: str) -> tuple[int, ...]:
    """The sizes of the input of that name; what they may be `checked_shape` says."""
    value = fields.get("shape")
    if type(value) is not list or not all(type(size) is int for size in value):
        raise BadRequest(f"input {name!r}: its shape is a list of whole numbers")
    return checked_shape(name, value)


def parameters(fields: dict[str, Any], where: str) -> dict[str, bool | int | float | str]:
    """Its parameters; null or none: an empty dict."""
    value = fields.get("parameters")
    if value is None:
        return {}
    checked = table(value, f"{where}: parameters")
    for key, item in checked.items():
        if type(item) not in _SCALARS:
            raise BadRequest(f"{where}: parameter {key[:MAX_NAME]!r} is a boolean, a number or text")
    return checked


def size(values: Parameters, key: str, where: str, default: int | None = None) -> int:
    """A number of bytes, or another count: whole and not negative."""
    value = values.get(key, default)
    if type(value) is not int or not 0 <= value <= MAX_SIZE:
        raise BadRequest(f"{where}: {key} is a whole number from 0, not {_said(value)}")
    return value


def flag(values: Parameters, key: str, where: str) -> bool:
    """A boolean; missing: false."""
    value = values.get(key, False)
    if type(value) is not bool:
        raise BadRequest(f"{where}: {key} is true or false")
    return value


def text(values: Parameters, key: str, where: str) -> str:
    """Text that is not empty."""
    value = values.get(key)
    if type(value) is not str or not value or len(value) > MAX_NAME:
        raise BadRequest(f"{where}: {key} is text of 1 to {MAX_NAME} characters")
    return value


def _said(value: object) -> str:
    """A value for a message; of a list or an object, however deep and large, only what it is."""
    if value is None:
        return "null"
    return repr(value)[:40] if type(value) in _SCALARS else "a list" if type(value) is list else "an object"
