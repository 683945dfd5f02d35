"""`fastpre serve` beside other servers, with the same photographs, model and client: python benchmarks/serving.py.

    python benchmarks/serving.py --python litserve=/venvs/litserve/bin/python --python mosec=/venvs/mosec/bin/python
    python benchmarks/serving.py --quick               # does it all run? no figures
    python benchmarks/serving.py --model-ms 75         # a model of 75 ms instead of one of 0.34 ms

64 photographs of `natural`; the model is `builtin:tiny` or `builtin:heavy`, the very same weights everywhere. Answers
of a server are held against the reference first. Then in every round each server is started, asked by 8 clients and by
one that wait for their answers (`fastpre.load`), and ended: only one runs at a time, and the order rotates. Between
them the ceiling is measured: preprocessing and model alone, a thread for each core. At last, with one client, what HTTP
and gRPC add to a photograph beside bare echoes. The client's share of the cores is part of the table.

How each rival is tuned stands in serving_rivals/ and in the result. Where one has an environment of its own,
`--python KEY=PATH` says with which Python it runs; it needs torch, torchvision and fastpre there. Keys: fastpre,
sketch, mosec, fastapi, pytriton, litserve, ray, echo.
"""

from __future__ import annotations

import argparse
import datetime
import json
import pathlib
import shlex
import signal
import sys
import threading
import time
from typing import Any

import machine
import numpy as np
import photographs
import rivals
import torch
from added import added
from answers import agreement
from quiet import undisturbed
from serving_table import CLIENTS, table

from fastpre import Preprocessor
from fastpre.load import Plan, Unreachable, run
from fastpre.serve.models import load

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "serving"
MODELS = {"0.34": "builtin:tiny", "75": "builtin:heavy"}
BATCH = 8


def window(server: rivals.Running, route: rivals.Route, images: list[bytes], clients: int, seconds: float) -> Any:
    """One measurement."""
    plan = Plan(
        url=server.url(route),
        protocol=route.protocol,
        model="" if route.protocol == "predict" else "model",
        concurrency=clients,
        duration_s=seconds,
        warmup_s=min(1.0, seconds / 3),
        timeout_s=60,
    )
    report, others = undisturbed(lambda: run(plan, images), tries=1)
    ok = report.latency_ms.get("ok")
    return {
        "images_s": report.goodput_images,
        "p50_ms": ok.p50 if ok else None,
        "p99_ms": ok.p99 if ok else None,
        "requests": report.outcomes.get("ok", 0),
        "error_share": report.error_share,
        "client_cpu": report.generator.cpu_share,
        "client_fell_behind": report.generator.fell_behind,
        "stages_ms": dict(report.stages_ms),
        "others": others,
    }


def alone(images: list[bytes], model: Any, seconds: float) -> dict[str, float]:
    """Preprocessing and model without a server: each core's thread takes 8 photographs, then runs a batch of them."""
    counts, stop = [], threading.Event()

    def work(first: int) -> None:
        preprocess, done = Preprocessor(model.spec, num_threads=1), 0
        while not stop.is_set():
            batch = [images[(first + done + i) % len(images)] for i in range(BATCH)]
            model(preprocess(batch))
            done += BATCH
        counts.append(done)

    threads = [threading.Thread(target=work, args=(i * BATCH,)) for i in range(machine.cores())]
    began = time.perf_counter()

    def all_of_it() -> None:
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        stop.set()
        for thread in threads:
            thread.join()

    _, others = undisturbed(all_of_it, tries=1)
    return {"images_s": sum(counts) / (time.perf_counter() - began), "others": others}


def measured(
    rival: rivals.Rival, python: str, row: dict[str, Any], images: list[bytes], reference: Any, arguments: Any
) -> None:
    """A round of one server into its row; the first one checks its answers.

    Raises:
        rivals.Absent: it does not run, or its answers are not the reference's.
    """
    options = shlex.split(arguments.serve_options)
    with rivals.running(rival, python, arguments.model, images[0], options) as server:
        row |= server.said
        for route in rival.routes:
            found = row["routes"].setdefault(route.key, {"label": route.label, "rounds": {str(n): [] for n in CLIENTS}})
            if "agreement" not in found:
                kind, logits = rivals.ask(server, route, images[: arguments.checked])
                if kind != "none":
                    agreed = agreement(logits, reference[: len(logits)], kind)
                    if agreed.refusal:
                        raise rivals.Absent(f"refused: {route.label}: {agreed.refusal}")
                    found["agreement"] = {"images": agreed.images, "difference": agreed.difference, "of": kind}
            for clients in CLIENTS:
                found["rounds"][str(clients)].append(window(server, route, images, clients, arguments.seconds))


def compared(images: list[bytes], model: Any, reference: Any, arguments: Any) -> tuple[list[Any], dict[str, str], Any]:
    """Rows, why others have none, and the ceiling's rounds."""
    absent: dict[str, str] = {}
    rows = []
    pythons = {**rivals.default_pythons(), **dict(each.split("=", 1) for each in arguments.python)}
    for rival in rivals.RIVALS:
        if arguments.only and rival.key not in arguments.only:
            continue
        rows.append({"key": rival.key, "role": rival.role, "routes": {}})
    by_key = {rival.key: rival for rival in rivals.RIVALS}
    ceiling = []
    for turn in range(arguments.rounds):
        ceiling.append(alone(images, model, arguments.seconds))
        first = turn % max(1, len(rows))
        for row in rows[first:] + rows[:first]:
            if row["key"] in absent:
                continue
            began = time.perf_counter()
            try:
                measured(by_key[row["key"]], pythons[row["key"]], row, images, reference, arguments)
            except (rivals.Absent, Unreachable) as why:
                absent[row["key"]] = str(why)
                print(f"SKIPPED {row['key']}: {why}", flush=True)
                continue
            print(f"round {turn + 1}: {row['key']}, {time.perf_counter() - began:.0f} s", flush=True)
    return [row for row in rows if row["key"] not in absent], absent, ceiling


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-ms", choices=list(MODELS), default="0.34")
    parser.add_argument("--rounds", type=int, help="default: 5; with the model of 75 ms 3")
    parser.add_argument("--seconds", type=float, help="of each measurement; default: 2; with the model of 75 ms 4")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--only", nargs="+", metavar="KEY", choices=[each.key for each in rivals.RIVALS])
    parser.add_argument("--python", action="append", default=[], metavar="KEY=PATH", help="may be repeated")
    parser.add_argument("--serve-options", default="", help="more options of `fastpre serve`, as one argument")
    parser.add_argument("--quick", action="store_true", help="one short round: does it run?")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends the servers, too
    known = [each.key for each in rivals.RIVALS]
    for each in arguments.python:
        if each.partition("=")[0] not in known or "=" not in each:
            parser.error(f"--python is KEY=PATH, with a key of {', '.join(known)}; got {each}")
    slow = arguments.model_ms == "75"
    arguments.model = MODELS[arguments.model_ms]
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 3 if slow else 5)
    arguments.seconds = arguments.seconds or ((2.0 if slow else 0.5) if arguments.quick else 4.0 if slow else 2.0)
    arguments.checked = 4 if arguments.quick or slow else arguments.images
    photos = photographs.load("natural", arguments.images)
    torch.set_num_threads(1)  # each thread of `alone` is one core's
    model: Any = load(arguments.model)
    preprocess = Preprocessor(model.spec)
    few = photos.images[: arguments.checked]
    reference = np.concatenate([model(preprocess([data]))["logits"] for data in few])
    rows, absent, ceiling = compared(photos.images, model, reference, arguments)
    result: dict[str, Any] = {
        "title": f"serving: model of {arguments.model_ms} ms, {len(photos.images)} photographs",
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine.describe(),
        "photos": photos.source,
        "images": len(photos.images),
        "model": arguments.model,
        "model_ms": arguments.model_ms,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "quick": arguments.quick,
        "rows": rows,
        "absent": absent,
        "ceiling": ceiling,
    }
    if any(row["key"] == "fastpre" for row in rows):
        rounds = 2 if arguments.quick else 5 if slow else 15
        result["added"] = added(arguments.model, photos.images[:: 8 if slow or arguments.quick else 1], model, rounds)
    print(table(result))
    arguments.out.mkdir(parents=True, exist_ok=True)
    quick = "-quick" if arguments.quick else ""
    path = arguments.out / f"{result['date']}-serving-{arguments.model_ms}{quick}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
