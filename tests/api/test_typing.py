"""One definition of Spec's fields: what type checkers, `help()` and the calls themselves go by."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable
from typing import Any

import pytest

import fastpre
import streams
from fastpre._backend import fields
from fastpre.transforms import DecodeResizeNormalize
from fastpre.typing import SpecFields

FIELDS = {field.name: field.default for field in dataclasses.fields(fastpre.Spec)}
CALLS: dict[str, Callable[..., Any]] = {
    "Spec": fastpre.Spec,
    "decode_resize_normalize": lambda **fields: fastpre.decode_resize_normalize([JPEG], **fields),
    "DecodeResizeNormalize": DecodeResizeNormalize,
    "Spec.replace": fastpre.Spec().replace,
}
JPEG = streams.encode(streams.picture("RGB", 64, 48))


def test_type_checkers_know_the_fields_of_spec() -> None:
    assert list(SpecFields.__annotations__) == list(FIELDS)
    assert not SpecFields.__required_keys__


def test_literals_are_what_is_accepted() -> None:
    accepted = {
        "color": fields.COLORS,
        "fidelity": fields.FIDELITIES,
        "rescale": fields.RESCALES,
        "truncated": fields.TRUNCATED,
        "pass_order": fields.PASS_ORDERS,
        "interpolation": fields.INTERPOLATIONS,
        "dtype": typing.get_args(fastpre.typing.DtypeName),
        "memory_format": typing.get_args(fastpre.typing.MemoryFormatName),
    }
    for name, values in accepted.items():
        assert len(values) >= 2
        for value in values:
            fastpre.Spec(**{name: value})
        with pytest.raises(ValueError, match=", ".join(values)):
            fastpre.Spec(**{name: "bicubik"})


@pytest.mark.parametrize("call", [fastpre.Spec, fastpre.decode_resize_normalize, DecodeResizeNormalize])
def test_signatures_show_every_field_with_its_default(call: Callable[..., Any]) -> None:
    parameters = inspect.signature(call).parameters
    assert {name: parameters[name].default for name in FIELDS} == FIELDS
    assert all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters.values())
    assert "interpolation" in inspect.getdoc(fastpre.Spec)  # type: ignore[operator]


def test_replace_shows_every_field() -> None:
    assert list(inspect.signature(fastpre.Spec().replace).parameters) == list(FIELDS)


def test_the_order_is_what_then_how() -> None:
    names = list(inspect.signature(fastpre.decode_resize_normalize).parameters)
    assert names[0] == "images"
    assert names[1 : 1 + len(FIELDS)] == list(FIELDS)


@pytest.mark.parametrize("name", CALLS)
def test_an_unknown_keyword_is_named(name: str) -> None:
    with pytest.raises(TypeError, match="'sise'"):
        CALLS[name](sise=256)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "fields", [{"max_size": 300}, {"rescale": "multiply"}, {"pass_order": "horizontal_first"}], ids=str
)
def test_every_call_takes_every_field(name: str, fields: dict[str, Any]) -> None:
    CALLS[name](**fields)


def test_annotations_can_be_evaluated_at_run_time() -> None:
    """As configuration frameworks do, with or without torch."""
    hints = typing.get_type_hints(fastpre.Spec)
    assert list(hints) == list(FIELDS)
    assert list(typing.get_type_hints(SpecFields)) == list(FIELDS)
