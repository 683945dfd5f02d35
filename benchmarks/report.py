"""Results as JSON files and as a short table: `python benchmarks/report.py results/*.json` prints stored ones."""

from __future__ import annotations

import datetime
import json
import pathlib
import sys
from typing import Any

import machine
import targets
from photographs import Photographs
from tasks import BASELINE, Task

NAMED = 8  # images that are left out, in a table
QUIET = 0.95  # of a pinned core; less means that another process ran on it
RESULTS = pathlib.Path(__file__).resolve().parent / "results"


def record(task: Task, threads: str, photos: Photographs, rounds: int, outcome: dict[str, Any]) -> dict[str, Any]:
    """A task's result as it is stored."""
    result = {
        "task": task.name,
        "title": task.title,
        "threads": threads,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine.describe(),
        "photos": photos.source,
        "images": len(photos.images),
        "rounds": rounds,
        **outcome,
        "left_out": {photos.names[i]: why for i, why in outcome["left_out"].items()},
    }
    judged = targets.judge(targets.TARGETS.get((task.name, threads), []), result)
    return result | {"targets": [t for t in judged if t["value"] is not None]}


def write(result: dict[str, Any], folder: pathlib.Path = RESULTS) -> pathlib.Path:
    """Stores it as <date>-<task>-<threads>.json; a second run of a day replaces the first."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result['date']}-{result['task']}-{result['threads']}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return path


def latest(folder: pathlib.Path = RESULTS) -> dict[tuple[str, str], dict[str, Any]]:
    """The newest result of each (task, threads)."""
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for path in sorted(folder.glob("*.json")):  # names begin with the date
        result = json.loads(path.read_text(encoding="utf-8"))
        newest[result["task"], result["threads"]] = result
    return newest


def table(result: dict[str, Any]) -> str:
    """A few lines of plain text: rows from the fastest to the slowest, stages, absentees, targets."""
    about, rows = result["machine"], sorted(result["rows"], key=lambda row: row["ms"]["median"])
    where = "one pinned core" if result["threads"] == "1" else f"{about['cores']} cores"
    lines = [
        f"{result['task']}: {result['title']}",
        f"{result['images']} images ({result['photos']}), {result['rounds']} rounds, {where}, {about['cpu']}, "
        f"load {about['load_average']}",
        "",
        f"{'':36}{'ms/image':>9}{'min':>9}{'max':>9}{'iqr':>8}{'img/s':>8}{'ratio':>7}"
        f"{'cores':>7}{'equal':>9}{'diff':>6}{'psnr':>7}",
    ]
    base = next((row["ms"]["median"] for row in rows if row["key"] in (BASELINE, f"{BASELINE} x1")), None)
    for row in rows:
        same_images = row.get("images", result["images"]) == result["images"]
        lines.append(_line(row, base if same_images else None))
    lines += ["", *(line for row in rows for line in _remarks(row))]
    left_out = result["left_out"]
    if left_out:
        some = [f"{name} ({why})" for name, why in list(left_out.items())[:NAMED]]
        more = [f"{len(left_out) - NAMED} more (in the JSON file)"] if len(left_out) > NAMED else []
        lines.append(
            f"  parts of decoding were timed without {len(left_out)} of the images, which fastpre's decoder declines: "
            f"{', '.join(some + more)}"
        )
    waited = min((row.get("cores_used", 1) for row in rows), default=1)
    if result["threads"] == "1" and waited < QUIET:
        lines.append(f"  busy machine: one had only {waited:.2f} of the core; measure again when it is quiet")
    lines += [f"  not run: {key}: {why}" for key, why in result["absent"].items()]
    return "\n".join([*lines, *(f"  target: {targets.line(t)}" for t in result["targets"])]) + "\n"


def _line(row: dict[str, Any], base: float | None) -> str:
    ms, a = row["ms"], row.get("agreement")
    ratio = f"{ms['median'] / base:.2f}" if base else "-"
    used = f"{row['cores_used']:.2f}" if "cores_used" in row else "-"
    line = f"  {row['label']:34}{ms['median']:9.3f}{ms['min']:9.3f}{ms['max']:9.3f}{ms['iqr']:8.3f}"
    line += f"{1e3 / ms['median']:8.0f}{ratio:>7}{used:>7}"
    if a is None:
        return line
    psnr = "-" if a["psnr_db"] is None else f"{a['psnr_db']:.1f}"
    equal = f"{a['equal']}/{a['images']}"
    return f"{line}{equal:>9}{a['max_difference']:6.1f}{psnr:>7}"


def _remarks(row: dict[str, Any]) -> list[str]:
    """A call's stages; and how a row was checked that need not equal the reference."""
    lines = []
    s, a = row.get("stages_us"), row.get("agreement") or {}
    if s:
        after = s["header"] + s["resample"] + s["normalize"]
        lines.append(
            f"  {row['label']}: decode {s['decode']:.0f} us, after it {after:.0f} us (header {s['header']:.0f}, "
            f"resample {s['resample']:.0f}, normalize {s['normalize']:.0f}), around the stages {s['outside']:.0f} us"
        )
    required = a.get("required_mean_psnr_db")
    if required is not None:
        found = "all equal" if a["mean_psnr_db"] is None else f"{a['mean_psnr_db']:.1f} dB"
        lines.append(
            f"  {row['label']}: not held to every bit but to an image's mean PSNR of {required:.0f} dB or more "
            f"to the exact result: {found}"
        )
    return lines


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(table(json.loads(pathlib.Path(name).read_text(encoding="utf-8"))))
