"""Section "build": what is measured, on what, with which libraries; and whether there is a GPU at all."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from typing import Any

import machine
import photographs

from gpu_suite import entrants, roster
from gpu_suite.sections import Context

PACKAGES = (
    *("torch", "torchvision", "numpy", "pillow", "pytest", "hypothesis", "nvidia-nvjpeg", "nvidia-nvjpeg-cu12"),
    *("nvidia-nvimgcodec-cu13", "nvidia-nvimgcodec-cu12", "kornia-rs", "nvidia-dali-cuda130", "nvidia-dali-cuda120"),
)


def run(context: Context) -> None:
    result = context.result
    result["python"] = platform.python_version()
    result["packages"] = {name: version for name in PACKAGES if (version := _version(name)) is not None}
    context.save()

    import torch

    import fastpre
    from fastpre import _core
    from fastpre._backend import nvjpeg

    nvjpeg.announce()
    result["fastpre"] = _core.build_info() | {"file": public(fastpre.__file__)}
    result["cuda"] = _core.cuda_info()
    nvjpeg = _core.nvjpeg_info()
    result["nvjpeg"] = nvjpeg | {"path": public(nvjpeg["path"]) if nvjpeg["path"] else None}
    result["torch"] = {"version": torch.__version__, "cuda": torch.version.cuda}
    result["machine"] = machine.describe()
    corpus = photographs.folder()
    result["images"] = "generated" if corpus is None else "corpus"
    result["entrants"] = {cls.key: {"version": cls.version(), "missing": _missing(cls)} for cls in roster.every()}
    result["gpu"] = {"usable": False, "present": True, "why": "asking for devices ended the process"}
    context.save()
    result["gpu"] = gpu_state(result["cuda"])
    context.save()
    if result["gpu"]["usable"]:
        # Makes a context, and asks nvJPEG for its engines: what can break does so after the rest is kept.
        result["gpu"] |= _of_device(torch)
        result["cuda_device"] = _core.cuda_device(0)


def gpu_state(info: dict[str, Any]) -> dict[str, Any]:
    """Whether fastpre and torch can both use one, and if not, why."""
    import torch

    seen = torch.cuda.is_available()
    if info["missing"]:
        return {"usable": False, "present": seen, "why": info["missing"]}
    if not seen:
        why = f"torch {torch.__version__} (CUDA {torch.version.cuda}) sees no CUDA device"
        return {"usable": False, "present": True, "why": why}
    return {"usable": True, "present": True, "why": "", "count": torch.cuda.device_count()}


def _of_device(torch: Any) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(0)
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "multiprocessors": properties.multi_processor_count,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "driver": _driver(),
    }


def _driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.split("\n")[0].strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def public(path: str) -> str:
    """Which of several installations it is, without where this machine keeps them: results are published."""
    _, packages, inside = path.rpartition("site-packages/")
    return packages + inside if packages else f".../{path.rpartition('/')[2]}"


def _missing(cls: type[entrants.Entrant]) -> str | None:
    try:
        return cls.missing()
    except Exception as e:  # a broken library is as good as none
        return f"{type(e).__name__}: {e}"
