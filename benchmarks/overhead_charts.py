"""The charts of docs/overheads.md, from a result of overheads.py."""

from __future__ import annotations

import pathlib
import statistics
from typing import Any

from charts import EXACT, OTHER, OURS, PART
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from overhead_summary import median, rate, stages

STAGES = {"preprocess": ("preprocessing", PART), "inference": ("inference", OURS), "around": ("around them", OTHER)}
THROUGHPUT = {"alone": ("inference alone", OTHER), "fastpre": ("server with fastpre", OURS),
              "torchvision": ("server with torchvision", EXACT)}  # fmt: skip


def draw(result: dict[str, Any], folder: pathlib.Path, png: bool = False) -> list[pathlib.Path]:
    """Writes SVG files, and says where."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "overheads-stages": of_stages(result),
        "overheads-throughput": of_throughput(result),
        "overheads-handovers": of_handovers(result),
    }
    paths = []
    for name, figure in figures.items():
        path = folder / f"{name}.svg"
        figure.savefig(path, metadata={"Date": None})
        if png:
            figure.savefig(path.with_suffix(".png"), dpi=110)
        paths.append(path)
    return paths


def of_stages(result: dict[str, Any]) -> Figure:
    """Shares of a request's latency, a panel for each task."""
    rows = [row for row in result["rows"] if median(row, 1, "p50_ms")]
    figure, panels = _panels(result, rows, "What a request's time is spent on, one client")
    for axes, of_task in panels:
        for place, row in enumerate(of_task):
            part = stages(row)
            whole, left = sum(part.values()), 0.0
            for name, (_, color) in STAGES.items():
                share = 100 * part[name] / whole
                axes.barh(place, share, left=left, height=0.74, color=color)
                left += share
            axes.text(101, place, f"{whole:.1f} ms", va="center", fontsize=8.5)
        axes.set_xlim(0, 116)
    _legend(figure, list(STAGES.values()))
    return figure


def of_throughput(result: dict[str, Any]) -> Figure:
    """Images/s, inference alone as 100%, a panel for each task."""
    rows = [row for row in result["rows"] if rate(row)]
    figure, panels = _panels(result, rows, "Throughput, 8 clients, in % of inference alone")
    for axes, of_task in panels:
        alone = max(statistics.median(each) for each in of_task[0]["inference_alone_s"].values())
        for place, row in enumerate(of_task):
            share = 100 * rate(row) / alone
            key = row["preprocessing"] if row["preprocessing"] in THROUGHPUT else "fastpre"
            axes.barh(place, 100, height=0.74, color=THROUGHPUT["alone"][1], alpha=0.45)
            axes.barh(place, min(share, 112), height=0.74, color=THROUGHPUT[key][1])
            axes.text(min(share, 112) + 1, place, f"{rate(row):.0f}/s", va="center", fontsize=8.5)
        axes.set_xlim(0, 126)
    _legend(figure, list(THROUGHPUT.values()))
    return figure


def of_handovers(result: dict[str, Any]) -> Figure:
    """Images/s by what carries batches."""
    rows = result["handovers"]
    height = 1.2 + 0.34 * max(1, len(rows))
    figure = Figure(figsize=(7.6, height))
    axes = figure.add_axes((0.17, 0.4 / height, 0.8, 1 - 1.0 / height))
    most = max((rate(row) for row in rows), default=1.0) or 1.0
    for place, row in enumerate(rows):
        color = OTHER if row["handover"] in ("redis", "nats") else OURS
        axes.barh(place, rate(row), height=0.7, color=color)
        axes.text(rate(row) + 0.012 * most, place, f"{rate(row):.0f}", va="center")
    axes.set_yticks(range(len(rows)), [row["handover"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * most)
    _title(figure, height, "Images a second by what carries a batch to the model, 8 clients", result)
    return figure


def _panels(
    result: dict[str, Any], rows: list[dict[str, Any]], title: str
) -> tuple[Figure, list[tuple[Axes, list[dict[str, Any]]]]]:
    """A panel of bars for each task, with the bars' names."""
    by_task: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_task.setdefault(row["task"], []).append(row)
    height = 1.1 + sum(0.42 + 0.25 * len(each) for each in by_task.values())
    figure = Figure(figsize=(8.6, height))
    top = height - 0.65
    panels = []
    for task, each in by_task.items():
        tall = 0.25 * len(each)
        bottom = top - 0.34 - tall
        axes = figure.add_axes((0.19, bottom / height, 0.79, tall / height))
        axes.set_title(task, loc="left", fontsize=10, fontweight="bold", pad=3)
        axes.set_yticks(range(len(each)), [f"{row['size']}, {row['preprocessing']}" for row in each], fontsize=8.5)
        axes.set_ylim(len(each) - 0.5, -0.5)
        panels.append((axes, each))
        top = bottom - 0.08
    _title(figure, height, title, result)
    return figure, panels


def _title(figure: Figure, height: float, title: str, result: dict[str, Any]) -> None:
    m = result["machine"]
    figure.text(0.012, 1 - 0.28 / height, title, fontsize=12, fontweight="bold")
    note = (
        f"{m['cpu']}, {m['cores']} cores shared with the client; {result['date']}; medians of {result['rounds']} rounds"
    )
    figure.text(0.012, 0.08 / height, note, fontsize=8, color="#6a707a")


def _legend(figure: Figure, entries: list[tuple[str, str]]) -> None:
    handles = [Patch(color=color, label=label) for label, color in entries]
    height = figure.get_figheight()
    figure.legend(
        handles=handles, frameon=False, handlelength=1, handleheight=1, ncols=len(handles), loc="upper left",
        bbox_to_anchor=(0, 1 - 0.32 / height),
    )  # fmt: skip
