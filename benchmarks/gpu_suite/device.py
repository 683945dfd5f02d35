"""Section "device": what is measured, on what, with which libraries; and whether there is a GPU at all."""

from __future__ import annotations

import subprocess
from typing import Any

import machine
import photographs
import torch

import fastpre
from fastpre.cli.cuda_report import cuda_report

from .context import Context


def run(context: Context) -> None:
    result = context.result
    result["machine"] = machine.describe()
    result["fastpre"] = {"version": fastpre.__version__, "file": public(fastpre.__file__)}
    result["torch"] = {"version": torch.__version__, "cuda": torch.version.cuda}
    result["images"] = photographs.GENERATED if photographs.folder() is None else "corpus"
    result["gpu"] = {"usable": False, "present": True, "why": "asking for devices ended the process"}
    context.save()
    result["cuda"] = report = cuda_report()  # makes a context, and asks nvJPEG for its engines
    if report["nvjpeg"]["path"]:
        report["nvjpeg"]["path"] = public(report["nvjpeg"]["path"])
    result["gpu"] = gpu_state(report["missing"])
    if result["gpu"]["usable"]:
        result["gpu"]["driver"] = _driver()


def gpu_state(missing: str) -> dict[str, Any]:
    """Whether fastpre, which says what it is missing, and torch can both use one, and if not, why."""
    seen = torch.cuda.is_available()
    if missing:
        return {"usable": False, "present": seen, "why": missing}
    if not seen:
        why = f"torch {torch.__version__} (CUDA {torch.version.cuda}) sees no CUDA device"
        return {"usable": False, "present": True, "why": why}
    return {"usable": True, "present": True, "why": ""}


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.split("\n")[0].strip()
    except (OSError, subprocess.SubprocessError):
        return None


def public(path: str) -> str:
    """Which of several installations it is, without where this machine keeps them: results are published."""
    _, packages, inside = path.rpartition("site-packages/")
    return packages + inside if packages else f".../{path.rpartition('/')[2]}"
