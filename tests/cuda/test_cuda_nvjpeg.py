"""nvJPEG's part of device="cuda", with a library that stands for it and the emulator for the device.

The library is compiled here from tests/cpp/fake_nvjpeg.cpp. It is loaded once a process, so each case is one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
SOURCE = TESTS / "cpp" / "fake_nvjpeg.cpp"
CORE = TESTS.parent / "csrc"

SCRIPT = """
import ctypes, json, sys
import torch
import fastpre, streams
from fastpre import _core

fake = ctypes.CDLL(sys.argv[1])
fake.fake_nvjpeg_set.argtypes = [ctypes.c_char_p, ctypes.c_int]
for name, value in json.loads(sys.argv[2]).items():
    fake.fake_nvjpeg_set(name.encode(), value)
items = [
    streams.encode(streams.picture("RGB", 90 + i, 80, seed=i), subsampling=i % 3, progressive=i == 5) for i in range(8)
]
items.append(items[0][: len(items[0]) // 2])
spec = fastpre.Spec(resize=70, crop=60, dtype="uint8", fidelity="fast")  # no reduction
want = fastpre.Preprocessor(spec.replace(fidelity="exact")).run(items, on_error="fill")
got = fastpre.Preprocessor(spec, device="emulated").run(items, on_error="fill")
print(json.dumps({
    "decoders": [image.decoder for image in got.images],
    "retried": [image.retried for image in got.images],
    "ok": [image.ok for image in got.images],
    "most": int((got.tensor.int() - want.tensor.int()).abs().max()),
    "missing": _core.cuda_device(_core.EMULATED)["hardware_missing"],
    "library": _core.nvjpeg_info(),
}))
"""


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library's path."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or "c++"
    out = tmp_path_factory.mktemp("nvjpeg") / "libfake_nvjpeg.so"
    command = [*compiler.split(), "-std=c++20", "-O1", "-shared", "-fPIC", f"-I{CORE}", str(SOURCE), "-ljpeg"]
    done = subprocess.run([*command, "-o", str(out)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"libjpeg's headers or library are missing: {done.stderr[-200:]}")
    return str(out)


def run(fake: str, decoder: str, **faults: int) -> dict[str, Any]:
    """What a process that has this library says of a batch of nine: one progressive (5), one cut short (8)."""
    env = os.environ | {
        "FASTPRE_NVJPEG": fake,
        "FASTPRE_CUDA_DECODER": decoder,
        "PYTHONPATH": str(TESTS),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, fake, json.dumps(faults)], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_hardware(fake: str) -> None:
    result = run(fake, "hardware")
    assert result["library"]["version"] == "13.0.0"
    assert result["decoders"][:5] == ["nvjpeg-hardware"] * 5
    assert result["decoders"][5] == "libjpeg-turbo"
    assert result["ok"] == [True] * 8 + [False]
    assert result["most"] == 0
    assert set(result["retried"]) == {""}


def test_hybrid_takes_progressive(fake: str) -> None:
    result = run(fake, "hybrid")
    assert result["decoders"][:8] == ["nvjpeg-cuda"] * 8
    assert result["most"] == 0


def test_another_inverse_dct(fake: str) -> None:
    """A library whose samples are off by one: so are the results, and no more."""
    result = run(fake, "hardware", noise=1)
    assert 1 <= result["most"] <= 3


def test_unwritten_image_is_decoded_again(fake: str) -> None:
    result = run(fake, "hardware", skip_image=2)
    assert result["most"] == 0
    assert result["retried"][2] == "nvJPEG reported success and left samples unwritten"
    assert result["decoders"][2] == "fastpre"
    assert [bool(reason) for reason in result["retried"]].count(True) == 1


def test_refused_image_is_decoded_again(fake: str) -> None:
    result = run(fake, "hardware", fail_batch=3)
    assert result["most"] == 0
    assert "execution failed" in result["retried"][3]


def test_no_engines(fake: str) -> None:
    result = run(fake, "auto", engines=0)
    assert result["missing"]
    assert "nvjpeg-hardware" not in result["decoders"]
    assert result["most"] == 0


def test_nothing_can_be_made(fake: str) -> None:
    """The library is there and gives no decoder, as the real one without a driver: our own does everything."""
    result = run(fake, "auto", fail_create=6)
    assert result["missing"]
    assert result["decoders"][:6] == ["fastpre"] * 5 + ["libjpeg-turbo"]
    assert result["ok"] == [True] * 8 + [False]
    assert result["most"] == 0


@pytest.mark.parametrize("version", [11900, 12000, 14000])
def test_other_versions_are_refused(fake: str, version: int) -> None:
    result = run(fake, "auto", version=version)
    assert result["library"]["version"] is None
    assert "12.1" in result["library"]["missing"]
    assert "pip install" in result["library"]["missing"]
    assert result["decoders"][0] == "fastpre"
