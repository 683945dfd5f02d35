"""What `-o` writes: the format that its name says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import fastpre
from command_line import GOOD, call, images, metadata
from fastpre.cli.formats import FORMATS, shard_paths


def test_shard_names() -> None:
    assert shard_paths("a/o.safetensors", 4, 4) == ["a/o.safetensors"]
    assert shard_paths("a/o.safetensors", 5, 4) == ["a/o-00001-of-00002.safetensors", "a/o-00002-of-00002.safetensors"]


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_npy(folder: Path, tmp_path: Path, dtype: str, channels_last: bool) -> None:
    out = tmp_path / "out.npy"
    flags = ["--channels-last"] if channels_last else []
    result = call("run", folder, "-o", out, "--dtype", dtype, "--batch-size", 2, "--json", *flags)
    assert result.exit_code == 0, result.output
    stored = np.load(out, mmap_mode="r")
    nchw = stored.transpose(0, 3, 1, 2) if channels_last else stored
    expected = fastpre.decode_resize_normalize([folder / name for name in GOOD], dtype=dtype).numpy()
    assert nchw.dtype == expected.dtype
    np.testing.assert_array_equal(nchw, expected)
    assert out.stat().st_size == stored.offset + stored.nbytes
    beside = tmp_path / "out.npy.json"
    described = json.loads(beside.read_text())
    assert described["files"] == GOOD
    assert described["layout"] == ("NHWC" if channels_last else "NCHW")
    assert described["spec"] == json.loads(result.stdout)["spec"]
    assert json.loads(result.stdout)["outputs"] == [str(out), str(beside)]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "uint8"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_pt(folder: Path, tmp_path: Path, dtype: str, channels_last: bool) -> None:
    out = tmp_path / "out.pt"
    flags = ["--channels-last"] if channels_last else []
    result = call("run", folder, "-o", out, "--dtype", dtype, "--batch-size", 2, *flags)
    assert result.exit_code == 0, result.output
    stored = torch.load(out, weights_only=True, mmap=True)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    expected = fastpre.decode_resize_normalize(
        [folder / name for name in GOOD], dtype=getattr(torch, dtype), memory_format=layout
    )
    assert torch.equal(stored["images"], expected)
    assert stored["images"].dtype == expected.dtype
    assert stored["images"].stride() == expected.stride()
    assert stored["files"] == GOOD
    assert stored["layout"] == "NCHW"
    assert stored["fastpre"] == fastpre.__version__
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.pt", "photos"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_shards_of_every_format(folder: Path, tmp_path: Path, suffix: str) -> None:
    """The last one holds nothing but a bad file."""
    (folder / "z.jpg").write_bytes(b"\xff\xd8\xff")
    for name in ("b.JPEG", "e.jfif", "deep/c.Jpg", "deep/d.jpe"):
        (folder / name).unlink()
    (folder / "deep" / "bad.jpg").unlink()
    result = call("run", folder, "-o", tmp_path / f"out{suffix}", "--shard-size", 1, "--crop", 8)
    assert result.exit_code == 0, result.output
    paths = [tmp_path / f"out-0000{i}-of-00002{suffix}" for i in (1, 2)]
    if suffix == ".npy":
        shapes = [np.load(path).shape for path in paths]
    elif suffix == ".pt":
        shapes = [tuple(torch.load(path)["images"].shape) for path in paths]
    else:
        shapes = [images(path).shape for path in paths]
        assert [json.loads(metadata(path)["files"]) for path in paths] == [["a.jpg"], []]
    assert shapes == [(1, 3, 8, 8), (0, 3, 8, 8)]


@pytest.mark.parametrize("name", ["out", "out.bin", "out.safetensor", "-", ".npy", "out.npz", "out.pth"])
def test_a_name_of_no_format_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    result = call("run", folder, "-o", tmp_path / name)
    assert result.exit_code == 2
    assert "name it .safetensors, .npy or .pt" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]


def test_npy_has_no_bfloat16(folder: Path, tmp_path: Path) -> None:
    result = call("run", folder, "-o", tmp_path / "out.npy", "--dtype", "bfloat16")
    assert result.exit_code == 2
    assert "a .npy file has no bfloat16" in result.stderr


def test_pt_needs_torch(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fastpre.cli.formats.pt", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    result = call("run", folder, "-o", tmp_path / "out.pt")
    assert result.exit_code == 2
    assert "a .pt file needs torch: pip install torch" in result.stderr


def test_the_preview_is_a_png(folder: Path, tmp_path: Path) -> None:
    result = call("run", folder, "-o", tmp_path / "out.npy", "--preview", tmp_path / "sheet.jpg")
    assert result.exit_code == 2
    assert "name it .png" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]
