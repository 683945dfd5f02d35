"""`fastpre serve`: the reference inference server."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .command import Command, section
from .errors import Unusable
from .options import threads_option

if TYPE_CHECKING:
    from fastpre.serve.server import Server

__all__ = ["serve"]

API_KEY = "FASTPRE_API_KEY"


model_ = section("Model")
several = section("Pipelines and quality")
batches = section("Batches and queues")
network = section("Network")
seeing = section("Seeing")
MILLISECONDS = click.FloatRange(min=0)


@click.command(
    cls=Command,
    context_settings={"auto_envvar_prefix": "FASTPRE_SERVE"},
    examples=[
        "fastpre serve --model torchvision:resnet18",
        "fastpre serve --model torchvision:resnet18 --random-weights --host 0.0.0.0 --port 8000",
        "fastpre serve --model cats=onnx:cats.onnx --labels cats.txt --batch 32 --target-p99 80",
        "fastpre serve --model det=torchvision:ssdlite320_mobilenet_v3_large --model cls=torchvision:resnet18 "
        "--pipeline 'spot=det>cls?score=0.5&most=8'",
        "fastpre serve --model torchvision:resnet50 --rung fidelity=fast --rung model=torchvision:resnet18",
        "curl --data-binary @cat.jpg http://127.0.0.1:8000/v1/predict",
    ],
)
@model_(
    "--model",
    "models",
    metavar="[NAME=]REF",
    multiple=True,
    required=True,
    help="torchvision:NAME, timm:NAME, transformers:FOLDER, torchscript:FILE, export:FILE, onnx:FILE, "
    "python:MODULE:FACTORY or builtin:tiny; may be repeated.",
)
@model_("--random-weights", is_flag=True, help="Fetch no weights: to try the server, not the model.")
@model_("--device", metavar="DEVICE", default="cpu", show_default=True, help="Where the models run: cpu, cuda, cuda:1.")
@model_("--labels", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="Names of the classes.")
@model_(
    "--model-threads",
    metavar="N",
    type=click.IntRange(min=1),
    help="Of one forward pass; default: one for models below 5 ms on cores that preprocess, too, else the library's.",
)
@model_("--instances", metavar="N", type=click.IntRange(min=1), default=1, show_default=True, help="Batches at a time.")
@model_(
    "--handover",
    metavar="[NAME=]KIND",
    multiple=True,
    default=["threads"],
    show_default=True,
    help="How batches go to the model: threads, shared-memory (processes), redis://HOST:PORT/DB, nats://HOST:PORT; "
    "for one model with its NAME, may be repeated.",
)
@several(
    "--pipeline",
    metavar="NAME=DET>CLS[?score=0.5&most=8]",
    multiple=True,
    help="Serve two models as one: the second looks at the boxes of the first, of at least this score, at most so "
    "many of an image; may be repeated.",
)
@several(
    "--rung",
    metavar="[NAME:]FIELD=VALUE,...",
    multiple=True,
    help="A step down in quality while the wait is long: fields of the Spec (fidelity=fast, interpolation=nearest), or "
    "model=REF, with the same outputs; best first.",
)
@several(
    "--ladder-down",
    metavar="MS",
    type=MILLISECONDS,
    default=100.0,
    show_default=True,
    help="A predicted wait above it steps down a rung.",
)
@several(
    "--ladder-up", metavar="MS", type=MILLISECONDS, default=20.0, show_default=True, help="One below it steps up again."
)
@several(
    "--cascade",
    metavar="RUNG:CONFIDENCE",
    help="Classifiers first look at a cheap version of each image, and at the full one where they are less sure: "
    "fidelity=fast:0.8, or a --rung's name.",
)
@batches("--batch", metavar="N", type=click.IntRange(min=1), default=16, show_default=True, help="Largest batch.")
@batches("--wait", metavar="MS", type=MILLISECONDS, help="Longest wait for a batch to fill; default: by --target-p99.")
@batches(
    "--target-p99",
    metavar="MS",
    type=MILLISECONDS,
    default=50.0,
    show_default=True,
    help="What 99 of 100 requests may take; batch and wait follow the load so that it holds.",
)
@batches(
    "--preprocess-batch",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Largest batch before preprocessing.",
)
@batches(
    "--preprocess-wait",
    metavar="MS",
    type=MILLISECONDS,
    default=0.0,
    show_default=True,
    help="Longest wait for it to fill.",
)
@batches(
    "--preprocess-device",
    metavar="DEVICE",
    default="cpu",
    show_default=True,
    help="Where images are preprocessed.",
)
@batches("--queue", metavar="N", type=click.IntRange(min=1), default=256, show_default=True, help="Images that wait.")
@batches("--slots", metavar="N", type=click.IntRange(min=1), help="Images between the queue and the answer.")
@batches(
    "--timeout",
    metavar="S",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Of a request that has none of its own.",
)
@threads_option
@network("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where to listen.")
@network("--port", metavar="PORT", type=click.IntRange(0, 65535), default=8000, show_default=True, help="HTTP; 0: any.")
@network(
    "--grpc-port", metavar="PORT", type=click.IntRange(0, 65535), default=8001, show_default=True, help="gRPC; 0: any."
)
@network("--no-grpc", is_flag=True, help="HTTP alone.")
@network(
    "--api-key-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help=f"A file with the key that requests must bring; or ${API_KEY}.",
)
@network(
    "--shared-memory/--no-shared-memory",
    default=None,
    help="Clients may register shared memory: any of this machine's that the server may open. "
    "Default: if --host is loopback.",
)
@network("--tls-cert", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="PEM certificate chain.")
@network("--tls-key", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="Its private key.")
@network(
    "--max-body", metavar="MB", type=click.FloatRange(min=0, min_open=True), default=64.0, show_default=True,
    help="Largest request.",
)  # fmt: skip
@network(
    "--body-timeout", metavar="S", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True,
    help="For a request to arrive in.",
)  # fmt: skip
@network(
    "--max-held", metavar="MB", type=click.FloatRange(min=0, min_open=True), default=1024.0, show_default=True,
    help="All requests at a time.",
)  # fmt: skip
@network("--max-images", metavar="N", type=click.IntRange(min=1), default=64, show_default=True, help="Of one request.")
@network("--drain", metavar="S", type=click.FloatRange(min=0), default=10.0, show_default=True, help="To finish in.")
@network(
    "--drain-delay",
    metavar="S",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="Between not ready and not taking requests, for load balancers.",
)
@seeing("--no-page", is_flag=True, help="No live page at /; health, metrics and statistics stay.")
@seeing(
    "--otlp",
    metavar="URL",
    help="Send traces to this OpenTelemetry collector (OTLP over HTTP); the OTEL_* variables work, too.",
)
@seeing(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Least severe lines of the log.",
)
@seeing(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Lines for people, or a JSON object each.",
)
def serve(models: tuple[str, ...], **options: Any) -> None:
    """Serve models: images in, predictions out.

    Requests are the Open Inference Protocol v2 over HTTP and gRPC (as Triton's and KServe's clients send them), or
    an image as the body of POST /v1/predict. The server's page is at /, its API at /docs, metrics at /metrics.
    SIGTERM and Ctrl-C stop it: readiness falls, what was begun is finished, and the rest is refused.
    Every option can be set by an environment variable, too: FASTPRE_SERVE_PORT=9000.
    """
    try:
        import grpc  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise Unusable(f"{error.name} is missing: pip install 'fastpre[serve]'") from None
    if any("python:" in model for model in models) and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does: the module is the user's, beside the data
    from fastpre.serve.building import build
    from fastpre.serve.http.limits import Limits
    from fastpre.serve.models.errors import ModelUnavailable
    from fastpre.serve.observing import logs
    from fastpre.serve.observing.tracing import Tracing
    from fastpre.serve.pipeline.pipeline import Pipeline
    from fastpre.serve.pipeline.rungs import CascadeChoice, RungChoice
    from fastpre.serve.server import Listen

    logs.configure(options["log_level"], options["log_format"])
    bytes_ = round(options["max_body"] * 1e6)
    listen = Listen(
        host=options["host"],
        port=options["port"],
        grpc_port=None if options["no_grpc"] else options["grpc_port"],
        api_key=_api_key(options["api_key_file"]),
        certificate=options["tls_cert"],
        key=options["tls_key"],
        limits=Limits(max_body_bytes=bytes_, max_images=options["max_images"], body_timeout_s=options["body_timeout"]),
        max_held_bytes=round(options["max_held"] * 1e6),
        drain_s=options["drain"],
        drain_delay_s=options["drain_delay"],
        shared_memory=options["shared_memory"],
        page=not options["no_page"],
    )
    try:
        rungs = [RungChoice.parse(text) for text in options["rung"]]
        handovers = _handovers(options["handover"])
        choices = [_choice(model, options, handovers) for model in models]
        if handovers.keys() - {""}:
            raise ValueError(f"--handover: no model is called {', '.join(handovers.keys() - {''})}: --model NAME=REF")
        service = build(
            choices,
            _settings(options),
            handover=handovers[""],
            max_images=options["max_images"],
            pipelines=[Pipeline.parse(text) for text in options["pipeline"]],
            rungs=rungs,
            cascade=CascadeChoice.parse(options["cascade"], rungs) if options["cascade"] else None,
        )
    except (ModelUnavailable, ValueError, ImportError) as error:
        raise Unusable(str(error)) from error
    service.tracing = Tracing.configured(options["otlp"])
    # What is there now stays. To look through it for garbage takes 0.3 s with torch, and all requests wait meanwhile.
    gc.collect()
    gc.freeze()
    try:
        _run(service, listen)
    finally:
        for engine in service.engines.values():
            engine.close(0)
        if service.tracing is not None:
            service.tracing.close()


def _handovers(given: tuple[str, ...]) -> dict[str, str]:
    """Kinds by the model's name; "" is every other model's."""
    kinds = {"": "threads"}
    for text in given:
        name, equals, kind = text.partition("=")
        if equals and "://" not in name:  # the = may be part of an address
            kinds[name] = kind
        else:
            kinds[""] = text
    return kinds


def _choice(model: str, options: dict[str, Any], handovers: dict[str, str]) -> Any:
    """The model, whose own handover is taken out of those given."""
    from fastpre.serve.building import ModelChoice

    name, separator, reference = model.partition("=")
    if not separator or ":" in name:  # the = is a parameter's: builtin:sleep?ms=75
        name, reference = "", model
    more: dict[str, Any] = {"name": name} if name else {}
    if options["labels"]:
        more["labels"] = options["labels"]
    if options["model_threads"]:
        more["num_threads"] = options["model_threads"]
    load = {"device": options["device"], "random_weights": options["random_weights"], **more}
    return ModelChoice(reference, load, handovers.pop(name, "") if name else "")


def _settings(options: dict[str, Any]) -> Any:
    from fastpre.serve.engine import Settings

    return Settings(
        threads=options["threads"],
        instances=options["instances"],
        preprocess_batch=options["preprocess_batch"],
        preprocess_wait_ms=options["preprocess_wait"],
        batch=options["batch"],
        wait_ms=options["wait"],
        target_p99_ms=options["target_p99"],
        slots=options["slots"],
        queue_limit=options["queue"],
        ladder_down_ms=options["ladder_down"],
        ladder_up_ms=options["ladder_up"],
        timeout_s=options["timeout"],
        device=options["preprocess_device"],
    )


def _api_key(file: str | None) -> str | None:
    key = os.environ.get(API_KEY) if file is None else Path(file).read_text(encoding="utf-8").strip()
    if key == "":
        raise Unusable(f"the API key is empty ({API_KEY if file is None else file})")
    return key


def _run(service: Any, listen: Any) -> None:
    """Serves until a signal."""
    from fastpre.serve.server import Server

    def started(server: Server) -> None:
        scheme = "http" if listen.certificate is None else "https"
        host = f"[{listen.host}]" if ":" in listen.host else listen.host
        names = ", ".join(model.name for model in service.models())
        click.echo(f"serving {names} at {scheme}://{host}:{server.port}")
        if server.grpc_port is not None:
            click.echo(f"gRPC at {host}:{server.grpc_port}")

    async def run() -> None:
        await Server(service, listen).run(started)

    # What was imported stays: a full collection would walk through all of it, which stops every request for 0.3 s.
    gc.collect()
    gc.freeze()

    try:
        import uvloop
    except ImportError:  # not on Windows
        asyncio.run(run())
    else:
        uvloop.run(run())
