"""What fastpre is meant to reach, and whether it did."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from tasks import BASELINE, ENTROPY, RGB, TURBO_ENTROPY, TURBO_RGB

Found = tuple[float, str] | None  # a figure and words to go with it; None: not measured
Value = Callable[[dict[str, Any]], Found]
NOT_MEASURED = "not measured"


@dataclasses.dataclass(frozen=True)
class Target:
    """A bound on a figure that follows from a stored result.

    Attributes:
        text: the figure in words.
        bound: its limit, and whether the figure has to stay at or below it or reach it.
        value: takes the result to the figure.
        unit: behind the figure.
        stretch: a limit that would be better still, or None.
    """

    text: str
    bound: float
    at_most: bool
    value: Value
    unit: str = ""
    stretch: float | None = None


def judge(targets: Sequence[Target], result: dict[str, Any]) -> list[dict[str, Any]]:
    """All of them as JSON records; the verdict is "met", "MISSED" or "not measured"."""
    records = []
    for target in targets:
        record: dict[str, Any] = {"text": target.text, "bound": target.bound, "at_most": target.at_most}
        record |= {"unit": target.unit, "value": None, "note": "", "verdict": NOT_MEASURED}
        if target.stretch is not None:
            record["stretch"] = target.stretch
        found = target.value(result)
        if found is not None:
            value, record["note"] = found
            met = value <= target.bound if target.at_most else value >= target.bound
            record["value"] = round(value, 4) if math.isfinite(value) else "infinite"
            record["verdict"] = "met" if met else "MISSED"
        records.append(record)
    return records


def line(record: dict[str, Any]) -> str:
    """One record in a table."""
    verdict = record["verdict"] if "verdict" in record else "met" if record["met"] else "MISSED"
    value = record["value"]
    shown = "-" if value is None else f"{value:.4g}" if isinstance(value, (int, float)) else value
    bound = f"{'<=' if record['at_most'] else '>='} {record['bound']:g}{record.get('unit', '')}"
    stretch = f" (better {record['stretch']:g})" if "stretch" in record else ""
    note = f"  ({record['note']})" if record.get("note") else ""
    return f"{record['text']:56}{bound:>12}{shown:>12}  {verdict}{stretch}{note}"


def _row(result: dict[str, Any], key: str) -> dict[str, Any] | None:
    return next((row for row in result["rows"] if row["key"] == key), None)


def _ratio(key: str, to: str) -> Value:
    """Of two rows' medians, if both are of the same images."""

    def value(result: dict[str, Any]) -> Found:
        top, bottom = _row(result, key), _row(result, to)
        if top is None or bottom is None:
            return None
        if top.get("images", result["images"]) != bottom.get("images", result["images"]):
            return None
        return top["ms"]["median"] / bottom["ms"]["median"], ""

    return value


def _ms(result: dict[str, Any]) -> Found:
    row = _row(result, "fastpre-exact")
    return None if row is None else (row["ms"]["median"], "")


def _after_decode_ms(result: dict[str, Any]) -> Found:
    row = _row(result, "fastpre-exact")
    if row is None or "stages_us" not in row:
        return None
    return sum(row["stages_us"][stage] for stage in ("header", "resample", "normalize")) / 1e3, ""


# Loader as it is without being told more, against the others with 2 workers.
EPOCHS = [
    Target("times torchvision tensors, fastpre.data.Loader", 3.5, False, _ratio(BASELINE, "fastpre-threads")),
    Target("times torchvision PIL, fastpre.data.Loader", 5.0, False, _ratio("torchvision-pil", "fastpre-threads")),
    Target("times torchvision tensors, the same with workers", 2.0, False, _ratio(BASELINE, "fastpre-here")),
    Target("times torchvision tensors, fastpre.data.collate", 2.0, False, _ratio(BASELINE, "fastpre-exact")),
]

# By task and threads.
TARGETS: dict[tuple[str, str], list[Target]] = {
    ("natural", "1"): [
        Target("fastpre / torchvision tensors", 0.70, True, _ratio("fastpre-exact", BASELINE)),
        Target("ms after the decoder", 0.10, True, _after_decode_ms),
        Target(
            "fastpre / libjpeg-turbo's entropy decoding alone", 0.75, True, _ratio("fastpre-exact", TURBO_ENTROPY)
        ),
    ],
    ("large", "1"): [
        Target("fastpre / torchvision tensors", 0.55, True, _ratio("fastpre-exact", BASELINE)),
        Target("fidelity=fast / Pillow draft mode", 0.60, True, _ratio("fastpre-fast", "pillow-draft")),
        Target("fidelity=fast / fastpre's entropy decoding alone", 1.25, True, _ratio("fastpre-fast", ENTROPY)),
    ],
    ("large-one", "all"): [
        Target("times as fast with two threads", 1.6, False, _ratio("fastpre-exact x1", "fastpre-exact x2")),
    ],
    ("small", "1"): [Target("fastpre, ms", 0.12, True, _ms)],
    ("decode", "1"): [
        Target(
            *("entropy decoding, fastpre / libjpeg-turbo", 0.55, True, _ratio(ENTROPY, TURBO_ENTROPY)), stretch=0.45
        ),
        Target("decode to rows, fastpre / libjpeg-turbo", 0.62, True, _ratio(RGB, TURBO_RGB)),
    ],
    ("scaling", "all"): [
        Target("times as fast with all cores", 1.9, False, _ratio("fastpre-exact x1", "fastpre-exact xall")),
    ],
    ("loader", "all"): EPOCHS,
    ("loader-memory", "all"): EPOCHS,
}  # fmt: skip
