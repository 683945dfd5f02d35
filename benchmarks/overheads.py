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
import datetime
import json
import pathlib
import signal
import statistics
import subprocess
import sys
from typing import Any

import ceiling_model as ceiling
import machine
import overhead_cases as cases
import overhead_parts as parts
import rivals
import torch
from energy import joules
from overhead_summary import summary
from quiet import undisturbed

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
    before = executed(server)
    (report, used_j), others = undisturbed(
        lambda: joules(lambda: cases.load(server.url, images, clients, seconds)), tries=1
    )
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
        options = {"random_weights": True, "spec": task.spec and {n: tuple(v) for n, v in task.spec.items()}}
        model: Any = load(task.reference, **options)
        for size in sets:
            for way in servers:
                rounds: dict[str, list[Any]] = {str(clients): [] for clients in cases.CLIENTS}
                rows.append({"task": task.name, "size": size, "preprocessing": way, "rounds": rounds})
        inference: dict[str, list[float]] = {str(batch): [] for batch in BATCHES}
        for turn in range(arguments.rounds):
            for batch in BATCHES:
                rate, _ = undisturbed(
                    lambda batch=batch: parts.inferred_s(model, batch, arguments.seconds / 2, task.instances),
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


def ceilings(rows: list[dict[str, Any]], sets: dict[str, Any], arguments: Any) -> list[dict[str, Any]]:
    """Predicted from parts, beside the throughput in `rows`."""
    seconds, cores = arguments.seconds, machine.cores()
    spec: Any = load("builtin:tiny").spec
    requests: dict[int, list[tuple[float, float]]] = {size: [] for size in parts.BODIES}
    with cases.server(parts.NOTHING, "fastpre", parts.null_image(0)) as server:
        for _ in range(arguments.rounds):
            for size in parts.BODIES:
                requests[size].append(parts.request_core_s(server, size, spec, seconds))
    points = [tuple(statistics.median(each) for each in zip(*found, strict=True)) for found in requests.values()]
    request_s, byte_s = ceiling.line(points[0], points[1])  # type: ignore[arg-type]
    host = ceiling.Host(cores, statistics.median(parts.copied_bytes_s(seconds / 4) for _ in range(3)))
    found = []
    for name, size in WORKLOADS:
        row = next(
            (r for r in rows if (r["task"], r["size"], r["preprocessing"]) == (name, size, "fastpre")), None
        )  # fmt: skip
        if row is None or not row["rounds"]["8"]:
            continue
        task = next(each for each in cases.TASKS if each.name == name)
        model: Any = load(
            task.reference, random_weights=True, spec=task.spec and {n: tuple(v) for n, v in task.spec.items()}
        )
        images = sets[size].images
        many = row["rounds"]["8"]
        batch = statistics.median(each["batch"] for each in many)
        pre, one, all_ = [], [], []
        for _ in range(arguments.rounds):
            pre.append(parts.preprocessed_s(images, model.spec, seconds / 2))
            one.append({n: n / parts.inferred_s(model, n, seconds / 4, 1) for n in BATCHES})
            all_.append({n: cores * n / parts.inferred_s(model, n, seconds / 4, cores) for n in BATCHES})
        alone = {n: statistics.median(each[n] for each in one) for n in BATCHES}
        busy = {n: statistics.median(each[n] for each in all_) for n in BATCHES}
        megapixels = statistics.mean(map(pixels, images)) / 1e6
        bytes_in = statistics.mean(map(len, images))
        height, width = model.spec.output_size
        tensor = 4 * model.spec.channels * height * width
        costs = ceiling.Parts(
            megapixels=megapixels,
            megapixels_s=megapixels * statistics.median(pre) / cores,
            bytes_in=bytes_in,
            bytes_moved=4 * bytes_in + 2 * tensor,
            request_s=max(0.0, request_s),
            byte_s=max(0.0, byte_s),
            inference_core_s=ceiling.per_image(busy, batch),
            inference_s=ceiling.per_image(alone, batch),
            instances=task.instances,
        )
        bound, predicted = ceiling.ceiling(costs, host)
        achieved = statistics.median(each["images_s"] for each in many)
        found.append({
            "task": name, "size": size, "batch": batch, "parts": vars(costs), "host": vars(host),
            "core_s": ceiling.core_s(costs), "bounds": ceiling.bounds(costs, host),
            "bound_by": bound, "predicted": predicted, "achieved": achieved,
            "achieved_of_predicted": achieved / predicted,
        })  # fmt: skip
    return found


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
    predicted = ceilings(rows, sets, arguments)
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
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
