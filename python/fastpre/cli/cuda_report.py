"""What `fastpre doctor` says of CUDA: driver, devices, nvJPEG, hardware engines, and why something is off."""

from __future__ import annotations

from typing import Any

from fastpre import _core
from fastpre._backend import nvjpeg

__all__ = ["cuda_report", "cuda_rows"]


def cuda_report() -> dict[str, Any]:
    """Everything that can be known; looks into each device, which makes a CUDA context there."""
    nvjpeg.announce()
    report: dict[str, Any] = {**_core.cuda_info(), "nvjpeg": _core.nvjpeg_info()}
    for device in report["devices"]:
        try:
            device.update(_core.cuda_device(device["index"]))
        except Exception as e:  # one broken device must not hide the others
            device["error"] = f"{type(e).__name__}: {e}"
    return report


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _device_row(device: dict[str, Any]) -> str:
    if "error" in device:
        return f"cuda:{device['index']}: {device['error']}"
    text = (
        f"cuda:{device['index']} {device['name']}, compute capability {device['compute_capability']}, "
        f"{device['memory_bytes'] / 2**30:.0f} GiB, "
    )
    if device["engines"]:
        return f"{text}{device['engines']} JPEG engines of {device['cores_per_engine']} cores"
    return f"{text}no JPEG engines: {device['hardware_missing'].splitlines()[0]}"


def cuda_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines for people: what is there, and for everything that is off one reason and what to do."""
    rows = []
    if report["compiled"]:
        rows.append(("CUDA", f"built with CUDA {_version(report['runtime_version'])}, for {report['architectures']}"))
    driver = report["driver_version"]
    if driver:
        rows.append(("driver", f"for CUDA {_version(driver)}"))
    if report["missing"]:
        rows.append(("devices", f"none: {report['missing']}"))
    rows += [("device", _device_row(device)) for device in report["devices"]]
    nvjpeg = report["nvjpeg"]
    if nvjpeg["version"]:
        rows.append(("nvJPEG", f"{nvjpeg['version']}, {nvjpeg['path']}"))
        for device in report["devices"]:
            if device.get("hybrid_missing"):
                rows.append(("nvJPEG", f"cuda:{device['index']}: no CUDA decoder: {device['hybrid_missing']}"))
    elif report["compiled"]:
        reason = " ".join(line.strip() for line in nvjpeg["missing"].splitlines())
        rows.append(("nvJPEG", f'off, so fidelity="fast" decodes on the CPU\'s cores: {reason}'))
    return rows
