"""What fastpre is meant to reach on a GPU; nothing counts that a GPU did not do."""

from __future__ import annotations

import math
from typing import Any

from targets import Found, Target, Value

Report = dict[str, Any]
MIB = 1 << 20


def of_gpu(report: Report, name: str) -> dict[str, Any]:
    """A section's result, empty if it is not a GPU's."""
    result: dict[str, Any] = report["sections"].get(name, {})
    return result if result.get("device") == "cuda" else {}


def _rows(report: Report, name: str, size: int) -> dict[str, dict[str, Any]]:
    cells = of_gpu(report, "throughput").get("cells", [])
    return next(({r["key"]: r for r in c["rows"]} for c in cells if (c["set"], c["batch"]) == (name, size)), {})


def _times_as_fast(top: str, bottom: str | None = None) -> Value:
    """On natural photographs in batches of 256; `bottom`: None: the fastest that is not ours and does the whole job."""

    def value(report: Report) -> Found:
        rows = _rows(report, "natural", 256)
        others = [r for r in rows.values() if not r["part"] and not r["key"].startswith("fastpre")]
        best = min(others, key=lambda row: row["ms"]["median"], default=None)
        low, high = rows.get(bottom) if bottom else best, rows.get(top)
        if low is None or high is None:
            return None
        note = f"best of {len(others)}: {low['label']}" if bottom is None else low["label"]
        return low["ms"]["median"] / high["ms"]["median"], note

    return value


def _latency(what: str) -> Value:
    def value(report: Report) -> Found:
        rows = _rows(report, what, 1)
        if "fastpre-fast" not in rows:
            return None
        exact = rows.get("fastpre-exact")
        return rows["fastpre-fast"]["ms"]["median"], f"exact: {exact['ms']['median']:.2f} ms" if exact else ""

    return value


def _kernel(field: str) -> Value:
    """Of the first mode that has it, the engines' first: there, nothing else runs beside the kernels."""

    def value(report: Report) -> Found:
        modes = of_gpu(report, "kernels").get("modes", {})
        keys = [key for key in ("fastpre-hardware", "fastpre-exact") if field in modes.get(key, {})]
        return (modes[keys[0]][field], keys[0]) if keys else None

    return value


def _different(report: Report) -> Found:
    sets = [s for s in of_gpu(report, "difference").get("exact", {}).values() if "different" in s]
    equal, refused, different = (sum(s[key] for s in sets) for key in ("equal", "refused_alike", "different"))
    return (different, f"{equal} equal, {refused} refused alike, {len(sets)} sets") if sets else None


def _worst_decoder(field: str, of_equal: float) -> Value:
    def value(report: Report) -> Found:
        found = {}
        for decoder, sets in of_gpu(report, "difference").get("fast", {}).items():
            published = sets.get("published", {})
            if published.get("images") and sets.get("ran"):
                found[decoder] = of_equal if published[field] is None else published[field]
        worst = min(found, key=found.__getitem__, default=None)
        return None if worst is None else (found[worst], f"worst of {', '.join(found)}: {worst}")

    return value


def _growth(key: str) -> Value:
    def value(report: Report) -> Found:
        memory = of_gpu(report, "soak").get("memory", {})
        grown = memory.get("growth_bytes")
        return (grown[key] / MIB, f"batches 100 to {memory['batches']}") if grown else None

    return value


def _threads(report: Report) -> Found:
    modes = of_gpu(report, "soak").get("threads", {}).values()
    wrong = sum(mode["different"] + len(mode["errors"]) for mode in modes)
    return (wrong, f"{sum(mode['batches'] for mode in modes)} batches") if modes else None


def _tests(report: Report) -> Found:
    tests = of_gpu(report, "checks").get("tests")
    return (tests["failed"], f"{tests['passed']} passed, {tests['skipped']} skipped") if tests else None


def _sanitizer(report: Report) -> Found:
    tools = of_gpu(report, "checks").get("sanitizer", {})
    # A run in which no test passed has found nothing because it looked at nothing.
    counted = {name: t["errors"] for name, t in tools.items() if t["errors"] or (t["errors"] == 0 and t["passed"])}
    return (sum(counted.values()), ", ".join(counted)) if counted else None


TARGETS = (
    Target("tests/test_cuda*.py that fail", 0, True, _tests),
    Target("exact on cuda: images that differ from the CPU", 0, True, _different),
    Target("fast: values within 2/255 of exact", 99.9, False, _worst_decoder("within_2_percent", 100.0), " %"),
    Target("fast: PSNR to exact", 45, False, _worst_decoder("psnr_db", math.inf), " dB"),
    Target("natural, 256: fast / best other implementation", 1.5, False, _times_as_fast("fastpre-fast"), "x"),
    Target("natural, 256: fast / engines only", 1.4, False, _times_as_fast("fastpre-fast", "fastpre-hardware"), "x"),
    Target("natural, 256: exact / fast", 0.8, False, _times_as_fast("fastpre-exact", "fastpre-fast"), "x"),
    Target("one natural image, fast", 1.5, True, _latency("one natural"), " ms"),
    Target("one 12 MP image, fast", 12, True, _latency("one 12 MP"), " ms"),
    Target("kernels' time / nvJPEG alone", 0.05, True, _kernel("adds_to_nvjpeg_alone")),
    Target("kernel's bytes/s / device copy's", 0.7, False, _kernel("fraction_of_copy")),
    Target("4 threads: batches that differ or fail", 0, True, _threads),
    Target("memory growth, fastpre's own", 0, True, _growth("fastpre_device"), " MiB"),
    Target("memory growth, device without torch", 2, True, _growth("device_beside_torch"), " MiB"),
    Target("compute-sanitizer errors", 0, True, _sanitizer),
)
