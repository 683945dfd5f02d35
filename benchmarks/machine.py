"""What a figure depends on besides the code: the processor, the libraries, the load, the commit."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import pathlib
import platform
import subprocess
from collections.abc import Iterator
from typing import Any

from fastpre import _core

PACKAGES = (
    *("torch", "torchvision", "torchcodec", "numpy", "pillow", "pillow-simd"),
    *("opencv-python", "opencv-python-headless", "simplejpeg", "tensorflow", "tensorflow-cpu", "kornia-rs"),
    *("nvidia-dali-cuda120", "nvidia-dali-cuda130", "nvidia-nvimgcodec-cu12", "nvidia-nvimgcodec-cu13"),
    *("nvidia-nvjpeg", "nvidia-nvjpeg-cu12"),
    *("ray", "pyarrow"),
    *("redis", "hiredis", "nats-py"),
)


def describe() -> dict[str, Any]:
    """Everything for the report; says nothing about whose or where the machine is."""
    found = {}
    for package in sorted(PACKAGES):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return {
        "cpu": cpu_model(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "fastpre": {name: value for name, value in _core.build_info().items() if name != "cuda_missing"},
        "libraries": found,
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
        here = pathlib.Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def pinned_to_one_core() -> Iterator[int]:
    """Runs on one core, the last of those allowed (interrupts favour the first).

    Threads made inside inherit the pin; threads that already run do not get it.
    """
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, allowed)
