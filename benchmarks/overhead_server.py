"""The server that `overheads.py` measures: `fastpre serve`'s own parts, with the preprocessing that is asked for.

    python benchmarks/overhead_server.py --model builtin:tiny --preprocessing torchvision --port 8000

The model is called "model", its weights are random, and it computes with one thread for each instance.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
from collections.abc import Callable
from typing import Any

import torch
import torchvision_preprocessor
import uvloop

from fastpre.serve.building import ModelChoice, build
from fastpre.serve.engine import Settings
from fastpre.serve.server import Listen, Server

PREPROCESSING = ("fastpre", "torchvision")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--spec", type=json.loads, default=None, help="fields of the Spec to replace, as JSON")
    parser.add_argument("--preprocessing", choices=PREPROCESSING, default="fastpre")
    parser.add_argument("--handover", default="threads")
    parser.add_argument("--device", default="cpu", help="of the model")
    parser.add_argument("--preprocess-device", default="cpu")
    parser.add_argument("--instances", type=int, default=1)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)
    options: dict[str, Any] = {"name": "model", "random_weights": True, "num_threads": 1, "device": arguments.device}
    if arguments.spec is not None:
        options["spec"] = {name: tuple(v) if isinstance(v, list) else v for name, v in arguments.spec.items()}
    settings = Settings(
        instances=arguments.instances, device=arguments.preprocess_device, target_p99_ms=100.0, batch=8, timeout_s=60.0
    )
    replaced: Callable[[], Any] = contextlib.nullcontext
    if arguments.preprocessing == "torchvision":
        replaced = torchvision_preprocessor.replaced
    with replaced():
        service = build([ModelChoice(arguments.model, options)], settings, handover=arguments.handover)
    try:
        uvloop.run(Server(service, Listen(port=arguments.port, grpc_port=None)).run())
    finally:
        for engine in service.engines.values():
            engine.close(0)


if __name__ == "__main__":
    main()
