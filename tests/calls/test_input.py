"""Every kind of image source, and the kinds that are refused."""

from __future__ import annotations

import array
import io
import mmap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import fastpre
from reference import assert_equal, preprocess

PRE = fastpre.Preprocessor(fastpre.Spec(resize=40, crop=32), num_threads=2)


@pytest.fixture(scope="module")
def want(photo: bytes) -> torch.Tensor:
    return preprocess(photo, resize=40, crop=32)


def spaced(photo: bytes) -> np.ndarray:
    return np.repeat(np.frombuffer(photo, np.uint8), 3)[::3]


KINDS: dict[str, Callable[[bytes], Any]] = {
    "bytes": lambda b: b,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "part of a memoryview": lambda b: memoryview(b"xx" + b + b"yy")[2:-2],
    "array.array": lambda b: array.array("B", b),
    "numpy": lambda b: np.frombuffer(b, np.uint8),
    "numpy, spaced": spaced,
    "numpy, part": lambda b: np.frombuffer(b"xx" + b, np.uint8)[2:],
    "torch": lambda b: torch.frombuffer(bytearray(b), dtype=torch.uint8),
    "torch, spaced": lambda b: torch.from_numpy(np.ascontiguousarray(spaced(b))).repeat_interleave(2)[::2],
}


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_of_every_kind(kind: str, photo: bytes, want: torch.Tensor) -> None:
    source = KINDS[kind](photo)
    tensor = PRE([source, source])
    assert_equal(tensor[0], want, kind)
    assert_equal(tensor[1], want, kind)


def test_paths(photo: bytes, want: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "ein Bild, größer.jpg"
    path.write_bytes(photo)
    for source in (path, str(path)):
        assert_equal(PRE([source])[0], want)
    result = PRE.run([path, photo])
    assert result.images[0].stages_us["read"] > 0
    assert result.images[1].stages_us["read"] == 0


def test_mapped_file(photo: bytes, want: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo)
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert_equal(PRE([mapped])[0], want)


class Reader:
    """Whatever has a `.read()`, as an archive's or a network's file."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def read(self) -> Any:
        if isinstance(self.data, Exception):
            raise self.data
        return self.data


def test_open_files(photo: bytes, want: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"before" + photo)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in.jpg", photo)
    with open(path, "rb") as file, zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("in.jpg") as member:
        file.seek(6)
        within = io.BytesIO(b"xx" + photo)
        within.seek(2)
        sources = [file, within, member, Reader(photo), Reader(bytearray(photo))]
        assert_equal(PRE(sources), want.expand(5, *want.shape))
        assert file.read() == within.read() == member.read() == b""
        file.seek(0)
        (error,) = PRE.run([file], on_error="fill").errors
        assert isinstance(error, fastpre.CorruptImage)
        assert error.name == str(path)


def test_a_file_opened_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"text")
    with open(path) as file, pytest.raises(TypeError, match=r"image 0: .*gave str; open files with mode 'rb'"):
        PRE([file])


@pytest.mark.parametrize("error", [OSError("the network is down"), zipfile.BadZipFile("bad CRC"), ValueError("closed")])
def test_a_file_that_cannot_be_read_costs_itself_only(error: Exception, photo: bytes) -> None:
    result = PRE.run([photo, Reader(error)], on_error="skip")
    assert result.indices == [0]
    (failed,) = result.errors
    assert isinstance(failed, fastpre.ImageReadError)
    assert failed.reason == f"cannot read: {type(error).__name__}: {error}"


def test_dicts_of_bytes_and_path(photo: bytes, want: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo)
    rows = [
        {"bytes": photo, "path": "not/looked/at.jpg"},
        {"bytes": photo, "path": None},
        {"bytes": None, "path": str(path)},
        {"bytes": photo},
        {"path": path},
    ]
    assert_equal(PRE(rows), want.expand(5, *want.shape))
    bad = [{"bytes": b"", "path": "a.jpg"}, {"bytes": None, "path": None}]
    errors = PRE.run(bad, on_error="skip").errors
    assert [str(error).partition(":")[0] for error in errors] == ["image 0 (a.jpg)", "image 1"]
    assert [type(error) for error in errors] == [fastpre.CorruptImage, fastpre.ImageReadError]


@pytest.mark.parametrize("item", [{"image": b"", "label": 3}, {}, {"bytes": b"", "path": "", "sha": ""}])
def test_other_dicts_are_refused_with_their_keys(item: dict[str, Any], photo: bytes) -> None:
    keys = ", ".join(map(repr, item)) or "nothing"
    with pytest.raises(TypeError, match=rf"image 1: expected a dict of 'bytes' and 'path', got one of {keys};"):
        PRE([photo, item])


def test_kinds_in_one_batch(photo: bytes, want: torch.Tensor, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo)
    sources = [path, *(make(photo) for make in KINDS.values())]
    assert_equal(PRE(sources), want.expand(len(sources), *want.shape))


def test_any_iterable(photo: bytes, want: torch.Tensor) -> None:
    for images in (
        (photo, photo),
        iter([photo, photo]),
        (photo for _ in range(2)),
        np.stack([np.frombuffer(photo, np.uint8)] * 2),
    ):
        assert_equal(PRE(images), torch.stack([want, want]))


def test_inputs_are_not_changed(photo: bytes) -> None:
    source = bytearray(photo)
    PRE([source])
    assert source == photo
    source.extend(b"the buffer is not locked after the call")


def test_none_is_a_missing_image(photo: bytes) -> None:
    """As a column of a data set has it: that image's trouble, and not the batch's."""
    r = PRE.run([photo, None], on_error="skip")
    assert r.indices == [0]
    assert isinstance(r.images[1].error, fastpre.ImageReadError)
    assert "None" in str(r.images[1].error)


@pytest.mark.parametrize(
    ("item", "hint"),
    [
        ("https://example.com/cat.jpg", "this is a URL"),
        ("s3://bucket/cat.jpg", "this is a URL"),
        ("data:image/jpeg;base64,/9j/4AAQ", "data URL"),
        ("/9j/4AAQSkZJRgABAQAAAQABAAD", "base64"),
        ("/9j/" + "A" * 20_000, "base64"),
    ],
    ids=range(5),
)
def test_a_string_that_is_no_path_says_what_it_is(item: str, hint: str) -> None:
    error = PRE.run([item], on_error="fill").images[0].error
    assert isinstance(error, fastpre.ImageReadError)
    assert hint in error.reason


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (7, "int"),
        (2.5, "float"),
        ([1, 2], "list"),
        (Image.new("RGB", (4, 4)), r"PIL Image.*DecodeResizeNormalize\(\)\(image\)"),
        (torch.zeros(3, 8, 8), r"3-D torch\.float32: a 3-D tensor is decoded already"),
        (np.zeros((8, 8, 3), np.uint8), "3-D uint8: a 3-D array is decoded already"),
        (memoryview(b"abcdef")[::2], "contiguous"),
        (np.zeros(9, np.float32), "1-D float32"),
        (np.zeros((3, 3), np.uint8), "2-D uint8"),
        (np.zeros(9, np.int8), "1-D int8"),
        (torch.zeros(9), r"1-D torch\.float32"),
        (torch.zeros(3, 3, dtype=torch.uint8), r"2-D torch\.uint8"),
        (torch.zeros(9, dtype=torch.uint8, device="meta"), "must be on the CPU"),
        (array.array("H", [1, 2]), "2-byte items"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_wrong_kinds_name_their_index(item: Any, message: str, photo: bytes) -> None:
    with pytest.raises(TypeError, match=rf"image 1: .*{message}"):
        PRE([photo, item])


@pytest.mark.parametrize(
    "images",
    [
        *(b"abc", bytearray(b"abc"), memoryview(b"abc"), "a.jpg", Path("a.jpg"), np.zeros(5, np.uint8), torch.zeros(5)),
        *(io.BytesIO(b"abc"), {"bytes": b"abc", "path": None}),
    ],
)
def test_one_image_is_no_batch(images: Any) -> None:
    with pytest.raises(TypeError, match=r"for one image pass \[image\]"):
        PRE(images)


@pytest.mark.parametrize("images", [None, 5])
def test_no_sequence(images: Any) -> None:
    with pytest.raises(TypeError):
        PRE(images)


def test_missing_path(tmp_path: Path, photo: bytes) -> None:
    missing = tmp_path / "missing.jpg"
    with pytest.raises(fastpre.ImageReadError, match="No such file") as caught:
        fastpre.decode_resize_normalize([photo, missing])
    assert isinstance(caught.value, fastpre.ImageError)
    assert caught.value.index == 1
    assert caught.value.name == str(missing)
    assert str(missing) in str(caught.value)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(fastpre.ImageError):
        fastpre.decode_resize_normalize([tmp_path])
