"""`fastpre run`, as a user calls it: exit codes, files, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import torch
from PIL import Image

import fastpre
from command_line import GOOD, call, images, metadata
from fastpre import _progress


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


def test_strict_makes_a_bad_file_fatal(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    result = call("run", folder, "-o", out, "--strict", "--preview", tmp_path / "sheet.png")
    assert result.exit_code == 1
    assert "nothing was written" in result.stderr
    assert "bad.jpg" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]
    (folder / "deep" / "bad.jpg").unlink()
    assert call("run", folder, "-o", out, "--strict").exit_code == 0


def test_truncated_files_are_kept_and_named(folder: Path, tmp_path: Path) -> None:
    stream = (folder / "a.jpg").read_bytes()
    for i in range(25):
        (folder / f"half{i:02}.jpg").write_bytes(stream[: len(stream) // 2])
    out = tmp_path / "out.safetensors"
    assert "5 kept, 26 failed" in call("run", folder, "-o", out).stdout
    result = call("run", folder, "-o", out, "--truncated", "partial", "--compare")
    assert result.exit_code == 0, result.output
    assert "30 kept (25 truncated), 1 failed" in result.stdout
    assert "bit-equal to torchvision's PIL path on 30 of 30 files" in result.stdout
    assert "truncated file half00.jpg\n" in result.stderr
    assert "... and 5 more truncated" in result.stderr
    assert "bad file deep/bad.jpg: CorruptImage: " in result.stderr  # cut in its header
    report = json.loads(call("run", folder, "-o", out, "--truncated", "partial", "--json").stdout)
    assert report["truncated"] == [f"half{i:02}.jpg" for i in range(25)]
    assert [f["name"] for f in report["failed"]] == ["deep/bad.jpg"]


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
        ["--resize", "250", "--max-size", "260"],
        ["--rescale", "multiply", "--mean", "none", "--std", "none"],
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
    from fastpre.cli.reference import Implementation

    monkeypatch.setattr(compare, "fastpre_implementation", lambda spec, device: Implementation("fastpre", other))
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


def test_lines_of_progress_without_a_terminal(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("run", folder, "-o", tmp_path / "out.npy", "--batch-size", 2, "--json")
    assert "images/s" not in call(*arguments).stderr  # it takes no ten seconds
    monkeypatch.setattr(_progress, "INTERVAL_S", 0.0)
    result = call(*arguments)
    lines = [line for line in result.stderr.splitlines() if "images/s" in line]
    assert [line.partition(" images, ")[0] for line in lines] == ["preprocessing: 2 of 6", "preprocessing: 4 of 6"]
    assert [line.rpartition(", ")[2] for line in lines] == ["0 failed", "1 failed"]
    assert json.loads(result.stdout)["images"] == 5


def test_strict_counts_what_could_not_be_opened(folder: Path, tmp_path: Path) -> None:
    (folder / "deep" / "bad.jpg").unlink()
    gone = tmp_path / "gone.jpg"
    gone.symlink_to(tmp_path / "nowhere")
    out = tmp_path / "out.safetensors"
    result = call("run", folder, gone, "-o", out)
    assert result.exit_code == 0, result.output
    assert f"bad file {gone}: ImageReadError: cannot open: No such file or directory" in result.stderr
    assert len(images(out)) == 5
    out.unlink()
    assert call("run", folder, gone, "-o", out, "--strict").exit_code == 1
    assert not out.exists()
