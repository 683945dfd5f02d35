"""What handing a batch over costs, by kind: python benchmarks/handover.py.

Crops of 224 x 224 lie in slots, and one thread hands them over one by one, and in batches of 16, to a model that does
next to nothing: by a call in the same process, through shared memory to another process, and by Redis Streams and NATS
to another process, whose servers run on this machine and keep nothing on disk. In every round each kind has its turn.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import time
from typing import Any

import machine
import numpy as np
import summing_model
import torch
from quiet import undisturbed

from fastpre.serve.handover import Handover
from fastpre.serve.handover.kinds import open_handover

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))
import brokers

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "handover"
KINDS = ("threads", "shared-memory", "redis", "nats")
BASELINE = "redis"
TARGET = 20.0
SHAPE = (3, 224, 224)
SLOTS = 32
BATCHES = (1, 16)
DTYPES = ("uint8", "float32")


def check(handover: Handover, memory: torch.Tensor, batch: int) -> None:
    """Every slot's sum has to be right before anything is timed."""
    expected = summing_model.Summing()(memory)["sum"]
    for first in range(0, SLOTS, batch):
        found = handover.run(memory, first, batch, 0)["sum"]
        assert np.array_equal(found, expected[first : first + batch])


def turn(handover: Handover, memory: torch.Tensor, batch: int, seconds: float) -> list[float]:
    """Hands batches over for so long; seconds of each."""
    found = []
    clock = time.perf_counter
    first, end = 0, clock() + seconds
    while (began := clock()) < end:
        handover.run(memory, first, batch, 0)
        found.append(clock() - began)
        first = (first + batch) % SLOTS
    return found


def figures(latencies_s: list[float], batch: int) -> dict[str, float]:
    """Of one turn."""
    return {
        "images_s": batch * len(latencies_s) / sum(latencies_s),
        "p50_us": 1e6 * statistics.median(latencies_s),
        "p99_us": 1e6 * float(np.quantile(latencies_s, 0.99)),
    }


def measure(handovers: dict[str, Handover], dtype: str, batch: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Every round's figures."""
    memories = {}
    values = torch.randint(0, 256, (SLOTS, *SHAPE), generator=torch.Generator().manual_seed(0))
    for kind, handover in handovers.items():
        memories[kind] = handover.allocate(SLOTS, SHAPE, getattr(torch, dtype))
        memories[kind].copy_(values)
        check(handover, memories[kind], batch)
        turn(handover, memories[kind], batch, arguments.seconds / 2)  # warm-up
    found: dict[str, Any] = {"dtype": dtype, "batch": batch, "rounds": {kind: [] for kind in handovers}, "others": []}
    kinds = list(handovers)
    for number in range(arguments.rounds):
        for kind in kinds[number % len(kinds) :] + kinds[: number % len(kinds)]:

            def timed(kind: str = kind) -> list[float]:
                return turn(handovers[kind], memories[kind], batch, arguments.seconds)

            latencies_s, others = undisturbed(timed, tries=arguments.tries)
            found["rounds"][kind].append(figures(latencies_s, batch))
            found["others"].append(others)
    for kind, handover in handovers.items():
        handover.release(memories[kind])
    return found


def summary(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Medians over the rounds, by kind, the spread of the rates, and the rate over the broker's of the same round."""
    rows = {}
    for kind, rounds in found["rounds"].items():
        rates = [each["images_s"] for each in rounds]
        rows[kind] = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
        rows[kind] |= {"least": min(rates), "most": max(rates)}
        if BASELINE in found["rounds"]:
            pairs = zip(rates, found["rounds"][BASELINE], strict=True)
            rows[kind]["ratio"] = statistics.median(rate / base["images_s"] for rate, base in pairs)
    return rows


def table(found: dict[str, Any], rows: dict[str, dict[str, float]]) -> str:
    """In plain text."""
    size = np.prod(SHAPE) * getattr(torch, found["dtype"]).itemsize
    lines = [
        f"{found['dtype']}, {found['batch']} crop{'s' * (found['batch'] > 1)} a batch, {size / 1e3:.0f} KB each; other "
        f"processes had {statistics.median(found['others']):.1%} of the cores, at most {max(found['others']):.1%}",
        f"  {'':14}{'crops/s':>10}{'least':>10}{'most':>10}{'p50 us':>10}{'p99 us':>10}{'ratio':>9}",
    ]
    for kind, row in rows.items():
        cells = "".join(f"{row[name]:10,.0f}" for name in ("images_s", "least", "most", "p50_us", "p99_us"))
        lines.append(f"  {kind:14}{cells}{row.get('ratio', float('nan')):9.1f}")
    for kind in ("threads", "shared-memory"):
        if kind in rows and BASELINE in rows:
            verdict = "met" if rows[kind]["ratio"] >= TARGET else "MISSED"
            lines.append(
                f"  target: {kind} at least {TARGET:g} x Redis Streams: {rows[kind]['ratio']:.0f} x, {verdict}"
            )
    return "\n".join(lines)


def server_versions() -> dict[str, str]:
    """As the servers say them."""
    found = {}
    for scheme, command in brokers.COMMANDS.items():
        if brokers.missing(scheme) is None:
            run = subprocess.run([command[0], "--version"], capture_output=True, text=True, check=True)
            found[command[0]] = run.stdout.strip()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each kind's turn")
    parser.add_argument("--tries", type=int, default=20, help="at a turn that other processes do not disturb")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine.describe(),
        "servers": server_versions(),
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "tables": [],
    }
    print(f"{machine.cores()} cores, {result['machine']['cpu']}, {arguments.rounds} rounds of {arguments.seconds:g} s")
    with contextlib.ExitStack() as stack:
        handovers = {}
        for kind in arguments.kinds:
            url = kind
            if kind in brokers.COMMANDS:
                if reason := brokers.missing(kind):
                    print(f"{kind} takes no part: {reason}")
                    continue
                url = stack.enter_context(brokers.running(kind)).url
            handovers[kind] = open_handover(url, summing_model.Summing)
            stack.callback(handovers[kind].close)
            handovers[kind].start()
        for dtype in DTYPES:
            for batch in BATCHES:
                found = measure(handovers, dtype, batch, arguments)
                rows = summary(found)
                print(table(found, rows), flush=True)
                result["tables"].append({**found, "summary": rows})
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"{result['date']}-handover.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
