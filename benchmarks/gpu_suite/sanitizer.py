"""Section "sanitizer": compute-sanitizer's tools over exercise.py."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

from gpu_suite.sections import Context

# Name, tool, decoders; the most telling first. Runs without nvJPEG stand alone, should it not get on with the tool.
# initcheck sees kernels' writes only: what the engines write would all be reported.
RUNS = (
    ("memcheck", "memcheck", ["coefficients"]),
    ("racecheck", "racecheck", ["coefficients"]),
    ("memcheck with nvJPEG", "memcheck", ["hardware", "hybrid"]),
    ("synccheck", "synccheck", ["coefficients"]),
    ("initcheck", "initcheck", ["coefficients"]),
)
PLACES = (
    "/usr/local/cuda/bin/compute-sanitizer",
    "/usr/local/cuda*/bin/compute-sanitizer",
    "/opt/nvidia/*/compute-sanitizer",
    "/opt/nvidia/*/*/compute-sanitizer",
    "/opt/nvidia/*/*/*/compute-sanitizer",
    "/opt/cuda/bin/compute-sanitizer",
)
USEFUL_S = 40.0  # of a run: torch has to be imported under the tool
LEAST_S = 15.0
END_S = 6.0  # for the tool's summary


def run(context: Context) -> None:
    tool = find()
    context.result["tool"] = tool
    if tool is None:
        context.result["status"] = "not run: no compute-sanitizer on PATH, in /usr/local/cuda*/bin or in /opt/nvidia"
        return
    found: dict[str, Any] = {}
    context.result["tools"] = found
    runs = RUNS[:1] if context.quick else RUNS
    for i, (name, kind, decoders) in enumerate(runs):
        budget = max(context.left() / (len(runs) - i), min(context.left(), USEFUL_S))
        if budget < LEAST_S:
            found[name] = {"errors": None, "note": "not run: no time left"}
        else:
            found[name] = _check(context, [tool, "--tool", kind], name, decoders, budget)
        context.save()


def _check(context: Context, tool: list[str], name: str, decoders: list[str], budget: float) -> dict[str, Any]:
    # Our kernels only, by their namespace in mangled names; errors of CUDA calls are reported whoever makes them.
    command = [*tool, "--kernel-name", "kns=fastpre", "--print-limit", "20", "--target-processes", "all"]
    command += [sys.executable, "-m", "gpu_suite.exercise", "--until", f"{time.time() + budget - END_S:.0f}"]
    command += ["--decoders", *decoders]
    # Every tensor is an allocation of its own, so that leaving one is noticed.
    environment = os.environ | {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1", "CUDA_MODULE_LOADING": "LAZY"}
    log = context.out / f"sanitizer-{name.replace(' ', '-')}.txt"
    with open(log, "wb") as stream:
        child = subprocess.Popen(
            command, env=environment, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code: int | None = child.wait(budget)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # the tool and the program under it
            child.wait()
    text = log.read_text(encoding="utf-8", errors="replace")
    result = summary(text) | {"exit_status": code, "seconds": round(budget)}
    if code is None:
        result["note"] = f"stopped after {budget:.0f} s, before its summary"
    if code == 0 and result["errors"] == 0:
        log.unlink()  # nothing to read there
    return result


def summary(text: str) -> dict[str, Any]:
    """What a tool's output comes to: errors (null without a summary), racecheck's warnings, batches, first errors."""
    errors = [int(n) for n in re.findall(r"ERROR SUMMARY: (\d+) errors?", text)]
    hazards = re.findall(r"RACECHECK SUMMARY: (\d+) hazards? displayed \((\d+) errors?, (\d+) warnings?\)", text)
    done = re.search(r"exercise: (\d+) batches, (\d+) wrong", text)
    result: dict[str, Any] = {
        "errors": sum(errors) + sum(int(h[1]) for h in hazards) if errors or hazards else None,
        "batches": int(done[1]) if done else None,
        "wrong_batches": int(done[2]) if done else None,
    }
    if hazards:
        result["warnings"] = sum(int(h[2]) for h in hazards)
    lines = [line.removeprefix("=========").strip() for line in text.splitlines() if line.startswith("=========")]
    told = [line for line in lines if line and "SUMMARY" not in line and line != "COMPUTE-SANITIZER"]
    if result["errors"] != 0 and told:
        result["first"] = told[:8]
    return result


def find() -> str | None:
    """The command, or None."""
    homes = [os.environ[name] for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    named = shutil.which("compute-sanitizer")
    places = [*([named] if named else []), *(os.path.join(home, "bin", "compute-sanitizer") for home in homes)]
    places += [path for pattern in PLACES for path in sorted(glob.glob(pattern), reverse=True)]
    return next((path for path in places if os.path.isfile(path) and os.access(path, os.X_OK)), None)
