"""fastpre.data: the Preprocessor's bits through loaders and workers; nothing lost, nothing left behind."""

from __future__ import annotations

import collections
import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

import fastpre
import fastpre.data
import streams
from fastpre.data import prefetch

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # DataLoader's own, on newer Pythons

SPEC = fastpre.Spec(resize=40, crop=32)
BROKEN = b"no JPEG"
PATIENCE_S = 60  # a hang shows as a timeout
ARRANGEMENTS = [(0, 0), (0, 2), (2, 0), (2, 2)]  # workers, batches decoded ahead
GPU = not fastpre._core.cuda_info()["missing"] and torch.cuda.is_available()

Sample = collections.namedtuple("Sample", ["image", "label", "name"])  # noqa: PYI024


class Items(Dataset[Any]):
    """A list, in a form that spawned workers can unpickle."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        item = self.items[index]
        if isinstance(item, type):
            raise item("an item's error")
        return item


class Flow(IterableDataset[Any]):
    """The same, iterable; workers share the items between them."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Any]:
        worker = torch.utils.data.get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return iter(self.items[first::step])


class Plain(Dataset[Any]):
    """What a DataLoader would get if the images were decoded before."""

    def __init__(self, items: list[Any], tensors: torch.Tensor) -> None:
        self.items, self.tensors = items, tensors

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        sample = self.items[index]
        if hasattr(sample, "_replace"):
            return sample._replace(image=self.tensors[index])
        return type(sample)([self.tensors[index], *sample[1:]])


def load(items: list[Any], **options: Any) -> fastpre.data.Loader:
    options.setdefault("timeout", PATIENCE_S if options.get("num_workers") else 0)
    return fastpre.data.Loader(Items(items), SPEC, **options)


def labelled(images: list[bytes]) -> list[tuple[bytes, int]]:
    return [(image, 100 + i) for i, image in enumerate(images)]


@pytest.fixture(scope="module")
def want(batch: list[bytes]) -> torch.Tensor:
    return fastpre.Preprocessor(SPEC)(batch)


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After every test: no thread of ours, no worker process."""
    yield
    if left_behind():
        gc.collect()
    assert left_behind() == []


def left_behind() -> list[Any]:
    threads = [t for t in threading.enumerate() if t.name.startswith("fastpre")]
    return [*threads, *multiprocessing.active_children()]


def assert_same(got: Any, want: Any) -> None:
    """The same arrangement, types, and bits."""
    assert type(got) is type(want)
    if isinstance(want, torch.Tensor):
        assert got.dtype == want.dtype
        assert torch.equal(got, want)
    elif isinstance(want, dict):
        assert list(got) == list(want)
        for key in want:
            assert_same(got[key], want[key])
    elif isinstance(want, (list, tuple)):
        assert len(got) == len(want)
        for g, w in zip(got, want, strict=True):
            assert_same(g, w)
    else:
        assert got == want


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_images_alone(workers: int, ahead: int, batch: list[bytes], want: torch.Tensor) -> None:
    loader = load(batch, batch_size=5, num_workers=workers, prefetch_batches=ahead)
    assert len(loader) == 3
    for _ in range(3):
        tensors = list(loader)
        assert [len(t) for t in tensors] == [5, 5, 2]
        assert torch.equal(torch.cat(tensors), want)


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_images_with_labels(workers: int, ahead: int, batch: list[bytes], want: torch.Tensor) -> None:
    loader = load(labelled(batch), batch_size=5, num_workers=workers, prefetch_batches=ahead, drop_last=True)
    assert len(loader) == 2
    images, labels = zip(*loader, strict=True)
    assert torch.equal(torch.cat(images), want[:10])
    assert torch.cat(labels).tolist() == list(range(100, 110))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "sample",
    [
        lambda image, i: (image,),
        lambda image, i: (image, i, f"name {i}", {"box": torch.full((4,), i), "who": (b"x", 0.5 * i)}),
        lambda image, i: [image, [i, np.float32(i)]],
        lambda image, i: Sample(image, i, str(i)),
    ],
)
def test_arranged_as_by_a_data_loader(
    sample: Callable[[bytes, int], Any], workers: int, batch: list[bytes], want: torch.Tensor
) -> None:
    items = [sample(image, i) for i, image in enumerate(batch)]
    got = list(load(items, batch_size=5, num_workers=workers))
    assert_same(got, list(DataLoader(Plain(items, want), batch_size=5)))


@pytest.mark.parametrize("workers", [0, 2])
def test_kinds_of_images(workers: int, batch: list[bytes], want: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "5.jpg"
    path.write_bytes(batch[5])
    items = [
        batch[0],
        bytearray(batch[1]),
        torch.frombuffer(bytearray(batch[2]), dtype=torch.uint8),
        np.frombuffer(batch[3], np.uint8),
        np.repeat(np.frombuffer(batch[4], np.uint8), 2)[::2],
        path,
        str(path),
        *([memoryview(batch[6])] if workers == 0 else [batch[6]]),
    ]
    (got,) = load(items, batch_size=8, num_workers=workers, multiprocessing_context="fork" if workers else None)
    assert torch.equal(got, want[[0, 1, 2, 3, 4, 5, 5, 6]])


@pytest.mark.parametrize("item", [None, 3, torch.zeros(3, 8, 8), np.zeros((2, 2), np.uint8)])
def test_no_image_at_all(item: Any, photo: bytes) -> None:
    for items in ([photo, item], [(photo, 0), (item, 1)]):
        with pytest.raises(TypeError, match="image 1: expected"):
            list(load(items, batch_size=2))


def test_shuffled_by_a_generator(batch: list[bytes], want: torch.Tensor) -> None:
    def labels(workers: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(7)
        loader = load(labelled(batch), batch_size=5, shuffle=True, generator=generator, num_workers=workers)
        epochs = [list(loader), list(loader)]
        order = [torch.cat([labels for _, labels in epoch]) - 100 for epoch in epochs]
        for epoch, rows in zip(epochs, order, strict=True):
            assert torch.equal(torch.cat([images for images, _ in epoch]), want[rows])
        return [rows.tolist() for rows in order]

    first = labels(0)
    assert first[0] != first[1]
    assert sorted(first[0]) == sorted(first[1]) == list(range(len(batch)))
    assert labels(0) == first
    assert labels(2) == labels(2)


@pytest.mark.parametrize("workers", [0, 2])
def test_shuffled_by_the_global_generator(workers: int, batch: list[bytes]) -> None:
    """The same order as a DataLoader's, and the same random numbers left for the model."""
    items = labelled(batch)
    torch.manual_seed(3)
    theirs = [labels.tolist() for _, labels in DataLoader(Plain(items, torch.zeros(12, 1)), 5, True)]
    after = torch.rand(3)
    torch.manual_seed(3)
    ours = [labels.tolist() for _, labels in load(items, batch_size=5, shuffle=True, num_workers=workers)]
    assert ours == theirs
    assert torch.equal(torch.rand(3), after)


def test_samplers(batch: list[bytes], want: torch.Tensor) -> None:
    """A DistributedSampler, whose epoch is set from outside, and a batch sampler."""
    sampler: Any = torch.utils.data.DistributedSampler(Items(batch), num_replicas=2, rank=1, seed=5)
    loader = load(batch, batch_size=6, sampler=sampler)
    assert loader.sampler is sampler
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        rows = list(sampler)
        assert torch.equal(torch.cat(list(loader)), want[rows])
    batches = [[3, 1], [0], [11, 2, 4]]
    by_batches = load(batch, batch_sampler=batches)
    assert len(by_batches) == 3
    assert_same(list(by_batches), [want[rows] for rows in batches])


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_iterable_dataset(workers: int, ahead: int, batch: list[bytes], want: torch.Tensor) -> None:
    loader = fastpre.data.Loader(
        Flow(labelled(batch)), SPEC, batch_size=4, num_workers=workers, prefetch_batches=ahead, timeout=0
    )
    for _ in range(2):
        images, labels = zip(*loader, strict=True)
        rows = torch.cat(labels) - 100
        assert sorted(rows.tolist()) == list(range(len(batch)))
        assert torch.equal(torch.cat(images), want[rows])


@pytest.mark.parametrize("ahead", [0, 2])
def test_persistent_workers(ahead: int, batch: list[bytes], want: torch.Tensor) -> None:
    loader = load(batch, batch_size=2, num_workers=2, persistent_workers=True, prefetch_batches=ahead)
    assert torch.equal(torch.cat(list(loader)), want)
    workers = {child.pid for child in multiprocessing.active_children()}
    assert len(workers) == 2
    for i, _ in enumerate(loader):
        if i == 1:
            break  # and the next epoch begins at the beginning
    assert torch.equal(torch.cat(list(loader)), want)
    assert {child.pid for child in multiprocessing.active_children()} == workers
    both = [torch.cat(tensors) for tensors in zip(*zip(loader, loader, strict=True), strict=True)]
    assert torch.equal(both[0], want)
    assert torch.equal(both[1], want)
    assert {child.pid for child in multiprocessing.active_children()} == workers


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_two_iterations_at_once(workers: int, ahead: int, batch: list[bytes], want: torch.Tensor) -> None:
    loader = load(batch, batch_size=5, num_workers=workers, prefetch_batches=ahead)
    first = iter(loader)
    got = [next(first)]
    assert torch.equal(torch.cat(list(loader)), want)
    got.extend(first)
    assert torch.equal(torch.cat(got), want)


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

    loader._decoder.preprocessor.run = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        next(iter(loader))


def test_a_worker_that_dies(batch: list[bytes]) -> None:
    loader = load(batch * 9, batch_size=2, num_workers=1, timeout=1)
    batches = iter(loader)
    next(batches)
    (worker,) = multiprocessing.active_children()
    worker.kill()  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="worker"):
        list(batches)
    batches.close()
    assert left_behind() == []


@pytest.mark.parametrize("how", ["break", "drop", "close", "cycle"])
@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_abandoned_half_way(how: str, workers: int, ahead: int, batch: list[bytes]) -> None:
    loader = load(batch * 4, batch_size=2, num_workers=workers, prefetch_batches=ahead)
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(3):
        if how == "break":
            for _ in loader:
                break
        else:
            batches: Any = iter(loader)
            next(batches)
            assert left_behind() or (workers, ahead) == (0, 0)
            if how == "close":
                batches.close()
                batches.close()
                assert list(batches) == []
            elif how == "cycle":
                cycle: list[Any] = [batches]
                cycle.append(cycle)
                del cycle
            del batches
            if how == "cycle":
                gc.collect()
        assert left_behind() == []
    gc.collect()
    assert sys.platform != "linux" or len(os.listdir("/proc/self/fd")) <= before + 2  # torch opens some once


class Waiting(Items):
    """Its second batch takes as long as it takes."""

    def __init__(self, items: list[Any]) -> None:
        super().__init__(items)
        self.go_on = multiprocessing.get_context("fork").Event()

    def __getitem__(self, index: int) -> Any:
        if index >= 2:
            self.go_on.wait(PATIENCE_S)
        return super().__getitem__(index)


def test_abandoned_while_a_worker_hangs(batch: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "STUCK_S", 0.1)
    dataset = Waiting(batch)
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=2, num_workers=1, multiprocessing_context="fork")
    batches = iter(loader)
    next(batches)
    began = time.monotonic()
    batches.close()
    assert time.monotonic() - began < PATIENCE_S / 4
    assert left_behind() != []
    dataset.go_on.set()
    deadline = time.monotonic() + PATIENCE_S
    while left_behind() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left_behind() == []


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


@pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
def test_interpreter_exit(workers: int, persistent: bool, photo: bytes) -> None:
    """With an iteration under way, more to come, and everything reachable from the module."""
    code = f"""
import sys, fastpre, fastpre.data
items = [sys.stdin.buffer.read()] * 4000
loader = fastpre.data.Loader(items, batch_size=50, num_workers={workers}, persistent_workers={persistent})
batches = iter(loader)
print(len(next(batches)))
"""
    done = subprocess.run([sys.executable, "-c", code], input=photo, capture_output=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [b"50"], b"")


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
print(sum(type(o).__name__ in ("Batches", "Ahead") for o in gc.get_objects()))
gc.enable()
epoch("skip")
"""
    done = subprocess.run([sys.executable, "-c", code], input=photo, capture_output=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [b"5", b"5", b"0"], b"")


def test_decodes_ahead_and_no_further(batch: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    loader = load(batch, batch_size=1, prefetch_batches=3)
    threads: list[int] = []
    run = loader._decoder.preprocessor.run

    def counted(*args: Any, **options: Any) -> Any:
        threads.append(threading.get_ident())
        return run(*args, **options)

    monkeypatch.setattr(loader._decoder.preprocessor, "run", counted)
    batches = iter(loader)
    for taken in (1, 2):
        next(batches)
        deadline = time.monotonic() + PATIENCE_S
        while len(threads) < taken + 3 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        assert len(threads) == taken + 3
    assert threading.get_ident() not in threads


def test_emulated(batch: list[bytes], want: torch.Tensor) -> None:
    loader = load(batch, batch_size=5, device="emulated")
    assert loader.device == "emulated"
    assert torch.equal(torch.cat(list(loader)), want)


@pytest.mark.skipif(not GPU, reason="needs a CUDA device")
@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_cuda(workers: int, ahead: int, batch: list[bytes]) -> None:
    """On a device, with work queued on the consumer's stream so that a missing wait would show."""
    want = fastpre.Preprocessor(SPEC, "cuda")(batch)
    loader = load(labelled(batch * 20), batch_size=12, device="cuda", num_workers=workers, prefetch_batches=ahead)
    busy = torch.rand(2048, 2048, device="cuda")
    sums = []
    for images, labels in loader:
        assert (images.device.type, labels.device.type) == ("cuda", "cpu")
        busy = busy @ busy / 1024
        sums.append((images - want).abs().sum() + 0 * busy[0, 0].clamp(0, 1))
        del images
    assert torch.stack(sums).max().item() == 0


def test_the_consumers_stream_waits(batch: list[bytes], want: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What CUDA is asked for, in order; torch.cuda is played by a list."""
    log: list[str] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_event(self, event: Any) -> None:
            log.append(f"{self.name} waits for {event.after}")

    class Event:
        after = "nothing"

        def record(self, stream: Stream) -> None:
            log.append(f"event on {stream.name}")
            self.after = stream.name

    class Current:
        def __init__(self, stream: Stream) -> None:
            log.append(f"use {stream.name}")

        def __enter__(self) -> None:
            pass

        def __exit__(self, *args: object) -> None:
            pass

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "stream", Current)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("the consumer's"))
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, s: log.append(f"kept for {s.name}"))
    loader = load(batch, batch_size=12)
    on_stream = fastpre.data.loader._OnStream(loader._decoder, Stream("ours"))  # type: ignore[arg-type]
    monkeypatch.setattr(loader, "_background_decoder", lambda: on_stream)
    (got,) = loader
    assert torch.equal(got, want)
    assert log == ["use ours", "event on ours", "the consumer's waits for ours", "kept for the consumer's"]


@pytest.mark.skipif(GPU, reason="there is a CUDA device")
def test_cuda_without_a_gpu(batch: list[bytes]) -> None:
    for device in ("cuda", "cuda:0", torch.device("cuda")):
        with pytest.raises(fastpre.BackendUnavailable, match="cuda"):
            load(batch, device=device)
    with pytest.raises(fastpre.BackendUnavailable, match="pin_memory"):
        load(batch, pin_memory=True)
    with pytest.raises(fastpre.BackendUnavailable, match="cuda"):
        fastpre.data.collate(SPEC, device="cuda")


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"on_error": "ignore"}, ValueError, "on_error must be"),
        ({"prefetch_batches": -1}, ValueError, "prefetch_batches must be at least 0"),
        ({"prefetch_batches": 1.5}, TypeError, "prefetch_batches must be an integer"),
        ({"batch_size": None}, ValueError, "batch_size=None"),
        ({"device": "tpu"}, ValueError, "device must be"),
        ({"num_threads": 0}, ValueError, "num_threads must be"),
        ({"shuffle": True, "sampler": [0]}, ValueError, "mutually exclusive"),
        ({"persistent_workers": True}, ValueError, "num_workers"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], match: str, batch: list[bytes]) -> None:
    with pytest.raises(error, match=match):
        load(batch, **options)


@pytest.fixture
def folder(tmp_path: Path, batch: list[bytes]) -> Path:
    """Two classes and a subfolder; names out of order, a PNG and a text among them."""
    for i, name in enumerate(("dog/b.jpg", "cat/z.JPEG", "cat/a.jpg", "dog/deep/c.jpeg", "cat/B.JPG")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(batch[i])
    streams.picture("RGB", 8, 8).save(tmp_path / "cat" / "c.png")
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    return tmp_path


def test_image_folder(folder: Path) -> None:
    import torchvision

    ours = fastpre.data.ImageFolder(folder)
    theirs = torchvision.datasets.ImageFolder(folder, loader=fastpre.transforms.read_bytes)
    assert (ours.classes, ours.class_to_idx) == (theirs.classes, theirs.class_to_idx)
    assert ours.samples == ours.imgs == [s for s in theirs.samples if not s[0].endswith("png")]
    assert ours.targets == [label for _, label in ours.samples] == [0, 0, 0, 1, 1]
    assert list(ours) == [(Path(path).read_bytes(), label) for path, label in ours.samples]
    with_png = fastpre.data.ImageFolder(str(folder), extensions=(".JPG", ".jpeg", ".png"), target_transform=str)
    assert with_png.samples == theirs.samples
    assert with_png[0][1] == "0"
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty"):
        fastpre.data.ImageFolder(folder)


@pytest.mark.parametrize("method", [None, "fork", "spawn"])
def test_image_folder_through_a_loader(method: str | None, folder: Path) -> None:
    dataset = fastpre.data.ImageFolder(folder)
    want = fastpre.Preprocessor(SPEC)([path for path, _ in dataset.samples])
    workers = 0 if method is None else 1
    loader = fastpre.data.Loader(dataset, SPEC, batch_size=3, num_workers=workers, multiprocessing_context=method)
    images, labels = zip(*loader, strict=True)
    assert torch.equal(torch.cat(images), want)
    assert torch.cat(labels).tolist() == dataset.targets


def test_image_folder_without_torchvision() -> None:
    code = """
import sys
sys.modules["torchvision"] = sys.modules["torchvision.datasets"] = None
import fastpre.data
try:
    fastpre.data.ImageFolder
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=PATIENCE_S)
    assert b"pip install torchvision" in done.stdout


def test_no_other_names() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = fastpre.data.nonsense


@pytest.mark.parametrize("method", [None, "fork", "spawn"])
@pytest.mark.parametrize("layout", ["contiguous_format", "channels_last"])
def test_collate(method: str | None, layout: str, batch: list[bytes]) -> None:
    spec = SPEC.replace(memory_format=layout, dtype="bfloat16")
    want = fastpre.Preprocessor(spec)(batch)
    collate = fastpre.data.collate(spec)
    loader = DataLoader(
        Items(labelled(batch)),
        batch_size=5,
        num_workers=0 if method is None else 1,
        multiprocessing_context=method,
        collate_fn=collate,
    )
    images, labels = zip(*loader, strict=True)
    assert torch.equal(torch.cat(images), want)
    assert torch.cat(labels).tolist() == list(range(100, 112))
    assert images[0].is_contiguous(memory_format=spec.memory_format)
    assert images[0].is_shared() == (method is not None)


def test_collate_pickles(batch: list[bytes], want: torch.Tensor) -> None:
    collate = pickle.loads(pickle.dumps(fastpre.data.collate(SPEC, on_error="fill", num_threads=2)))
    assert torch.equal(collate(batch), want)
    got = collate([Sample(image, i, str(i)) for i, image in enumerate(batch)])
    assert isinstance(got, Sample)
    assert torch.equal(got.image, want)


@pytest.mark.parametrize("workers", [0, 2])
def test_collate_errors(workers: int, batch: list[bytes], want: torch.Tensor) -> None:
    items = labelled([batch[0], BROKEN, batch[2]])
    options: dict[str, Any] = {"batch_size": 3, "num_workers": workers}
    ((images, labels),) = DataLoader(Items(items), collate_fn=fastpre.data.collate(SPEC, on_error="skip"), **options)
    assert torch.equal(images, want[[0, 2]])
    assert labels.tolist() == [100, 102]
    filling = fastpre.data.collate(SPEC, on_error="fill", fill=7)
    ((images, labels),) = DataLoader(Items(items), collate_fn=filling, **options)
    assert torch.equal(images[[0, 2]], want[[0, 2]])
    assert (images[1] == 7).all()
    raising: Any = iter(DataLoader(Items(items), collate_fn=fastpre.data.collate(SPEC), **options))
    with pytest.raises(fastpre.CorruptImage, match="image 1"):
        next(raising)
    if workers:
        raising._shutdown_workers()  # else the collector does, and torch then waits 5 s for each worker
    with pytest.raises(ValueError, match="on_error must be"):
        fastpre.data.collate(SPEC, on_error="ignore")  # type: ignore[arg-type]


def test_collate_without_a_fixed_size(batch: list[bytes]) -> None:
    spec = fastpre.Spec(resize=None, crop=None)
    want = fastpre.Preprocessor(spec)([batch[0], batch[0]])
    loader = DataLoader(Items([batch[0]] * 2), 2, num_workers=1, collate_fn=fastpre.data.collate(spec))
    assert_same(list(loader), [want])
