"""Draws docs/charts/*.svg from the newest results: `python benchmarks/charts.py`."""

from __future__ import annotations

import argparse
import math
import pathlib
import sys
from typing import Any

import matplotlib
import report
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch
from tasks import TASKS

matplotlib.rcParams |= {
    "svg.hashsalt": "fastpre",  # the same results give the same file
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.bottom": False,
    "axes.edgecolor": "#8a8f98",
    "text.color": "#24292f",
    "xtick.bottom": False,
    "xtick.labelbottom": False,
    "ytick.left": False,
}

CHARTS = report.RESULTS.parents[1] / "docs" / "charts"
OURS, EXACT, OTHER, PART = "#0a6b5d", "#8fb8b0", "#c9ccd1", "#d9b26f"
LEGEND = {"fastpre": OURS, "equal to Pillow in every bit": EXACT, "other numbers": OTHER, "a part of the work": PART}


def color(row: dict[str, Any]) -> str:
    """By what a bar stands for: a part, fastpre, another one with the reference's bits, or one with others."""
    agreement = row["agreement"]
    if row.get("part"):
        return PART
    if row["key"].startswith("fastpre"):
        return OURS
    return EXACT if agreement["equal"] == agreement["images"] else OTHER


def bars(axes: Axes, result: dict[str, Any], places: int) -> None:
    """One result as horizontal bars, the fastest on top, in room for `places` of them."""
    rows = sorted(result["rows"], key=lambda row: row["ms"]["median"])
    medians = [row["ms"]["median"] for row in rows]
    axes.barh(range(len(rows)), medians, height=0.72, color=[color(row) for row in rows])
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row["key"].startswith("fastpre") else "normal")
    axes.set_ylim(places - 0.5, -0.5)
    axes.spines.left.set_bounds(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1.16 * max(medians))
    for place, ms in enumerate(medians):
        axes.text(ms + 0.012 * max(medians), place, figure_text(ms), va="center")


def figure_text(ms: float) -> str:
    """Three significant digits, and no more than that."""
    return f"{ms:.{max(0, 2 - math.floor(math.log10(ms)))}f}"


def footnote(result: dict[str, Any]) -> str:
    """What the figures hold for."""
    m = result["machine"]
    where = "one core" if result["threads"] == "1" else f"{m['cores']} cores"
    libraries = ", ".join(
        f"{name} {m['libraries'][package].partition('+')[0]}"
        for package, name in (("torchvision", "torchvision"), ("pillow", "Pillow"))
        if package in m["libraries"]
    )
    return f"{m['cpu']}, {where}; {libraries}; {result['date']}; median of {result['rounds']} rounds"


def legend(figure: Figure, results: list[dict[str, Any]], **place: Any) -> None:
    used = {color(row) for result in results for row in result["rows"]}
    handles = [Patch(color=c, label=label) for label, c in LEGEND.items() if c in used]
    figure.legend(handles=handles, frameon=False, handlelength=1, handleheight=1, **place)


def single(result: dict[str, Any]) -> Figure:
    """The README's chart: one task."""
    count = len(result["rows"])
    height = 1.5 + 0.32 * count
    engine = ConstrainedLayoutEngine(rect=(0.008, 0.62 / height, 0.992, 1 - 1.22 / height))
    figure = Figure(figsize=(7.6, height), layout=engine)
    bars(figure.subplots(), result, count)
    figure.text(0.012, 1 - 0.26 / height, "Milliseconds per image, less is better", fontsize=12, fontweight="bold")
    figure.text(0.012, 1 - 0.49 / height, sentence(result["title"]), fontsize=10)
    legend(figure, [result], loc="lower left", bbox_to_anchor=(0, 0.26 / height), ncols=4)
    figure.text(0.012, 0.1 / height, footnote(result), fontsize=8, color="#6a707a")
    return figure


def faceted(results: list[dict[str, Any]]) -> Figure:
    """Every task, two a row, each on a scale of its own."""
    pairs = [results[i : i + 2] for i in range(0, len(results), 2)]
    places = [max(len(result["rows"]) for result in pair) for pair in pairs]
    height = 1.0 + sum(0.6 + 0.25 * count for count in places)
    rect = (0.004, 0.65 / height, 0.996, 1 - 0.7 / height)
    figure = Figure(figsize=(13, height), layout=ConstrainedLayoutEngine(rect=rect, wspace=0.03, hspace=0.04))
    grid = figure.subplots(len(pairs), 2, squeeze=False, height_ratios=places)
    for row, pair, count in zip(grid, pairs, places, strict=True):
        for axes, result in zip(row, pair, strict=False):
            bars(axes, result, count)
            axes.set_title(sentence(result["title"]), loc="left", fontsize=11)
        for axes in row[len(pair) :]:
            axes.set_axis_off()
    legend(figure, results, loc="lower left", bbox_to_anchor=(0, 0.28 / height), ncols=4)
    dates = " to ".join(sorted({result["date"] for result in results}))
    note = footnote(results[0]).replace(results[0]["date"], dates)
    figure.text(0.007, 0.1 / height, f"Milliseconds per image, less is better. {note}", fontsize=8.5, color="#6a707a")
    return figure


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=pathlib.Path, default=report.RESULTS)
    parser.add_argument("--out", type=pathlib.Path, default=CHARTS)
    parser.add_argument("--png", action="store_true", help="also a PNG of each, to look at")
    arguments = parser.parse_args()
    found = report.latest(arguments.results)
    results = [found[name, "1"] for name in TASKS if (name, "1") in found]
    if not results:
        print(f"no results of one core in {arguments.results}: run benchmarks/run.py first", file=sys.stderr)
        return 1
    figures = {"tasks": faceted(results)}
    if ("natural", "1") in found:
        figures["natural"] = single(found["natural", "1"])
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        path = arguments.out / f"{name}.svg"
        figure.savefig(path, metadata={"Date": None})
        if arguments.png:
            figure.savefig(path.with_suffix(".png"), dpi=110)
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
