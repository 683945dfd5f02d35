"""The servers that `serving.py` compares: how each is started, asked, and ended."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
HERE = pathlib.Path(__file__).resolve().parent
START_S, END_S = 90.0, 15.0


@dataclasses.dataclass(frozen=True)
class Route:
    """A way to ask a server: what the load generator is told, and what it is called."""

    key: str
    label: str
    protocol: str = "predict"
    path: str = "/predict"


@dataclasses.dataclass(frozen=True)
class Rival:
    """A server.

    Attributes:
        key: what `--python KEY=PATH` and `--only KEY` call it.
        role: "fastpre", "rival", "sketch" (fastpre in code of one's own) or "floor" (no work at all).
        script: in serving_rivals; empty: `fastpre serve`.
        package: what to install for it, for the report.
    """

    key: str
    role: str
    routes: tuple[Route, ...]
    script: str = ""
    package: str = ""


RIVALS = (
    Rival(
        "fastpre",
        "fastpre",
        (
            Route("http", "fastpre serve, HTTP v2", "v2-http", ""),
            Route("predict", "fastpre serve, /v1/predict", "predict", "/v1/predict"),
            Route("grpc", "fastpre serve, gRPC", "v2-grpc", ""),
        ),
    ),
    Rival("sketch", "sketch", (Route("sketch", "uvicorn, 2 threads, fastpre"),), "uvicorn_sketch.py"),
    Rival("mosec", "rival", (Route("mosec", "mosec", path="/inference"),), "mosec_app.py", "mosec"),
    Rival("fastapi", "rival", (Route("fastapi", "FastAPI, thread pool"),), "fastapi_app.py", "fastapi"),
    Rival("pytriton", "rival", (Route("pytriton", "PyTriton", "v2-http", ""),), "pytriton_app.py", "nvidia-pytriton"),
    Rival("litserve", "rival", (Route("litserve", "LitServe"),), "litserve_app.py", "litserve"),
    Rival("ray", "rival", (Route("ray", "Ray Serve"),), "ray_serve_app.py", "ray[serve]"),
    Rival("echo", "floor", (Route("echo", "bare echo on uvicorn"),), "uvicorn_echo.py"),
)


class Absent(Exception):
    """A rival takes no part; the message says why."""


def environment(model: str, port: int, **more: str) -> dict[str, str]:
    """What a server's process is given: the model, the port, and fastpre's sources where it is run from them."""
    python = os.pathsep.join(filter(None, [str(HERE.parent / "python"), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": python, "SERVING_MODEL": model, "SERVING_PORT": str(port), **more}


@dataclasses.dataclass
class Running:
    """A server that answers.

    Attributes:
        grpc_port: of fastpre's; 0 where there is none.
        said: its versions and settings, by itself.
    """

    rival: Rival
    port: int
    grpc_port: int = 0
    said: dict[str, Any] = dataclasses.field(default_factory=dict)

    def url(self, route: Route) -> str:
        """As the load generator wants it."""
        if route.protocol == "v2-grpc":
            return f"grpc://127.0.0.1:{self.grpc_port}"
        return f"http://127.0.0.1:{self.port}{route.path}"


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def command_of(rival: Rival, python: str, model: str, port: int, grpc_port: int, options: list[str]) -> list[str]:
    """What starts it."""
    if rival.script:
        return [python, str(HERE / "serving_rivals" / rival.script)]
    ports = ["--port", str(port), "--grpc-port", str(grpc_port)]
    return [python, "-m", "fastpre", "serve", "--model", f"model={model}", *ports, *options]


@contextlib.contextmanager
def running(rival: Rival, python: str, model: str, image: bytes, options: list[str]) -> Iterator[Running]:
    """The server while the block runs; the block begins with its first answer.

    Raises:
        Absent: it ended, or took too long to answer.
    """
    server = Running(rival, free_port(), free_port())
    command = command_of(rival, python, model, server.port, server.grpc_port, options)
    with contextlib.ExitStack() as stack:
        path = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) / "said.json"
        env = environment(model, server.port, SERVING_DESCRIBE=str(path))
        try:
            stack.enter_context(served(command, env, lambda: ask(server, rival.routes[0], [image])))
        except Absent as why:
            hint = f"; to install it: pip install {rival.package}, and --python {rival.key}=PATH"
            raise Absent(f"{why}{hint if rival.package else ''}") from None
        if rival.script:
            server.said = json.loads(path.read_text(encoding="utf-8"))
        else:
            shown = command_of(rival, "python", model, server.port, server.grpc_port, options)
            server.said = {"versions": {"fastpre": version("fastpre")}, "settings": {"command": " ".join(shown)}}
        yield server


@contextlib.contextmanager
def served(command: list[str], env: dict[str, str], first: Callable[[], object]) -> Iterator[int]:
    """A process while the block runs, which begins once `first` raises no more; gives its number.

    Raises:
        Absent: it ended, or took too long.
    """
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        except OSError as error:
            raise Absent(f"{type(error).__name__}: {error}") from None
        try:
            _await(process, first, log)
            yield process.pid
        finally:
            _end(process)


def _await(process: subprocess.Popen[bytes], first: Callable[[], object], log: Any) -> None:
    late = time.monotonic() + START_S
    while True:
        try:
            first()
            return
        except Exception as error:  # not there yet, in whatever words its client has for that
            if process.poll() is None and time.monotonic() < late:
                time.sleep(0.05)
                continue
            log.seek(0)
            said = [line for line in log.read().decode(errors="replace").splitlines() if re.search("[a-z]", line)]
            word = "ended" if process.poll() is not None else f"no answer in {START_S:.0f} s ({error})"
            raise Absent(f"{word}: {' / '.join(said[-3:])}"[:500]) from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Politely, and then all of its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(END_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def ask(server: Running, route: Route, images: list[bytes]) -> tuple[str, Array]:
    """What the rows are, and a row of 10 for each image: "logits"; "scores" (softmax), NaN where not said; "none"."""
    if server.rival.role == "floor":
        _post(server.port, route.path, images[0])
        return "none", np.empty((len(images), 0))
    if route.protocol != "predict":
        return "logits", _triton(server, route, images)
    rows = [json.loads(_post(server.port, route.path, image)) for image in images]
    if "logits" in rows[0]:
        return "logits", np.array([row["logits"] for row in rows])
    scores = np.full((len(rows), 10), np.nan)
    for row, found in zip(scores, rows, strict=True):
        for each in found["predictions"]:
            row[each["index"]] = each["score"]
    return "scores", scores


def _post(port: int, path: str, image: bytes) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", path, image, {"content-type": "image/jpeg"})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise RuntimeError(f"status {response.status}: {body[:200]!r}")
    return body


def _triton(server: Running, route: Route, images: list[bytes]) -> Array:
    """By tritonclient, one image a request."""
    import tritonclient.grpc
    import tritonclient.http

    library: Any = tritonclient.grpc if route.protocol == "v2-grpc" else tritonclient.http
    client = library.InferenceServerClient(server.url(route).partition("://")[2])
    try:
        name, rank = "IMAGE", 1
        if server.rival.role != "fastpre":
            name, rank = "image", 2
        found = []
        for image in images:
            tensor = library.InferInput(name, [1] * rank, "BYTES")
            tensor.set_data_from_numpy(np.array([image], np.object_).reshape([1] * rank))
            found.append(client.infer("model", [tensor]).as_numpy("logits")[0])
        return np.array(found)
    finally:
        client.close()


def default_pythons() -> dict[str, str]:
    """This Python for all."""
    return {rival.key: sys.executable for rival in RIVALS}
