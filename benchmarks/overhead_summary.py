"""What a result of overheads.py says: medians, shares, and the table that is printed."""

from __future__ import annotations

import statistics
from typing import Any

BUSY = 0.05  # share of the cores that other processes may have had
WITHIN = 0.10  # of the ceiling that was predicted


def median(row: dict[str, Any], clients: int, name: str) -> float | None:
    """Of the rounds that have it."""
    values = [each[name] for each in row["rounds"].get(str(clients), []) if each[name] is not None]
    return statistics.median(values) if values else None


def rate(row: dict[str, Any]) -> float:
    """Images/s with 8 clients."""
    return median(row, 8, "images_s") or 0.0


def row_of(result: dict[str, Any], task: str, size: str, preprocessing: str) -> dict[str, Any] | None:
    """A row by what it is of."""
    wanted = (task, size, preprocessing)
    return next((r for r in result["rows"] if (r["task"], r["size"], r["preprocessing"]) == wanted), None)


def stages(row: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of a request of one client: preprocessing, inference, and what is around them."""
    rounds = row["rounds"]["1"]
    found = {
        name: statistics.median(each["stages_ms"].get(name, 0.0) for each in rounds)
        for name in ("preprocess", "inference")
    }
    p50 = median(row, 1, "p50_ms") or 0.0
    return {**found, "around": max(0.0, p50 - sum(found.values()))}


def added_share(row: dict[str, Any]) -> float:
    """Of a request's latency, what is not inference."""
    part = stages(row)
    whole = sum(part.values())
    return 1 - part["inference"] / whole if whole else 0.0


def lost(row: dict[str, Any]) -> float:
    """Of inference's own throughput, what the whole server does not give."""
    return 1 - rate(row) / max(statistics.median(each) for each in row["inference_alone_s"].values())


def others(result: dict[str, Any]) -> float:
    """The share of the cores that other processes had, in the median."""
    found = [
        each["others"]
        for row in [*result["rows"], *result["handovers"]]
        for rounds in row["rounds"].values()
        for each in rounds
    ]
    return statistics.median(found) if found else 0.0


def summary(result: dict[str, Any]) -> str:
    """The result as text."""
    m = result["machine"]
    lines = [
        f"overheads; {m['cpu']}, {m['cores']} cores shared with the client; {result['date']}, commit {m['commit']}; "
        f"medians of {result['rounds']} rounds of {result['seconds']:g} s",
        "",
        f"  {'':38}{'1 client':>10}{'prepr.':>9}{'infer.':>9}{'around':>9}{'not inf.':>9}{'8 clients':>11}"
        f"{'alone':>9}{'lost':>7}{'x torchv.':>11}",
        f"  {'':38}{'p50 ms':>10}{'ms':>9}{'ms':>9}{'ms':>9}{'':>9}{'images/s':>11}{'images/s':>9}",
    ]
    for row in result["rows"]:
        part = stages(row)
        alone = max(statistics.median(each) for each in row["inference_alone_s"].values())
        theirs = row_of(result, row["task"], row["size"], "torchvision")
        times = f"{rate(row) / rate(theirs):.2f}" if theirs and rate(theirs) else "-"
        name = f"{row['task']}, {row['size']}, {row['preprocessing']}"
        lines.append(
            f"  {name:38}{median(row, 1, 'p50_ms') or 0:>10.2f}{part['preprocess']:>9.2f}{part['inference']:>9.2f}"
            f"{part['around']:>9.2f}{added_share(row):>9.0%}{rate(row):>11.0f}{alone:>9.0f}{lost(row):>7.0%}{times:>11}"
        )
    lines.append("")
    for row in result["handovers"]:
        lines.append(
            f"  hand-over by {row['handover']:14} {rate(row):6.0f} images/s, one client p50 "
            f"{median(row, 1, 'p50_ms') or 0:.2f} ms"
        )
    for row in (result["pipelines"] or {"rows": []})["rows"]:
        lines.append(f"  pipeline by {row['kind']:14} {row['images_per_s']['median']:6.0f} photographs/s")
    for each in result["ceilings"]:
        word = "reached" if abs(1 - each["achieved_of_predicted"]) <= WITHIN else "MISSED"
        lines.append(
            f"  ceiling of {each['task']}, {each['size']}: predicted {each['predicted']:.0f} images/s (bound by "
            f"{each['bound_by']}), achieved {each['achieved']:.0f}, {each['achieved_of_predicted']:.0%}; within "
            f"{WITHIN:.0%}: {word}"
        )
    if all(median(row, 8, "joules") is None for row in result["rows"]):
        lines.append("  energy: not reported by this machine")
    if others(result) > BUSY:
        lines.append(f"  busy machine: other processes had {others(result):.0%} of the cores; measure again")
    lines += [f"  needs a GPU: {what}" for what in result["needs_gpu"]]
    lines += [f"  skipped: {what}: {why}" for what, why in result["absent"].items()]
    return "\n".join(lines) + "\n"
