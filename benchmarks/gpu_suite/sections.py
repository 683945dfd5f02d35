"""Runs the sections one after another, each in its process, and keeps the report up to date."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from typing import Any

import machine
import targets

from . import checks
from .context import Context, write_json
from .targets import TARGETS

BENCHMARKS = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = "gpu_suite"  # of the sections' modules
NO_GPU = f"{targets.NOT_MEASURED}: no GPU"
NO_NVJPEG = "/no/nvjpeg"  # on the emulator a real one would find no driver
GRACE_S = 12.0  # beyond a section's seconds before it is killed
RESERVE_S = 8.0  # for the report
LEAST_S = 4.0  # a section is not started with less
FIRST_S = 60.0  # the first import of torch can be slow
QUICK_S = 20.0  # of a section, at most
CRASHES = 3  # tries of a section that says which implementation was running when it died

# Share of the time, relative to the others; what one leaves over goes to those after it. The most valuable come first,
# since the time may be cut short: right before fast, fast before clean.
SHARES = {"device": 25.0, "difference": 70.0, "throughput": 150.0, "kernels": 45.0, "soak": 80.0}
EMULATED = ("device", "difference", "soak")  # say something without a GPU, on device="emulated"


def run(out: pathlib.Path, seconds: float, only: list[str] | None = None, quick: bool = False) -> dict[str, Any]:
    """The report, also in out/gpu.json, which is complete as far as it goes after every section."""
    deadline = time.monotonic() + seconds - RESERVE_S
    out.mkdir(parents=True, exist_ok=True)
    gpu: dict[str, Any] = {"usable": False, "why": "section device did not come to its end"}
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "seconds": seconds,
        "quick": quick,
        "gpu": gpu,
        "sections": {},
    }
    chosen = [name for name in SHARES if name == "device" or only is None or name in only]
    for i, name in enumerate(chosen):
        left = deadline - time.monotonic()
        budget = left * SHARES[name] / sum(SHARES[later] for later in chosen[i:])
        if name == "device":
            budget = min(max(budget, FIRST_S), left)
        elif quick:
            budget = min(budget, QUICK_S)
        device = "cuda" if gpu["usable"] else "emulated"
        if device == "emulated" and name not in EMULATED:
            result: dict[str, Any] = {"status": NO_GPU}
        elif budget < LEAST_S:
            result = {"status": "not run: no time left"}
        else:
            print(f"gpu suite: {name} (up to {budget:.0f} s) ...", flush=True)
            result = _tried(name, device, budget, min(budget + GRACE_S, left), quick)
        report["sections"][name] = result
        if name == "device":
            report["gpu"] = gpu = result.get("gpu", gpu)
            device = result["device"] = "cuda" if gpu["usable"] else "emulated"
            report["measured"] = measured(gpu)
            found = checks.read(out)
            status = {"status": "done" if found else "not run: make gpu-tests gpu-sanitizer", "seconds": 0.0}
            report["sections"]["checks"] = found | status | {"device": device}
        report["targets"] = targets.judge(TARGETS, report)
        write_json(out / "gpu.json", report)
    return report


def measured(gpu: dict[str, Any]) -> str:
    """In words, for a reader of gpu.json."""
    if gpu["usable"]:
        return "on the GPU"
    what = "fastpre cannot use this GPU" if gpu.get("present") else "no GPU"
    return f"{targets.NOT_MEASURED}: {what} ({gpu['why']})"


def _tried(name: str, device: str, budget: float, most: float, quick: bool) -> dict[str, Any]:
    """Again without the implementation that was running when the process died."""
    end = time.monotonic() + budget
    last = time.monotonic() + most
    crashed: dict[str, str] = {}
    while True:
        order = {"module": f"{PACKAGE}.{name}", "device": device, "seconds": end - time.monotonic(), "quick": quick}
        result = _child(order | {"skip": list(crashed)}, last - time.monotonic())
        result |= {"device": device} | ({"crashed": crashed} if crashed else {})
        died, running = result["status"].startswith("died"), result.get("running")
        if not died or running is None or len(crashed) + 1 >= CRASHES or end - time.monotonic() < 2 * LEAST_S:
            return result
        crashed = crashed | {running: result["status"]}


def _child(order: dict[str, Any], most: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="fastpre-gpu-") as folder:
        path, log = pathlib.Path(folder) / "result.json", pathlib.Path(folder) / "log"
        command = [sys.executable, "-X", "faulthandler", "-m", "gpu_suite.sections", json.dumps(order), str(path)]
        places = [str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
        if order["device"] == "emulated" and not order["module"].endswith(".device"):
            environment.setdefault("FASTPRE_NVJPEG", NO_NVJPEG)
        started = time.monotonic()
        with open(log, "wb") as stream:
            child = subprocess.Popen(
                command, env=environment, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
            )
            code: int | None = None
            try:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = child.wait(max(1.0, most))
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)  # and what it started
                child.wait()
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        result["seconds"] = round(time.monotonic() - started, 1)
        if code is None:
            result["status"] = f"timed out after {result['seconds']:.0f} s"
        elif code or "status" not in result:
            result["status"] = f"died ({signal.Signals(-code).name if code < 0 else f'exit status {code}'})"
        if result["status"] != "done":
            result["log"] = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        return result


def main() -> None:
    """The process of one section."""
    order, path = json.loads(sys.argv[1]), pathlib.Path(sys.argv[2])
    context = Context(order["device"], order["seconds"], order["quick"], path, tuple(order["skip"]))
    # The tensors that other libraries are given only read the compressed bytes.
    warnings.filterwarnings("ignore", "The given buffer is not writable")
    try:
        importlib.import_module(order["module"]).run(context)
        context.result["status"] = "done"
    except Exception as e:  # whatever it is, it is the finding
        context.result |= {"status": "failed", "error": f"{type(e).__name__}: {e}"[:2000]}
        context.result["traceback"] = traceback.format_exc()[-3000:]
    context.save()


if __name__ == "__main__":
    main()
