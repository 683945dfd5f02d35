"""A folder as users have them."""

from __future__ import annotations

from pathlib import Path

import pytest

import streams


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five good JPEGs, a broken one and a text file, at two depths, with suffixes of all kinds."""
    root = tmp_path / "photos"
    (root / "deep").mkdir(parents=True)
    names = ["a.jpg", "b.JPEG", "deep/c.Jpg", "deep/d.jpe", "e.jfif"]
    for i, name in enumerate(names):
        picture = streams.picture("RGB", 300 + 20 * i, 260 + 10 * i)
        (root / name).write_bytes(streams.encode(picture, quality=85))
    (root / "deep" / "bad.jpg").write_bytes((root / "a.jpg").read_bytes()[:200])
    (root / "notes.txt").write_text("no picture")
    return root
