"""Where a vision request's time goes, and what fastpre takes back: python benchmarks/overheads.py.

    python benchmarks/overheads.py                # 15 minutes on a quiet machine
    python benchmarks/overheads.py --quick        # does it all run? no figures
    python benchmarks/overhead_page.py            # docs/overheads.md and its charts, from the newest result

Repeats the study "Beyond Inference" (arXiv 2403.12981) with this server: small, medium and large images by task, with
fastpre's preprocessing and with Pillow and torchvision's in the very same server (torchvision_preprocessor.py), whose
answers have to be equal in every bit. Of each: the stages of a request, one client; throughput, 8 clients; and
inference alone. Then the ways to hand a batch over, with and without a broker; pipelines of two models
(pipelines.py); and a ceiling predicted from measured parts (ceiling_model.py) beside what was achieved. Rounds are
interleaved. What needs a GPU is named and left out where there is none.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time
from typing import Any

import ceiling_model as ceiling
import machine
import overhead_cases as cases
import overhead_parts as parts
import rivals
import torch
from energy import joules
from overhead_summary import summary
from quiet import tree_cpu_s, undisturbed

from fastpre import Preprocessor, Spec
from fastpre.load import Unreachable
from fastpre.serve.models import load

RESULTS = pathlib.Path(__file__).resolve().parent / "results" / "overheads"
PIPELINES = pathlib.Path(__file__).resolve().parent / "pipelines.py"
BATCHES = (1, 8)
WORKLOADS = (("quick", "medium"), ("quick", "large"), ("segmentation", "medium"))
HEADERS = Preprocessor(Spec())
CUDA = ("preprocessing on CUDA", "models on CUDA", "hand-over of device memory")


def window(server: cases.Server, images: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """One measurement of a closed loop."""
    before, cpu_s, began = executed(server), tree_cpu_s(os.getpid()), time.perf_counter()
    (report, used_j), others = undisturbed(
        lambda: joules(lambda: cases.load(server.url, images, clients, seconds)), tries=1
    )
    cores_used = (tree_cpu_s(os.getpid()) - cpu_s) / (time.perf_counter() - began)
    ran, batches = (now - then for now, then in zip(executed(server), before, strict=True))
    ok = report.latency_ms.get("ok")
    sent = report.outcomes.get("ok", 0) + report.warmup_requests
    return {
        "images_s": report.goodput_images,
        "p50_ms": ok.p50 if ok else None,
        "p99_ms": ok.p99 if ok else None,
        "stages_ms": dict(report.stages_ms),
        "batch": ran / batches if batches else 1.0,
        "joules": None if used_j is None or not sent else used_j / sent,
        "error_share": report.error_share,
        "client_cpu": report.generator.cpu_share,
        "cores_used": cores_used,
        "others": others,
    }


def executed(server: cases.Server) -> tuple[int, int]:
    """Images and batches so far."""
    import tritonclient.http as triton

    client = triton.InferenceServerClient(server.url.partition("://")[2])
    try:
        found = client.get_inference_statistics("model")["model_stats"][0]
    finally:
        client.close()
    return int(found["inference_count"]), int(found["execution_count"])


def by_task(task: cases.Task, sets: dict[str, Any], arguments: Any, absent: dict[str, str]) -> list[dict[str, Any]]:
    """A row for each size and way to preprocess, all ways in turn; and inference alone."""
    ways = [*cases.PREPROCESSING, *(["fastpre-cuda"] if torch.cuda.is_available() else [])]
    sample = sets["medium"].images[:2]
    rows: list[dict[str, Any]] = []
    with contextlib.ExitStack() as stack:
        servers = {}
        for way in ways:
            device = "cuda" if way.endswith("cuda") else "cpu"
            try:
                servers[way] = stack.enter_context(
                    cases.server(task, way.partition("-")[0], sample[0], device=device)
                )  # fmt: skip
            except rivals.Absent as why:
                absent[f"{task.name}, {way}"] = str(why)
        told = {way: cases.answers(server.port, sample) for way, server in servers.items()}
        if "torchvision" in told and not cases.equal(told["fastpre"], told["torchvision"]):
            raise SystemExit(f"{task.name}: with torchvision the answers differ from those with fastpre")
        model = model_of(task)
        for size in sets:
            for way in servers:
                rounds: dict[str, list[Any]] = {str(clients): [] for clients in cases.CLIENTS}
                rows.append({"task": task.name, "size": size, "preprocessing": way, "rounds": rounds})
        inference: dict[str, list[float]] = {str(batch): [] for batch in BATCHES}
        for turn in range(arguments.rounds):
            for batch in BATCHES:
                rate, _ = undisturbed(
                    lambda batch=batch: parts.inferred(model, batch, arguments.seconds / 2, task.instances).per_s,
                    tries=1,
                )
                inference[str(batch)].append(rate)
            for row in rows[turn % len(rows) :] + rows[: turn % len(rows)]:
                for clients in cases.CLIENTS:
                    images = sets[row["size"]].images
                    seconds = arguments.seconds * (0.75 if clients == 1 else 1)
                    row["rounds"][str(clients)].append(window(servers[row["preprocessing"]], images, clients, seconds))
    for row in rows:
        row["inference_alone_s"] = inference
    return rows


def by_handover(images: list[bytes], arguments: Any, absent: dict[str, str]) -> list[dict[str, Any]]:
    """A row for each way to hand a batch over, with the quick model."""
    found, missing, stack = cases.brokers(cases.HANDOVERS)
    absent.update(missing)
    rows = []
    with stack:
        servers = {}
        for kind, address in found.items():
            try:
                servers[kind] = stack.enter_context(
                    cases.server(cases.TASKS[0], "fastpre", images[0], handover=address)
                )  # fmt: skip
            except rivals.Absent as why:
                absent[kind] = str(why)
        for kind in servers:
            rows.append({"handover": kind, "rounds": {str(clients): [] for clients in cases.CLIENTS}})
        for turn in range(arguments.rounds):
            for row in rows[turn % len(rows) :] + rows[: turn % len(rows)]:
                for clients in cases.CLIENTS:
                    row["rounds"][str(clients)].append(
                        window(servers[row["handover"]], images, clients, arguments.seconds)
                    )
    return rows


def by_pipeline(arguments: Any, absent: dict[str, str]) -> dict[str, Any] | None:
    """What pipelines.py measures, with fewer rounds."""
    if not PIPELINES.exists():
        absent["pipelines"] = "there is no benchmarks/pipelines.py"
        return None
    folder = arguments.out / "pipelines"
    command = [sys.executable, str(PIPELINES), "--results", str(folder)]
    command += ["--rounds", str(arguments.rounds), "--seconds", str(arguments.seconds / 2), "--tries", "1"]
    command += ["--images", str(min(48, 4 * arguments.images))]
    ended = subprocess.run(command, capture_output=True, text=True, env=rivals.environment("builtin:tiny", 0))
    if ended.returncode:
        absent["pipelines"] = (ended.stderr.strip().splitlines() or ["?"])[-1]
        return None
    path = pathlib.Path(ended.stdout.strip().splitlines()[-1])
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    folder.rmdir()
    return found


def ceilings(sets: dict[str, Any], arguments: Any, absent: dict[str, str]) -> list[dict[str, Any]]:
    """What is predicted from parts beside what is achieved, both of the same rounds."""
    found = []
    with contextlib.ExitStack() as stack:
        try:
            nothing = stack.enter_context(cases.server(parts.NOTHING, "fastpre", parts.null_image(0)))
            for name, size in WORKLOADS:
                task = next(each for each in cases.TASKS if each.name == name)
                images = sets[size].images
                with cases.server(task, "fastpre", images[0]) as server:
                    rounds = [one_ceiling(server, nothing, task, images, arguments) for _ in range(arguments.rounds)]
                middle = {
                    key: statistics.median(each[key] for each in rounds)
                    for key in ("batch", "predicted", "achieved", "achieved_of_predicted")
                }
                bound_by = statistics.mode(each["bound_by"] for each in rounds)
                core_s = {
                    stage: statistics.median(each["core_s"][stage] for each in rounds) for stage in rounds[0]["core_s"]
                }
                found.append(
                    {"task": name, "size": size, **middle, "bound_by": bound_by, "core_s": core_s, "rounds": rounds}
                )
        except rivals.Absent as why:
            absent["ceilings"] = str(why)
    return found


def one_ceiling(
    server: cases.Server, nothing: cases.Server, task: cases.Task, images: list[bytes], arguments: Any
) -> dict[str, Any]:
    """A round of one workload: the server with 8 clients, then each part alone."""
    seconds, cores = arguments.seconds, machine.cores()
    model = model_of(task)
    achieved = window(server, images, max(cases.CLIENTS), seconds)
    points = [parts.request_core_s(nothing, size, model.spec, seconds) for size in parts.BODIES]
    request_s, byte_s = ceiling.line(points[0], points[1])
    preprocessed = parts.preprocessed(images, model.spec, seconds / 2)
    alone = {n: n / parts.inferred(model, n, seconds / 4, 1).per_s for n in BATCHES}
    busy = {n: n * parts.inferred(model, n, seconds / 4, cores).core_s for n in BATCHES}
    megapixels = statistics.mean(map(pixels, images)) / 1e6
    bytes_in = statistics.mean(map(len, images))
    height, width = model.spec.output_size
    tensor = 4 * model.spec.channels * height * width
    costs = ceiling.Parts(
        megapixels=megapixels,
        megapixels_s=megapixels / preprocessed.core_s,
        bytes_in=bytes_in,
        bytes_moved=4 * bytes_in + 2 * tensor,
        request_s=max(0.0, request_s),
        byte_s=max(0.0, byte_s),
        inference_core_s=ceiling.per_image(busy, achieved["batch"]),
        inference_s=ceiling.per_image(alone, achieved["batch"]),
        instances=task.instances,
    )
    # Other processes' part of the cores is not the server's to use; on a quiet machine that is nothing.
    host = ceiling.Host(cores * (1 - achieved["others"]), parts.copied_bytes_s(seconds / 4))
    bound_by, predicted = ceiling.ceiling(costs, host)
    return {
        "batch": achieved["batch"],
        "achieved": achieved["images_s"],
        "predicted": predicted,
        "achieved_of_predicted": achieved["images_s"] / predicted,
        "bound_by": bound_by,
        "core_s": ceiling.core_s(costs),
        "parts": dataclasses.asdict(costs),
        "host": {"cores": host.cores, "memory_bytes_s": host.memory_bytes_s},
        "cores_used": achieved["cores_used"],
        "others": achieved["others"],
    }


def model_of(task: cases.Task) -> Any:
    """The task's model, in this process."""
    spec: Any = task.spec and {name: tuple(value) for name, value in task.spec.items()}
    return load(task.reference, random_weights=True, spec=spec)


def pixels(data: bytes) -> int:
    """Of an image, by its header."""
    header = HEADERS.header(data)
    return header.width * header.height


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="default: 3")
    parser.add_argument("--seconds", type=float, help="of each measurement with 8 clients; default: 2")
    parser.add_argument("--images", type=int, default=24, help="of each size")
    parser.add_argument("--tasks", nargs="+", choices=[task.name for task in cases.TASKS])
    parser.add_argument("--quick", action="store_true", help="one short round of two tasks: does it run?")
    parser.add_argument("--out", type=pathlib.Path, default=RESULTS)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends the servers, too
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 3)
    arguments.seconds = arguments.seconds or (0.5 if arguments.quick else 2.0)
    arguments.images = min(arguments.images, 6) if arguments.quick else arguments.images
    names = arguments.tasks or (["quick"] if arguments.quick else [task.name for task in cases.TASKS])
    torch.set_num_threads(1)
    sets = cases.sized(arguments.images)
    absent: dict[str, str] = {}
    rows: list[dict[str, Any]] = []
    for task in cases.TASKS:
        if task.name in names:
            try:
                rows += by_task(task, sets, arguments, absent)
            except Unreachable as error:
                raise SystemExit(f"{task.name}: {error}") from error
            print(f"{task.name}: measured", flush=True)
    handovers = by_handover(sets["medium"].images, arguments, absent)
    print("hand-overs: measured", flush=True)
    pipelines = by_pipeline(arguments, absent)
    predicted = ceilings(sets, arguments, absent)
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine.describe(),
        "photos": {size: f"{found.source}, {len(found.images)}" for size, found in sets.items()},
        "sizes": {
            size: {
                "megapixels": statistics.mean(map(pixels, found.images)) / 1e6,
                "kilobytes": statistics.mean(map(len, found.images)) / 1e3,
            }
            for size, found in sets.items()
        },
        "tasks": {task.name: {"reference": task.reference, "about": task.about, "instances": task.instances}
                  for task in cases.TASKS if task.name in names},
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "quick": arguments.quick,
        "rows": rows,
        "handovers": handovers,
        "pipelines": pipelines,
        "ceilings": predicted,
        "absent": absent,
        "needs_gpu": [] if torch.cuda.is_available() else list(CUDA),
    }  # fmt: skip

    print(summary(result))
    arguments.out.mkdir(parents=True, exist_ok=True)
    quick = "-quick" if arguments.quick else ""
    path = arguments.out / f"{result['date']}-overheads{quick}.json"
    path.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
