"""Result and ImageResult: they pickle, copy, and say in a few lines what happened."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fastpre
from fastpre.result import Fields

PRE = fastpre.Preprocessor(fastpre.Spec(resize=40, crop=32), num_threads=2)
PROPERTIES = [name for name in dir(fastpre.ImageResult) if not name.startswith("_")]


@pytest.fixture
def result(photo: bytes, tmp_path: Path) -> fastpre.Result:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(photo[:900])
    return PRE.run([photo, bad, b"", tmp_path / "none.jpg"], on_error="fill")


def through_pickle(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("twin_of", [through_pickle, copy.copy, copy.deepcopy])
def test_a_twin_says_the_same(twin_of: Callable[[Any], Any], result: fastpre.Result) -> None:
    assert {"ok", "error", "width", "decoder", "stages_us", "index"} <= set(PROPERTIES)
    twin = twin_of(result)
    assert torch.equal(twin.tensor, result.tensor)
    assert twin.indices == result.indices
    assert repr(twin) == repr(result)
    for ours, theirs in zip(result.images, twin_of(result.images), strict=True):
        for name in PROPERTIES:
            mine, other = getattr(ours, name), getattr(theirs, name)
            assert (repr(mine), type(mine)) == (repr(other), type(other)), name
    assert [type(error) for error in twin.errors] == [
        fastpre.CorruptImage,
        fastpre.CorruptImage,
        fastpre.ImageReadError,
    ]
    assert twin.errors[0].name == result.errors[0].name  # type: ignore[attr-defined]


def test_a_twin_of_a_twin(result: fastpre.Result) -> None:
    assert repr(through_pickle(through_pickle(result.images))) == repr(result.images)


def test_plain_data_has_every_field_of_a_record() -> None:
    properties = {name for name in dir(fastpre._core.Record) if not name.startswith("_")}
    assert set(Fields.__dataclass_fields__) == properties


def test_repr_is_short(result: fastpre.Result, tmp_path: Path) -> None:
    lines = repr(result).splitlines()
    assert lines[0] == "Result(float32 (4, 3, 32, 32) on cpu, 1 ok, 3 failed)"
    assert lines[1].startswith(f"  image 1 ({tmp_path / 'bad.jpg'}): ")
    assert len(lines) == 4


def test_repr_shows_a_few_errors_only() -> None:
    lines = repr(PRE.run([b""] * 100, on_error="fill")).splitlines()
    assert lines[0] == "Result(float32 (100, 3, 32, 32) on cpu, 0 ok, 100 failed)"
    assert lines[-1] == "  and 97 more: see .errors"
    assert len(lines) == 5


def test_a_truncated_image_is_shown_and_stored(photo: bytes) -> None:
    pre = fastpre.Preprocessor(fastpre.Spec(resize=40, crop=32, truncated="partial"))
    result = pre.run([photo, photo[:2000], photo[:3000]])
    assert [image.truncated for image in result.images] == [False, True, True]
    assert repr(result) == "Result(float32 (3, 3, 32, 32) on cpu, 3 ok (2 truncated), 0 failed)"
    assert repr(result.images[1]) == "ImageResult(1, ok, truncated, 320x240, libjpeg-turbo)"
    assert [image.truncated for image in through_pickle(result.images)] == [False, True, True]


def test_repr_of_a_numpy_result(photo: bytes) -> None:
    result = PRE.run([photo], out=np.empty((1, 3, 32, 32), np.float32))
    assert repr(result) == "Result(float32 (1, 3, 32, 32) on cpu, 1 ok, 0 failed)"


def test_results_can_be_compared_and_hashed(result: fastpre.Result) -> None:
    assert result == result
    assert result != copy.copy(result)
    assert {result: 1}[result] == 1
