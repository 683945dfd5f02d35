"""`fastpre pack`: what becomes of images, and shards as the libraries that read them see them."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image, ImageCms, ImageOps

import fastpre
import streams
from command_line import call
from fastpre import _progress

CLASSES = ["cat", "dog", "emu"]


def jpeg(width: int, height: int, seed: int = 0, mode: str = "RGB", **options: Any) -> bytes:
    return streams.encode(streams.picture(mode, width, height, seed), **{"quality": 92, **options})


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders: larger and smaller images of every kind, a bad one, something else."""
    root = tmp_path_factory.mktemp("tree") / "train"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    images = {
        "cat/large.jpg": jpeg(420, 300, 1),
        "cat/small.jpg": jpeg(120, 90, 2),
        "cat/progressive.JPEG": jpeg(130, 110, 3, progressive=True),
        "cat/large.progressive.jpg": jpeg(300, 330, 4, progressive=True),
        "dog/gray.jpg": jpeg(320, 280, 5, "L"),
        "dog/cmyk.jpg": jpeg(300, 290, 6, "CMYK", icc_profile=profile),
        "dog/turned.jpg": jpeg(310, 280, 7, orientation=6),
        "dog/small_turned.jpg": jpeg(100, 60, 8, orientation=8),
        "dog/deep/profile.jpg": jpeg(300, 300, 9, icc_profile=profile, comment=b"words"),
        "dog/bad.jpg": jpeg(200, 200, 10)[:1500],
    }
    for name, data in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "emu").mkdir()
    (root / "notes.txt").write_text("no picture")
    return root


LABELS = {
    "cat/large": 0,
    "cat/small": 0,
    "cat/progressive": 0,
    "cat/large_progressive": 0,
    "dog/gray": 1,
    "dog/cmyk": 1,
    "dog/turned": 1,
    "dog/small_turned": 1,
    "dog/deep/profile": 1,
}


def pack(tree: Path, out: Path, *options: object) -> dict[str, bytes]:
    """JPEGs by key, after a run that has gone well."""
    result = call("pack", tree, "-o", out, *options)
    assert result.exit_code == 0, result.output
    return jpegs(out)


def jpegs(out: Path) -> dict[str, bytes]:
    """As Python's tarfile reads them, each held against the shard's index and the folder's."""
    index = json.loads((out / "index.json").read_text())
    found: dict[str, bytes] = {}
    for shard in index["shards"]:
        data = (out / shard["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (shard["bytes"], shard["sha256"])
        images: dict[str, bytes] = {}
        labels: dict[str, int] = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                assert (member.mtime, member.uid, member.gid, member.uname, member.mode) == (0, 0, 0, "", 0o644)
                key, _, suffix = member.name.partition(".")
                if suffix == "jpg":
                    images[key] = file.read()
                else:
                    assert suffix == "cls"
                    labels[key] = int(file.read())
        beside = json.loads((out / shard["name"].replace(".tar", ".idx.json")).read_text())
        assert beside["keys"] == list(images)
        assert len(images) == shard["samples"]
        assert beside["labels"] == ([labels[key] for key in images] if index["classes"] else None)
        for key, offset, size in zip(beside["keys"], beside["offsets"], beside["sizes"], strict=True):
            assert data[offset : offset + size] == images[key]
        assert not found.keys() & images.keys()
        found |= images
    return found


def pixels(data: bytes, mode: str | None = None) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode) if mode else image)


def original(tree: Path, key: str) -> bytes:
    (path,) = (p for p in tree.rglob("*") if p.with_suffix("").relative_to(tree).as_posix().replace(".", "_") == key)
    return path.read_bytes()


def test_without_options_images_are_as_they_were(tree: Path, tmp_path: Path) -> None:
    result = call("pack", tree, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    packed = jpegs(tmp_path / "out")
    assert packed == {key: original(tree, key) for key in LABELS}
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert index["version"] == 1
    assert index["format"] == "tar"
    assert index["classes"] == json.loads((tmp_path / "out" / "classes.json").read_text()) == CLASSES
    assert "bad file dog/bad.jpg: CorruptImage: truncated" in result.stderr
    assert "skipped: 1 other file" in result.stderr
    assert "9 packed, 1 failed; 3 classes" in result.stdout
    assert "9 unchanged" in result.stdout
    assert "(100.0%)" in result.stdout


def test_webdataset_reads_it(tree: Path, tmp_path: Path) -> None:
    pack(tree, tmp_path / "out", "--shard-size", 4)
    urls = [str(path) for path in sorted((tmp_path / "out").glob("*.tar"))]
    assert len(urls) == 3
    pipeline = webdataset.WebDataset(urls, shardshuffle=False).decode("pil").to_tuple("__key__", "jpg", "cls")
    read = {key: (np.asarray(image), label) for key, image, label in pipeline}
    assert {key: label for key, (_, label) in read.items()} == LABELS
    for key, (image, _) in read.items():
        np.testing.assert_array_equal(image, pixels(original(tree, key), "RGB"))


@pytest.mark.parametrize("labelled", [True, False])
def test_datasets_reads_parquet(tree: Path, tmp_path: Path, labelled: bool) -> None:
    options = [] if labelled else ["--labels", "none"]
    result = call("pack", tree, "-o", tmp_path / "out", "--format", "parquet", "--shard-size", 5, *options)
    assert result.exit_code == 0, result.output
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert [(s["name"], s["samples"]) for s in index["shards"]] == [
        ("shard-000000.parquet", 5),
        ("shard-000001.parquet", 4),
    ]
    rows = [row for s in index["shards"] for row in pq.read_table(tmp_path / "out" / s["name"]).to_pylist()]
    assert {row["image"]["path"][:-4]: row["image"]["bytes"] for row in rows} == {
        key: original(tree, key) for key in LABELS
    }
    files = [str(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert isinstance(loaded.features["image"], datasets.Image)
    assert ("label" in loaded.features) == labelled
    if labelled:
        assert loaded.features["label"].names == CLASSES
        assert [row["label"] for row in loaded] == [LABELS[row["image"]["path"][:-4]] for row in rows]
    for row, image in zip(rows, loaded["image"], strict=True):
        with Image.open(io.BytesIO(row["image"]["bytes"])) as upright:  # as `datasets` turns them
            np.testing.assert_array_equal(np.asarray(image), np.asarray(ImageOps.exif_transpose(upright)))
    undecoded = loaded.cast_column("image", datasets.Image(decode=False))
    assert fastpre.decode_resize_normalize(undecoded["image"]).shape == (9, 3, 224, 224)


def test_resize(tree: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = call("pack", tree, "-o", out, "--resize", 200, "--quality", 95)
    assert result.exit_code == 0, result.output
    packed = jpegs(out)
    assert "7 re-encoded, 2 unchanged" in result.stdout
    for key, data in packed.items():
        before = original(tree, key)
        with Image.open(io.BytesIO(before)) as image:
            if key in ("cat/small", "cat/progressive"):
                assert data == before
                continue
            upright = ImageOps.exif_transpose(image).convert("L" if image.mode == "L" else "RGB")
        scale = min(upright.size) / 200
        if scale > 1:  # to the nearest pixel
            size = (round(upright.width / scale), round(upright.height / scale))
            upright = upright.resize(size, Image.Resampling.BICUBIC)
        with Image.open(io.BytesIO(data)) as image:
            assert (image.size, image.mode) == (upright.size, upright.mode), key
            assert image.getexif().get(0x0112, 1) == 1
            assert ("icc_profile" in image.info) == (key == "dog/deep/profile")
            assert image.info.get("comment") is None
            assert not image.info.get("progressive")
        header = fastpre.plan(data).header
        assert header["sampling"] == [(1, 1)] * header["components"]
        assert header["restart_interval"] == -(-header["width"] // 8)
        # Nothing but the encoder's loss lies between: what Pillow would encode of Pillow's own pixels, it has encoded.
        again = streams.encode(upright, quality=95, subsampling=0)
        np.testing.assert_array_equal(pixels(data), pixels(again), key)


@pytest.mark.parametrize(("subsampling", "luma"), [("4:4:4", (1, 1)), ("4:2:2", (2, 1)), ("4:2:0", (2, 2))])
def test_choices_of_the_encoder(tree: Path, tmp_path: Path, subsampling: str, luma: tuple[int, int]) -> None:
    options = ["--reencode-all", "--subsampling", subsampling, "--no-optimize", "--restart-rows", 0]
    sizes = []
    for quality in (40, 90):
        packed = pack(tree, tmp_path / str(quality), *options, "--quality", quality, "--metadata", "none")
        for key, data in packed.items():
            header = fastpre.plan(data).header
            assert header["restart_interval"] == 0
            if header["components"] == 3:
                assert header["sampling"] == [luma, (1, 1), (1, 1)]
            stored = fastpre.plan(original(tree, key)).size
            turned = fastpre.plan(original(tree, key)).header["orientation"] > 4
            assert (header["height"], header["width"]) == (stored[::-1] if turned else stored)
            assert b"ICC_PROFILE" not in data
        sizes.append(sum(map(len, packed.values())))
    assert sizes[0] < sizes[1] / 2
    tables = pack(tree, tmp_path / "optimized", "--reencode-all", "--subsampling", subsampling, "--restart-rows", 0)
    assert sum(map(len, tables.values())) < sizes[1]


@pytest.mark.parametrize("restart_rows", [0, 2])
def test_transcode(tree: Path, tmp_path: Path, restart_rows: int) -> None:
    options = ["--transcode", "--restart-rows", restart_rows, "--metadata", "all"]
    packed = pack(tree, tmp_path / "out", *options)
    assert packed.keys() == LABELS.keys()
    for key, data in packed.items():
        before = original(tree, key)
        np.testing.assert_array_equal(pixels(data), pixels(before), key)
        header, was = fastpre.plan(data).header, fastpre.plan(before).header
        assert not header["progressive"]
        assert header["orientation"] == was["orientation"]
        assert (header["restart_interval"] > 0) == (restart_rows > 0)
    assert b"words" in packed["dog/deep/profile"]


def test_crop(tree: Path, tmp_path: Path) -> None:
    packed = pack(tree, tmp_path / "out", "--transcode", "--crop", "96x128")
    for key, data in packed.items():
        height, width = pixels(original(tree, key)).shape[:2]
        assert pixels(data).shape[:2] == (min(96, height), min(128, width)), key


def test_resize_and_transcode(tree: Path, tmp_path: Path) -> None:
    result = call("pack", tree, "-o", tmp_path / "out", "--resize", 200, "--transcode", "--json")
    report = json.loads(result.stdout)
    assert report["how"] == {"re-encoded": 7, "transcoded": 2}
    assert report["not_transcoded"] == {}
    assert [failure["name"] for failure in report["failed"]] == ["dog/bad.jpg"]
    assert report["bytes_after"] == sum(map(len, jpegs(tmp_path / "out").values()))
    assert report["bytes_before"] == sum(len(original(tree, key)) for key in LABELS)
    assert report["recipe"]["resize"] == 200
    np.testing.assert_array_equal(
        pixels(jpegs(tmp_path / "out")["cat/progressive"]), pixels(original(tree, "cat/progressive"))
    )


def test_what_cannot_be_transcoded_stays_and_is_said(tmp_path: Path) -> None:
    """A stream with damage that decoders put up with is no bad file."""
    (tmp_path / "photos").mkdir()
    odd = jpeg(100, 80)[:-2] + bytes(range(1, 41)) + b"\xff\xd9"
    (tmp_path / "photos" / "odd.jpg").write_bytes(odd)
    result = call("pack", tmp_path / "photos", "-o", tmp_path / "out", "--transcode")
    assert result.exit_code == 0, result.output
    assert "1 unchanged" in result.stdout
    assert "not transcoded: 1: libjpeg-turbo" in result.stdout
    assert "extraneous bytes" in result.stdout
    assert jpegs(tmp_path / "out") == {"odd": odd}


@pytest.mark.parametrize("file_format", ["tar", "parquet"])
def test_any_number_of_threads_gives_the_same_bytes(tree: Path, tmp_path: Path, file_format: str) -> None:
    folders = []
    for threads in (1, 3, 8):
        out = tmp_path / str(threads)
        options = ["--resize", 200, "--transcode", "--shard-size", 2, "--format", file_format]
        assert call("pack", tree, "-o", out, "--threads", threads, *options).exit_code == 0
        folders.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert folders[0] == folders[1] == folders[2]
    assert len(folders[0]) == (12 if file_format == "tar" else 7)


def test_order(tree: Path, tmp_path: Path) -> None:
    found = {
        name: list(pack(tree, tmp_path / name, *options))
        for name, options in {"a": [], "b": ["--seed", 0], "c": ["--seed", 1], "sorted": ["--in-order"]}.items()
    }
    assert found["a"] == found["b"]
    assert len({tuple(order) for order in found.values()}) == 3
    assert all(sorted(order) == sorted(LABELS) for order in found.values())
    assert [key.split("/")[0] for key in found["sorted"]] == ["cat"] * 4 + ["dog"] * 5


@pytest.mark.parametrize(("size", "largest"), [("40kB", 40_000), ("100KiB", 102_400), ("0.1MB", 100_000)])
def test_shards_are_as_large_as_they_may_be(tree: Path, tmp_path: Path, size: str, largest: int) -> None:
    pack(tree, tmp_path / "out", "--shard-size", size)
    shards = json.loads((tmp_path / "out" / "index.json").read_text())["shards"]
    assert len(shards) > 1
    for shard in shards:
        assert shard["bytes"] <= largest or shard["samples"] == 1
    assert all(a["bytes"] + b["bytes"] > largest for a, b in itertools.pairwise(shards))


def test_keys_are_what_webdataset_takes(tmp_path: Path) -> None:
    root = tmp_path / "odd"
    names = ["a.b.jpg", "a_b.jpg", "a_b.jpeg", "__c__/d.jpg", "e f.jpg", "ü.jpg", f"{'long' * 40}.jpg"]
    for i, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(jpeg(20 + i, 20))
    (root / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg(40, 20))
    packed = pack(root, tmp_path / "out", "--labels", "none", "--in-order")
    assert list(packed) == ["a_b", "a_b-2", "a_b-3", "caf\\xe9", "e f", "long" * 40, "ü", "_c__/d"]
    urls = [str(tmp_path / "out" / "shard-000000.tar")]
    read = {s["__key__"]: s["jpg"] for s in webdataset.WebDataset(urls, shardshuffle=False)}
    assert read == packed


def test_labels(tree: Path, tmp_path: Path) -> None:
    root = tmp_path / "mixed"
    (root / "cat").mkdir(parents=True)
    (root / "cat" / "a.jpg").write_bytes(jpeg(30, 30))
    (root / "dog").symlink_to(tree / "dog")
    (root / "beside.jpg").write_bytes(jpeg(40, 40))
    refused = call("pack", root, "-o", tmp_path / "out")
    assert refused.exit_code == 2
    assert "beside.jpg, lie beside the class folders" in " ".join(refused.stderr.split())
    assert not (tmp_path / "out").exists()
    assert "beside" in pack(root, tmp_path / "none", "--labels", "none")
    assert json.loads((tmp_path / "none" / "classes.json").read_text()) == []
    packed = pack(root, tmp_path / "folders", "--labels", "folders")
    assert packed.keys() == {"cat/a", *(key for key in LABELS if key.startswith("dog/"))}
    assert json.loads((tmp_path / "folders" / "classes.json").read_text()) == ["cat", "dog"]
    flat = call("pack", tree / "cat", "-o", tmp_path / "flat", "--labels", "folders")
    assert flat.exit_code == 2
    assert "no images in folders" in flat.stderr


def test_progress_says_what_is_done(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_progress, "INTERVAL_S", 0.0)
    result = call("pack", tree, "-o", tmp_path / "out")
    assert "9 of 10 images" in result.stderr
