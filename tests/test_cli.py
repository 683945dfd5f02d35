"""The command line, as a user calls it: exit codes, files, and what is printed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch
from click.testing import CliRunner, Result
from PIL import Image

import fastpre
import streams
from fastpre.cli import main
from fastpre.cli.doctor import gray_jpeg
from fastpre.cli.files import find, printable
from fastpre.cli.inspect import subsampling
from fastpre.cli.shards import shard_paths


def call(*args: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in args])


def metadata(path: Path) -> dict[str, str]:
    with safetensors.safe_open(path, framework="numpy") as f:
        return f.metadata()  # type: ignore[no-any-return]


def images(path: Path) -> Any:
    return safetensors.numpy.load_file(path)["images"]


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


GOOD = ["a.jpg", "b.JPEG", "e.jfif", "deep/c.Jpg", "deep/d.jpe"]


def test_run_writes_the_tensor_and_names_the_bad_file(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out.safetensors"
    result = call("run", folder, "-o", out)
    assert result.exit_code == 0, result.output
    expected = fastpre.decode_resize_normalize([folder / name for name in GOOD])
    np.testing.assert_array_equal(images(out), expected.numpy())
    meta = metadata(out)
    assert json.loads(meta["files"]) == GOOD
    assert meta["spec"] == repr(fastpre.Spec())
    assert meta["fastpre"] == fastpre.__version__
    assert meta["layout"] == "NCHW"
    assert "bad file deep/bad.jpg: CorruptImage: " in result.stderr
    assert "bad.jpg" not in result.stdout
    for word in ("5 kept, 1 failed", "images/s", "read", "header", "decode", "resample", "normalize"):
        assert word in result.stdout


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_run_writes_every_dtype_and_layout(folder: Path, tmp_path: Path, dtype: str, channels_last: bool) -> None:
    out, sheet = tmp_path / "out.safetensors", tmp_path / "sheet.png"
    flags = ["--channels-last"] if channels_last else []
    result = call("run", folder, "-o", out, "--dtype", dtype, "--batch-size", 2, "--preview", sheet, *flags)
    assert result.exit_code == 0, result.output
    with safetensors.safe_open(out, framework="pt") as f:
        stored = f.get_tensor("images")
    nchw = stored.permute(0, 3, 1, 2) if channels_last else stored
    expected = fastpre.decode_resize_normalize([folder / name for name in GOOD], dtype=getattr(torch, dtype))
    assert nchw.dtype == expected.dtype
    assert torch.equal(nchw, expected)
    assert metadata(out)["layout"] == ("NHWC" if channels_last else "NCHW")
    with Image.open(sheet) as image:
        assert image.format == "PNG"


def test_run_passes_all_options_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    result = call(
        *("run", folder, "-o", out, "--resize", "200x180", "--crop", "96x128", "--interpolation", "lanczos"),
        *("--mean", "0.5", "--std", "0.25,0.5,1", "--color", "BGR", "--exif-orientation", "--fidelity", "fast"),
        *("--max-pixels", 1_000_000, "--max-bytes", 500_000, "--threads", 1),
    )
    assert result.exit_code == 0, result.output
    spec = fastpre.Spec(
        resize=(200, 180),
        crop=(96, 128),
        interpolation="lanczos",
        mean=0.5,
        std=(0.25, 0.5, 1),
        color="BGR",
        exif_orientation=True,
        fidelity="fast",
        max_pixels=1_000_000,
        max_bytes=500_000,
    )
    assert metadata(out)["spec"] == repr(spec)
    expected = fastpre.Preprocessor(spec)([folder / name for name in GOOD])
    np.testing.assert_array_equal(images(out), expected.numpy())


def test_run_writes_shards(folder: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.safetensors", tmp_path / "out.safetensors"
    assert call("run", folder, "-o", whole).exit_code == 0
    result = call("run", folder, "-o", out, "--shard-size", 2, "--batch-size", 3)
    assert result.exit_code == 0, result.output
    shards = [tmp_path / f"out-{i:05}-of-00003.safetensors" for i in (1, 2, 3)]
    assert not out.exists()
    assert [len(images(shard)) for shard in shards] == [2, 1, 2]  # bad.jpg is the fourth of six
    np.testing.assert_array_equal(np.concatenate([images(shard) for shard in shards]), images(whole))
    assert [name for shard in shards for name in json.loads(metadata(shard)["files"])] == GOOD


def test_shard_names() -> None:
    assert shard_paths("a/o.safetensors", 4, 4) == ["a/o.safetensors"]
    assert shard_paths("a/o.safetensors", 5, 4) == ["a/o-00001-of-00002.safetensors", "a/o-00002-of-00002.safetensors"]


def test_strict_makes_a_bad_file_fatal(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    result = call("run", folder, "-o", out, "--strict")
    assert result.exit_code == 1
    assert "bad.jpg" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]
    (folder / "deep" / "bad.jpg").unlink()
    assert call("run", folder, "-o", out, "--strict").exit_code == 0


def test_nothing_usable_is_a_failure(folder: Path, tmp_path: Path) -> None:
    result = call("run", folder / "deep" / "bad.jpg", "-o", tmp_path / "out.safetensors", "--compare")
    assert result.exit_code == 1
    assert "nothing was written" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]


def test_run_json_is_the_whole_stdout(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    result = call("run", folder, "-o", out, "--json", "--compare")
    report = json.loads(result.stdout)
    assert report["images"] == 5
    assert report["shape"] == [5, 3, 224, 224]
    assert report["outputs"] == [str(out)]
    assert [f["name"] for f in report["failed"]] == ["deep/bad.jpg"]
    assert set(report["stages_us"]) == {"read", "header", "decode", "resample", "normalize"}
    assert report["stages_us"]["decode"] > 0
    assert report["images_per_s"] == pytest.approx(5 / report["preprocess_s"])
    assert report["compare"]["files"] == report["compare"]["bit_equal"] == report["compare"]["timed"] == 5
    assert list(report["compare"]["rates"]) == ["fastpre", "torchvision (PIL)", "torchvision (tensor)"]


@pytest.mark.parametrize(
    "options",
    [
        ["--color", "BGR"],
        ["--color", "L", "--dtype", "uint8"],
        ["--interpolation", "hamming"],
        ["--exif-orientation", "--dtype", "float16"],
        ["--resize", "none", "--mean", "none", "--std", "none"],
    ],
)
def test_compare_is_bit_equal_whatever_the_options(folder: Path, tmp_path: Path, options: list[str]) -> None:
    result = call("run", folder, "-o", tmp_path / "out.safetensors", "--compare", *options)
    assert result.exit_code == 0, result.output
    assert "bit-equal to torchvision's PIL path on 5 of 5 files" in result.stdout
    assert ("torchvision (tensor) left out" in result.stdout) == ("hamming" in options)


def test_compare_notices_a_difference(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = fastpre.Preprocessor(fastpre.Spec(interpolation="box"))
    from fastpre.cli import compare
    from fastpre.cli.reference import Contestant

    monkeypatch.setattr(compare, "fastpre_contestant", lambda spec: Contestant("fastpre", other))
    result = call("run", folder, "-o", tmp_path / "out.safetensors", "--compare")
    assert "on 0 of 5 files" in result.stdout


def test_the_contact_sheet_shows_the_pictures(tmp_path: Path) -> None:
    for name, colour in (("red.jpg", (255, 0, 0)), ("blue.jpg", (0, 0, 255))):
        Image.new("RGB", (64, 64), colour).save(tmp_path / name, quality=95)
    sheet = tmp_path / "sheet.png"
    call("run", tmp_path, "-o", tmp_path / "o.safetensors", "--preview", sheet, "--resize", "64", "--crop", "64")
    with Image.open(sheet) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    blue = np.argwhere((pixels - (0, 0, 255) < 8).all(-1) & (pixels[..., 2] > 247) & (pixels[..., 0] < 8))
    red = np.argwhere((pixels[..., 0] > 247) & (pixels[..., 1:] < 8).all(-1))
    assert len(blue) == len(red) == 64 * 64
    assert blue.max(0)[1] < red.min(0)[1]  # sorted by name, side by side
    beneath = pixels[blue.max(0)[0] + 1 :]
    assert (beneath < 128).all(-1).any()  # the names


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "{folder}"],
        ["run", "{folder}", "-o", "{out}", "--resize", "wide"],
        ["run", "{folder}", "-o", "{out}", "--crop", "0"],
        ["run", "{folder}", "-o", "{out}", "--crop", "none"],
        ["run", "{folder}", "-o", "{out}", "--mean", "none"],
        ["run", "{folder}", "-o", "{out}", "--mean", "1,2"],
        ["run", "{folder}", "-o", "{out}", "--std", "0"],
        ["run", "{folder}/absent", "-o", "{out}"],
        ["run", "{folder}/empty", "-o", "{out}"],
        ["run", "{folder}", "-o", "{folder}/notes.txt/out.safetensors"],
        ["inspect"],
        ["bench", "{folder}/empty"],
        ["fly"],
    ],
)
def test_wrong_usage_is_exit_code_2(folder: Path, tmp_path: Path, arguments: list[str]) -> None:
    (folder / "empty").mkdir()
    out = tmp_path / "out.safetensors"
    result = call(*(a.format(folder=folder, out=out) for a in arguments))
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stderr
    assert not out.exists()


def test_inspect_shows_the_plan(folder: Path) -> None:
    result = call("inspect", folder / "a.jpg")
    assert result.exit_code == 0
    for text in ("300 x 260 pixels", "4:2:0", "baseline", "224 x 224", "cost"):
        assert text in result.stdout


def test_inspect_json_and_a_bad_file(folder: Path) -> None:
    result = call("inspect", "--json", "--crop", "100", folder / "a.jpg", folder / "deep" / "bad.jpg", folder / "gone")
    assert result.exit_code == 1
    good, bad, gone = json.loads(result.stdout)
    assert good["output"] == [100, 100]
    assert good["header"]["width"] == 300
    assert bad["error"] == "CorruptImage"
    assert bad["reason"] in result.stderr
    assert gone["error"] == "ImageReadError"


@pytest.mark.parametrize(
    ("sampling", "name"),
    [
        ([(1, 1)], "gray"),
        ([(2, 2)], "gray"),
        ([(2, 2), (1, 1), (1, 1)], "4:2:0"),
        ([(2, 1), (1, 1), (1, 1)], "4:2:2"),
        ([(1, 1)] * 3, "4:4:4"),
        ([(2, 2)] * 3, "4:4:4"),
        ([(1, 1)] * 4, "4:4:4:4"),
        ([(2, 2), (2, 1), (1, 1)], "2x2 2x1 1x1"),
    ],
)
def test_subsampling_names(sampling: list[tuple[int, int]], name: str) -> None:
    assert subsampling(sampling) == name


def test_doctor_checks_itself() -> None:
    result = call("doctor", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["fastpre"] == fastpre.__version__
    assert report["active_target"] in report["targets"]
    assert report["libraries"]["numpy"] == np.__version__
    assert {"flat gray", "Pillow", "CUDA kernels, emulated"} <= set(report["checks"])
    assert all(check["ok"] for check in report["checks"].values()), report["checks"]
    assert "CUDA" in call("doctor").stdout


def test_doctor_fails_when_pixels_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastpre.cli import doctor

    monkeypatch.setattr(doctor, "gray_jpeg", lambda level: gray_jpeg(level + 1))
    result = call("doctor")
    assert result.exit_code == 2
    assert "FAILED" in result.stdout


@pytest.mark.parametrize("level", [129, 160, 200, 255])
def test_the_hand_written_jpeg_is_one(level: int, tmp_path: Path) -> None:
    path = tmp_path / "gray.jpg"
    path.write_bytes(gray_jpeg(level))
    with Image.open(path) as image:
        assert (np.asarray(image) == level).all()


def test_bench_compares_checked_results(folder: Path) -> None:
    result = call("bench", folder, "--rounds", 2, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["images"] == 5
    assert report["results"]["fastpre"]["ratio"] == 1
    for exact in ("fastpre", "torchvision (PIL)", "Pillow + NumPy"):
        assert report["results"][exact]["max_difference"] == 0
    for entry in report["results"].values():
        rate = entry["images_per_s"]
        assert 0 < rate["least"] <= rate["median"] <= rate["most"]
    table = call("bench", folder, "--rounds", 1).stdout
    assert "bit-equal" in table
    assert "torchvision (PIL)" in table


def test_find_sorts_and_names(folder: Path) -> None:
    files, unreadable = find([str(folder)])
    assert [f.name for f in files] == ["a.jpg", "b.JPEG", "e.jfif", "deep/bad.jpg", "deep/c.Jpg", "deep/d.jpe"]
    assert unreadable == []
    both, _ = find([str(folder / "deep"), str(folder / "notes.txt")])
    assert [f.name for f in both] == [str(folder / "deep" / n) for n in ("bad.jpg", "c.Jpg", "d.jpe")] + [
        str(folder / "notes.txt")
    ]


def test_file_names_of_any_bytes(tmp_path: Path, photo: bytes) -> None:
    name = b"caf\xe9 \x1b[31m\n.jpg"
    try:
        Path(str(tmp_path).encode().decode() + "/" + name.decode("utf-8", "surrogateescape")).write_bytes(photo)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    out = tmp_path / "out.safetensors"
    result = call("run", tmp_path, "-o", out, "--preview", tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    assert json.loads(metadata(out)["files"]) == [name.decode("utf-8", "surrogateescape")]
    assert printable(name.decode("utf-8", "surrogateescape")) == r"caf\xe9 \x1b[31m\n.jpg"


@pytest.mark.parametrize("command", ["run", "inspect", "doctor", "bench"])
def test_help_has_an_example(command: str) -> None:
    text = call(command, "--help").stdout
    assert f"fastpre {command}" in text.partition("Example:")[2]


def test_help_documents_the_exit_codes() -> None:
    text = call("--help").stdout
    assert all(f"\n    {code}  " in text for code in (0, 1, 2))
    assert isinstance(main, click.Group)


def test_python_dash_m() -> None:
    done = subprocess.run([sys.executable, "-m", "fastpre", "--version"], capture_output=True, text=True, check=True)
    assert fastpre.__version__ in done.stdout
