"""What `make gpu-tests` and `make gpu-sanitizer` have left in the output folder."""

from __future__ import annotations

import pathlib
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

NAMED = 5  # failures


def read(folder: pathlib.Path) -> dict[str, Any]:
    """Empty if they have not been run."""
    found: dict[str, Any] = {}
    if (folder / "tests.xml").is_file():
        found["tests"] = of_tests((folder / "tests.xml").read_text(encoding="utf-8"))
    logs = sorted(folder.glob("sanitizer-*.txt"))
    if logs:
        texts = {log.stem.partition("-")[2]: log.read_text(encoding="utf-8", errors="replace") for log in logs}
        found["sanitizer"] = {name: of_sanitizer(text) for name, text in texts.items()}
    return found


def of_tests(junit: str) -> dict[str, Any]:
    """Counts, and the first failures with the first line of theirs."""
    counts: dict[str, Any] = {"passed": 0, "failed": 0, "skipped": 0, "failures": []}
    for case in ElementTree.fromstring(junit).iter("testcase"):
        bad = next((child for child in case if child.tag in ("failure", "error")), None)
        kind = "failed" if bad is not None else "skipped" if case.find("skipped") is not None else "passed"
        counts[kind] += 1
        if bad is not None:
            message = (bad.get("message") or "").partition("\n")[0][:200]
            counts["failures"].append(f"{case.get('classname')}::{case.get('name')}: {message}")
    return counts | {"failures": counts["failures"][:NAMED]}


def of_sanitizer(log: str) -> dict[str, Any]:
    """What a tool's output comes to: errors (null without a summary), pytest's counts, the first errors."""
    errors = [int(n) for n in re.findall(r"ERROR SUMMARY: (\d+) error", log)]
    errors += [int(n) for n in re.findall(r"RACECHECK SUMMARY: \d+ hazards? displayed \((\d+) error", log)]
    passed, failed = (re.search(rf"(\d+) {word}", log) for word in ("passed", "failed"))
    lines = [line.removeprefix("=========").strip() for line in log.splitlines() if line.startswith("=========")]
    told = [line for line in lines if line and "SUMMARY" not in line and line != "COMPUTE-SANITIZER"]
    return {
        "errors": sum(errors) if errors else None,
        "passed": int(passed[1]) if passed else 0,
        "failed": int(failed[1]) if failed else 0,
        "first": told[:8] if sum(errors) or not errors else [],
    }
