"""Pipelines, rungs and cascades as they are written on the command line."""

from __future__ import annotations

import pytest

import fastpre
from fastpre.serve.pipeline.pipeline import Pipeline
from fastpre.serve.pipeline.rungs import CascadeChoice, RungChoice

FULL = fastpre.Spec(resize=(64, 64), crop=None)


def test_pipelines() -> None:
    assert Pipeline.parse("spot=det>cls") == Pipeline("spot", "det", "cls", 0.5, 8, "crop_")
    assert Pipeline.parse("spot=det>cls?score=0.25&most=3&join=part_") == Pipeline(
        "spot", "det", "cls", 0.25, 3, "part_"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("det>cls", "NAME=DETECTOR>CLASSIFIER"),
        ("spot=det", "NAME=DETECTOR>CLASSIFIER"),
        ("spot=det>cls?scores=1", "and no scores"),
        ("spot=det>cls?score=high", "score is a number"),
        ("spot=det>cls?score=nan", "must be a number"),
        ("spot=det>cls?most=0", "at least 1 box"),
        ("spot= >cls", "needs a first"),
    ],
)
def test_pipelines_that_are_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pipeline.parse(text)


def test_rungs() -> None:
    assert RungChoice.parse("fidelity=fast") == RungChoice("fidelity=fast", {"fidelity": "fast"})
    assert RungChoice.parse("low:interpolation=nearest,resize=[64, 64]") == RungChoice(
        "low", {"interpolation": "nearest", "resize": (64, 64)}
    )
    assert RungChoice.parse("small:model=builtin:tiny?a=1,2") == RungChoice("small", model="builtin:tiny?a=1,2")
    assert RungChoice.parse("model=builtin:tiny") == RungChoice("model=builtin:tiny", model="builtin:tiny")
    rung = RungChoice.parse("low:interpolation=nearest").rung(FULL)
    assert (rung.name, rung.spec) == ("low", FULL.replace(interpolation="nearest"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast", "FIELD=VALUE"),
        ("a:b", "FIELD=VALUE"),
        ("sharpness=2", "no field sharpness"),
        ("interpolation=good", "rung 'interpolation=good': interpolation must be"),
        ("resize=[32, 32]", r"has output size \(32, 32\), and the model takes \(64, 64\)"),
        ("color=L,mean=0.5,std=0.5", "has channels 1, and the model takes 3"),
        ("dtype=float16", "has dtype float16, and the model takes float32"),
        ("memory_format=channels_last", "has memory format channels_last"),
    ],
)
def test_rungs_that_are_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RungChoice.parse(text).rung(FULL)


def test_cascades() -> None:
    fast = RungChoice.parse("fast:fidelity=fast")
    assert CascadeChoice.parse("fast:0.8", [fast]) == CascadeChoice(fast, 0.8)
    assert CascadeChoice.parse("fidelity=fast:0.8") == CascadeChoice(RungChoice.parse("fidelity=fast"), 0.8)
    small = CascadeChoice.parse("model=builtin:tiny:0.5")
    assert (small.cheap.model, small.below) == ("builtin:tiny", 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fast:0.8", "no rung 'fast' for the cascade .none is declared."),
        ("fast", "RUNG:CONFIDENCE"),
        ("fidelity=fast:much", "RUNG:CONFIDENCE"),
        ("fidelity=fast:1.5", "above 0 and at most 1"),
    ],
)
def test_cascades_that_are_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CascadeChoice.parse(text)
