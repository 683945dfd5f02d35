"""`fastpre doctor` and `fastpre bench`: what they say of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastpre
from command_line import call
from fastpre.cli.doctor import gray_jpeg


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


def test_bench_names_what_it_cannot_use(folder: Path, tmp_path: Path) -> None:
    (folder / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (folder / "scan.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = call("bench", folder, "--rounds", 1, "--json", "--device", "emulated", "--limit", 7)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["images"], report["device"]) == (5, "emulated")
    assert "skipped: 1 PNG, 1 other file;" in result.stderr
    assert "gone.jpg: ImageReadError: cannot open" in result.stderr


@pytest.mark.parametrize("command", ["doctor", "run", "bench"])
def test_a_wrong_variable_is_one_line(folder: Path, tmp_path: Path, command: str) -> None:
    arguments = {"doctor": [], "run": [str(folder), "-o", str(tmp_path / "o.npy")], "bench": [str(folder)]}[command]
    done = subprocess.run(
        [sys.executable, "-m", "fastpre", command, *arguments],
        env={**os.environ, "FASTPRE_TARGET": "PENTIUM"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) <= 2  # `run` says what it skipped
    assert "FASTPRE_TARGET=PENTIUM" in done.stderr.splitlines()[-1]
