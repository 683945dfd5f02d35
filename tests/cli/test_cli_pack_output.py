"""What `fastpre pack` leaves behind: of bad files, wrong usage, a full disk and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fastpre
import streams
from command_line import GOOD, call, largest_file
from fastpre.cli.packing import work
from fastpre.cli.packing.recipe import Recipe


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_bad_files_are_listed_and_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (folder / "deep" / "empty.jpg").touch()
    (folder / "huge.jpg").write_bytes(streams.encode(streams.picture("L", 900, 900)))
    result = call("pack", folder, "-o", tmp_path / "out", "--labels", "none", "--json", "--max-pixels", 500_000)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["images"] == len(GOOD)
    failed = {failure["name"]: (failure["error"], failure["reason"]) for failure in report["failed"]}
    assert {name: error for name, (error, _) in failed.items()} == {
        "gone.jpg": "ImageReadError",
        "huge.jpg": "LimitExceeded",
        "deep/bad.jpg": "CorruptImage",
        "deep/empty.jpg": "CorruptImage",
    }
    assert failed["gone.jpg"][1] == "cannot read: No such file or directory"
    assert "bad file deep/bad.jpg: CorruptImage: " in result.stderr
    # The same files fail as for `fastpre run`.
    other = json.loads(call("run", folder, "-o", tmp_path / "out.npy", "--json", "--max-pixels", 500_000).stdout)
    assert {failure["name"] for failure in other["failed"]} == failed.keys()


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    (root / "a.jpg").write_bytes(streams.encode(streams.picture("RGB", 60, 60)))
    with open(root / "vast.jpg", "wb") as file:
        file.truncate(1 << 40)  # a hole, which no memory could hold
    result = call("pack", root, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert f"bad file vast.jpg: LimitExceeded: {1 << 40} bytes is over max_bytes=268435456" in result.stderr


@pytest.mark.parametrize("options", [[], ["--resize", 100], ["--transcode"]])
def test_damage_in_the_last_row_is_found(tmp_path: Path, options: list[object]) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    whole = streams.encode(streams.picture("RGB", 160, 120))
    (root / "cut.jpg").write_bytes(whole[:-40])
    (root / "whole.jpg").write_bytes(whole)
    result = call("pack", root, "-o", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert "1 packed, 1 failed" in result.stdout
    assert "bad file cut.jpg: CorruptImage: truncated" in result.stderr


@pytest.mark.parametrize("made", [True, False])
def test_strict_makes_a_bad_file_fatal(folder: Path, tmp_path: Path, made: bool) -> None:
    out = tmp_path / "out"
    if made:
        out.mkdir()
    arguments = ("pack", folder, "-o", out, "--labels", "none", "--strict", "--shard-size", 1)
    result = call(*arguments)
    assert result.exit_code == 1
    assert "nothing was written" in result.stderr
    assert names(tmp_path) == (["out", "photos"] if made else ["photos"])
    (folder / "deep" / "bad.jpg").unlink()
    assert call(*arguments).exit_code == 0
    assert len(names(out)) == 2 * len(GOOD) + 2


def test_nothing_usable_is_a_failure(folder: Path, tmp_path: Path) -> None:
    for name in GOOD:
        (folder / name).unlink()
    result = call("pack", folder, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "nothing was written" in result.stderr
    assert names(tmp_path) == ["photos"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--crop", 64], "--crop needs --transcode"),
        (["--crop", 64, "--transcode", "--resize", 100], "take one of them"),
        (["--reencode-all", "--transcode"], "leaves nothing to --transcode"),
        (["--quality", 80], "--quality needs --resize or --reencode-all"),
        (["--transcode", "--subsampling", "4:2:0"], "--subsampling needs --resize or --reencode-all"),
        (["--restart-rows", 2], "--restart-rows needs --resize, --reencode-all or --transcode"),
        (["--metadata", "none"], "--metadata needs"),
        (["--in-order", "--seed", 3], "--in-order leaves nothing to --seed"),
        (["--shard-size", "0"], "'0' is neither bytes"),
        (["--shard-size", "5 parsecs"], "neither bytes, such as 256MB, nor a number of samples"),
        (["--shard-size", "0.0001kB"], "neither bytes"),
        (["--quality", 101, "--resize", 10], "--quality"),
    ],
)
def test_wrong_usage(folder: Path, tmp_path: Path, options: list[object], words: str) -> None:
    result = call("pack", folder, "-o", tmp_path / "out", "--labels", "none", *options)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert names(tmp_path) == ["photos"]


@pytest.mark.parametrize("kind", ["file", "used folder", "dangling link"])
def test_nothing_is_overwritten(folder: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("precious")
    elif kind == "used folder":
        out.mkdir()
        (out / "shard-000000.tar").write_text("precious")
    else:
        out.symlink_to(tmp_path / "nowhere")
    result = call("pack", folder, "-o", out, "--labels", "none")
    assert result.exit_code == 2
    assert ("is not empty" if kind == "used folder" else "is not a folder") in " ".join(result.stderr.split())
    assert names(tmp_path) == ["out", "photos"]
    if kind == "used folder":
        assert names(out) == ["shard-000000.tar"]


def test_a_full_disk_leaves_complete_shards(folder: Path, tmp_path: Path) -> None:
    for name in GOOD[:-1]:
        (folder / name).write_bytes(streams.encode(streams.picture("RGB", 60, 60)))
    (folder / GOOD[-1]).write_bytes(streams.encode(streams.picture("RGB", 600, 600), quality=95))
    out = tmp_path / "out"
    with largest_file(60_000):
        result = call("pack", folder, "-o", out, "--labels", "none", "--in-order", "--shard-size", 1)
    assert result.exit_code == 2
    assert f"cannot write {out}: File too large" in result.stderr
    assert names(out) == sorted(f"shard-{i:06}{suffix}" for i in range(4) for suffix in (".tar", ".idx.json"))


def test_a_missing_library_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "fastpre.cli.packing.parquet", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = call("pack", folder, "-o", tmp_path / "out", "--format", "parquet")
    assert result.exit_code == 2
    assert "--format parquet needs pyarrow: pip install 'fastpre[pack]'" in result.stderr
    monkeypatch.setitem(sys.modules, "PIL.JpegImagePlugin", None)
    result = call("pack", folder, "-o", tmp_path / "out", "--resize", 100)
    assert result.exit_code == 2
    assert "need Pillow: pip install 'fastpre[pack]'" in result.stderr


def test_a_fault_of_ours_ends_the_threads(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is no bad file."""
    calls: list[str] = []

    def fails(self: Recipe, path: str, cancellation: Any) -> Any:
        calls.append(path)
        if len(calls) == 3:
            raise fastpre.InternalError("made up")
        return apply(self, path, cancellation)

    apply = Recipe.apply
    monkeypatch.setattr(Recipe, "apply", fails)
    result = call("pack", folder, "-o", tmp_path / "out", "--labels", "none", "--threads", 1)
    assert result.exit_code == 2
    assert "a bug in fastpre, please report it: made up" in result.stderr
    assert len(calls) <= 3 + work.AHEAD
    assert names(tmp_path) == ["photos"]


# The signal comes while the third image is made, which would take minutes.
STOPPED = """
import os, signal, sys, threading
from fastpre.cli import main
from fastpre.cli.packing.recipe import Recipe
apply, calls = Recipe.apply, []
def stopped(self, path, cancellation):
    if "endless" in path:
        threading.Timer(0.2, os.kill, (os.getpid(), {number})).start()
    return apply(self, path, cancellation)
Recipe.apply = stopped
signal.signal({number}, signal.SIG_DFL)
main(sys.argv[1:], prog_name="fastpre")
"""


@pytest.mark.parametrize(
    ("number", "code", "options", "left"),
    [
        (signal.SIGINT, 130, [], 2),
        (signal.SIGTERM, 143, ["--transcode"], 2),
        (signal.SIGINT, 130, ["--resize", "64"], 2),
        (signal.SIGINT, 130, ["--strict"], 0),
    ],
)
def test_a_signal_leaves_complete_shards(
    tmp_path: Path, number: signal.Signals, code: int, options: list[str], left: int
) -> None:
    root, out = tmp_path / "photos", tmp_path / "out"
    root.mkdir()
    for i in range(3):
        (root / f"{i}.jpg").write_bytes(streams.encode(streams.picture("RGB", 60, 60, seed=i)))
    (root / "endless.jpg").write_bytes(streams.patient())
    arguments = [str(root), "-o", str(out), "--in-order", "--shard-size", "1", "--max-work", str(1 << 60), *options]
    done = subprocess.run(
        [sys.executable, "-c", STOPPED.format(number=int(number)), "pack", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1] == f"stopped by {number.name}"
    assert "Traceback" not in done.stderr
    shards = [f"shard-{i:06}{suffix}" for i in range(left) for suffix in (".idx.json", ".tar")]
    assert (names(out) if left else names(tmp_path)) == (shards or ["photos"])


def test_a_tar_never_lacks_its_index(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped between the two names, neither is there."""
    replace, replaced = os.replace, []

    def stop(source: str, target: str) -> None:
        if target.endswith("shard-000001.tar"):
            raise KeyboardInterrupt
        replaced.append(os.path.basename(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop)
    result = call("pack", folder, "-o", tmp_path / "out", "--labels", "none", "--shard-size", 1)
    assert result.exit_code != 0
    assert replaced == ["shard-000000.idx.json", "shard-000000.tar", "shard-000001.idx.json"]
    assert names(tmp_path / "out") == ["shard-000000.idx.json", "shard-000000.tar"]
