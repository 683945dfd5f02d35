"""What a served model costs, by memory format and folding, and what a call adds to the forward pass.

    python benchmarks/models.py [--threads 1] [--rounds 15] [--results DIR]

The variants of a model take turns, so that whatever else the machine does meets them alike; medians of the rounds.
With one thread it is the core's time that is measured, without what other processes take of it.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import machine
import torch
from torch import nn

from fastpre.serve.models import load

VARIANTS: dict[str, dict[str, Any]] = {
    "contiguous": {"channels_last": False},
    "channels last": {"channels_last": True},
    "channels last, folded": {"channels_last": True, "fold_batch_norm": True},
}
MODELS = (
    "torchvision:resnet18",
    "torchvision:mobilenet_v3_small",
    "timm:mobilenetv3_small_050",
    "timm:vit_tiny_patch16_224",
)
BATCHES = (1, 8)


def batch_for(model: Any, count: int) -> torch.Tensor:
    images = torch.rand(count, model.spec.channels, *model.spec.output_size)
    return images.contiguous(memory_format=getattr(torch, model.spec.memory_format_name))


def medians_ms(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Of calls that take turns, after two that do not count."""
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in list(calls.values()) * 2:
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            began = clock()
            call()
            times[name].append(clock() - began)
    return {name: statistics.median(taken) * 1000 for name, taken in times.items()}


def formats(reference: str, rounds: int) -> list[dict[str, Any]]:
    """A row for each batch: milliseconds by variant, and how far folding moves the outputs."""
    loaded = {name: load(reference, random_weights=True, **options) for name, options in VARIANTS.items()}
    rows = []
    for count in BATCHES:
        calls = {name: functools.partial(model, batch_for(model, count)) for name, model in loaded.items()}
        images = torch.rand(count, 3, *loaded["contiguous"].spec.output_size)
        plain = loaded["contiguous"](images)["logits"]
        moved = abs(loaded["channels last, folded"](images)["logits"] - plain).max() / abs(plain).max()
        rows.append(
            {"model": reference, "batch": count, "ms": medians_ms(calls, rounds), "folding_moves": float(moved)}
        )
    return rows


def builtin(rounds: int) -> list[dict[str, Any]]:
    """Forward passes of one image, and of `tiny` what `model(batch)` adds to them."""
    rows = []
    for name in ("tiny", "heavy"):
        model: Any = load(f"builtin:{name}")
        images = batch_for(model, 1)
        module: nn.Module = model._network.module

        def forward(module: nn.Module = module, images: torch.Tensor = images) -> None:
            with torch.inference_mode():
                module(images)

        turns = rounds if name == "heavy" else 40 * rounds
        ms = medians_ms({"forward": forward, "call": functools.partial(model, images)}, turns)
        rows.append({"model": f"builtin:{name}", "batch": 1, "ms": ms})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--results", type=pathlib.Path, help="a folder to store JSON in; without it nothing is stored")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = builtin(arguments.rounds)
    for reference in MODELS:
        rows += formats(reference, arguments.rounds)
    for row in rows:
        ms = ", ".join(f"{name} {value:.3f}" for name, value in row["ms"].items())
        moved = (
            f"; folding moves outputs by {row['folding_moves']:.1e} of the largest" if "folding_moves" in row else ""
        )
        print(f"{row['model']}, batch {row['batch']}, ms: {ms}{moved}")
    if arguments.results:
        today = datetime.datetime.now(datetime.timezone.utc).date()
        path = arguments.results / f"{today}-models-{arguments.threads}.json"
        stored = {"machine": machine.describe(), "threads": arguments.threads, "rounds": arguments.rounds, "rows": rows}
        path.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
