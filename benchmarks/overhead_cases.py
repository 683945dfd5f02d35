"""What `overheads.py` measures: tasks, image sizes, ways to preprocess, ways to hand over."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import machine
import numpy as np
import photographs
import rivals
import tritonclient.http as triton

from fastpre.load import Plan, run

DEPTH = "transformers:depth_anything?" + "&".join((
    'backbone_config={"model_type":"dinov2","hidden_size":128,"num_hidden_layers":4,"num_attention_heads":4,'
    '"image_size":224,"patch_size":14,"out_indices":[1,2,3,4],"reshape_hidden_states":false}',
    "reassemble_hidden_size=128",
    "neck_hidden_sizes=[16,32,64,64]",
    "fusion_hidden_size=32",
    "head_hidden_size=16",
))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Task:
    """A model with random weights.

    Attributes:
        spec: fields to replace, so that it is quick enough for a CPU.
        instances: of the model; one thread each.
    """

    name: str
    reference: str
    about: str
    spec: dict[str, Any] | None = None
    instances: int = 1


CORES = machine.cores()
TASKS = (
    Task("quick", "builtin:tiny", "a CNN of 0.34 ms an image, which leaves a server as little time as a GPU's does"),
    Task("classification", "torchvision:mobilenet_v3_small", "MobileNetV3 small, 224 x 224", None, CORES),
    Task("segmentation", "torchvision:lraspp_mobilenet_v3_large", "LR-ASPP, 256 x 256", {"resize": [256, 256]}, CORES),
    Task("detection", "torchvision:ssdlite320_mobilenet_v3_large", "SSDlite, 320 x 320", None, CORES),
    Task("depth", DEPTH, "a small Depth Anything, 224 x 224", {"resize": [224, 224]}, CORES),
)
SIZES = {"small": "small", "medium": "natural", "large": "large"}  # and the set of photographs for it
PREPROCESSING = ("fastpre", "torchvision")
HANDOVERS = ("threads", "shared-memory", "redis", "nats")
CLIENTS = (1, 8)


@dataclasses.dataclass(frozen=True)
class Server:
    """One that answers."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def server(
    task: Task, preprocessing: str, image: bytes, *, handover: str = "threads", device: str = "cpu"
) -> Iterator[Server]:
    """overhead_server.py while the block runs.

    Raises:
        rivals.Absent: it does not start; the message says why.
    """
    port = rivals.free_port()
    command = [sys.executable, str(rivals.HERE / "overhead_server.py"), "--model", task.reference]
    command += ["--preprocessing", preprocessing, "--handover", handover, "--instances", str(task.instances)]
    command += ["--port", str(port), "--device", device, "--preprocess-device", device]
    if task.spec is not None:
        command += ["--spec", json.dumps(task.spec)]
    with rivals.served(command, rivals.environment(task.reference, port), lambda: answers(port, [image])) as pid:
        yield Server(port, pid)


def answers(port: int, images: list[bytes]) -> list[dict[str, Any]]:
    """All outputs for each of the images, which go one by one."""
    client = triton.InferenceServerClient(f"127.0.0.1:{port}")
    try:
        found = []
        for image in images:
            tensor = triton.InferInput("IMAGE", [1], "BYTES")
            tensor.set_data_from_numpy(np.array([image], np.object_))
            response = client.infer("model", [tensor])
            names = [output["name"] for output in response.get_response()["outputs"]]
            found.append({name: response.as_numpy(name) for name in names})
        return found
    finally:
        client.close()


def equal(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> bool:
    """True if every output of every image is the same in every bit."""
    return all(
        a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
        for a, b in zip(first, second, strict=True)
    )


def load(url: str, images: list[bytes], clients: int, seconds: float, warmup_s: float | None = None) -> Any:
    """A closed loop's report."""
    warmup = min(0.5, seconds / 3) if warmup_s is None else warmup_s
    return run(Plan(url=url, concurrency=clients, duration_s=seconds, warmup_s=warmup, timeout_s=60), images)


def sized(count: int) -> dict[str, photographs.Photographs]:
    """Photographs by size."""
    return {size: photographs.load(name, count) for size, name in SIZES.items()}


def brokers(kinds: tuple[str, ...]) -> tuple[dict[str, str], dict[str, str], contextlib.ExitStack]:
    """Hand-over kinds with their addresses, why others are not there, and what to close in the end."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
    from brokers import COMMANDS, running

    stack = contextlib.ExitStack()
    found, absent = {}, {}
    for kind in kinds:
        if kind not in COMMANDS:
            found[kind] = kind
        elif shutil.which(COMMANDS[kind][0]) is None:
            absent[kind] = f"{COMMANDS[kind][0]} is not installed"
        else:
            found[kind] = stack.enter_context(running(kind)).url
    return found, absent, stack
