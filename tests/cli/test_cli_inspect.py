"""`fastpre inspect`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import GOOD, call
from fastpre.cli.inspect import subsampling


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


def test_inspect_takes_folders(folder: Path) -> None:
    result = call("inspect", "--json", folder)
    assert result.exit_code == 1
    entries = json.loads(result.stdout)
    assert [entry["file"] for entry in entries if "error" not in entry] == GOOD
    assert [entry["file"] for entry in entries if "error" in entry] == ["deep/bad.jpg"]
    assert "deep/bad.jpg: CorruptImage: " in result.stderr
    assert "skipped: 1 other file; fastpre reads JPEG" in result.stderr
    (folder / "deep" / "bad.jpg").unlink()
    shown = call("inspect", folder)
    assert shown.exit_code == 0
    assert [line for line in shown.stdout.splitlines() if not line.startswith("  ")] == GOOD
