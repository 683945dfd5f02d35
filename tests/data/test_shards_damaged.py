"""fastpre.data.Shards: what is wrong with a shard or a sample is one error, which names it; the rest is delivered."""

from __future__ import annotations

import functools
import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import fastpre
import fastpre.data
import storage
from fastpre.data.sources.lost import LOST, blank_like
from loading import ARRANGEMENTS, QUIET_FORK, SPEC

pytestmark = QUIET_FORK


@pytest.fixture
def shards(tmp_path: Path, batch: list[bytes]) -> list[Path]:
    return storage.write_shards(tmp_path, batch, 4)


def archive(files: list[tuple[str, bytes]]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


def labels_and_errors(dataset: Any) -> tuple[list[Any], list[str]]:
    samples = list(dataset)
    return [s[1] for s in samples], [str(s[0]) for s in samples if isinstance(s[0], fastpre.ImageReadError)]


TWO = archive([("a.jpg", b"x" * 900), ("a.cls", b"0"), ("b.jpg", b"y" * 900), ("b.cls", b"1")])


@pytest.mark.parametrize("compressed", [False, True])
def test_cut_at_every_block(compressed: bool) -> None:
    """What came before the cut, then one error: always, also where the cut is between two files.

    Each sample has five blocks: header, two of the image, header, label. The archive's end is a block of zeros.
    """
    for cut in range(0, 14 * 512, 256):
        data = gzip.compress(TWO[:cut]) if compressed else TWO[:cut]
        labels, errors = labels_and_errors(fastpre.data.Shards([functools.partial(io.BytesIO, data)]))
        assert labels == [0] * (cut > 4 * 512) + [1] * (cut > 9 * 512) + [-100] * (cut < 11 * 512)
        assert len(errors) == (cut < 11 * 512)


def test_a_compressed_shard_that_is_cut(shards: list[Path], tmp_path: Path) -> None:
    data = gzip.compress(shards[0].read_bytes())
    (tmp_path / "a.tgz").write_bytes(data[: len(data) // 2])
    labels, errors = labels_and_errors(fastpre.data.Shards([tmp_path / "a.tgz"]))
    assert labels[:-1] == [100, 101][: len(labels) - 1]
    assert errors[0].startswith("a.tgz: cut off or damaged")


@pytest.mark.parametrize(("workers", "ahead"), ARRANGEMENTS)
def test_the_next_shard_goes_on(workers: int, ahead: int, shards: list[Path], want: torch.Tensor) -> None:
    data = shards[1].read_bytes()
    shards[1].write_bytes(data[: len(data) // 2])
    left = [label - 100 for label in labels_and_errors(fastpre.data.Shards([shards[1]]))[0][:-1]]
    assert 0 < len(left) < 4
    expected = [*range(4), *left, *range(8, 12)]
    dataset = fastpre.data.Shards(shards)
    options: dict[str, Any] = {"batch_size": 3, "num_workers": workers, "prefetch_batches": ahead}
    skipping = fastpre.data.Loader(dataset, SPEC, on_error="skip", **options)
    images, labels, errors = [], [], []
    for x, y in skipping:
        images.append(x)
        labels.append(y)
        errors.extend(skipping.errors)
    rows = torch.cat(labels) - 100
    assert (rows.tolist() if workers == 0 else sorted(rows.tolist())) == expected
    assert torch.equal(torch.cat(images), want[rows])
    assert len(errors) == 1
    assert errors[0].name == "shard-000001.tar"
    filling = fastpre.data.Loader(dataset, SPEC, on_error="fill", fill=7, **options)
    images, labels = zip(*filling, strict=True)
    (place,) = (torch.cat(labels) == -100).nonzero()
    assert (torch.cat(images)[place] == 7).all()
    raising = fastpre.data.Loader(dataset, SPEC, **options)
    with pytest.raises(fastpre.ImageReadError, match=rf"\(shard-000001\.tar\): .*; {len(left)} samples were read"):
        list(raising)


def test_lost_targets_cost_no_loss(shards: list[Path]) -> None:
    shards[1].write_bytes(b"")
    loader = fastpre.data.Loader(fastpre.data.Shards(shards), SPEC, batch_size=12, on_error="fill")
    ((_, labels),) = loader
    assert labels.tolist().count(-100) == 1
    logits = torch.zeros(len(labels), 200)
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    assert (loss == 0).tolist() == (labels == -100).tolist()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(b""), "no end-of-archive mark"),
        (lambda path: path.write_bytes(b"no archive" * 99), "cut off or damaged"),
        (lambda path: path.unlink(), "cannot be opened: FileNotFoundError"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be opened: IsADirectoryError"),
        (lambda path: path.write_bytes(flipped(path.read_bytes())), "cut off or damaged at byte"),
    ],
    ids=["empty", "text", "gone", "folder", "header"],
)
def test_what_can_happen_after_listing(damage: Callable[[Path], Any], reason: str, shards: list[Path]) -> None:
    dataset = fastpre.data.Shards(shards)
    damage(shards[1])
    labels, errors = labels_and_errors(dataset)
    assert [label for label in labels if label != -100 and not 104 <= label < 108] == [
        *range(100, 104),
        *range(108, 112),
    ]
    (error,) = errors
    assert error.startswith("shard-000001.tar: ")
    assert reason in error


def flipped(data: bytes) -> bytes:
    """With a damaged header in the middle, which `tarfile` takes for the archive's end."""
    at = data.index(b"class2/0005.jpg")
    return data[:at] + b"\xff" + data[at + 1 :]


def test_a_stream_that_fails(shards: list[Path]) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 20_000:
                raise ConnectionResetError("peer went away")
            return super().read(size)

    def refused() -> Any:
        raise PermissionError("no access")

    def failing() -> Any:
        opened.append(1)
        return (io.BytesIO if len(opened) > passes else Failing)(shards[0].read_bytes())

    passes = 99
    for retries in (0, 2):
        opened: list[int] = []
        dataset = fastpre.data.Shards([failing, refused, shards[1]], retries=retries, backoff_s=0)
        labels, errors = labels_and_errors(dataset)
        assert labels[-4:] == [104, 105, 106, 107]
        assert "ConnectionResetError: peer went away" in errors[0]
        assert errors[1] == "shard 1: cannot be opened: PermissionError: no access"
        assert len(opened) == 1 + retries
    opened, passes = [], 2
    labels, errors = labels_and_errors(fastpre.data.Shards([failing, shards[1]], retries=2, backoff_s=0))
    assert (labels, errors, len(opened)) == (list(range(100, 108)), [], 3)


def test_a_damaged_shard_is_not_opened_again(shards: list[Path]) -> None:
    opened: list[int] = []

    def cut() -> Any:
        opened.append(1)
        return io.BytesIO(shards[0].read_bytes()[:30_000])

    labels, errors = labels_and_errors(fastpre.data.Shards([cut], backoff_s=0))
    assert labels[-1] == -100
    assert (len(errors), len(opened)) == (1, 1)
    for wrong in ({"retries": -1}, {"backoff_s": -0.1}):
        with pytest.raises(ValueError, match="must be"):
            fastpre.data.Shards([cut], **wrong)  # type: ignore[arg-type]


def test_fewer_samples_than_the_index_has(shards: list[Path], tmp_path: Path, batch: list[bytes]) -> None:
    storage.write_index(tmp_path, shards)
    (short,) = storage.write_shards(tmp_path / "other", batch[4:6], 4)
    short.replace(shards[1])
    labels, errors = labels_and_errors(fastpre.data.Shards(tmp_path))
    assert labels == [*range(100, 104), 100, 101, -100, *range(108, 112)]
    assert errors == ["shard-000001.tar: it has 2 samples, and 4 by its index"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([("b.cls", b"1")], "b: it has no .jpg;jpeg file, only .cls"),
        ([("b.png", b""), ("b.cls", b"1")], "b: it has no .jpg;jpeg file, only .cls, .png"),
        ([("b.jpg", b""), ("b.txt", b"")], "b: it has no .cls file, only .jpg, .txt"),
        ([("b.txt", b"")], "b: it has no .jpg;jpeg and no .cls file, only .txt"),
        ([("b.jpg", b""), ("b.cls", b"1"), ("b.JPG", b"")], "b: it has two .jpg files"),
        ([("b.jpg", b""), ("b.cls", b"cat")], "b: its .cls cannot be read: invalid literal"),
    ],
)
def test_a_sample_that_lacks_something(files: list[tuple[str, bytes]], reason: str) -> None:
    data = archive([("a.jpg", b""), ("a.cls", b"0"), *files, ("c.jpg", b""), ("c.cls", b"2")])
    labels, errors = labels_and_errors(fastpre.data.Shards([lambda: io.BytesIO(data)]))
    assert labels == [0, -100, 2]
    assert errors[0].startswith(f"shard 0: {reason}")


def test_json_that_is_lost_collates(shards: list[Path], photo: bytes) -> None:
    """It is made like its neighbours'; where there are none, it is empty."""
    broken = archive([("a.jpg", photo), ("a.json", b"{"), ("a.cls", b"1")])
    deep = archive([("a.jpg", photo), ("a.json", b"[" * 100_000), ("a.cls", b"1")])
    places: list[Any] = [lambda: io.BytesIO(broken), lambda: io.BytesIO(deep), shards[0]]
    dataset = fastpre.data.Shards(places, ("jpg", "json", "cls"))
    assert [sample[1] for sample in dataset][:2] == [LOST, LOST]
    ((images, fields, labels),) = fastpre.data.Loader(dataset, SPEC, batch_size=9, on_error="fill")
    assert len(images) == 6
    assert fields["number"].tolist() == [-100, -100, 0, 1, 2, 3]
    assert fields["tags"] == [("", "", "a", "a", "a", "a")]
    assert labels.tolist() == [-100, -100, 100, 101, 102, 103]
    batches = list(fastpre.data.Loader(dataset, SPEC, batch_size=2, on_error="skip"))
    assert batches[0][1] == {}
    assert [len(images) for images, *_ in batches] == [0, 2, 2]


def test_blanks_are_of_the_same_kind() -> None:
    assert blank_like([3, True, "a", b"b", {"x": (1, "y")}]) == [-100, False, "", b"", {"x": (-100, "")}]
    assert blank_like(0.5) != blank_like(0.5)  # NaN
    assert torch.equal(blank_like(torch.ones(2)), torch.ones(2))
