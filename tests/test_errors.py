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


def test_machine_and_bug_are_not_the_images_fault() -> None:
    for kind in (fastpre.BackendUnavailable, fastpre.InternalError):
        assert issubclass(kind, RuntimeError)
        assert not issubclass(kind, fastpre.ImageError)
