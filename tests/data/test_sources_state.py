"""Loader's state over the iterable sources: an epoch goes on where it was left, to the sample."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fastpre
import fastpre.data
import storage
from loading import QUIET_FORK, SPEC

pytestmark = QUIET_FORK


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["shards", "parquet", "hugging face", "stream"])
def test_an_epoch_goes_on(kind: str, workers: int, tmp_path: Path, photo: bytes) -> None:
    images = [photo] * 40
    storage.write_shards(tmp_path / "shards", images, 4)
    storage.write_parquet(tmp_path / "a.parquet", images, 5)
    sources: dict[str, Callable[[], Any]] = {
        "shards": lambda: fastpre.data.Shards(tmp_path / "shards", shuffle=7),
        "parquet": lambda: fastpre.data.Parquet(tmp_path / "a.parquet", columns=["label"]).stream(shuffle=7),
        "hugging face": lambda: fastpre.data.Columns(
            storage.hugging_face(images).to_iterable_dataset(num_shards=4), "image", "label"
        ),
        "stream": lambda: fastpre.data.Stream([(photo, i) for i in range(40)]),
    }

    def make() -> fastpre.data.Loader:
        return fastpre.data.Loader(sources[kind](), SPEC, batch_size=3, num_workers=workers)

    loader = make()
    epochs = [[labels.tolist() for _, labels in loader] for _ in range(2)]
    assert (epochs[0] != epochs[1]) == (kind in ("shards", "parquet"))
    for taken in (1, 5):
        begun = make()
        iterator = iter(begun)
        got = [next(iterator)[1].tolist() for _ in range(taken)]
        state = json.loads(json.dumps(begun.state_dict()))
        iterator.close()
        resumed = make()
        resumed.load_state_dict(state)
        got += [labels.tolist() for _, labels in resumed]
        assert got == epochs[0]
