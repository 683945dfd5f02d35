"""`fastpre doctor`: what this installation is made of, and whether it works."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from typing import Any

import click
import numpy as np

from fastpre import Preprocessor, Spec, __version__, _core

from .command import Command
from .cuda_report import cuda_report, cuda_rows
from .options import json_option
from .photographs import generated
from .reference import bit_equal

__all__ = ["doctor", "gray_jpeg"]

LIBRARIES = ("numpy", "torch", "torchvision", "pillow", "click", "rich", "safetensors", "nvidia-nvjpeg")


@click.command(cls=Command, examples=["fastpre doctor", "FASTPRE_TARGET=AVX2 fastpre doctor --json"])
@json_option
def doctor(as_json: bool) -> None:
    """Show and check the installation.

    Versions, instruction sets, threads, CUDA devices and what they lack; then some images are decoded. The exit code
    is 2 if that goes wrong.
    """
    checks = {"flat gray": _check_flat_gray(), **_check_against_pillow(), **_check_cuda()}
    build = _core.build_info()
    report: dict[str, Any] = {
        "fastpre": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()}, {platform.machine()})",
        "build": {k: build[k] for k in ("libjpeg_turbo", "highway", "compiler")},
        "targets": _core.targets(),
        "active_target": _core.active_target(),
        "forced_target": os.environ.get("FASTPRE_TARGET"),
        "threads": _core.available_threads(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "cuda": cuda_report(),
        "checks": checks,
    }
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        _show(report)
    if not all(check["ok"] for check in checks.values()):
        raise SystemExit(2)


def gray_jpeg(level: int) -> bytes:
    """An 8 x 8 baseline JPEG of one gray level in 129..255, written by hand from ITU-T T.81.

    All quantizers are 8, so that the DC coefficient is the level minus 128. The DC code has one
    symbol, a difference of `bits` bits; the AC code has one, end of block; both are coded "0".
    """
    difference = level - 128
    bits = difference.bit_length()
    code = f"0{difference:0{bits}b}0"
    scan = int(code.ljust(-(-len(code) // 8) * 8, "1"), 2).to_bytes(-(-len(code) // 8), "big")
    one_code = bytes([1] + [0] * 15)  # one code of length 1
    segments = (
        (0xDB, bytes([0]) + bytes([8] * 64)),
        (0xC0, bytes([8, 0, 8, 0, 8, 1, 1, 0x11, 0])),
        (0xC4, bytes([0x00]) + one_code + bytes([bits])),
        (0xC4, bytes([0x10]) + one_code + bytes([0])),
        (0xDA, bytes([1, 1, 0, 0, 63, 0])),
    )
    header = b"".join(bytes([0xFF, m]) + (len(body) + 2).to_bytes(2, "big") + body for m, body in segments)
    return b"\xff\xd8" + header + scan.replace(b"\xff", b"\xff\x00") + b"\xff\xd9"


def _check_flat_gray() -> dict[str, Any]:
    """Decoding, the affine and the store, against arithmetic; needs no other library."""
    spec = Spec(resize=None, crop=8, mean=None, std=None, dtype="float32")
    out = np.empty((1, 3, 8, 8), np.float32)
    Preprocessor(spec, num_threads=1).run([gray_jpeg(200)], out=out)
    ok = bool((out == np.float32(200) / np.float32(255)).all())
    return {"ok": ok, "detail": "decodes to 200 / 255" if ok else f"expected 200 / 255, got {out.min()}..{out.max()}"}


def _check_against_pillow() -> dict[str, dict[str, Any]]:
    """A whole exact run against Pillow, pixel for pixel; nothing if Pillow is missing."""
    if _version("pillow") is None:
        return {}
    import io

    from PIL import Image

    data = generated(1)[0]
    spec = Spec(resize=(256, 341), crop=224, dtype="uint8")
    out = np.empty((1, 3, 224, 224), np.uint8)
    Preprocessor(spec, num_threads=1).run([data], out=out)
    with Image.open(io.BytesIO(data)) as image:
        resized = image.convert("RGB").resize((341, 256), Image.Resampling.BILINEAR)
    left, top = round((341 - 224) / 2), round((256 - 224) / 2)
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224))).transpose(2, 0, 1)
    ok = bit_equal(out[0], expected)
    differing = int((out[0] != expected).sum())
    detail = "equal in every pixel" if ok else f"{differing} of {expected.size} values differ"
    return {"Pillow": {"ok": ok, "detail": detail}}


def _check_cuda() -> dict[str, dict[str, Any]]:
    """The CUDA kernels against the CPU, to the bit: on each device, and on the emulator that every build has."""
    images = [gray_jpeg(200), gray_jpeg(131), *(generated(2) if _version("pillow") else [])]
    spec = Spec(resize=72, crop=64)
    want = np.from_dlpack(Preprocessor(spec, num_threads=1).dlpack(images))
    names = ["emulated", *(f"cuda:{device['index']}" for device in _core.cuda_info()["devices"])]
    checks = {}
    for name in names:
        try:
            pre = Preprocessor(spec, device=name, num_threads=1)
            got = np.from_dlpack(pre.dlpack(images)) if name == "emulated" else pre(images).cpu().numpy()
            ok = bool(np.array_equal(got, want))
            detail = (
                "the kernels give the CPU's bits" if ok else f"{int((got != want).sum())} values differ from the CPU's"
            )
        except Exception as e:  # a broken installation is what this command is for
            ok, detail = False, f"{type(e).__name__}: {e}"
        checks[f"CUDA kernels, {name}"] = {"ok": ok, "detail": detail}
    return checks


def _version(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def _show(report: dict[str, Any]) -> None:
    build = report["build"]
    forced = " (forced by FASTPRE_TARGET)" if report["forced_target"] else ""
    rows = {
        "fastpre": report["fastpre"],
        "Python": report["python"],
        "build": f"libjpeg-turbo {build['libjpeg_turbo']}, Highway {build['highway']}, {build['compiler']}",
        "kernels": f"{report['active_target']}{forced}, of {' '.join(report['targets'])}",
        "threads": report["threads"],
        "libraries": ", ".join(f"{name} {version or 'not installed'}" for name, version in report["libraries"].items()),
    }
    for key, text in [*rows.items(), *cuda_rows(report["cuda"])]:
        click.echo(f"{key:<10} {text}")
    for name, check in report["checks"].items():
        click.echo(f"{'check':<10} {name}: {'ok' if check['ok'] else 'FAILED'}, {check['detail']}")
    if "Pillow" not in report["checks"]:
        click.echo(f"{'check':<10} Pillow: left out, it is not installed")
