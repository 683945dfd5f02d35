"""fastpre.data.Loader: what is wrong with an image, a dataset or a worker, and where it is said."""

from __future__ import annotations

import contextlib
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

import fastpre
import fastpre.data
from fastpre.data.source import Source
from fastpre.data.stats import Clock
from loading import (
    ARRANGEMENTS,
    BROKEN,
    QUIET_FORK,
    SPEC,
    TIMEOUT_S,
    Flow,
    Sample,
    assert_same,
    labelled,
    left_behind,
    load,
)

pytestmark = QUIET_FORK


class Keyed(torch.utils.data.Dataset[Any]):
    """Images by name."""

    def __init__(self, **items: bytes) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: str) -> bytes:
        return self.items[key]


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_skip_drops_targets_too(workers: int, ahead: int, batch: list[bytes], want: torch.Tensor) -> None:
    items = [(image, i, str(i), {"pair": (i, f"{i}")}) for i, image in enumerate(batch)]
    bad = (1, 3, 4, 5, 6, 7, 9)  # the second batch altogether
    for i in bad:
        items[i] = (BROKEN, *items[i][1:])
    loader = load(items, batch_size=4, num_workers=workers, prefetch_batches=ahead, on_error="skip")
    for begin, (images, numbers, names, extra) in zip((0, 4, 8), loader, strict=True):
        rows = [i for i in range(begin, begin + 4) if i not in bad]
        assert torch.equal(images, want[rows])
        assert images.shape == (len(rows), 3, 32, 32)
        assert numbers.tolist() == extra["pair"][0].tolist() == rows
        assert list(names) == list(extra["pair"][1]) == [str(i) for i in rows]
        assert [type(e) for e in loader.errors] == [fastpre.CorruptImage] * (4 - len(rows))
        assert [e.index for e in loader.errors if isinstance(e, fastpre.ImageError)] == [
            i - begin for i in range(begin, begin + 4) if i in bad
        ]


def test_skip_keeps_the_arrangement(batch: list[bytes], want: torch.Tensor) -> None:
    samples: list[Callable[[bytes, int], Any]] = [
        lambda image, i: image,
        lambda image, i: Sample(image, i, str(i)),
        lambda image, i: [image, [i, str(i)]],
    ]
    for sample in samples:
        items = [sample(image, i) for i, image in enumerate(batch[:4])]
        (whole,) = load(items, batch_size=4)
        (got,) = load([*items[:2], sample(BROKEN, 9), *items[2:]], batch_size=5, on_error="skip")
        assert_same(got, whole)


def test_fill(batch: list[bytes], want: torch.Tensor) -> None:
    items = labelled(batch)
    items[6] = (BROKEN, 106)
    loader = load(items, batch_size=5, on_error="fill", fill=-2.5)
    seen = [(images, labels.tolist(), [str(e) for e in loader.errors]) for images, labels in loader]
    assert [labels for _, labels, _ in seen] == [[*range(100, 105)], [*range(105, 110)], [110, 111]]
    assert (seen[1][0][1] == -2.5).all()
    assert torch.equal(seen[1][0][[0, 2, 3, 4]], want[[5, 7, 8, 9]])
    assert [bool(errors) for _, _, errors in seen] == [False, True, False]
    assert "image 1" in seen[1][2][0]


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_raise_in_the_place_of_its_batch(workers: int, ahead: int, batch: list[bytes], want: torch.Tensor) -> None:
    loader = load([*batch[:6], BROKEN, *batch[7:]], batch_size=4, num_workers=workers, prefetch_batches=ahead)
    batches = iter(loader)
    assert torch.equal(next(batches), want[:4])
    with pytest.raises(fastpre.CorruptImage) as caught:
        next(batches)
    assert caught.value.index == 2
    assert torch.equal(next(batches), want[8:])
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(batches)


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_an_error_that_is_kept_keeps_nothing_alive(workers: int, ahead: int, batch: list[bytes]) -> None:
    loader = load([*batch[:6], BROKEN, *batch], batch_size=4, num_workers=workers, prefetch_batches=ahead)
    with pytest.raises(fastpre.CorruptImage):
        for _ in loader:
            pass
    assert left_behind() == []  # while pytest still holds the error with its traceback


@pytest.mark.parametrize(
    ("error", "workers", "ahead"),
    [*((KeyError, *a) for a in ARRANGEMENTS), (SystemExit, 0, 0), (SystemExit, 0, 2)],
)
def test_the_datasets_errors(error: type[BaseException], workers: int, ahead: int, batch: list[bytes]) -> None:
    items: list[Any] = [*batch[:6], error, *batch[7:]]
    batches = iter(load(items, batch_size=4, num_workers=workers, prefetch_batches=ahead))
    if error is KeyError or ahead == 0:  # an interrupt or exit is not kept for its batch's turn
        assert len(next(batches)) == 4
    with pytest.raises(error):
        next(batches)


def test_errors_of_the_decoding_thread(batch: list[bytes]) -> None:
    """Not only exceptions: whatever it is, the consumer does not wait for ever."""
    loader = load(batch, batch_size=4, num_workers=2)

    def interrupted(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt

    loader._decoder.preprocessor._run = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        next(iter(loader))


@pytest.mark.parametrize(("ahead", "timeout"), [(0, 1), (2, 1), (2, 0)])
def test_a_worker_that_dies(ahead: int, timeout: int, batch: list[bytes]) -> None:
    """An error instead of a hang; what was not delivered is still to come in a loader that goes on from there."""
    items = labelled(batch * 9)
    loader = load(items, batch_size=2, num_workers=1, prefetch_batches=ahead, timeout=timeout)
    batches = iter(loader)
    seen = next(batches)[1].tolist()
    (worker,) = multiprocessing.active_children()
    with contextlib.suppress(RuntimeError):  # torch's handler of the signal speaks up wherever the main thread is
        worker.kill()  # type: ignore[attr-defined]
        worker.join()
        time.sleep(0.1)
    with pytest.raises(RuntimeError, match="worker"):
        seen.extend(label for _, labels in batches for label in labels.tolist())
    batches.close()
    assert left_behind() == []
    other = load(items, batch_size=2)
    other.load_state_dict(loader.state_dict())
    assert seen + [label for _, labels in other for label in labels.tolist()] == [100 + i for i in range(108)]


class Dying(Iterator[Any]):
    """A DataLoader's iterator whose worker dies while it sends a batch."""

    def __next__(self) -> Any:
        raise ConnectionResetError("Connection reset by peer")


def test_a_worker_that_dies_while_it_sends() -> None:
    """Without workers the same error is the dataset's, which reads from a network."""
    with pytest.raises(RuntimeError, match="a DataLoader worker died"):
        next(Source(Dying(), True, 0, 0, 0, Clock()))
    with pytest.raises(ConnectionResetError):
        next(Source(Dying(), False, 0, 0, 0, Clock()))


@pytest.mark.parametrize("ahead", [0, 2])
def test_a_workers_error_that_is_kept(ahead: int, batch: list[bytes]) -> None:
    """Its traceback leads to DataLoader's iterator, and that to the workers."""
    batches = iter(load([*batch[:4], KeyError], batch_size=4, num_workers=2, prefetch_batches=ahead))
    next(batches)
    with pytest.raises(KeyError) as caught:
        next(batches)
    batches.close()
    assert left_behind() == []
    assert "an item's error" in str(caught.value)


def test_failed_epoch_leaves_no_noise(photo: bytes) -> None:
    """The workers of the next loader are forked while nothing of the last one waits for the garbage collector."""
    code = """
import gc, sys, fastpre, fastpre.data
gc.disable()  # what a cycle holds would stay until a worker's own collector finds it
photo = sys.stdin.buffer.read()
items = [photo] * 20
items[5] = photo[: len(photo) // 2]
def epoch(on_error):
    for tensor in fastpre.data.Loader(items, batch_size=8, num_workers=2, on_error=on_error):
        pass
for _ in range(2):
    try:
        epoch("raise")
    except fastpre.ImageError as error:
        print(error.index)
print(sum(type(o).__name__ in ("Batches", "Prefetcher") for o in gc.get_objects()))
gc.enable()
epoch("skip")
"""
    done = subprocess.run([sys.executable, "-c", code], input=photo, capture_output=True, timeout=TIMEOUT_S)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [b"5", b"5", b"0"], b"")


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_errors_name_the_place_in_the_dataset(workers: int, ahead: int, batch: list[bytes]) -> None:
    items: list[Any] = labelled(batch)
    items[7] = ({"bytes": BROKEN, "path": "cat/7.jpg"}, 107)
    items[9] = (BROKEN, 109)
    items[10] = ("nowhere/10.jpg", 110)
    order = [3, 7, 1, 9, 10, 0]
    loader = load(items, sampler=order, batch_size=3, num_workers=workers, prefetch_batches=ahead, on_error="skip")
    seen = [(e.index, e.dataset_index, e.name) for _ in loader for e in loader.errors]
    assert seen == [(1, 7, "cat/7.jpg"), (0, 9, None), (1, 10, "nowhere/10.jpg")]
    raising = load(items, sampler=order, batch_size=3, num_workers=workers, prefetch_batches=ahead)
    with pytest.raises(fastpre.CorruptImage, match=r"^image 1 \(dataset index 7, cat/7\.jpg\): "):
        list(raising)


@pytest.mark.parametrize("workers", [0, 1])
def test_iterable_datasets_have_no_index(workers: int, batch: list[bytes]) -> None:
    flow = Flow([batch[0], {"bytes": BROKEN, "path": "b.jpg"}])
    loader = fastpre.data.Loader(flow, SPEC, batch_size=2, num_workers=workers, on_error="fill")
    list(loader)
    assert [str(e).partition(":")[0] for e in loader.errors] == ["image 1 (b.jpg)"]
    assert loader.errors[0].dataset_index is None


def test_keys_of_any_kind(batch: list[bytes]) -> None:
    """A sampler may ask for anything that the dataset knows."""
    loader = fastpre.data.Loader(Keyed(a=batch[0], b=BROKEN), SPEC, sampler=["a", "b"], batch_size=2, on_error="skip")
    list(loader)
    assert loader.errors[0].dataset_index == "b"


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("missing", [None, {"bytes": None, "path": None}])
def test_a_missing_image_costs_itself_only(missing: Any, workers: int, batch: list[bytes], want: torch.Tensor) -> None:
    items: list[Any] = labelled(batch[:3])
    items[1] = (missing, 101)
    loader = load(items, batch_size=3, num_workers=workers, on_error="skip")
    ((images, labels),) = loader
    assert torch.equal(images, want[[0, 2]])
    assert labels.tolist() == [100, 102]
    (error,) = loader.errors
    assert isinstance(error, fastpre.ImageReadError)
    assert error.dataset_index == 1
