"""What fastpre is meant to reach on a GPU, and whether it did; nothing counts that a GPU did not do."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

Report = dict[str, Any]
MIB = 1 << 20
DECODERS = ("hardware", "hybrid", "coefficients", "auto")
PUBLISHED = "published"  # natural, large and small together (difference.py)


@dataclasses.dataclass(frozen=True)
class Target:
    """A bound on one figure.

    Attributes:
        text: the figure in words.
        bound: its limit, and whether the figure has to stay at or below it or reach it.
        unit: behind the figure.
        value: takes the report to the figure and words to go with it; None: not measured.
    """

    text: str
    bound: float
    at_most: bool
    unit: str
    value: Callable[[Report], tuple[float, str] | None]

    def met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


def judge(report: Report) -> list[dict[str, Any]]:
    """All of them as JSON records: text, bound, value, note, verdict ("met", "MISSED" or "not measured")."""
    records = []
    for target in TARGETS:
        found = target.value(report)
        record = {
            "text": target.text,
            "bound": f"{'<=' if target.at_most else '>='} {target.bound:g}{target.unit}",
            "value": None,
            "note": "",
            "verdict": "not measured",
        }
        if found is not None:
            value, record["note"] = found
            record["value"] = round(value, 4) if math.isfinite(value) else "infinite"
            record["verdict"] = "met" if target.met(value) else "MISSED"
        records.append(record)
    return records


def of_gpu(report: Report, name: str) -> dict[str, Any]:
    """A section's result, empty if it is not a GPU's."""
    result: dict[str, Any] = report["sections"].get(name, {})
    return result if result.get("device") == "cuda" else {}


def _rows(report: Report, name: str, size: int) -> dict[str, dict[str, Any]]:
    for cell in of_gpu(report, "bench").get("cells", []):
        if (cell["set"], cell["batch"]) == (name, size):
            return {row["key"]: row for row in cell.get("rows", [])}
    return {}


def _speed(rows: dict[str, dict[str, Any]], key: str) -> float | None:
    return rows[key]["images_per_second"] if key in rows else None


def _ratio(top: str, bottom: str) -> Callable[[Report], tuple[float, str] | None]:
    def value(report: Report) -> tuple[float, str] | None:
        rows = _rows(report, "natural", 256)
        a, b = _speed(rows, top), _speed(rows, bottom)
        return None if a is None or b is None else (a / b, f"{a:.0f} / {b:.0f} images/s")

    return value


def _best_peer(report: Report) -> tuple[float, str] | None:
    rows = _rows(report, "natural", 256)
    ours = _speed(rows, "fastpre-auto")
    peers = [row for row in rows.values() if row["role"] == "peer"]
    if ours is None or not peers:
        return None
    best = max(peers, key=lambda row: row["images_per_second"])
    return ours / best["images_per_second"], f"best of {len(peers)} peers: {best['label']}"


def _latency(what: str) -> Callable[[Report], tuple[float, str] | None]:
    def value(report: Report) -> tuple[float, str] | None:
        rows = {r["key"]: r for r in of_gpu(report, "bench").get("latency", []) if r["what"] == what and "ms" in r}
        if "fastpre-auto" not in rows:
            return None
        exact = rows.get("fastpre-exact")
        return rows["fastpre-auto"]["ms"]["median"], f"exact: {exact['ms']['median']:.2f} ms" if exact else ""

    return value


def _kernel(field: str) -> Callable[[Report], tuple[float, str] | None]:
    """Of the first mode that has it, the engines' first: there, nothing else runs beside the kernels."""

    def value(report: Report) -> tuple[float, str] | None:
        modes = of_gpu(report, "kernel").get("modes", {})
        for key in ("fastpre-hardware", "fastpre-exact"):
            if modes.get(key, {}).get(field) is not None:
                return modes[key][field], key
        return None

    return value


def _different(report: Report) -> tuple[float, str] | None:
    sets = of_gpu(report, "difference").get("exact", {})
    counted = [s for s in sets.values() if "different" in s]
    if not counted:
        return None
    equal, refused = (sum(s[key] for s in counted) for key in ("equal", "refused_alike"))
    return sum(s["different"] for s in counted), f"{equal} equal, {refused} refused alike, {len(counted)} sets"


def _worst_decoder(field: str, of_equal: float) -> Callable[[Report], tuple[float, str] | None]:
    def value(report: Report) -> tuple[float, str] | None:
        found = {}
        for decoder in DECODERS:
            sets = of_gpu(report, "difference").get("fast", {}).get(decoder, {})
            published = sets.get(PUBLISHED, {})
            if published.get("images") and sets.get("ran"):
                measured = published[field]
                found[decoder] = of_equal if measured is None else measured
        if not found:
            return None
        worst = min(found, key=found.__getitem__)
        return found[worst], f"worst of {', '.join(found)}: {worst}"

    return value


def _growth(key: str) -> Callable[[Report], tuple[float, str] | None]:
    def value(report: Report) -> tuple[float, str] | None:
        memory = of_gpu(report, "memory")
        grown = memory.get("growth_bytes")
        return None if grown is None else (grown[key] / MIB, f"batches 100 to {memory['batches']}")

    return value


def _sanitizer(report: Report) -> tuple[float, str] | None:
    tools = of_gpu(report, "sanitizer").get("tools", {})
    # A run that came to no batch has found nothing because it looked at nothing.
    counted = {name: tool["errors"] for name, tool in tools.items() if tool["errors"] or tool.get("batches")}
    counted = {name: errors for name, errors in counted.items() if errors is not None}
    return (sum(counted.values()), ", ".join(counted)) if counted else None


def _tests(report: Report) -> tuple[float, str] | None:
    tests = of_gpu(report, "tests")
    if not tests.get("tests"):
        return None
    note = f"{tests['passed']} passed, {tests['skipped']} skipped" + (", cut short" if tests["stopped_early"] else "")
    return tests["failed"] + tests["errors"], note


def _threads(report: Report) -> tuple[float, str] | None:
    modes = of_gpu(report, "threads").get("modes", {})
    if not modes:
        return None
    wrong = sum(mode["different"] + len(mode["errors"]) for mode in modes.values())
    return wrong, f"{sum(mode['batches'] for mode in modes.values())} batches"


TARGETS = (
    Target("tests/test_cuda*.py that fail", 0, True, "", _tests),
    Target("exact on cuda: images that differ from the CPU", 0, True, "", _different),
    Target("fast: values within 2/255 of exact", 99.9, False, " %", _worst_decoder("within_2_percent", 100.0)),
    Target("fast: PSNR to exact", 45, False, " dB", _worst_decoder("psnr_db", math.inf)),
    Target("natural, 256: fast auto / best peer", 1.5, False, "x", _best_peer),
    Target("natural, 256: fast auto / engines only", 1.4, False, "x", _ratio("fastpre-auto", "fastpre-hardware")),
    Target("natural, 256: exact / fast auto", 0.8, False, "x", _ratio("fastpre-exact", "fastpre-auto")),
    Target("one natural image, fast auto", 1.5, True, " ms", _latency("natural")),
    Target("one 12 MP image, fast auto", 12, True, " ms", _latency("12 MP")),
    Target("kernels' time / nvJPEG alone", 0.05, True, "", _kernel("adds_to_nvjpeg_alone")),
    Target("kernel's bytes/s / device copy's", 0.7, False, "", _kernel("fraction_of_copy")),
    Target("4 threads: batches that differ or fail", 0, True, "", _threads),
    Target("memory growth, fastpre's own", 0, True, " MiB", _growth("fastpre_device")),
    Target("memory growth, device without torch", 2, True, " MiB", _growth("device_beside_torch")),
    Target("compute-sanitizer errors", 0, True, "", _sanitizer),
)
