"""The examples of docs/sources.md run as they stand, one after the other, on data that lies as they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pytest

import fastpre.data
import storage
import streams

PAGE = Path(__file__).parents[2] / "docs" / "sources.md"


def examples() -> list[str]:
    """Its Python blocks, in order."""
    if not PAGE.exists():  # an installed package's tests
        return []
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def lying_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = streams.encode(streams.picture("RGB", 60, 50))
    for name in ("cats/a", "cats/b", "dogs/c"):
        (tmp_path / f"photos/{name}.jpg").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"photos/{name}.jpg").write_bytes(image)
    storage.write_shards(tmp_path / "shards", [image] * 9, 3, index=True)
    storage.write_parquet(tmp_path / "tables" / "train-0000.parquet", [image] * 6, 3)
    storage.write_lmdb(tmp_path / "train.lmdb", {b"0/a": image, b"1/b": image})
    for number in range(6):
        fsspec.filesystem("memory").pipe(f"/bucket/{number}.jpg", image)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    monkeypatch.chdir(tmp_path)


@pytest.mark.filterwarnings("ignore")  # of other libraries, and files that are left to the garbage collector
def test_the_page(lying_around: None) -> None:
    assert len(examples()) >= 13
    names: dict[str, Any] = {"__name__": "example"}
    counts = []
    for example in examples():
        names.pop("loader", None)
        text = example.replace("s3://", "memory://").replace("num_workers=2, on_error", "num_workers=0, on_error")
        exec(compile(text, "docs/sources.md", "exec"), names)
        loader = names.get("loader")
        if loader is not None:
            assert isinstance(loader, fastpre.data.Loader)
            counts.append(0)
            for images, *_ in loader:
                counts[-1] += len(images)
                assert loader.errors == []
    assert counts == [2, 3, 9, 9, 9, 3, 6, 6, 6, 2, 6, 6]
