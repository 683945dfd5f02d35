"""Writes docs/overheads.md and its charts from the newest result of overheads.py: python benchmarks/overhead_page.py.

Every number on the page is filled in from the JSON.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import sys
import textwrap
from collections.abc import Callable
from typing import Any

from overhead_summary import BUSY, added_share, lost, median, others, rate, row_of, stages, summary

__all__ = ["page", "summary"]

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "results" / "overheads"
WIDTH = 100
QUICK = (
    "**Not measured yet.** So far there is a quick run, which shows that all of it works and that with either "
    "preprocessing every task's answers are the same; its numbers are not worth a page."
)
DOCS = HERE.parent / "docs"


def newest(folder: pathlib.Path) -> pathlib.Path:
    """The newest result; a quick one only if there is no other.

    Raises:
        SystemExit: there is none.
    """
    found = sorted(folder.glob("*-overheads*.json"), key=lambda path: (not path.stem.endswith("quick"), path.name))
    if not found:
        raise SystemExit(f"no results in {folder}: run benchmarks/overheads.py first")
    return found[-1]


def paragraph(lines: list[str], indent: str = "") -> str:
    """Prose at the width of the other pages."""
    return textwrap.fill(
        " ".join(lines), WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def page(result: dict[str, Any]) -> str:
    """The page's Markdown. A quick run's numbers are worth nothing, so they are not on it."""
    parts = _head(result)
    if not result["quick"]:
        for part in (_short, _latency, _throughput, _handovers, _pipelines, _ceilings, _rest):
            parts += part(result)
    return "\n\n".join(parts) + "\n"


def _head(result: dict[str, Any]) -> list[str]:
    m = result["machine"]
    lines = [
        "# Where a vision request's time goes",
        "<!-- benchmarks/overhead_page.py writes this page; it is not edited by hand. -->",
        paragraph([
            "The study [Beyond Inference](https://arxiv.org/abs/2403.12981) (AbouElhamayed, Balle, Singh,",
            "Abdelfattah, 2024) asked a throughput-optimized vision server where the time of its requests goes. It",
            "found that data processing and movement take up to 56% of the latency of a medium image, that they cut",
            "the system's throughput by about 80% for a large one, and that a broker between two models that run at",
            "different rates costs as well. This page asks the same of `fastpre serve`, stage by stage: once with",
            "fastpre, and once with Pillow and torchvision in the very same server, whose answers are equal in every",
            "bit. The difference between the two is what fastpre takes back.",
        ]),
        paragraph([
            f"{result['date']}; {m['cpu']}, {m['cores']} cores shared with the client; commit {m['commit']};",
            f"medians of {result['rounds']} interleaved rounds of {result['seconds']:g} s; models on the CPU with",
            "random weights, one thread an instance. `python benchmarks/overheads.py` measures it,",
            "`python benchmarks/overhead_page.py` writes the page.",
        ]),
    ]  # fmt: skip
    if result["quick"]:
        lines.append(paragraph([QUICK]))
    elif others(result) > BUSY:
        share = f"{others(result):.0%}"
        lines.append(paragraph([f"**A busy machine:** other processes had {share} of the cores meanwhile."]))
    sizes = "\n".join([
        "| size | photographs | megapixels | kB |",
        "|---|---|---|---|",
        *(f"| {size} | {result['photos'][size]} | {found['megapixels']:.2f} | {found['kilobytes']:.0f} |"
          for size, found in result["sizes"].items()),
    ])  # fmt: skip
    tasks = "\n".join(
        [
            "| task | model |",
            "|---|---|",
            *(f"| {name} | {task['about']} |" for name, task in result["tasks"].items()),
        ]
    )
    return [*lines, sizes, tasks]


def _short(result: dict[str, Any]) -> list[str]:
    """What the study found, and what is found here."""
    table = [
        "| | the study | here, torchvision | here, fastpre |",
        "|---|---|---|---|",
        _compared(result, "of a medium image's latency, not inference", "up to 56%", "medium", added_share),
        _compared(result, "throughput lost with large images", "about 80%", "large", lost),
        _compared(result, "throughput lost with medium images", "", "medium", lost),
    ]
    gained = [
        rate(row) / rate(theirs)
        for row in result["rows"]
        for theirs in [row_of(result, row["task"], row["size"], "torchvision")]
        if row["preprocessing"] == "fastpre" and theirs is not None and rate(theirs)
    ]
    if gained:
        times = f"{min(gained):.2f} to {max(gained):.2f} times torchvision's"
        table.append(f"| throughput of the better arrangement | 2.25 times prior work's | | {times} |")
    rates = {row["handover"]: rate(row) for row in result["handovers"]}
    if rates.get("redis"):
        best = max(rates.get("threads", 0.0), rates.get("shared-memory", 0.0)) / rates["redis"]
        table.append(f"| throughput without a broker | | | {best:.2f} times that with Redis |")
    return [
        "## In short",
        paragraph([
            "Ranges are over the tasks. The study's models ran on a GPU; the task *quick* here has a model that leaves",
            "as little time, and the others compute on the CPU, which makes everything around them a smaller share.",
        ]),
        "\n".join(table),
    ]  # fmt: skip


def _compared(
    result: dict[str, Any], what: str, study: str, size: str, value: Callable[[dict[str, Any]], float]
) -> str:
    cells = []
    for way in ("torchvision", "fastpre"):
        rows = [r for r in result["rows"] if (r["size"], r["preprocessing"]) == (size, way) and rate(r)]
        found = sorted(value(row) for row in rows)
        cells.append(f"{found[0]:.0%} to {found[-1]:.0%}" if len(found) > 1 else f"{found[0]:.0%}" if found else "-")
    return f"| {what} | {study} | {cells[0]} | {cells[1]} |"


def _latency(result: dict[str, Any]) -> list[str]:
    lines = [
        "## A request's latency",
        paragraph([
            "One client, so that nothing waits for other requests. *Around* is what is neither preprocessing nor the",
            "model: sockets, protocol, queues, waking threads, and the client. *Not inference* is the share that the",
            "study asks for.",
        ]),
        "![Stages of a request](charts/overheads-stages.svg)",
    ]  # fmt: skip
    table = [
        "| task | size | with | p50, ms | preprocessing | inference | around | not inference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        p50 = median(row, 1, "p50_ms")
        if p50 is None:
            continue
        part = stages(row)
        table.append(
            f"| {row['task']} | {row['size']} | {row['preprocessing']} | {p50:.2f} | {part['preprocess']:.2f} | "
            f"{part['inference']:.2f} | {part['around']:.2f} | {added_share(row):.0%} |"
        )
    return [*lines, "\n".join(table)]


def _throughput(result: dict[str, Any]) -> list[str]:
    lines = [
        "## Throughput, end to end and of inference alone",
        paragraph([
            "Eight clients. *Inference alone* is the model in a loop, with ready tensors, in batches of 1 or 8,",
            "whichever is faster, and without a server. *Lost* is what the whole server is below that: the study's",
            "80%. *Taken back* is the throughput with fastpre over that with torchvision.",
        ]),
        "![Throughput](charts/overheads-throughput.svg)",
    ]  # fmt: skip
    table = [
        "| task | size | inference alone | torchvision, images/s | lost | fastpre, images/s | lost | taken back |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        if row["preprocessing"] != "fastpre":
            continue
        theirs = row_of(result, row["task"], row["size"], "torchvision")
        if theirs is None or not rate(theirs):
            continue
        table.append(
            f"| {row['task']} | {row['size']} | {rate_alone(row):.0f} | {rate(theirs):.0f} | {lost(theirs):.0%} | "
            f"{rate(row):.0f} | {lost(row):.0%} | {rate(row) / rate(theirs):.2f} times |"
        )
    return [*lines, "\n".join(table)]


def rate_alone(row: dict[str, Any]) -> float:
    """Images/s of inference alone."""
    return max(statistics.median(each) for each in row["inference_alone_s"].values())


def _handovers(result: dict[str, Any]) -> list[str]:
    table = [
        "| hand-over | images/s, 8 clients | of threads | p50, ms, 1 client | inference with hand-over, ms |",
        "|---|---|---|---|---|",
    ]
    base = next((rate(row) for row in result["handovers"] if row["handover"] == "threads"), None)
    for row in result["handovers"]:
        p50 = median(row, 1, "p50_ms")
        times = f"{rate(row) / base:.2f}" if base else "-"
        one = "-" if p50 is None else f"{p50:.2f}"
        table.append(f"| {row['handover']} | {rate(row):.0f} | {times} | {one} | {stages(row)['inference']:.2f} |")
    return [
        "## What carries a batch to the model",
        paragraph([
            "The quick model and medium photographs. With threads the model reads the slots that were decoded into;",
            "with shared memory it does so from another process; with a broker the batch's bytes go through Redis",
            "Streams or NATS and back, on this machine, with nothing kept on disk.",
        ]),
        "![Hand-overs](charts/overheads-handovers.svg)",
        "\n".join(table),
    ]  # fmt: skip


def _pipelines(result: dict[str, Any]) -> list[str]:
    found = result["pipelines"]
    head = "## Two models, with and without a broker"
    if found is None:
        return [head, f"Not measured: {result['absent'].get('pipelines', 'it was not asked for')}."]
    table = [
        "| hand-over | photographs/s | times Redis | p50, ms | p50 with one client, ms |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        times = row.get("times_redis", {}).get("median")
        table.append(
            f"| {row['kind']} | {row['images_per_s']['median']:.0f} | {'-' if times is None else f'{times:.2f}'} | "
            f"{row['p50_ms']['median']:.1f} | {row['alone_ms']['median']:.2f} |"
        )
    return [
        head,
        paragraph(
            [
                f"A detector, and a classifier that looks at {found['crops']} crops of each photograph",
                "(`benchmarks/pipelines.py`).",
            ]
        ),
        "\n".join(table),
    ]


def _ceilings(result: dict[str, Any]) -> list[str]:
    table = [
        "| workload | request, ms | preprocessing, ms | inference, ms | bound by | predicted | achieved | of it |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in result["ceilings"]:
        ms = {name: 1e3 * value for name, value in each["core_s"].items()}
        table.append(
            f"| {each['task']}, {each['size']} | {ms['request']:.2f} | {ms['preprocessing']:.2f} | "
            f"{ms['inference']:.2f} | {each['bound_by']} | {each['predicted']:.0f} | {each['achieved']:.0f} | "
            f"{each['achieved_of_predicted']:.0%} |"
        )
    return [
        "## The ceiling",
        paragraph([
            "What the server could give at most follows from parts that are measured alone: megapixels a second of a",
            "core, the model's core time in batches of the size that the server ran, a request's fixed cost and its",
            "bytes' (client included, which shares the cores), and memory's bytes a second. The least of what cores,",
            "instances, memory and link allow is the ceiling (`benchmarks/ceiling_model.py`). Core milliseconds a",
            "request, then images/s:",
        ]),
        "\n".join(table),
    ]  # fmt: skip


def _rest(result: dict[str, Any]) -> list[str]:
    used = [value for row in result["rows"] for value in [median(row, 8, "joules")] if value is not None]
    lines = ["## Energy, and what is missing"]
    if used:
        table = ["| task | size | with | joules an image |", "|---|---|---|---|"]
        for row in result["rows"]:
            value = median(row, 8, "joules")
            if value is not None:
                table.append(f"| {row['task']} | {row['size']} | {row['preprocessing']} | {value:.3f} |")
        lines.append("\n".join(table))
    else:
        lines.append("Energy: not reported by this machine (it has no readable RAPL counters).")
    missing = [paragraph([f"- needs a GPU: {what}"], "  ") for what in result["needs_gpu"]]
    missing += [paragraph([f"- {what}: {why}"], "  ") for what, why in result["absent"].items()]
    if missing:
        lines.append("\n".join(missing))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--result", type=pathlib.Path, help="default: the newest")
    parser.add_argument("--docs", type=pathlib.Path, default=DOCS)
    parser.add_argument("--png", action="store_true", help="also a PNG of each chart, to look at")
    arguments = parser.parse_args()
    from overhead_charts import draw

    path = arguments.result or newest(RESULTS)
    result = json.loads(path.read_text(encoding="utf-8"))
    if not result["quick"] or arguments.png:
        for chart in draw(result, arguments.docs / "charts", arguments.png):
            print(chart)
    target = arguments.docs / "overheads.md"
    target.write_text(page(result), encoding="utf-8")
    print(target)


if __name__ == "__main__":
    sys.exit(main())
