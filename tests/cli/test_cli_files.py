"""Which files a command takes, by name and by bytes, and what it says of the others."""

from __future__ import annotations

import io
import json
import os
import socket
from pathlib import Path

import pytest
from PIL import Image

from command_line import GOOD, call, images, metadata
from fastpre.cli import file_types, files
from fastpre.cli.files import find, printable


def test_find_sorts_and_names(folder: Path) -> None:
    found = find([str(folder)])
    assert [f.name for f in found.files] == ["a.jpg", "b.JPEG", "e.jfif", "deep/bad.jpg", "deep/c.Jpg", "deep/d.jpe"]
    assert found.failures == []
    assert found.skipped == {"other": 1}
    both = find([str(folder / "deep"), str(folder / "notes.txt")])
    assert [f.name for f in both.files] == [str(folder / "deep" / n) for n in ("bad.jpg", "c.Jpg", "d.jpe")] + [
        str(folder / "notes.txt")
    ]
    assert not both.skipped


def encoded(kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "pillow"),
    [(kind, kind.upper()) for kind in ("JPEG", "PNG", "WebP", "GIF", "TIFF", "BMP", "AVIF", "ICO")],
)
def test_kinds_are_known_by_their_bytes(tmp_path: Path, kind: str, pillow: str) -> None:
    if pillow not in Image.registered_extensions().values():
        pytest.skip(f"this Pillow writes no {pillow}")
    path = tmp_path / "picture.txt"
    path.write_bytes(encoded(pillow))
    assert file_types.file_type(str(path)) == kind


@pytest.mark.parametrize("content", [b"", b"\xff", b"\xff\xd8", b"BMW is no bitmap", b"RIFF....WAVE", b"plain text"])
def test_other_bytes_are_other(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert file_types.file_type(str(path)) == "other"


def test_bytes_count_rather_than_names(folder: Path, tmp_path: Path) -> None:
    jpeg = (folder / "a.jpg").read_bytes()
    (folder / "n01440764_10026").write_bytes(jpeg)
    (folder / "photo.png").write_bytes(jpeg)
    for i in range(3):
        (folder / "deep" / f"{i}.png").write_bytes(encoded("PNG"))
    (folder / "picture.webp").write_bytes(encoded("WEBP"))
    (folder / "really-a-png.jpg").write_bytes(encoded("PNG"))
    out = tmp_path / "out.safetensors"
    result = call("run", folder, "-o", out, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(metadata(out)["files"]) == [*GOOD[:3], "n01440764_10026", "photo.png", *GOOD[3:]]
    assert len(images(out)) == 7
    assert "skipped: 3 PNG, 1 WebP, 1 other file; fastpre reads JPEG\n" in result.stderr
    report = json.loads(result.stdout)
    assert report["skipped"] == {"PNG": 3, "WebP": 1, "other": 1}
    assert [f["name"] for f in report["failed"]] == ["really-a-png.jpg", "deep/bad.jpg"]


def test_files_named_as_jpegs_cost_no_access(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(files, "file_type", lambda path: opened.append(path) or "other")
    find([str(folder)])
    assert opened == [str(folder / "notes.txt")]


def test_a_folder_without_jpegs_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encoded("PNG"))
    for arguments in (("run", "-o", tmp_path / "o.npy"), ("inspect",), ("bench",)):
        result = call(*arguments, tmp_path / "photos")
        assert result.exit_code == 2
        assert "(skipped: 1 PNG; fastpre reads JPEG)" in result.stderr


def test_a_named_file_is_tried_whatever_it_is_called(folder: Path, tmp_path: Path) -> None:
    nameless = folder / "nameless"
    nameless.write_bytes((folder / "a.jpg").read_bytes())
    result = call("run", nameless, folder / "notes.txt", "-o", tmp_path / "out.npy")
    assert result.exit_code == 0
    assert "1 kept, 1 failed" in result.stdout
    assert "notes.txt: CorruptImage" in result.stderr


def test_hidden_files_and_links_are_counted_not_followed(folder: Path, photo: bytes) -> None:
    (folder / ".thumbnails").mkdir()
    (folder / ".thumbnails" / "small.jpg").write_bytes(photo)
    (folder / "._a.jpg").write_bytes(b"what macOS leaves")
    (folder / "deep" / "loop").symlink_to(folder)
    (folder / "itself").symlink_to(folder / "itself")
    (folder / "itself.jpg").symlink_to(folder / "itself.jpg")
    (folder / "linked.jpg").symlink_to(folder / "a.jpg")
    found = find([str(folder)])
    assert found.skipped == {"hidden": 2, "link to a folder": 1, "dangling link": 1, "other": 1}
    assert [f.name for f in found.files if "deep" not in f.name] == [*GOOD[:3], "itself.jpg", "linked.jpg"]
    through = folder.parent / "link"
    through.symlink_to(folder)
    assert len(find([str(through)]).files) == len(found.files)


def test_what_is_no_regular_file_is_never_opened(folder: Path, tmp_path: Path) -> None:
    """A FIFO that no one writes to would be waited for; a named one is a bad file."""
    os.mkfifo(folder / "x.jpg")
    os.mkfifo(folder / "y")
    (folder / "z.jpg").symlink_to(folder / "y")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "s.jpg"))
    out = tmp_path / "out.safetensors"
    result = call("run", folder, "-o", out, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["skipped"] == {"FIFO": 3, "socket": 1, "other": 1}
    assert "skipped: 3 FIFOs, 1 other file, 1 socket; fastpre reads JPEG" in result.stderr
    result = call("run", folder / "x.jpg", folder / "a.jpg", "-o", out)
    assert result.exit_code == 0, result.output
    assert "1 kept, 1 failed" in result.stdout
    assert "x.jpg: ImageReadError: a FIFO, not a regular file" in result.stderr
    assert call("run", folder / "x.jpg", "-o", out).exit_code == 1
    assert call("inspect", folder / "z.jpg").exit_code == 1
    assert call("bench", folder / "x.jpg").exit_code == 2


def test_an_unreadable_folder_is_a_bad_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refusing(path: str) -> object:
        if path.endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = find([str(folder)])
    assert [f.name for f in found.files] == GOOD[:3]
    (failure,) = found.failures
    assert failure.line().endswith("deep: ImageReadError: cannot list: Permission denied")


NAME = os.fsdecode(b"caf\xe9 \x1b[31m\n.jpg")


@pytest.fixture
def odd(tmp_path: Path, photo: bytes) -> Path:
    """A folder of two files whose names are not UTF-8, one of them broken."""
    root = tmp_path / os.fsdecode(b"f\xfcnf")
    try:
        root.mkdir()
        (root / NAME).write_bytes(photo)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    (root / os.fsdecode(b"z\xff.jpg")).write_bytes(photo[:100])
    return root


@pytest.mark.parametrize("suffix", [".safetensors", ".npy", ".pt"])
def test_file_names_of_any_bytes(odd: Path, suffix: str) -> None:
    out = odd / f"out{suffix}"
    result = call("run", odd, "-o", out, "--preview", odd / "sheet.png", "--json")
    assert result.exit_code == 0, result.output
    assert out.exists()
    report = json.loads(result.stdout)
    json.dumps(report, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    assert [f["name"] for f in report["failed"]] == [r"z\xff.jpg"]
    assert report["outputs"][0].endswith(rf"f\xfcnf/out{suffix}")
    result = call("run", odd, "-o", out)
    assert result.exit_code == 0, result.output
    assert r"bad file z\xff.jpg: " in result.stderr
    if suffix == ".safetensors":
        assert json.loads(metadata(out)["files"]) == ["caf\\xe9 \x1b[31m\n.jpg"]
    if suffix == ".npy":
        assert json.loads(Path(f"{out}.json").read_text())["files"] == ["caf\\xe9 \x1b[31m\n.jpg"]
    inspected = call("inspect", "--json", odd / NAME)
    (entry,) = json.loads(inspected.stdout)
    assert entry["file"].endswith("caf\\xe9 \x1b[31m\n.jpg")
    entry["file"].encode("utf-8")
    assert call("bench", odd, "--rounds", 1, "--json").exit_code == 0


def test_printable_names() -> None:
    assert printable(NAME) == r"caf\xe9 \x1b[31m\n.jpg"
    assert printable("caf\u00e9.jpg") == "caf\u00e9.jpg"
