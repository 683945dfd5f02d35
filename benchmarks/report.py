"""Results as JSON files and as a short table."""

from __future__ import annotations

import datetime
import json
import pathlib
from typing import Any

import machine
import targets
from outcome import BASELINE, Outcome
from photographs import Photos
from tasks import Task

NAMED = 8  # images that are left out, in a table
QUIET = 0.95  # of a pinned core; less means that another process ran on it
RESULTS = pathlib.Path(__file__).resolve().parent / "results"


def record(task: Task, threads: str, photos: Photos, rounds: int, outcome: Outcome) -> dict[str, Any]:
    """A task's result as it is stored."""
    return {
        "task": task.name,
        "title": task.title,
        "threads": threads,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine.describe(),
        "photos": photos.source,
        "images": len(photos.images),
        "rounds": rounds,
        "rows": [row.as_json() for row in outcome.rows],
        "absent": outcome.absent,
        "left_out": {photos.names[i]: why for i, why in outcome.left_out.items()},
        "targets": targets.judge(task.name, threads, outcome),
    }


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
    about = result["machine"]
    where = "one pinned core" if result["threads"] == "1" else f"{about['cores']} cores"
    lines = [
        f"{result['task']}: {result['title']}",
        f"{result['images']} images ({result['photos']}), {result['rounds']} rounds, {where}, {about['cpu']}, "
        f"load {about['load_average']}",
        "",
        f"{'':36}{'ms/image':>9}{'min':>9}{'max':>9}{'iqr':>8}{'img/s':>8}{'ratio':>7}"
        f"{'cores':>7}{'equal':>9}{'diff':>6}{'psnr':>7}",
    ]
    base = next((row["ms"]["median"] for row in result["rows"] if _base_of(row["key"])), None)
    for row in sorted(result["rows"], key=lambda row: row["ms"]["median"]):
        same_images = row.get("images", result["images"]) == result["images"]
        lines.append(_line(row, base if same_images else None))
    lines += ["", *_stage_lines(result["rows"]), *_fidelity_lines(result["rows"])]
    left_out = result["left_out"]
    if left_out:
        some = [f"{name} ({why})" for name, why in list(left_out.items())[:NAMED]]
        more = [f"{len(left_out) - NAMED} more (in the JSON file)"] if len(left_out) > NAMED else []
        lines.append(
            f"  parts of decoding were timed without {len(left_out)} of the images, which fastpre's decoder declines: "
            f"{', '.join(some + more)}"
        )
    waited = min((row.get("cores_used", 1) for row in result["rows"]), default=1)
    if result["threads"] == "1" and waited < QUIET:
        lines.append(f"  busy machine: somebody had only {waited:.2f} of the core; measure again when it is quiet")
    lines += [f"  not run: {key}: {why}" for key, why in result["absent"].items()]
    for t in result["targets"]:
        sign, verdict = ("<=" if t["at_most"] else ">="), ("met" if t["met"] else "MISSED")
        stretch = f" (better {t['stretch']:.2f})" if "stretch" in t else ""
        lines.append(f"  target: {t['text']} {sign} {t['bound']:.2f}{stretch}: {t['value']:.3f}  {verdict}")
    return "\n".join(lines) + "\n"


def _base_of(key: str) -> bool:
    return key in (BASELINE, f"{BASELINE} x1")


def _line(row: dict[str, Any], base: float | None) -> str:
    ms = row["ms"]
    ratio = f"{ms['median'] / base:.2f}" if base else "-"
    line = f"  {row['label']:34}{ms['median']:9.3f}{ms['min']:9.3f}{ms['max']:9.3f}{ms['iqr']:8.3f}"
    used = "-" if row.get("cores_used") is None else f"{row['cores_used']:.2f}"
    line += f"{1e3 / ms['median']:8.0f}{ratio:>7}{used:>7}"
    a = row.get("agreement")
    if a is None:
        return line
    psnr = "-" if a["psnr_db"] is None else f"{a['psnr_db']:.1f}"
    equal = f"{a['equal']}/{a['images']}"
    return f"{line}{equal:>9}{a['max_difference']:6.1f}{psnr:>7}"


def _stage_lines(rows: list[dict[str, Any]]) -> list[str]:
    lines = []
    for row in rows:
        s = row.get("stages_us")
        if s:
            after = s["header"] + s["resample"] + s["normalize"]
            parts = f"header {s['header']:.0f}, resample {s['resample']:.0f}, normalize {s['normalize']:.0f}"
            lines.append(
                f"  {row['label']}: decode {s['decode']:.0f} us, after it {after:.0f} us ({parts}), "
                f"around the stages {s['outside']:.0f} us"
            )
    return lines


def _fidelity_lines(rows: list[dict[str, Any]]) -> list[str]:
    """How rows were checked that need not equal the reference."""
    lines = []
    for row in rows:
        a = row.get("agreement") or {}
        required = a.get("required_mean_psnr_db")
        if required is not None:
            mean = a["mean_psnr_db"]
            found = "all equal" if mean is None else f"{mean:.1f} dB"
            lines.append(
                f"  {row['label']}: not held to every bit but to an image's mean PSNR of {required:.0f} dB or more "
                f"to the exact result: {found}"
            )
    return lines
