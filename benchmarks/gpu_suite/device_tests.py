"""Section "tests": pytest on tests/cuda/test_cuda*.py, here with the device if there is one."""

from __future__ import annotations

import contextlib
import pathlib
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from typing import Any

from gpu_suite.sections import Context

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMED = 12  # failures with their message
LAST_WORDS_S = 8.0  # for pytest to write what it has, once it is told to stop


def run(context: Context) -> None:
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "cuda").glob("test_cuda*.py"))
    context.result["files"] = files
    if not files:
        context.result["status"] = "not run: no tests/cuda/test_cuda*.py in this tree"
        return
    xml, text = context.out / "tests.xml", context.out / "tests.txt"
    xml.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-v", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={xml}"]
    with open(text, "wb") as stream:
        child = subprocess.Popen([*command, *files], cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT)
        stopped = False
        try:
            child.wait(max(1.0, context.left() - LAST_WORDS_S))
        except subprocess.TimeoutExpired:
            stopped = True
            child.send_signal(signal.SIGINT)  # pytest then reports what it has
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(LAST_WORDS_S)
            child.kill()
            child.wait()
    output = text.read_text(encoding="utf-8", errors="replace")
    counts = junit_counts(xml.read_text(encoding="utf-8")) if xml.is_file() else output_counts(output)
    context.result |= counts | {"exit_status": child.returncode, "stopped_early": stopped}
    if child.returncode not in (0, 1) or counts["tests"] == 0:
        context.result["output"] = output[-2000:]
    if counts["tests"] == 0:
        context.result["status"] = f"failed: pytest ran no test (exit status {child.returncode})"


def junit_counts(text: str) -> dict[str, Any]:
    """Counts of a junit file's test cases; skips' reasons with how often, failures with the first line of theirs."""
    counts: dict[str, Any] = {"tests": 0, "passed": 0, "failed": 0, "errors": 0, "skipped": 0}
    failures: list[str] = []
    reasons: dict[str, int] = {}
    for case in ElementTree.fromstring(text).iter("testcase"):
        counts["tests"] += 1
        kinds = {child.tag: child.get("message") or "" for child in case}
        first = next((kind for kind in ("error", "failure", "skipped") if kind in kinds), None)
        counts[{"error": "errors", "failure": "failed", "skipped": "skipped", None: "passed"}[first]] += 1
        if first == "skipped":
            reasons[kinds[first]] = reasons.get(kinds[first], 0) + 1
        elif first is not None:
            failures.append(f"{case.get('classname')}::{case.get('name')}: {kinds[first].partition(chr(10))[0][:200]}")
    return counts | {"failures": failures[:NAMED], "skip_reasons": reasons}


def output_counts(text: str) -> dict[str, Any]:
    """The same from what `pytest -v` printed, where it did not live to write its file."""
    words = re.findall(r"^\S+::.* (PASSED|FAILED|ERROR|SKIPPED)\b", text, re.MULTILINE)
    found = {word: words.count(word) for word in ("PASSED", "FAILED", "ERROR", "SKIPPED")}
    return {
        "tests": len(words),
        "passed": found["PASSED"],
        "failed": found["FAILED"],
        "errors": found["ERROR"],
        "skipped": found["SKIPPED"],
        "failures": re.findall(r"^(\S+::.*) (?:FAILED|ERROR)\b", text, re.MULTILINE)[:NAMED],
        "incomplete": True,
    }
