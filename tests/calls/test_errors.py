"""Errors are types with an index and a reason, and survive a process boundary."""

from __future__ import annotations

import copy
import os
import pickle

import pytest

import fastpre

KINDS = [
    fastpre.CorruptImage,
    fastpre.UnsupportedImage,
    fastpre.LimitExceeded,
    fastpre.ImageReadError,
    fastpre.DeadlineExceeded,
]


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: type[fastpre.ImageError]) -> None:
    error = kind("broken", 3, "a.jpg")
    assert isinstance(error, fastpre.ImageError)
    assert (error.reason, error.index, error.name) == ("broken", 3, "a.jpg")
    assert str(error) == "image 3 (a.jpg): broken"
    assert str(kind("broken", 3)) == "image 3: broken"
    assert str(kind("broken", name="a.jpg")) == "a.jpg: broken"
    assert str(kind("broken")) == "broken"
    assert str(kind("broken", 3, "a.jpg", 17)) == "image 3 (dataset index 17, a.jpg): broken"
    assert str(kind("broken", 3, dataset_index=17)) == "image 3 (dataset index 17): broken"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (os.fsdecode(b"caf\xe9.jpg"), r"caf\xe9.jpg"),
        ("caf\u00e9.jpg", "caf\u00e9.jpg"),
        (r"back\slash.jpg", r"back\slash.jpg"),
        ("\ud800.jpg", r"\ud800.jpg"),
    ],
)
def test_any_path_can_be_printed(path: str, text: str) -> None:
    error = fastpre.ImageReadError("broken", 3, path)
    str(error).encode("utf-8")
    assert str(error) == f"image 3 ({text}): broken"
    assert error.name == path


@pytest.mark.parametrize("kind", KINDS)
def test_pickle(kind: type[fastpre.ImageError]) -> None:
    """DataLoader workers send their exceptions to the parent."""
    error = kind("broken", 3, "a.jpg")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is kind
        assert (twin.reason, twin.index, twin.name) == (error.reason, error.index, error.name)
        assert str(twin) == str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_where_it_came_from_pickles_too(kind: type[fastpre.ImageError]) -> None:
    """Also if it became known after the error was made."""
    early, late = kind("broken", 3, "a.jpg", 17), kind("broken", 3)
    late.locate("a.jpg", 17)
    assert repr(late) == repr(early)
    for error in (early, late):
        for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            assert (type(twin), twin.reason, twin.index) == (kind, "broken", 3)
            assert (twin.name, twin.dataset_index) == ("a.jpg", 17)
            assert str(twin) == str(error)
    late.locate(None, 18)
    assert (late.name, late.dataset_index) == ("a.jpg", 18)


def test_machine_and_bug_are_not_the_images_fault() -> None:
    for kind in (fastpre.BackendUnavailable, fastpre.InternalError):
        assert issubclass(kind, RuntimeError)
        assert not issubclass(kind, fastpre.ImageError)
