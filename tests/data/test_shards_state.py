"""fastpre.data.Shards: going on in the middle of an epoch, with the very next sample."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torchdata.stateful_dataloader import StatefulDataLoader

import fastpre
import fastpre.data
import storage
from loading import QUIET_FORK

pytestmark = QUIET_FORK

COUNT = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photo: bytes) -> Path:
    """30 samples in eight shards, the third of which is cut off."""
    folder = tmp_path_factory.mktemp("shards")
    shards = storage.write_shards(folder, [photo[:50]] * COUNT, 4)
    shards[2].write_bytes(shards[2].read_bytes()[:6000])
    return folder


def names(samples: Any) -> list[str]:
    """Of images, and of the error in place of some."""
    return [image["path"] if isinstance(image, dict) else str(image) for image, _ in samples]


@pytest.mark.parametrize("shuffle", [0, 5, 1000])
@pytest.mark.parametrize("seed", [None, 3])
def test_after_every_sample(seed: int | None, shuffle: int, folder: Path) -> None:
    """Also while the buffer is being emptied, and past a damaged shard."""
    dataset = fastpre.data.Shards(folder, shuffle=shuffle, seed=seed)
    assert dataset.state_dict() == {}
    states, whole = [], []
    torch.manual_seed(1)
    iterator = iter(dataset)
    states.append(dataset.state_dict())
    for sample in iterator:
        whole.append(sample)
        states.append(json.loads(json.dumps(dataset.state_dict())))
    assert len(whole) > 20
    assert sum("cut off" in name for name in names(whole)) == 1
    for given, state in enumerate(states):
        other = fastpre.data.Shards(folder, shuffle=shuffle, seed=seed)
        other.load_state_dict(state)
        resumed = list(other)
        assert names(resumed) == names(whole[given:])
        assert other.state_dict()["given"] == states[-1]["given"] == len(whole)
        if seed is not None or not shuffle:
            assert names(other) == names(whole)  # the epoch after that is a whole one


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("shuffle", [0, 7])
def test_stateful_data_loader(shuffle: int, workers: int, folder: Path) -> None:
    def loader(persistent: bool = False) -> Any:
        dataset = fastpre.data.Shards(folder, shuffle=shuffle, seed=2)
        return StatefulDataLoader(
            dataset, 3, num_workers=workers, collate_fn=list, persistent_workers=persistent and workers > 0
        )

    whole = [names(batch) for batch in loader()]
    assert len(whole) >= 9
    for taken in (0, 1, 4, len(whole), None):
        first = loader()
        iterator = iter(first)
        got = [names(batch) for batch in itertools.islice(iterator, taken)]
        state = first.state_dict()
        del iterator
        second = loader(persistent=True)
        second.load_state_dict(state)
        got += [names(batch) for batch in second]
        assert got == (whole * 2 if taken is None else whole)  # after a finished epoch comes the next one
        assert [names(batch) for batch in second] == whole


def test_another_epoch_is_begun_at_its_beginning(folder: Path) -> None:
    dataset = fastpre.data.Shards(folder, shuffle=6)
    dataset.set_epoch(1)
    whole = names(dataset)
    dataset.set_epoch(0)
    next(iter(dataset))
    state = dataset.state_dict()
    for epoch, same in ((1, True), (0, False)):
        dataset.load_state_dict(state)
        dataset.set_epoch(epoch)
        assert (names(dataset) == whole) is same


def test_states_that_are_refused(folder: Path) -> None:
    dataset = fastpre.data.Shards(folder, shuffle=6)
    next(iter(dataset))
    state = dataset.state_dict()
    with pytest.raises(ValueError, match="the state is of 8 shards with shuffle=6, this Shards is of 8 with shuffle=5"):
        fastpre.data.Shards(folder, shuffle=5).load_state_dict(state)
    other = fastpre.data.Shards(folder, shuffle=6, rank=0, world_size=2)
    other.load_state_dict(state)
    with pytest.raises(ValueError, match="is of rank 0 of 1, worker 0 of 1; this is rank 0 of 2, worker 0 of 1"):
        iter(other)
    other.load_state_dict({})
    assert len(list(other)) > 5


def test_a_shard_that_is_gone_since_the_state_was_saved(tmp_path: Path, photo: bytes) -> None:
    shards = storage.write_shards(tmp_path, [photo[:50]] * 12, 4)
    dataset = fastpre.data.Shards(shards, shuffle=5, seed=1)
    iterator = iter(dataset)
    first = next(iterator)
    state = dataset.state_dict()
    rest = names(iterator)
    for shard in shards:
        if shard.name in first[0]["path"] or shard.name in rest[0]:
            shard.unlink()
    dataset.load_state_dict(state)
    got = list(dataset)
    assert [name for name, (image, _) in zip(rest, got, strict=False) if isinstance(image, dict)] != []
    errors = [str(image) for image, _ in got if not isinstance(image, dict)]
    assert any("is gone since the state was saved" in error for error in errors)
    assert all(error.startswith("shard-0") for error in errors)
