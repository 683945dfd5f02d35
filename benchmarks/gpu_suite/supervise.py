"""Runs the sections one after another, each in its process, and keeps the report up to date."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

import machine

from gpu_suite import verdicts
from gpu_suite.sections import SECTIONS, Section, read_json, seconds_for, write_json

BENCHMARKS = pathlib.Path(__file__).resolve().parents[1]
GENERATED = "generated"  # instead of a corpus
NO_GPU = "not measured: no GPU"
GRACE_S = 12.0  # beyond a section's seconds before it is killed
RESERVE_S = 8.0  # for the report
LEAST_S = 4.0  # a section is not started with less
BUILD_LEAST_S = 60.0  # everything depends on it, and the first import of torch can be slow
CRASHES = 3  # tries of a section that says which entrant was running when it died


def run(
    out: pathlib.Path,
    seconds: float,
    *,
    only: list[str] | None = None,
    corpus: str | None = None,
    wheel: pathlib.Path | None = None,
    quick: bool = False,
) -> dict[str, Any]:
    """The report, also in out/gpu.json, which is complete as far as it goes after every section."""
    deadline = time.monotonic() + seconds
    out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "seconds": seconds,
        "quick": quick,
        "measured": "nothing yet",
        "sections": {},
    }
    with tempfile.TemporaryDirectory(prefix="fastpre-gpu-") as scratch:
        # Not in `out`, which is for results: an installed package is thousands of files.
        runner = _Runner(out.resolve(), pathlib.Path(scratch), corpus, quick)
        if wheel is not None:
            report["wheel"] = runner.install(wheel)
        chosen = [s for s in SECTIONS if s.name == "build" or only is None or s.name in only]
        for i, section in enumerate(chosen):
            left = deadline - RESERVE_S - time.monotonic()
            budget = seconds_for(section, chosen[i + 1 :], left)
            if section.name == "build":
                budget = min(max(budget, BUILD_LEAST_S), left)
            if runner.can(section):
                print(f"gpu suite: {section.name} (up to {budget:.0f} s) ...", flush=True)
            report["sections"][section.name] = result = runner.section(section, budget, left)
            if section.name == "build":
                gpu = result.get("gpu") or {"usable": False, "why": f"section build: {result['status']}"}
                report["gpu"] = gpu
                report["measured"] = measured(gpu)
                runner.device = result["device"] = "cuda" if gpu["usable"] else "emulated"
            report["targets"] = verdicts.judge(report)
            write_json(out / "gpu.json", report)
    return report


def measured(gpu: dict[str, Any]) -> str:
    """In words, on what."""
    if gpu["usable"]:
        return "on the GPU"
    if gpu.get("present"):
        return f"not measured: fastpre cannot use this GPU ({gpu['why']})"
    return f"{NO_GPU} ({gpu['why']})"


class _Runner:
    def __init__(self, out: pathlib.Path, scratch: pathlib.Path, corpus: str | None, quick: bool) -> None:
        self.device = "cuda"
        self.out, self.scratch, self.quick = out, scratch, quick
        self.environment = dict(os.environ)
        chosen = corpus or self.environment.get("FASTPRE_CORPUS")
        if chosen is not None:
            # Sections run in another folder than this process.
            self.environment["FASTPRE_CORPUS"] = chosen if chosen == GENERATED else str(pathlib.Path(chosen).resolve())
        self._prefer(BENCHMARKS)

    def _prefer(self, folder: pathlib.Path) -> None:
        before = self.environment.get("PYTHONPATH")
        self.environment["PYTHONPATH"] = os.pathsep.join([str(folder), *([before] if before else [])])

    def install(self, wheel: pathlib.Path) -> dict[str, str]:
        """Puts the wheel before what is installed, for all sections."""
        site = self.scratch / "site"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
        command += ["--no-deps", "--target", str(site), str(wheel)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"file": wheel.name, "error": (done.stdout + done.stderr)[-1500:]}
        self._prefer(site)
        return {"file": wheel.name}

    def can(self, section: Section) -> bool:
        """Whether the section says anything on this device."""
        return section.emulated or self.device != "emulated"

    def section(self, section: Section, budget: float, left: float) -> dict[str, Any]:
        if not self.can(section):
            return {"status": NO_GPU}
        if budget < LEAST_S:
            return {"status": "not run: no time left"}
        end = time.monotonic() + left
        started = time.monotonic()
        crashed: list[dict[str, Any]] = []
        while True:
            skip = [c["entrant"] for c in crashed]
            result = self._child(section, budget - (time.monotonic() - started), end - time.monotonic(), skip)
            result["device"] = self.device  # cuda or emulated
            if crashed:
                result["crashed"] = crashed
            running = result.pop("running", None)
            if running is not None:
                result["was_running"] = running
            died = result["status"].startswith("died")
            time_left = budget - (time.monotonic() - started)
            if not died or running is None or len(crashed) + 1 >= CRASHES or time_left < 2 * LEAST_S:
                return result
            crashed.append({
                "entrant": running,
                "how": f"{result['status']}: {result.get('log', '')[-300:]}",
                "cells": result.get("cells", []),
            })  # fmt: skip

    def _child(self, section: Section, budget: float, left: float, skip: list[str]) -> dict[str, Any]:
        partial, log = self.scratch / f"{section.name}.json", self.scratch / f"{section.name}.log"
        partial.unlink(missing_ok=True)
        order = {
            "module": section.module,
            "device": self.device,
            "seconds": budget,
            "quick": self.quick,
            "out": str(self.out),
            "partial": str(partial),
            "skip": skip,
        }
        command = [sys.executable, "-X", "faulthandler", "-m", "gpu_suite.child", json.dumps(order)]
        started = time.monotonic()
        with open(log, "wb") as stream:
            child = subprocess.Popen(
                command,
                env=self.environment,
                cwd=BENCHMARKS.parent,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = child.wait(max(1.0, min(budget + GRACE_S, left)))
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _end(child)  # and whatever it started
        result = read_json(partial)
        if code is None:
            result["status"] = f"timed out after {time.monotonic() - started:.0f} s"
        elif code or "status" not in result:
            result["status"] = f"died ({signal.Signals(-code).name if code < 0 else f'exit status {code}'})"
        result["seconds"] = round(time.monotonic() - started, 1)
        if result["status"] != "done":
            result["log"] = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        return result


def _end(child: subprocess.Popen[bytes]) -> None:
    """The child's process group, which it leads."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
