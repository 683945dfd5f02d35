"""What a figure depends on besides the code: the processor, the libraries, the load, the commit."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

PACKAGES = (
    *("torch", "torchvision", "torchcodec", "numpy", "pillow", "pillow-simd"),
    *("opencv-python", "opencv-python-headless", "simplejpeg"),
    *("nvidia-dali-cuda120", "nvidia-dali-cuda130", "tensorflow", "tensorflow-cpu"),
)


def describe() -> dict[str, Any]:
    """Everything for the report; says nothing about who or where the machine is."""
    from fastpre import _core

    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "fastpre": {name: value for name, value in _core.build_info().items() if name != "cuda_missing"},
        "libraries": dict(sorted(_versions().items())),
        "commit": commit(),
        "load_average": round(os.getloadavg()[0], 2),
    }


def cpu_model() -> str:
    """As /proc/cpuinfo has it."""
    for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or "unknown"


def commit() -> str | None:
    """The checked-out commit, with "+" if files differ from it; None outside a git repository."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
