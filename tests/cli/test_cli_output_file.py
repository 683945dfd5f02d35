"""What a result may replace, and what is left when a command is stopped. Never tried on a real device."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from command_line import GOOD, call, images, largest_file
from fastpre.cli import output_file
from fastpre.cli.preprocess import Preprocessor

OPTIONS = [("-o", "out.safetensors"), ("-o", "out.npy"), ("-o", "out.pt"), ("--preview", "sheet.png")]


def arguments(folder: Path, option: str, path: Path) -> list[object]:
    other = ["-o", path.parent / "other.safetensors"] if option == "--preview" else []
    return ["run", folder, option, path, *other]


def never(*_: object, **__: object) -> None:
    pytest.fail("work was done first")


@pytest.mark.parametrize(("option", "name"), OPTIONS)
@pytest.mark.parametrize("kind", ["FIFO", "socket", "folder", "device"])
@pytest.mark.parametrize("linked", [False, True])
def test_only_a_regular_file_is_replaced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, name: str, kind: str, linked: bool
) -> None:
    out = tmp_path / "thing" if linked else tmp_path / name
    if kind == "FIFO":
        os.mkfifo(out)
    elif kind == "folder":
        out.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(out))
    else:  # said to be one: the real ones would be destroyed by the fault that this is about
        out.write_bytes(b"precious")
        monkeypatch.setattr(output_file, "special_type_at", lambda path: "device" if path.endswith(name) else None)
    if linked:
        (tmp_path / name).symlink_to(out)
    before = os.lstat(out)
    monkeypatch.setattr(Preprocessor, "run", never)
    result = call(*arguments(folder, option, tmp_path / name))
    assert result.exit_code == 2, result.output
    assert f"{option} {tmp_path / name} is a {kind}; it takes the name of a regular file" in result.stderr
    after = os.lstat(out)
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)
    assert {p.name for p in tmp_path.iterdir()} == {"photos", name, out.name}


@pytest.mark.parametrize(
    ("name", "output", "options"),
    [
        ("out-00002-of-00003.safetensors", "out.safetensors", ["--shard-size", 2]),
        ("out.npy.json", "out.npy", []),
    ],
)
def test_every_shard_and_what_lies_beside_is_looked_at(
    folder: Path, tmp_path: Path, name: str, output: str, options: list[object]
) -> None:
    os.mkfifo(tmp_path / name)
    result = call("run", folder, "-o", tmp_path / output, *options)
    assert result.exit_code == 2
    assert f"{name} is a FIFO" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["photos", name])


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(("option", "name"), OPTIONS)
def test_a_link_is_written_through(folder: Path, tmp_path: Path, exists: bool, option: str, name: str) -> None:
    target, link = tmp_path / "disk" / "target", tmp_path / name
    target.parent.mkdir()
    if exists:
        target.write_bytes(b"old")
    link.symlink_to(target)
    result = call(*arguments(folder, option, link))
    assert result.exit_code == 0, result.output
    assert link.is_symlink()
    assert os.readlink(link) == str(target)
    assert target.stat().st_size > 1000
    assert [p.name for p in target.parent.iterdir()] == ["target"]
    if name == "out.safetensors":
        assert len(images(target)) == len(GOOD)


def test_a_link_to_itself_is_one_line(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    out.symlink_to(out)
    result = call("run", folder, "-o", out)
    assert result.exit_code == 2
    assert out.is_symlink()
    assert "Traceback" not in result.output


ROW_BYTES = 3 * 224 * 224 * 4


@pytest.mark.parametrize(
    ("suffix", "size_bytes", "reason"),
    [
        (".safetensors", 100_000, "File too large"),
        (".npy", 100_000, "File too large"),
        (".pt", 100_000, "File too large"),
        (".pt", len(GOOD) * ROW_BYTES, "File too large"),  # room for the rows, none for what is around them
    ],
)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    folder: Path, tmp_path: Path, suffix: str, size_bytes: int, reason: str
) -> None:
    out = tmp_path / f"out{suffix}"
    out.write_bytes(b"old")
    with largest_file(size_bytes):
        result = call("run", folder, "-o", out, "--preview", tmp_path / "sheet.png", "--batch-size", 1)
    assert result.exit_code == 2
    assert f"Error: cannot write {out}: {reason}" in result.stderr
    assert out.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([out.name, "photos"])


def test_torchs_own_error_is_one_line(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 640 vs 534")

    monkeypatch.setattr(torch, "save", full)
    result = call("run", folder, "-o", tmp_path / "out.pt")
    assert result.exit_code == 2
    assert f"Error: cannot write {tmp_path / 'out.pt'}: torch.save failed" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]


def test_what_cannot_be_flushed_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = output_file.PartialFile(str(tmp_path / "out"))

    def full() -> None:
        raise OSError(28, "No space left on device")

    file.open()
    monkeypatch.setattr(file, "close", full)
    file.discard()
    assert list(tmp_path.iterdir()) == []


# The batch itself sends the signal, so that it comes in the midst of the work.
STOPPED = """
import os, signal, sys
from fastpre.cli import main, preprocess
run, calls = preprocess.Preprocessor.run, []
def stopped(self, *args, **kwargs):
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), {number})
    return run(self, *args, **kwargs)
preprocess.Preprocessor.run = stopped
# Set either way: what starts the tests may ignore it (nohup; a job in the background).
signal.signal({number}, signal.SIG_IGN if {ignored} else signal.SIG_DFL)
main(sys.argv[1:], prog_name="fastpre")
"""


def stop(folder: Path, out: Path, number: signal.Signals, ignored: bool = False) -> subprocess.CompletedProcess[str]:
    code = STOPPED.format(number=int(number), ignored=ignored)
    options = ["--batch-size", "2", "--shard-size", "2", "--preview", str(out.parent / "sheet.png")]
    return subprocess.run(
        [sys.executable, "-c", code, "run", str(folder), "-o", str(out), *options],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("suffix", "number", "code"),
    [
        (".safetensors", signal.SIGTERM, 143),
        (".npy", signal.SIGTERM, 143),
        (".pt", signal.SIGTERM, 143),
        (".safetensors", signal.SIGHUP, 129),
        (".safetensors", signal.SIGINT, 130),
    ],
)
def test_a_signal_leaves_nothing_behind(
    folder: Path, tmp_path: Path, suffix: str, number: signal.Signals, code: int
) -> None:
    done = stop(folder, tmp_path / f"out{suffix}", number)
    assert done.returncode == code, done.stderr
    assert done.stderr.splitlines()[-1] == f"stopped by {number.name}"
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]


def test_a_signal_that_is_ignored_stays_so(folder: Path, tmp_path: Path) -> None:
    """As under nohup."""
    done = stop(folder, tmp_path / "out.npy", signal.SIGHUP, ignored=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out-00001-of-00003.npy").exists()


def test_handlers_are_put_back(folder: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    call("inspect", folder)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
