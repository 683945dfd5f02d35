"""fastpre.data.Loader: which images were bad, where the time goes, and the progress line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import rich.console
import rich.progress
import torch

import fastpre
import fastpre.data
from fastpre import _progress
from fastpre.data import report as reports
from loading import ARRANGEMENTS, BROKEN, QUIET_FORK, SPEC, Flow, labelled, load

pytestmark = QUIET_FORK


@pytest.mark.parametrize("on_error", ["raise", "skip", "fill"])
@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_bad_images_are_named(workers: int, ahead: int, on_error: Any, batch: list[bytes], tmp_path: Path) -> None:
    """All of them, also where a batch's first error is raised."""
    gone = str(tmp_path / "gone.jpg")
    items: list[Any] = labelled(batch)
    items[5], items[6], items[9] = (gone, 105), ({"bytes": BROKEN, "path": "cat/6.jpg"}, 106), (batch[9][:200], 109)
    loader = load(items, batch_size=4, num_workers=workers, prefetch_batches=ahead, on_error=on_error)
    report = loader.report()
    assert (len(report), report.total, str(report)) == (0, 0, "no bad images")
    for _ in range(2):
        batches = iter(loader)
        for _ in range(3):
            try:
                next(batches)
            except fastpre.ImageError:
                assert on_error == "raise"
        batches.close()
    assert [(*entry[:4], entry.times) for entry in report] == [
        (gone, 5, 0, "ImageReadError", 2),
        ("cat/6.jpg", 6, 0, "CorruptImage", 2),
        (None, 9, 0, "CorruptImage", 2),
    ]
    assert report.counts == {"CorruptImage": 4, "ImageReadError": 2}
    assert report.total == 6
    assert [entry.dataset_index for entry in report[1:]] == [6, 9]
    lines = str(report).splitlines()
    assert lines[0] == "6 failures: 4 CorruptImage, 2 ImageReadError"
    assert lines[2].startswith("  epoch 0: dataset index 6, cat/6.jpg: CorruptImage: ")
    assert lines[2].endswith(", 2 times")
    assert repr(report) == "Report(3 bad images, 6 failures)"
    assert loader.report() is report
    report.clear()
    assert (len(report), report.total) == (0, 0)


def test_bad_images_of_an_iterable_dataset(batch: list[bytes]) -> None:
    flow = Flow([batch[0], {"bytes": BROKEN, "path": "shard.tar/b"}, BROKEN, BROKEN])
    loader = fastpre.data.Loader(flow, SPEC, batch_size=2, on_error="skip")
    list(loader)
    list(loader)
    report = loader.report()
    assert [(entry.name, entry.dataset_index, entry.times) for entry in report[:3]] == [
        ("shard.tar/b", None, 2),
        (None, None, 1),
        (None, None, 1),
    ]
    assert str(report[1]).startswith("epoch 0: an image: CorruptImage: ")
    assert report.total == 6


def test_a_report_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "KEPT", 30)
    report = reports.Report()
    for index in range(100):
        report.add([fastpre.CorruptImage("broken", 0, f"{index}.jpg", index)], 0)
    assert (len(report), report.total) == (30, 100)
    lines = str(report).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  and 10 more: see the report's entries"


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_stats(workers: int, ahead: int, batch: list[bytes], tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.jpg" for i in range(6)]
    for path, data in zip(paths, batch, strict=False):
        path.write_bytes(data)
    items = [*map(str, paths), *batch[6:11], BROKEN]
    loader = load(items, batch_size=5, num_workers=workers, prefetch_batches=ahead, on_error="skip")
    assert loader.stats().elapsed_s == 0
    assert "0 images" in str(loader.stats())
    for epoch in range(2):
        list(loader)
        stats = loader.stats()
        assert (stats.epoch, stats.batches, stats.images, stats.failed) == (epoch, 3, 12, 1)
        assert stats.bytes == sum(map(len, batch[:11])) + len(BROKEN)
        assert set(stats.stages_s) == {"read", "header", "decode", "resample", "normalize"}
        assert 0 < stats.first_batch_s <= stats.waiting_s
        assert stats.elapsed_s == stats.waiting_s + stats.consumer_s > 0
        assert stats.images_per_s == 12 / stats.elapsed_s
        assert stats.mb_per_s == stats.bytes / 1e6 / stats.elapsed_s
        assert min(stats.fetching_s, stats.decoding_s, stats.stages_s["decode"], stats.stages_s["read"]) > 0
    text = str(stats)
    assert text.startswith("epoch 1: 12 images in ")
    assert "1 failed" in text
    assert "decoding threads: read " in text


def made(**times: Any) -> fastpre.data.Stats:
    whole = {"waiting_s": 4.0, "consumer_s": 6.0, "fetching_s": 0.0, "decoding_s": 0.0, "stages_s": {}, **times}
    return fastpre.data.Stats(epoch=3, batches=2, images=500, failed=1, bytes=20_000_000, first_batch_s=0.5, **whole)


def test_what_bounds_an_epoch() -> None:
    assert made(waiting_s=0.1).bottleneck == "consumer"
    assert made(fetching_s=3.0, decoding_s=2.0).bottleneck == "fetching"
    assert made(fetching_s=2.0, decoding_s=3.0).bottleneck == "decoding"
    by_disk = made(decoding_s=3.0, stages_s={"read": 8.0, "decode": 2.0})  # paths, which the decoding threads read
    assert by_disk.bottleneck == "fetching"
    assert str(by_disk).splitlines() == [
        "epoch 3: 500 images in 10.0 s: 50 images/s, 2 MB/s; waited 40%; 1 failed",
        "input-bound, by fetching: the model waited 40% of the time (fetching 0.0 s, decoding 3.0 s, the first batch "
        "0.50 s)",
        "decoding threads: read 80%, decode 20%",
    ]
    assert str(made(waiting_s=0.1)).splitlines()[1].startswith("model-bound: the model waited 2% of the time")


def test_lines_of_progress_without_a_terminal(
    batch: list[bytes], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    loader = load([*batch[:11], BROKEN], batch_size=4, on_error="skip", progress=True)
    list(loader)
    assert capfd.readouterr().err.startswith("epoch 0: 12 images in ")  # it takes no ten seconds
    monkeypatch.setattr(_progress, "INTERVAL_S", 0.0)
    list(loader)
    lines = capfd.readouterr().err.splitlines()
    assert [line.partition(" images")[0] for line in lines] == [
        "epoch 1: 4 of 12",
        "epoch 1: 8 of 12",
        "epoch 1: 12",
    ]
    assert "; 1 failed" in lines[-1]
    for _ in loader:
        break
    assert capfd.readouterr().err.splitlines()[-1].startswith("epoch 2: 4 images in ")
    list(load(batch, batch_size=4))
    assert capfd.readouterr().err == ""
    loader.load_state_dict(loader.state_dict())
    list(loader)
    assert capfd.readouterr().err.startswith("epoch 2: 4 of 8 images, ")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(rich.console.Console, "is_terminal", property(lambda _: True))
    monkeypatch.setattr(_progress, "REFRESH_S", 0.0)
    return capfd


def test_a_bar_on_a_terminal(batch: list[bytes], terminal: pytest.CaptureFixture[str]) -> None:
    loader = load(batch, batch_size=4, progress=True)
    for _ in loader:
        sys.stdout.write("a line of the loop's\n")
    text = terminal.readouterr().err
    assert "8/12" in text
    assert "waited" in text
    assert "epoch 0: 12 images in " in text.rstrip().splitlines()[-1]
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor is back
    for _ in loader:
        break
    assert terminal.readouterr().err.count("\x1b[?25h") == 1


def test_a_bar_beside_rich_s_own(
    batch: list[bytes], terminal: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older ones allow only one at a time."""

    def start(_: Any) -> None:
        raise rich.errors.LiveError("Only one live display may be active at once")

    monkeypatch.setattr(rich.progress.Progress, "start", start)
    monkeypatch.setattr(_progress, "INTERVAL_S", 0.0)
    list(load(batch, batch_size=4, progress=True))
    assert "epoch 0: 4 of 12 images" in terminal.readouterr().err


@pytest.mark.parametrize("options", [{"batch_sampler": [[0], [1, 2]]}, {"batch_size": 2}])
def test_progress_of_unknown_length(
    options: Any, batch: list[bytes], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_progress, "INTERVAL_S", 0.0)
    dataset: Any = Flow(batch) if "batch_size" in options else batch
    for tensor in fastpre.data.Loader(dataset, SPEC, progress=True, **options):
        assert isinstance(tensor, torch.Tensor)
    images = 3 if "batch_sampler" in options else 4
    assert capfd.readouterr().err.splitlines()[1].startswith(f"epoch 0: {images} images, ")
